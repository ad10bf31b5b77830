//! A sweep file and `--set` to a [`Space`]. Every mistake is one line that names file, line and key, in the words of TOML.

use std::fs;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::axis::{Axis, Place, repeated};
use super::{Space, data};
use crate::error::{Error, Result};
use crate::files;
use crate::model::Hyperparameters;
use crate::model::value::{Kind, Value};
use crate::numbers;

/// The tables of a sweep file.
const TABLES: [&str; 3] = ["data", "fixed", "grid"];
/// Letters of a mistake that are shown at most.
const SHOWN: usize = 60;

impl Space {
    /// Reads a sweep file.
    ///
    /// # Errors
    /// It cannot be read, is not TOML, names nothing, has a key that is not known, or a value of another kind.
    pub fn read(path: &Path) -> Result<Self> {
        let name = one_line(&path.display().to_string());
        if path.is_dir() {
            return Err(Error::usage(
                name,
                "a sweep file",
                "a directory",
                "give the TOML file that describes the sweep",
            ));
        }
        files::refuse_fifo(path)?;
        let bytes = fs::read(path).map_err(Error::io("read the sweep file", path))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::usage(&name, "a text file", "bytes that are not UTF-8", "give a sweep file in TOML"))?;
        Self::parse(&text, &name)
    }

    /// Reads the text of a sweep file; `name` stands in messages.
    ///
    /// # Errors
    /// As [`Space::read`].
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let line = |span: Range<usize>| {
            let before = text.as_bytes().iter().take(span.start);
            format!("{name}:{}", before.filter(|&&byte| byte == b'\n').count() + 1)
        };
        let place = |key: &Spanned<DeString<'_>>| Place { key: one_line(key.get_ref()), place: line(key.span()) };
        let document = DeTable::parse(text).map_err(|error| {
            let found = error.span().map_or(String::new(), |span| line_at(text, span.start));
            let remedy = "mend the syntax: `key = value` under `[fixed]`, `key = [values]` under `[grid]`";
            let place = error.span().map_or(name.to_owned(), line);
            Error::usage(place, "TOML", format!("`{found}` ({})", one_line(error.message())), remedy)
        })?;
        let mut space = Self { name: name.to_owned(), ..Self::default() };
        let mut is_empty = true;
        for (table, content) in document.get_ref() {
            let at = place(table);
            if !TABLES.contains(&at.key.as_str()) {
                let expected = "one of the tables [data], [fixed] and [grid]";
                return Err(Error::usage(at.place, expected, format!("`{}`", at.key), known(&at.key, &TABLES)));
            }
            let Some(entries) = content.get_ref().as_table() else {
                let remedy = format!("write it as [{}], with a line for each key below it", at.key);
                let expected = format!("a table for `{}`", at.key);
                return Err(Error::usage(at.place, expected, shown(content.get_ref()), remedy));
            };
            for (key, value) in entries {
                is_empty = false;
                let (at_key, value) = (place(key), value.get_ref());
                match at.key.as_str() {
                    "data" => space.set_data(at_key, value)?,
                    "fixed" => space.fixed.push(space.once(single(at_key, value)?)?),
                    _ => space.grid.push(space.once(list(at_key, value)?)?),
                }
            }
        }
        if is_empty {
            let found = if text.trim().is_empty() { "an empty file" } else { "a file without any" };
            let remedy = "write at least one line, such as `hidden = [50, 100]` under [grid]";
            return Err(Error::usage(name, "a hyperparameter, or a key of [data]", found, remedy));
        }
        Ok(space)
    }

    /// Overrides one key, from the command line: `KEY=VALUE` with a value in TOML. A list makes the key an axis of the grid, a
    /// single value fixes it; `data.train=1000` sets a key of `[data]`.
    ///
    /// # Errors
    /// It is no such pair, or the key or value is not accepted.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let place = format!("--set {}", one_line(assignment));
        let Some((key, text)) = assignment.split_once('=') else {
            let remedy = "write for example --set iterations=500 or --set 'hidden=[50,100]'";
            return Err(Error::usage(place, "KEY=VALUE", "no `=`", remedy));
        };
        let (key, text) = (key.trim(), text.trim());
        let at = |key: &str| Place { key: one_line(key), place: place.clone() };
        if key.is_empty() {
            return Err(Error::usage(place, "KEY=VALUE", "no key", "write for example --set iterations=500"));
        }
        // What is no TOML as it stands may be a bare word, such as shuffle.
        let is_word = !text.is_empty() && text.chars().all(|letter| letter.is_alphanumeric() || "-_".contains(letter));
        let value = match DeValue::parse(text) {
            Ok(value) => value.into_inner(),
            Err(_) if is_word => DeValue::String(text.into()),
            Err(error) => {
                let found = if text.is_empty() { "nothing".to_owned() } else { one_line(error.message()) };
                let remedy = "write a number, a word, or a list in quotes: --set 'hidden=[50,100]'";
                return Err(Error::usage(at(key), "a value in TOML", found, remedy));
            }
        };
        if let Some(key) = key.strip_prefix("data.") {
            return self.set_data(at(key), &value);
        }
        if !value.is_array() {
            let axis = single(at(key), &value)?;
            self.remove(key);
            self.fixed.push(axis);
            return Ok(());
        }
        let axis = list(at(key), &value)?;
        // What changes nothing leaves the axis where it is.
        match self.grid.iter_mut().find(|known| known.name == axis.name && known.values == axis.values) {
            Some(known) => known.place = axis.place,
            None => {
                self.remove(key);
                self.grid.push(axis);
            }
        }
        Ok(())
    }

    /// The last axis takes the place of the one that goes: the order by which sweeps with `--set` have always ranked equals.
    fn remove(&mut self, key: &str) {
        for axes in [&mut self.fixed, &mut self.grid] {
            if let Some(position) = axes.iter().position(|axis| axis.name == key) {
                axes.swap_remove(position);
            }
        }
    }

    fn set_data(&mut self, place: Place, value: &DeValue<'_>) -> Result<()> {
        let Some((_, mut field)) = data::fields(&mut self.data).into_iter().find(|(key, _)| *key == place.key) else {
            let found = format!("`{}`", place.key);
            return Err(Error::usage(&place.place, "a key of [data]", found, known(&place.key, &data::keys())));
        };
        field.set(&place, value)?;
        self.data_places.retain(|earlier| earlier.key != place.key);
        self.data_places.push(place);
        Ok(())
    }

    /// A hyperparameter may stand only once in a file.
    fn once(&self, axis: Axis) -> Result<Axis> {
        match self.fixed.iter().chain(&self.grid).find(|earlier| earlier.name == axis.name) {
            Some(earlier) => {
                let found = format!("it at {} too", earlier.place.place);
                Err(Error::usage(axis.place, "each hyperparameter once", found, "keep one of the lines"))
            }
            None => Ok(axis),
        }
    }
}

/// A key of `[fixed]`.
fn single(place: Place, value: &DeValue<'_>) -> Result<Axis> {
    let (name, kind) = hyperparameter(&place)?;
    if value.is_array() {
        return Err(Error::usage(place, "a single value", "a list", "move the line to [grid]"));
    }
    Ok(Axis { name, values: vec![typed(&place, &kind, value)?], place })
}

/// A key of `[grid]`.
fn list(place: Place, value: &DeValue<'_>) -> Result<Axis> {
    let (name, kind) = hyperparameter(&place)?;
    let DeValue::Array(values) = value else {
        let found = shown(value);
        let remedy = format!("write `{} = [{found}]`, or move the line to [fixed]", place.key);
        return Err(Error::usage(&place, "a list of values", found, remedy));
    };
    let values = values.iter().map(|value| typed(&place, &kind, value.get_ref())).collect::<Result<Vec<_>>>()?;
    if values.is_empty() {
        let remedy = "name a value, or leave the line out for the default";
        return Err(Error::usage(place, "at least one value", "an empty list", remedy));
    }
    if let Some(twice) = repeated(&values) {
        return Err(Error::usage(place, "different values", format!("{twice} twice"), "leave one of them out"));
    }
    Ok(Axis { name, values, place })
}

/// The hyperparameter of this name, and what its values must be.
fn hyperparameter(place: &Place) -> Result<(&'static str, Kind)> {
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
fn shown(value: &DeValue<'_>) -> String {
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

/// The line of `text` that has the byte `at`.
fn line_at(text: &str, at: usize) -> String {
    let at = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let (before, after) = text.split_at(at);
    let begin = before.rsplit('\n').next().unwrap_or_default();
    shortened(&one_line(&format!("{begin}{}", after.lines().next().unwrap_or_default())))
}

/// Text whose control characters are spelled out: a message is one line.
fn one_line(text: &str) -> String {
    let letters = text.trim().chars();
    letters
        .map(|letter| if letter.is_control() { letter.escape_default().to_string() } else { letter.into() })
        .collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Where a key belongs that is not known where it stands; else `did you mean …`, or the list of all that is known there.
fn known(key: &str, names: &[&str]) -> String {
    let key = ["fixed.", "grid."].iter().find_map(|table| key.strip_prefix(table)).unwrap_or(key);
    if data::keys().contains(&key) && !names.contains(&key) {
        return format!("`{key}` is a key of [data]: write it there, or --set data.{key}=…");
    }
    if Hyperparameters::kind(key).is_some() && !names.contains(&key) {
        return format!("`{key}` is a hyperparameter: write it under [fixed] or [grid], or --set {key}=…");
    }
    let closest = names.iter().map(|&name| (strsim::jaro_winkler(key, name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    match closest {
        Some((likeness, name)) if likeness > 0.75 => format!("did you mean `{name}`?"),
        _ => format!("known are {}", names.join(", ")),
    }
}
