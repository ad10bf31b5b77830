//! A sweep file and `--set` to a [`Space`]. Every mistake is one line that names file, line and key, in the words of TOML.

use std::fs;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::axis::{Axis, Place, repeated, texts};
use super::block::Block;
use super::draw::{DIGITS, Drawn, Law, Sampler};
use super::{Space, candidates, data, range, rules};
use crate::error::{Error, Result};
use crate::files;
use crate::model::Hyperparameters;
use crate::model::value::{Kind, Value};
use crate::numbers;

/// What a sweep file may have at its top.
const TABLES: [&str; 9] = ["data", "fixed", "grid", "random", "space", "halving", "confirm", "budget", "trials"];
/// The tables of a space.
const OF_SPACE: [&str; 4] = ["name", "fixed", "grid", "random"];
/// Keys of `[random]` that are no hyperparameters.
const OF_RANDOM: [&str; 3] = ["samples", "sampler", "sampler_seed"];
/// Keys of an axis in `[random]`.
const OF_DRAWN: [&str; 5] = ["log_uniform", "uniform", "integer", "choice", "round"];
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
                let expected =
                    "one of the tables [data], [fixed], [grid], [random], [[space]], [halving], [confirm] and [budget]";
                return Err(Error::usage(at.place, expected, format!("`{}`", at.key), known(&at.key, &TABLES)));
            }
            if at.key == "trials" {
                is_empty = false;
                let axis = candidates::read(&at, content.get_ref(), name)?;
                space.common.grid.insert(0, axis);
                continue;
            }
            if at.key == "space" {
                is_empty = false;
                for block in tables_of_spaces(&at, content.get_ref())? {
                    let block = space.block(block, &place)?;
                    space.blocks.push(block);
                }
                continue;
            }
            for (key, value) in entries_of(&at, content.get_ref())? {
                is_empty = false;
                let (at_key, value) = (place(key), value.get_ref());
                match at.key.as_str() {
                    "data" => space.set_data(at_key, value)?,
                    table if rules::TABLES.contains(&table) => space.rules.set(table, &at_key, value)?,
                    table => add(&mut space.common, table, at_key, value)?,
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
        if let Some((table, key)) = key.split_once('.') {
            match table {
                "data" => return self.set_data(at(key), &value),
                "random" if OF_RANDOM.contains(&key) => {
                    self.common.random.samples.take_if(|_| key == "samples");
                    return add(&mut self.common, "random", at(key), &value);
                }
                "fixed" | "grid" | "random" => return self.set_axis(table, at(key), &value),
                _ if rules::TABLES.contains(&table) => return self.rules.set(table, &at(key), &value),
                _ => {}
            }
        }
        if key == "trials" {
            let axis = candidates::read(&at(key), &value, "")?;
            self.common.grid.insert(0, axis);
            return Ok(());
        }
        let table = match &value {
            DeValue::Table(keys) if keys.keys().any(|key| OF_DRAWN.contains(&key.get_ref().as_ref())) => "random",
            DeValue::Array(_) | DeValue::Table(_) => "grid",
            _ => "fixed",
        };
        self.set_axis(table, at(key), &value)
    }

    /// Gives hyperparameters other values, in every space.
    fn set_axis(&mut self, table: &str, at: Place, value: &DeValue<'_>) -> Result<()> {
        let mut new = Block::default();
        add(&mut new, table, at.clone(), value)?;
        // What changes nothing leaves the axis where it is.
        if let [axis] = &new.grid[..] {
            let is_same = |known: &&mut Axis| known.names == axis.names && known.points == axis.points;
            if let Some(known) = self.common.grid.iter_mut().find(is_same) {
                known.place = at;
                return Ok(());
            }
        }
        let names: Vec<&'static str> = new.places().map(|(name, _)| name).collect();
        for block in self.blocks.iter_mut().chain([&mut self.common]) {
            let is_whole = |axis: &Axis| axis.names.len() > 1 && axis.names.iter().all(|name| names.contains(name));
            block.grid.retain(|axis| !is_whole(axis));
            names.iter().try_for_each(|name| block.remove(name, &at))?;
        }
        self.common.fixed.append(&mut new.fixed);
        self.common.grid.append(&mut new.grid);
        self.common.random.axes.append(&mut new.random.axes);
        Ok(())
    }

    /// A `[[space]]`.
    fn block(&self, content: &DeTable<'_>, place: &dyn Fn(&Spanned<DeString<'_>>) -> Place) -> Result<Block> {
        let mut block = Block::default();
        for (key, value) in content {
            let (at, value) = (place(key), value.get_ref());
            if !OF_SPACE.contains(&at.key.as_str()) {
                let found = format!("`{}`", at.key);
                return Err(Error::usage(at.place, "a key of [[space]]", found, known(&at.key, &OF_SPACE)));
            }
            if at.key == "name" {
                let DeValue::String(name) = value else {
                    return Err(Error::usage(at, "a string", shown(value), "change the value"));
                };
                block.name = name.to_string();
                if self.blocks.iter().any(|other| other.name == block.name) {
                    return Err(Error::usage(at, "a name for each space", shown(value), "choose another one"));
                }
                continue;
            }
            for (key, value) in entries_of(&at, value)? {
                add(&mut block, &at.key, place(key), value.get_ref())?;
            }
        }
        if block.name.is_empty() {
            block.name = (self.blocks.len() + 1).to_string();
        }
        Ok(block)
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
}

/// The keys of a table.
fn entries_of<'a, 'b>(at: &Place, content: &'a DeValue<'b>) -> Result<&'a DeTable<'b>> {
    content.as_table().ok_or_else(|| {
        let remedy = format!("write it as [{}], with a line for each key below it", at.key);
        Error::usage(&at.place, format!("a table for `{}`", at.key), shown(content), remedy)
    })
}

/// Every `[[space]]`.
fn tables_of_spaces<'a, 'b>(at: &Place, content: &'a DeValue<'b>) -> Result<Vec<&'a DeTable<'b>>> {
    let remedy = "write it as [[space]], with `fixed.KEY = …`, `grid.KEY = …` or `random.KEY = …` below it";
    let wrong = |found: &DeValue<'_>| Error::usage(&at.place, "[[space]]", shown(found), remedy);
    let spaces = content.as_array().ok_or_else(|| wrong(content))?;
    spaces.iter().map(|space| space.get_ref().as_table().ok_or_else(|| wrong(space.get_ref()))).collect()
}

/// Adds a key of `[fixed]`, `[grid]` or `[random]` to a space.
fn add(block: &mut Block, table: &str, at: Place, value: &DeValue<'_>) -> Result<()> {
    match table {
        "fixed" => block.fixed.push(once(block, single(at, value)?)?),
        "grid" => block.grid.push(once(block, list(at, value)?)?),
        _ => match at.key.as_str() {
            "samples" => match typed(&at, &Kind::Whole, value)? {
                Value::Whole(samples) if samples > 0 => {
                    block.random.samples = Some((usize::try_from(samples).unwrap_or(usize::MAX), at));
                }
                _ => return Err(Error::usage(at, "a whole number from 1", shown(value), "change the value")),
            },
            "sampler" => {
                if let Value::Word(word) = typed(&at, &Kind::Word(Sampler::NAMES.to_vec()), value)? {
                    block.random.sampler = Some(Sampler::of(word));
                }
            }
            "sampler_seed" => {
                if let Value::Whole(seed) = typed(&at, &Kind::Whole, value)? {
                    block.random.seed = Some(seed);
                }
            }
            _ => {
                let axis = drawn(at, value)?;
                let place = axis.place.clone();
                once(block, Axis::of(axis.name, vec![], place))?;
                block.random.axes.push(axis);
            }
        },
    }
    Ok(())
}

/// A hyperparameter may stand only once in a space.
fn once(block: &Block, axis: Axis) -> Result<Axis> {
    match block.places().find(|(name, _)| axis.has(name)) {
        Some((_, earlier)) => {
            let found = format!("it at {} too", earlier.place);
            Err(Error::usage(axis.place, "each hyperparameter once", found, "keep one of the lines"))
        }
        None => Ok(axis),
    }
}

/// A key of `[fixed]`.
fn single(place: Place, value: &DeValue<'_>) -> Result<Axis> {
    let (name, kind) = hyperparameter(&place)?;
    if value.is_array() {
        return Err(Error::usage(place, "a single value", "a list", "move the line to [grid]"));
    }
    Ok(Axis::of(name, vec![typed(&place, &kind, value)?], place))
}

/// A key of `[grid]`: a list, a range, or pairs of hyperparameters that go together.
fn list(place: Place, value: &DeValue<'_>) -> Result<Axis> {
    if place.key.contains(',') {
        return together(place, value);
    }
    let (name, kind) = hyperparameter(&place)?;
    if let DeValue::Table(table) = value {
        return different(Axis::of(name, range::values(&place, &kind, table)?, place));
    }
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
    different(Axis::of(name, values, place))
}

/// `"a, b" = [[1, 2], [3, 4]]`.
fn together(place: Place, value: &DeValue<'_>) -> Result<Axis> {
    let part = |key: &str| Place { key: key.trim().to_owned(), place: place.place.clone() };
    let columns = place.key.split(',').map(|key| hyperparameter(&part(key))).collect::<Result<Vec<_>>>()?;
    let names: Vec<&'static str> = columns.iter().map(|(name, _)| *name).collect();
    let wrong = |found: String| {
        let expected = format!("a list of lists of {} values", names.len());
        let remedy = "write for example \"batch_size, learning_rate\" = [[100, 1e-3], [200, 2e-3]]";
        Error::usage(&place, expected, found, remedy)
    };
    if let Some(twice) = (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
        return Err(Error::usage(
            &place,
            "different hyperparameters",
            format!("`{}` twice", names[twice]),
            "leave one out",
        ));
    }
    let Some(rows) = value.as_array().filter(|rows| !rows.is_empty()) else { return Err(wrong(shown(value))) };
    let mut points = vec![];
    for row in rows {
        let cells = row.get_ref().as_array().ok_or_else(|| wrong(shown(row.get_ref())))?;
        if cells.len() != names.len() {
            return Err(wrong(format!("a list of {}", cells.len())));
        }
        let cells = cells.iter().zip(&columns).zip(place.key.split(','));
        let values = cells.map(|((cell, (_, kind)), key)| typed(&part(key), kind, cell.get_ref()));
        points.push(values.collect::<Result<Vec<_>>>()?);
    }
    different(Axis { names, points, place })
}

/// Refuses an axis with a point twice.
fn different(axis: Axis) -> Result<Axis> {
    match repeated(&axis.points) {
        Some(twice) => {
            let found = format!("{} twice", texts(twice).join(", "));
            Err(Error::usage(axis.place, "different values", found, "leave one of them out"))
        }
        None => Ok(axis),
    }
}

/// A hyperparameter of `[random]`.
fn drawn(place: Place, value: &DeValue<'_>) -> Result<Drawn> {
    let names: Vec<&str> =
        Hyperparameters::neutral().entries().iter().map(|entry| entry.name).chain(OF_RANDOM).collect();
    let Some((name, kind)) = Hyperparameters::kind(&place.key) else {
        let found = format!("`{}`", place.key);
        return Err(Error::usage(&place.place, "a key of [random]", found, known(&place.key, &names)));
    };
    let example = "write for example { log_uniform = [1e-4, 1e-2] }, { uniform = [0, 0.5] }, { integer = [20, 200] } or \
        { choice = [\"sgd\", \"adam\"] }";
    let wrong =
        |found: String| Error::usage(&place, "one of `log_uniform`, `uniform`, `integer` and `choice`", found, example);
    let DeValue::Table(keys) = value else { return Err(wrong(shown(value))) };
    let (mut law, mut digits) = (None, DIGITS);
    for (key, value) in keys {
        let (key, value) = (key.get_ref().as_ref(), value.get_ref());
        if !OF_DRAWN.contains(&key) {
            return Err(Error::usage(&place, "a way to draw", format!("`{key}`"), nearest(key, &OF_DRAWN)));
        }
        if key == "round" {
            match typed(&place, &Kind::Whole, value)? {
                Value::Whole(round @ 1..=15) => digits = round as usize,
                _ => return Err(Error::usage(&place, "1 to 15 digits", shown(value), "change `round`")),
            }
            continue;
        }
        if law.is_some() {
            return Err(wrong("two of them".to_owned()));
        }
        law = Some(law_of(&place, &kind, key, value)?);
    }
    let law = law.ok_or_else(|| wrong("none of them".to_owned()))?;
    Ok(Drawn { name, law, digits, place })
}

fn law_of(place: &Place, kind: &Kind, key: &str, value: &DeValue<'_>) -> Result<Law> {
    let Some(list) = value.as_array() else {
        return Err(Error::usage(place, format!("a list for `{key}`"), shown(value), "write it in brackets"));
    };
    if key == "choice" {
        let values = list.iter().map(|value| typed(place, kind, value.get_ref())).collect::<Result<Vec<_>>>()?;
        let axis = Axis::of("", values, place.clone());
        if axis.points.is_empty() {
            return Err(Error::usage(place, "at least one value", "an empty list", "name a value"));
        }
        return Ok(Law::Choice(different(axis)?.values()));
    }
    let is_number = matches!(kind, Kind::Whole | Kind::Number);
    if !is_number || (key == "integer" && *kind != Kind::Whole) {
        let remedy = if is_number { "use `uniform`, `log_uniform` or `choice`" } else { "use `choice`" };
        return Err(Error::usage(place, kind.to_string(), format!("`{key}`"), remedy));
    }
    let kind = if key == "integer" { Kind::Whole } else { Kind::Number };
    let bounds = list.iter().map(|value| typed(place, &kind, value.get_ref())).collect::<Result<Vec<_>>>()?;
    let (expected, remedy) = match key {
        "log_uniform" => {
            ("two numbers, 0 < low < high", "bounds are values, not exponents: { log_uniform = [1e-4, 1e-2] }")
        }
        _ => ("two numbers, low < high", "write for example { uniform = [0, 0.5] }"),
    };
    match bounds[..] {
        [Value::Number(low), Value::Number(high)] if low < high && (key == "uniform" || low > 0.0) => {
            Ok(if key == "uniform" { Law::Uniform(low, high) } else { Law::LogUniform(low, high) })
        }
        [Value::Whole(low), Value::Whole(high)] if low < high && high < 1 << 53 => Ok(Law::Integer(low, high)),
        _ => {
            let found = format!("[{}]", texts(&bounds).join(", "));
            Err(Error::usage(place, format!("{expected} for `{key}`"), found, remedy))
        }
    }
}

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
