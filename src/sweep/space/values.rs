//! Values of TOML to values of hyperparameters, and both in the words of messages.

use toml::de::DeValue;

use super::axis::Place;
use super::data;
use crate::error::{Error, Result};
use crate::model::Hyperparameters;
use crate::model::value::{Kind, Value};
use crate::numbers;

/// Letters of a mistake that are shown at most.
const SHOWN: usize = 60;

/// The hyperparameter of this name, and what its values must be.
pub(super) fn hyperparameter(place: &Place) -> Result<(&'static str, Kind)> {
    Hyperparameters::kind(&place.key).ok_or_else(|| {
        let names = Hyperparameters::neutral().entries().map(|entry| entry.name);
        let found = format!("`{}`", place.key);
        Error::usage(&place.place, "a hyperparameter", found, known(&place.key, &names))
    })
}

/// The value of this kind that a value of TOML is. Equal numbers are one value, however they are written.
pub(super) fn typed(place: &Place, kind: &Kind, value: &DeValue<'_>) -> Result<Value> {
    let read = match (kind, value) {
        (Kind::Whole, DeValue::Integer(number)) if number.radix() == 10 => {
            numbers::whole(number.as_str()).map(Value::Whole)
        }
        (Kind::Whole, DeValue::Float(number)) => numbers::whole(number.as_str()).map(Value::Whole),
        (Kind::Number, DeValue::Integer(number)) if number.radix() == 10 => {
            numbers::number(number.as_str()).map(Value::Number)
        }
        (Kind::Whole | Kind::Number, DeValue::Integer(number)) => {
            let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
            number.map(|number| if *kind == Kind::Whole { Value::Whole(number) } else { Value::Number(number as f64) })
        }
        (Kind::Number, DeValue::Float(number)) => {
            numbers::number(number.as_str()).filter(|number| number.is_finite()).map(Value::Number)
        }
        (Kind::Word(words), DeValue::String(word)) => {
            words.iter().find(|known| *known == word).copied().map(Value::Word)
        }
        _ => None,
    };
    read.ok_or_else(|| refusal(place, kind, value))
}

/// Refuses a value that is not of the kind that it must be.
pub(super) fn refusal(place: &Place, kind: &Kind, value: &DeValue<'_>) -> Error {
    let is_positive_integer = matches!(value, DeValue::Integer(number) if !number.as_str().starts_with('-'));
    let expected = match (kind, value) {
        (Kind::Number, DeValue::Float(number)) if number.as_str().bytes().any(|byte| byte.is_ascii_digit()) => {
            format!("a number that 64 bits can hold, such as {}", numbers::text(f64::MAX))
        }
        (Kind::Number, DeValue::Float(_)) => "a finite number".to_owned(),
        (Kind::Whole | Kind::Number, _) if is_positive_integer => format!("a whole number from 0 to {}", u64::MAX),
        _ => kind.to_string(),
    };
    let is_number = |text: &str| match kind {
        Kind::Whole => numbers::whole(text).is_some(),
        Kind::Number => numbers::number(text).is_some(),
        _ => false,
    };
    let remedy = match value {
        DeValue::String(text) if is_number(text) => "leave the quotes out",
        _ => "change the value",
    };
    Error::usage(place, expected, shown(value), remedy)
}

/// A value as it is shown in messages.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => shortened(&format!("{:?}", text.as_ref())),
        DeValue::Integer(number) => shortened(&number.to_string()),
        DeValue::Float(number) => shortened(number.as_str()),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The beginning of a text that is long.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Where a key belongs that is not known where it stands; else `did you mean …`, or the list of all that is known there.
pub(super) fn known(key: &str, names: &[&str]) -> String {
    let key = ["fixed.", "grid.", "random."].iter().find_map(|table| key.strip_prefix(table)).unwrap_or(key);
    if data::keys().contains(&key) && !names.contains(&key) {
        return format!("`{key}` is a key of [data]: write it there, or --set data.{key}=…");
    }
    if Hyperparameters::kind(key).is_some() && !names.contains(&key) {
        return format!("`{key}` is a hyperparameter: write it under [fixed] or [grid], or --set {key}=…");
    }
    nearest(key, names)
}

/// `did you mean …`, or the list of all names.
pub(super) fn nearest(key: &str, names: &[&str]) -> String {
    let closest = names.iter().map(|&name| (strsim::jaro_winkler(key, name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    match closest {
        Some((likeness, name)) if likeness > 0.75 => format!("did you mean `{name}`?"),
        _ => format!("known are {}", names.join(", ")),
    }
}
