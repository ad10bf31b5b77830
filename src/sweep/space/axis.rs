//! What a sweep file has for a hyperparameter, or for several that go together: its values, and where they stand.

use std::collections::HashSet;
use std::fmt;

use crate::model::value::Value;

/// Where something stands, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The key.
    pub key: String,
    /// `FILE:LINE`, or the flag.
    pub place: String,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: `{}`", self.place, self.key)
    }
}

/// A hyperparameter with the values that it takes, one or several different ones; or several hyperparameters that go together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// Whose values.
    pub names: Vec<&'static str>,
    /// The points, in the order of the file: a value a name.
    pub points: Vec<Vec<Value>>,
    /// Where it stands.
    pub place: Place,
}

impl Axis {
    /// Of one hyperparameter.
    pub fn of(name: &'static str, values: Vec<Value>, place: Place) -> Self {
        Self { names: vec![name], points: values.into_iter().map(|value| vec![value]).collect(), place }
    }

    /// Whether it is of this hyperparameter, alone or among others.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    /// Its name, if it is of one hyperparameter.
    pub fn name(&self) -> Option<&'static str> {
        match self.names[..] {
            [name] => Some(name),
            _ => None,
        }
    }

    /// Its values, if it is of one hyperparameter.
    pub fn values(&self) -> Vec<Value> {
        self.points.iter().filter_map(|point| point.first().copied()).collect()
    }

    /// Its key as TOML writes it.
    pub fn key(&self) -> String {
        match self.names[..] {
            [name] => name.to_owned(),
            _ => format!("\"{}\"", self.names.join(", ")),
        }
    }

    /// Its points as TOML writes them.
    pub fn text(&self) -> String {
        let point = |point: &Vec<Value>| format!("[{}]", texts(point).join(", "));
        match self.names[..] {
            [_] => format!("[{}]", texts(&self.values()).join(", ")),
            _ => format!("[{}]", self.points.iter().map(point).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Each value as TOML writes it.
pub(super) fn texts(values: &[Value]) -> Vec<String> {
    values.iter().map(Value::to_string).collect()
}

/// Whether two lists without repetitions have the same values, in whatever order.
pub(super) fn are_equal(a: &[Value], b: &[Value]) -> bool {
    let set = |values: &[Value]| values.iter().map(|&value| comparable(value)).collect::<HashSet<_>>();
    a == b || (a.len() == b.len() && set(a) == set(b))
}

/// The first point that is there a second time.
pub(super) fn repeated(points: &[Vec<Value>]) -> Option<&Vec<Value>> {
    let mut seen = HashSet::with_capacity(points.len());
    points.iter().find(|point| !seen.insert(comparable_point(point)))
}

/// Equal for equal points.
pub(super) fn comparable_point(point: &[Value]) -> Vec<(u64, &'static str)> {
    point.iter().map(|&value| comparable(value)).collect()
}

/// Equal for equal values: no number here is NaN, and zero has no sign.
fn comparable(value: Value) -> (u64, &'static str) {
    match value {
        Value::Whole(number) => (number, ""),
        Value::Number(number) => (number.to_bits(), ""),
        Value::Word(word) => (0, word),
    }
}
