//! A sweep file to resolved trials.
//!
//! A sweep file has up to three tables: `[data]` (which data, split sizes), `[fixed]` (one value a hyperparameter) and
//! `[grid]` (a list a hyperparameter; the trials are the product of all lists, the last list varying fastest). What is not
//! named has its default. Every error names the file and the line.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::data::{DataConfig, Dataset};
use crate::error::{Complaint, Error, Result};
use crate::files;
use crate::model::{CheckedHyperparameters, Hyperparameters};
use crate::version;

/// More trials than this are a mistake in the sweep file.
const MOST_TRIALS: usize = 10_000_000;

/// One configuration with one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its identity: 16 letters that stand for a hash of its configuration, the data and the results version.
    pub id: String,
    /// Its configuration.
    pub hyperparameters: CheckedHyperparameters,
}

impl Trial {
    /// The trial of `hyperparameters` on data of this fingerprint.
    pub fn new(hyperparameters: CheckedHyperparameters, data_fingerprint: &str) -> Self {
        Self { id: identity(&hyperparameters, data_fingerprint), hyperparameters }
    }
}

/// A hash as 16 letters from k to z: no spreadsheet takes it for a number, and it cannot be confused with a git revision.
fn identity(hyperparameters: &Hyperparameters, data_fingerprint: &str) -> String {
    let configuration = Value::Object(hyperparameters.to_map());
    let text = format!("{} {data_fingerprint} {configuration}", version::RESULTS_VERSION);
    let digest = Sha256::digest(text);
    digest.iter().take(8).flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(b'k' + nibble)).collect()
}

/// Where something stands, for messages.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    key: String,
    place: String,
}

/// A search space, as a sweep file describes it.
#[derive(Clone, Debug, Default)]
pub struct Space {
    /// Data set and splits.
    pub data: DataConfig,
    /// One value for each of these hyperparameters.
    pub fixed: Map<String, Value>,
    /// A list of values for each of these, in the order of the file.
    pub grid: Map<String, Value>,
    places: Vec<Place>,
}

impl Space {
    /// Reads a sweep file.
    ///
    /// # Errors
    /// It cannot be read, is not TOML, has a key that is not known, or a value of another type or out of its range.
    pub fn read(path: &Path) -> Result<Self> {
        files::refuse_fifo(path)?;
        let bytes = fs::read(path).map_err(Error::io("read the sweep file", path))?;
        let name = path.display().to_string();
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::usage(&name, "a text file", "bytes that are not UTF-8", "give a sweep file in TOML"))?;
        Self::parse(&text, &name)
    }

    /// Reads the text of a sweep file; `name` stands in messages.
    ///
    /// # Errors
    /// As [`Space::read`].
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let line = |span: std::ops::Range<usize>| format!("{name}:{}", text[..span.start].matches('\n').count() + 1);
        let document = DeTable::parse(text).map_err(|error| {
            let place = error.span().map_or(name.to_owned(), line);
            Error::usage(
                place,
                "TOML",
                error.message().replace('\n', ", "),
                "mend the syntax: `key = value` under `[fixed]`, `key = [values]` under `[grid]`",
            )
        })?;
        let mut space = Self::default();
        let mut data = Map::new();
        for (table, content) in document.get_ref() {
            let place = line(table.span());
            let tables = ["data", "fixed", "grid"];
            if !tables.contains(&table.get_ref().as_ref()) {
                let found = format!("`{}`", table.get_ref());
                return Err(Error::usage(
                    place,
                    "one of the tables [data], [fixed] and [grid]",
                    found,
                    nearest(table.get_ref(), &tables),
                ));
            }
            let Some(entries) = content.get_ref().as_table() else {
                let found = content.get_ref().type_str();
                let remedy = format!("write it as [{}]", table.get_ref());
                return Err(Error::usage(place, format!("a table for `{}`", table.get_ref()), found, remedy));
            };
            for (key, value) in entries {
                let place = Place { key: key.get_ref().to_string(), place: line(key.span()) };
                match table.get_ref().as_ref() {
                    "data" => drop(data.insert(place.key.clone(), json(value, &place)?)),
                    "fixed" => space.fix(place, json(value, &place_of(&line, key))?)?,
                    _ => space.vary(place, json(value, &place_of(&line, key))?)?,
                }
            }
            if table.get_ref() == "data" {
                space.data = data_config(&data, &place)?;
            }
        }
        Ok(space)
    }

    /// Overrides one key, from the command line: `KEY=VALUE` with a value in TOML. A list makes the key an axis of the grid, a
    /// single value fixes it; `data.train=1000` sets a key of `[data]`.
    ///
    /// # Errors
    /// It is no such pair, or the key or value is not accepted.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let place = format!("--set {assignment}");
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(Error::usage(
                place,
                "KEY=VALUE",
                "no `=`",
                "write for example --set iterations=500 or --set 'hidden=[50,100]'",
            ));
        };
        let (key, value) = (key.trim(), value.trim());
        let parse = |text: &str| {
            DeValue::parse(text).ok().map(|value| json(&value, &Place { key: key.to_owned(), place: place.clone() }))
        };
        // What is not TOML as it stands is a bare word, such as shuffle.
        let quoted = format!("{value:?}");
        let value = parse(value).or_else(|| parse(&quoted)).unwrap_or(Ok(Value::Null))?;
        if let Some(key) = key.strip_prefix("data.") {
            let mut map = match serde_json::to_value(&self.data) {
                Ok(Value::Object(map)) => map,
                _ => Map::new(),
            };
            map.insert(key.to_owned(), value);
            self.data = data_config(&map, &place)?;
            return Ok(());
        }
        let at = Place { key: key.to_owned(), place };
        self.fixed.remove(key);
        self.grid.remove(key);
        self.places.retain(|place| place.key != key);
        if value.is_array() { self.vary(at, value) } else { self.fix(at, value) }
    }

    fn fix(&mut self, place: Place, value: Value) -> Result<()> {
        if value.is_array() {
            return Err(Error::usage(place, "a single value", "a list", "move the line to [grid]"));
        }
        let value = typed(&place, value)?;
        self.enter(&place)?;
        self.fixed.insert(place.key.clone(), value);
        Ok(())
    }

    fn vary(&mut self, place: Place, value: Value) -> Result<()> {
        let Value::Array(values) = value else {
            return Err(Error::usage(
                &place,
                "a list of values",
                value.to_string(),
                format!("write `{} = [{value}]`, or move the line to [fixed]", place.key),
            ));
        };
        let values = values.into_iter().map(|value| typed(&place, value)).collect::<Result<Vec<_>>>()?;
        if values.is_empty() {
            return Err(Error::usage(
                place,
                "at least one value",
                "an empty list",
                "name a value, or leave the line out for the default",
            ));
        }
        if let Some(twice) = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value)) {
            return Err(Error::usage(place, "different values", format!("{} twice", twice.1), "leave one of them out"));
        }
        self.enter(&place)?;
        self.grid.insert(place.key.clone(), Value::Array(values));
        Ok(())
    }

    /// Notes where a hyperparameter stands; it may stand only once.
    fn enter(&mut self, place: &Place) -> Result<()> {
        if let Some(earlier) = self.places.iter().find(|earlier| earlier.key == place.key) {
            return Err(Error::usage(
                place,
                "each hyperparameter once",
                format!("it at {} too", earlier.place),
                "keep one of the lines",
            ));
        }
        self.places.push(place.clone());
        Ok(())
    }

    /// Every trial of a [resolved](Self::resolved) space, in the order of the grid.
    ///
    /// # Errors
    /// A value is out of its range or does not fit the data, or there are too many trials.
    pub fn trials(&self) -> Result<Vec<Trial>> {
        let axes: Vec<(&String, &Vec<Value>)> =
            self.grid.iter().filter_map(|(key, values)| Some((key, values.as_array()?))).collect();
        let count = axes.iter().try_fold(1_usize, |count, (_, values)| count.checked_mul(values.len()));
        let count = count.filter(|&count| count <= MOST_TRIALS).ok_or_else(|| {
            let lengths: Vec<String> = axes.iter().map(|(_, values)| values.len().to_string()).collect();
            Error::usage(
                "[grid]",
                format!("at most {MOST_TRIALS} trials"),
                lengths.join(" × "),
                "make the lists shorter, or split the sweep",
            )
        })?;
        let train_rows = self.data.train.unwrap_or_default();
        let fingerprint = self.data.fingerprint.as_deref().unwrap_or_default();
        let mut trials = Vec::with_capacity(count);
        let mut ids = HashSet::with_capacity(count);
        for number in 0..count {
            let mut configuration = self.fixed.clone();
            let mut rest = number;
            for (key, values) in axes.iter().rev() {
                configuration.insert((*key).clone(), values[rest % values.len()].clone());
                rest /= values.len();
            }
            let hyperparameters: Hyperparameters =
                serde_json::from_value(Value::Object(configuration)).expect("every value was checked alone");
            let checked = hyperparameters.check(train_rows).map_err(|error| self.place_in_file(error))?;
            let trial = Trial::new(checked, fingerprint);
            assert!(ids.insert(trial.id.clone()), "two trials have the identity {}", trial.id);
            trials.push(trial);
        }
        Ok(trials)
    }

    /// Names file and line in an error that names a hyperparameter.
    fn place_in_file(&self, error: Error) -> Error {
        let Error::Usage(mut complaint) = error else { return error };
        let named = |place: &&Place| complaint.place == format!("`{}`", place.key);
        if let Some(place) = self.places.iter().find(named) {
            complaint.place = place.to_string();
        }
        Error::Usage(complaint)
    }

    /// The sweep file with everything spelled out: all defaults, the sizes of the splits, the fingerprint of the data.
    pub fn resolved(&self, data: &Dataset) -> Self {
        let mut fixed = Hyperparameters::default().to_map();
        for (key, value) in &self.fixed {
            fixed.insert(key.clone(), value.clone());
        }
        fixed.retain(|key, _| !self.grid.contains_key(key));
        let data = DataConfig { fingerprint: Some(data.fingerprint.clone()), ..data.config.clone() };
        Self { data, fixed, grid: self.grid.clone(), places: self.places.clone() }
    }

    /// As the text of a sweep file.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let data = serde_json::to_value(&self.data).unwrap_or_default();
        let empty = Map::new();
        for (name, entries) in
            [("data", data.as_object().unwrap_or(&empty)), ("fixed", &self.fixed), ("grid", &self.grid)]
        {
            let _ = writeln!(text, "{}[{name}]", if text.is_empty() { "" } else { "\n" });
            for (key, value) in entries {
                let _ = writeln!(text, "{key} = {}", value.to_string().replace(',', ", "));
            }
        }
        text
    }

    /// What differs from another resolved space, one item a key, in words.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let flat = |space: &Self| -> Map<String, Value> {
            let data = serde_json::to_value(&space.data).unwrap_or_default();
            let data = data
                .as_object()
                .cloned()
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (format!("data.{key}"), value));
            data.chain(space.fixed.clone()).chain(space.grid.clone()).collect()
        };
        let (old, new) = (flat(self), flat(new));
        let keys: Vec<&String> = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).collect();
        let text = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
        let changed = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
        changed.map(|key| format!("{key} was {}, now {}", text(old.get(key)), text(new.get(key)))).collect()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: `{}`", self.place, self.key)
    }
}

fn place_of(line: &impl Fn(std::ops::Range<usize>) -> String, key: &Spanned<std::borrow::Cow<'_, str>>) -> Place {
    Place { key: key.get_ref().to_string(), place: line(key.span()) }
}

/// A TOML value as JSON. Only what JSON has: no dates, no NaN, no infinity.
fn json(value: &Spanned<DeValue<'_>>, place: &Place) -> Result<Value> {
    let refuse = |expected: &str, found: &str| {
        Err(Error::usage(place, expected, found, "write a finite number, a word in quotes, or a list of them"))
    };
    match value.get_ref() {
        DeValue::String(text) => Ok(Value::String(text.to_string())),
        DeValue::Boolean(value) => Ok(Value::Bool(*value)),
        DeValue::Integer(number) => {
            match i128::from_str_radix(number.as_str(), number.radix()).ok().and_then(serde_json::Number::from_i128) {
                Some(number) => Ok(Value::Number(number)),
                None => refuse("a number of at most 64 bits", number.as_str()),
            }
        }
        DeValue::Float(number) => match number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
            Some(number) => Ok(Value::Number(number)),
            None => refuse("a finite number", number.as_str()),
        },
        DeValue::Array(values) => {
            Ok(Value::Array(values.iter().map(|value| json(value, place)).collect::<Result<_>>()?))
        }
        DeValue::Datetime(_) => refuse("a number, a word or a list", "a date"),
        DeValue::Table(_) => refuse("a number, a word or a list", "a table"),
    }
}

/// Checks that a hyperparameter of this name exists and takes a value of this type; gives the value in that type.
fn typed(place: &Place, value: Value) -> Result<Value> {
    let defaults = Hyperparameters::default().to_map();
    let Some(default) = defaults.get(&place.key) else {
        let known: Vec<&str> = defaults.keys().map(String::as_str).collect();
        return Err(Error::usage(
            &place.place,
            "a hyperparameter",
            format!("`{}`", place.key),
            nearest(&place.key, &known),
        ));
    };
    // 1e4 is a whole number too.
    let whole = value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..9e15).contains(number));
    let value = match (default.is_u64(), value.is_f64(), whole) {
        (true, true, Some(number)) => Value::from(number as u64),
        _ => value,
    };
    let expected = match default {
        Value::Number(number) if number.is_u64() => (!value.is_u64()).then(|| "a whole number, 0 or more".to_owned()),
        Value::Number(_) => (!value.is_number()).then(|| "a number".to_owned()),
        _ => {
            let alone = Map::from_iter([(place.key.clone(), value.clone())]);
            let error = serde_json::from_value::<Hyperparameters>(Value::Object(alone)).err();
            error
                .map(|error| error.to_string().rsplit("expected ").next().unwrap_or("another value").replace('`', "\""))
        }
    };
    match expected {
        Some(expected) => Err(Error::usage(place, expected, value.to_string(), "change the value")),
        None if default.is_f64() => Ok(value.as_f64().map_or(value, Value::from)),
        None => Ok(value),
    }
}

/// The keys of `[data]`.
fn data_config(entries: &Map<String, Value>, place: &str) -> Result<DataConfig> {
    let known = ["dataset", "train", "val", "test", "fingerprint"];
    if let Some(key) = entries.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Error::usage(place, "a key of [data]", format!("`{key}`"), nearest(key, &known)));
    }
    serde_json::from_value(Value::Object(entries.clone())).map_err(|error| {
        let expected =
            "dataset (\"cifar10\", \"cifar100\" or \"cifar100-coarse\"), train, val and test (whole numbers)";
        Error::Usage(Complaint::new(format!("{place}: [data]"), expected, error.to_string(), "change the value"))
    })
}

/// `did you mean …`, or the list of all that is known.
fn nearest(word: &str, known: &[&str]) -> String {
    let closest = known.iter().map(|&name| (strsim::jaro_winkler(word, name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    match closest {
        Some((likeness, name)) if likeness > 0.75 => format!("did you mean `{name}`?"),
        _ => format!("known are {}", known.join(", ")),
    }
}
