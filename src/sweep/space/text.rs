//! A resolved space as text, and what differs between two.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::axis::{are_equal, texts};
use super::block::Block;
use super::{Resolved, data};
use crate::model::value::Value;

impl Resolved {
    /// As the text of a sweep file.
    pub fn to_toml(&self) -> String {
        let line = |(key, value): (&str, String)| format!("{key} = {value}\n");
        let common = &self.space.common;
        let data = data::texts(&self.space.data).into_iter().filter_map(|(key, text)| Some(line((key, text?))));
        let is_fixed = |name: &str| {
            common.grid.iter().all(|axis| !axis.has(name)) && common.random.axes.iter().all(|axis| axis.name != name)
        };
        let fixed = self.base.entries().into_iter().filter(|entry| entry.is_written() && is_fixed(entry.name));
        let fixed = fixed.map(|entry| line((entry.name, entry.value.to_string())));
        let grid = common.grid.iter().map(|axis| line((&axis.key(), axis.text())));
        let tables = [data.collect::<String>(), fixed.collect(), grid.collect()];
        let mut text = format!("[data]\n{}\n[fixed]\n{}\n[grid]\n{}", tables[0], tables[1], tables[2]);
        let random = of_random(common, true);
        if !random.is_empty() {
            text += &format!(
                "\n[random]\n{}",
                random.into_iter().map(|(key, value)| line((&key, value))).collect::<String>()
            );
        }
        for block in &self.space.blocks {
            text += &format!("\n[[space]]\nname = {}\n", Json::from(block.name.as_str()));
            text.extend(of_block(block).into_iter().map(|(key, value)| line((&key, value))));
        }
        let mut of_table = "";
        for (table, key, value) in self.space.rules.texts() {
            if table != of_table {
                text += &format!("\n[{table}]\n");
                of_table = table;
            }
            text += &line((key, value));
        }
        text
    }

    /// `[data]` as the text of a sweep file that is yet to be resolved: without the fingerprint.
    pub fn data_as_toml(&self) -> String {
        let keys = data::texts(&self.space.data).into_iter().filter(|(key, _)| *key != "fingerprint");
        let lines = keys.filter_map(|(key, text)| Some(format!("{key} = {}\n", text?)));
        format!("[data]\n{}", lines.collect::<String>())
    }

    /// `[halving]` and `[confirm]` as the text of a sweep file.
    pub fn rules_as_toml(&self) -> String {
        let (mut text, mut of_table) = (String::new(), "");
        for (table, key, value) in self.space.rules.texts().into_iter().filter(|(table, ..)| *table != "budget") {
            if table != of_table {
                text += &format!("\n[{table}]\n");
                of_table = table;
            }
            text += &format!("{key} = {value}\n");
        }
        text
    }

    /// Whether it is one space of a fixed part and a grid of independent axes.
    fn is_plain(&self) -> bool {
        let common = &self.space.common;
        self.space.blocks.is_empty()
            && common.random.axes.is_empty()
            && common.grid.iter().all(|axis| axis.name().is_some())
    }

    /// What differs from another resolved space, one item a key, in words. Nothing does where both have the same trials: tables, axes and
    /// the values of an axis may stand in another order, numbers may be written in another form, and an axis of one value is that value.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let changed = |key: &str, old: &str, new: &str| format!("{key} was {old}, now {new}");
        let nothing = |text: Option<String>| text.unwrap_or_else(|| "nothing".to_owned());
        let mut differences = Vec::new();
        for ((key, old), (_, new)) in data::texts(&self.space.data).into_iter().zip(data::texts(&new.space.data)) {
            if old != new {
                differences.push(changed(&format!("data.{key}"), &nothing(old), &nothing(new)));
            }
        }
        if self.is_plain() && new.is_plain() {
            for ((name, old), (_, new)) in self.values().into_iter().zip(new.values()) {
                if !are_equal(&old, &new) {
                    differences.push(changed(name, &shown(&old), &shown(&new)));
                }
            }
        } else if self.spaces_as_text() != new.spaces_as_text() && !self.has_trials_of(new) {
            let (old, new) = (self.spaces_as_text(), new.spaces_as_text());
            for (key, before) in &old {
                let after = new.iter().find(|(other, _)| other == key).map(|(_, text)| text.clone());
                if after.as_ref() != Some(before) {
                    differences.push(changed(key, before, &nothing(after)));
                }
            }
            let added = new.iter().filter(|(key, _)| old.iter().all(|(other, _)| other != key));
            differences.extend(added.map(|(key, after)| changed(key, "nothing", after)));
        }
        let (old, new) = (self.space.rules.texts(), new.space.rules.texts());
        let of = |texts: &[(&str, &str, String)], table: &str, key: &str| {
            texts.iter().find(|(of, name, _)| (*of, *name) == (table, key)).map(|(_, _, text)| text.clone())
        };
        let mut keys: Vec<(&str, &str)> = old.iter().chain(&new).map(|(table, key, _)| (*table, *key)).collect();
        let mut seen = HashSet::new();
        keys.retain(|key| seen.insert(*key));
        for (table, key) in keys {
            let (before, after) = (of(&old, table, key), of(&new, table, key));
            if before != after {
                differences.push(changed(&format!("{table}.{key}"), &nothing(before), &nothing(after)));
            }
        }
        differences
    }

    /// Whether the trials are the same ones, in whatever order.
    fn has_trials_of(&self, other: &Self) -> bool {
        let ids = |space: &Self| -> Option<HashSet<String>> {
            Some(space.trials().ok()?.into_iter().map(|trial| trial.id).collect())
        };
        ids(self).is_some_and(|own| ids(other) == Some(own))
    }

    /// Whether the trials of another resolved space come in the same order, if it has the same ones.
    pub fn has_order_of(&self, other: &Self) -> bool {
        if !(self.is_plain() && other.is_plain()) {
            return self.spaces_as_text() == other.spaces_as_text();
        }
        // An axis of one value orders nothing.
        let axes = |space: &'_ Self| -> Vec<(Vec<&'static str>, Vec<Value>)> {
            let axes = space.space.common.grid.iter().filter(|axis| axis.points.len() > 1);
            axes.map(|axis| (axis.names.clone(), axis.values())).collect()
        };
        axes(self) == axes(other)
    }

    /// Every key that decides what trials there are, and in which order, with its value.
    fn spaces_as_text(&self) -> Vec<(String, String)> {
        let is_axis = |name: &str| self.space.common.places().any(|(known, _)| known == name);
        let entries = self.base.entries();
        let base = entries.iter().filter(|entry| entry.is_written() && !is_axis(entry.name));
        let mut texts: Vec<(String, String)> =
            base.map(|entry| (entry.name.to_owned(), entry.value.to_string())).collect();
        let fixed = self.space.common.fixed.iter().map(|axis| (axis.key(), axis.points[0][0].to_string()));
        texts.extend(fixed);
        texts.sort();
        texts.extend(self.space.common.grid.iter().map(|axis| (axis.key(), axis.text())));
        texts
            .extend(of_random(&self.space.common, true).into_iter().map(|(key, text)| (format!("random.{key}"), text)));
        for block in &self.space.blocks {
            texts.push((format!("space {:?}", block.name), "there".to_owned()));
            texts
                .extend(of_block(block).into_iter().map(|(key, text)| (format!("space {:?} {key}", block.name), text)));
        }
        texts
    }

    /// Every hyperparameter with the values that it takes.
    fn values(&self) -> Vec<(&'static str, Vec<Value>)> {
        let of_grid = |name: &str| self.space.common.grid.iter().find(|axis| axis.has(name));
        let entries = self.base.entries().into_iter();
        entries.map(|e| (e.name, of_grid(e.name).map_or(vec![e.value], |axis| axis.values()))).collect()
    }
}

/// The keys of `[random]`; outside of all spaces with every default spelled out.
fn of_random(block: &Block, with_defaults: bool) -> Vec<(String, String)> {
    let random = &block.random;
    let is_spelled_out = with_defaults && random.samples.is_some();
    let sampler = random.sampler.or(is_spelled_out.then(Default::default));
    let settings = [
        ("samples", random.samples.as_ref().map(|(samples, _)| samples.to_string())),
        ("sampler", sampler.map(|sampler| format!("\"{}\"", sampler.name()))),
        ("sampler_seed", random.seed.or(is_spelled_out.then_some(0)).map(|seed| seed.to_string())),
    ];
    let settings = settings.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?)));
    settings.chain(random.axes.iter().map(|axis| (axis.name.to_owned(), axis.text()))).collect()
}

/// The keys of a `[[space]]`.
fn of_block(block: &Block) -> Vec<(String, String)> {
    let key_of = |table: &str, key: &str| format!("{table}.{key}");
    let fixed = block.fixed.iter().map(|axis| (key_of("fixed", &axis.key()), texts(&axis.values()).join(", ")));
    let grid = block.grid.iter().map(|axis| (key_of("grid", &axis.key()), axis.text()));
    let random = of_random(block, false).into_iter().map(|(key, text)| (key_of("random", &key), text));
    fixed.chain(grid).chain(random).collect()
}

/// A value, or a list of several.
fn shown(values: &[Value]) -> String {
    match values {
        [value] => value.to_string(),
        values => format!("[{}]", texts(values).join(",")),
    }
}
