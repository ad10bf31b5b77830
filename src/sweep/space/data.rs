//! The keys of `[data]`.

use clap::ValueEnum;
use serde_json::Value as Json;
use toml::de::DeValue;

use super::axis::Place;
use super::values::{refusal, typed};
use crate::data::DataConfig;
use crate::data::DatasetName;
use crate::error::Result;
use crate::model::value::{Kind, Value};

/// A key's value.
pub(super) enum Field<'a> {
    /// A data set.
    Dataset(&'a mut DatasetName),
    /// Rows of a split.
    Rows(&'a mut Option<usize>),
    /// Any text.
    Text(&'a mut Option<String>),
}

/// Every key with its value.
pub(super) fn fields(config: &mut DataConfig) -> [(&'static str, Field<'_>); 5] {
    let DataConfig { dataset, train, val, test, fingerprint } = config;
    [
        ("dataset", Field::Dataset(dataset)),
        ("train", Field::Rows(train)),
        ("val", Field::Rows(val)),
        ("test", Field::Rows(test)),
        ("fingerprint", Field::Text(fingerprint)),
    ]
}

/// The keys.
pub(super) fn keys() -> [&'static str; 5] {
    fields(&mut DataConfig::default()).map(|(key, _)| key)
}

/// Every key with its value as TOML writes it; none where it was left out.
pub(super) fn texts(config: &DataConfig) -> [(&'static str, Option<String>); 5] {
    fields(&mut config.clone()).map(|(key, field)| (key, field.text()))
}

impl Field<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Dataset(_) => Kind::Word(DatasetName::value_variants().iter().map(|name| name.key()).collect()),
            Self::Rows(_) => Kind::Whole,
            Self::Text(_) => Kind::Text,
        }
    }

    fn text(&self) -> Option<String> {
        match self {
            Self::Dataset(name) => Some(Value::Word(name.key()).to_string()),
            Self::Rows(rows) => rows.map(|rows| rows.to_string()),
            Self::Text(text) => text.as_ref().map(|text| Json::from(text.as_str()).to_string()),
        }
    }

    /// Takes the value that the sweep file has.
    ///
    /// # Errors
    /// It is of another kind.
    pub fn set(&mut self, place: &Place, value: &DeValue<'_>) -> Result<()> {
        let kind = self.kind();
        match (self, value) {
            (Self::Text(text), DeValue::String(string)) => **text = Some(string.to_string()),
            (Self::Text(_), other) => return Err(refusal(place, &kind, other)),
            (Self::Rows(rows), value) => match typed(place, &kind, value)? {
                Value::Whole(number) => **rows = Some(usize::try_from(number).unwrap_or(usize::MAX)),
                _ => return Err(refusal(place, &kind, value)),
            },
            (Self::Dataset(name), value) => {
                let word = typed(place, &kind, value)?;
                let is_meant = |known: &&DatasetName| word == Value::Word(known.key());
                DatasetName::value_variants().iter().filter(is_meant).for_each(|known| **name = *known);
            }
        }
        Ok(())
    }
}
