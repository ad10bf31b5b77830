//! A sweep file and `--set` to a [`Space`]. Every mistake is one line that names file, line and key, in the words of TOML.

use std::fs;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::axis::{Axis, Place};
use super::block::Block;
use super::lines::{OF_DRAWN, OF_RANDOM, add};
use super::values::{known, shortened, shown};
use super::{Space, candidates, data, rules};
use crate::error::{Error, Result};
use crate::files;

/// What a sweep file may have at its top.
const TABLES: [&str; 9] = ["data", "fixed", "grid", "random", "space", "halving", "confirm", "budget", "trials"];
/// The tables of a space.
const OF_SPACE: [&str; 4] = ["name", "fixed", "grid", "random"];

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
            let entries = entries_of(&at, content.get_ref())?;
            space.rules.begin(&at.key, &at);
            for (key, value) in entries {
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
