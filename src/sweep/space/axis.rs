//! What a sweep file has for a hyperparameter: its values, and where they stand.

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

/// A hyperparameter with the values that it takes: one, or several different ones.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// Its name.
    pub name: &'static str,
    /// Its values, in the order of the file.
    pub values: Vec<Value>,
    /// Where it stands.
    pub place: Place,
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

/// The first value that is there a second time.
pub(super) fn repeated(values: &[Value]) -> Option<&Value> {
    let mut seen = HashSet::with_capacity(values.len());
    values.iter().find(|&&value| !seen.insert(comparable(value)))
}

/// Equal for equal values: no number here is NaN, and zero has no sign.
fn comparable(value: Value) -> (u64, &'static str) {
    match value {
        Value::Whole(number) => (number, ""),
        Value::Number(number) => (number.to_bits(), ""),
        Value::Word(word) => (0, word),
    }
}
