//! A resolved space as text, and what differs between two.

use super::axis::{are_equal, texts};
use super::{Resolved, data};
use crate::model::value::Value;

impl Resolved {
    /// As the text of a sweep file.
    pub fn to_toml(&self) -> String {
        let line = |(key, value): (&str, String)| format!("{key} = {value}\n");
        let data = data::texts(&self.space.data).into_iter().filter_map(|(key, text)| Some(line((key, text?))));
        let is_fixed = |name: &str| self.space.grid.iter().all(|axis| axis.name != name);
        let fixed = self.base.entries().into_iter().filter(|entry| entry.is_written() && is_fixed(entry.name));
        let fixed = fixed.map(|entry| line((entry.name, entry.value.to_string())));
        let grid =
            self.space.grid.iter().map(|axis| line((axis.name, format!("[{}]", texts(&axis.values).join(", ")))));
        let tables = [data.collect::<String>(), fixed.collect(), grid.collect()];
        format!("[data]\n{}\n[fixed]\n{}\n[grid]\n{}", tables[0], tables[1], tables[2])
    }

    /// What differs from another resolved space, one item a key, in words. Nothing does where both have the same trials: tables, axes and
    /// the values of an axis may stand in another order, numbers may be written in another form, and an axis of one value is that value.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let changed = |key: &str, old: &str, new: &str| format!("{key} was {old}, now {new}");
        let mut differences = Vec::new();
        for ((key, old), (_, new)) in data::texts(&self.space.data).into_iter().zip(data::texts(&new.space.data)) {
            if old != new {
                let [old, new] = [old, new].map(|text| text.unwrap_or_else(|| "nothing".to_owned()));
                differences.push(changed(&format!("data.{key}"), &old, &new));
            }
        }
        for ((name, old), (_, new)) in self.values().into_iter().zip(new.values()) {
            if !are_equal(&old, &new) {
                differences.push(changed(name, &shown(&old), &shown(&new)));
            }
        }
        differences
    }

    /// Every hyperparameter with the values that it takes.
    fn values(&self) -> Vec<(&'static str, Vec<Value>)> {
        let of_grid = |name: &str| self.space.grid.iter().find(|axis| axis.name == name);
        let entries = self.base.entries().into_iter();
        entries.map(|e| (e.name, of_grid(e.name).map_or(vec![e.value], |axis| axis.values.clone()))).collect()
    }
}

/// A value, or a list of several.
fn shown(values: &[Value]) -> String {
    match values {
        [value] => value.to_string(),
        values => format!("[{}]", texts(values).join(",")),
    }
}
