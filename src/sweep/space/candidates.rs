//! `trials = "candidates.csv"`: configurations of the user's own, a row each, under the names of hyperparameters.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::axis::{Axis, Place, repeated, texts};
use super::values::{hyperparameter, shown};
use crate::error::{Error, Result};
use crate::files;
use crate::model::value::{Kind, Value};
use crate::numbers;

/// The rows of the file that `value` names, from the directory of the sweep file, as hyperparameters that go together.
///
/// # Errors
/// It cannot be read, or has a column that is no hyperparameter, or a value of another kind, or a row twice.
pub(super) fn read(place: &Place, value: &DeValue<'_>, sweep_file: &str) -> Result<Axis> {
    let DeValue::String(name) = value else {
        return Err(Error::usage(place, "the name of a CSV file", shown(value), "write trials = \"candidates.csv\""));
    };
    let beside = Path::new(sweep_file).parent().map_or(PathBuf::new(), Path::to_owned);
    let path = beside.join(name.as_ref());
    files::refuse_fifo(&path)?;
    let shown_path = path.display().to_string();
    let unreadable = |error: csv::Error| {
        let remedy = "give a CSV file: names of hyperparameters in the first line, a configuration a line below";
        Error::usage(place, format!("the CSV file {shown_path}"), error.to_string(), remedy)
    };
    let mut csv = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(&path).map_err(unreadable)?;
    let at = |line: u64, key: &str| Place { key: key.to_owned(), place: format!("{shown_path}:{line}") };
    let columns = csv.headers().map_err(unreadable)?.clone();
    let columns = columns.iter().map(|key| hyperparameter(&at(1, key))).collect::<Result<Vec<_>>>()?;
    let names: Vec<&'static str> = columns.iter().map(|(name, _)| *name).collect();
    if let Some(twice) = (1..names.len()).find(|&column| names[..column].contains(&names[column])) {
        return Err(Error::usage(at(1, names[twice]), "each hyperparameter once", "it twice", "leave one column out"));
    }
    let mut points: Vec<Vec<Value>> = vec![];
    for row in csv.records() {
        let row = row.map_err(unreadable)?;
        let line = row.position().map_or(0, csv::Position::line);
        let cells = row.iter().zip(&columns);
        points.push(cells.map(|(cell, (name, kind))| of_cell(&at(line, name), kind, cell)).collect::<Result<_>>()?);
    }
    if points.is_empty() {
        return Err(Error::usage(place, "a configuration a line", format!("none in {shown_path}"), "add a line"));
    }
    if let Some(twice) = repeated(&points) {
        let found = format!("{} twice in {shown_path}", texts(twice).join(","));
        return Err(Error::usage(place, "different configurations", found, "leave one of the lines out"));
    }
    Ok(Axis { names, points, place: place.clone() })
}

fn of_cell(place: &Place, kind: &Kind, cell: &str) -> Result<Value> {
    let value = match kind {
        Kind::Whole => numbers::whole(cell).map(Value::Whole),
        Kind::Number => numbers::number(cell).filter(|number| number.is_finite()).map(Value::Number),
        Kind::Word(words) => words.iter().find(|word| **word == cell).map(|word| Value::Word(word)),
        Kind::Text => None,
    };
    let found = if cell.is_empty() { "an empty cell".to_owned() } else { format!("`{cell}`") };
    value.ok_or_else(|| Error::usage(place, kind.to_string(), found, "change the value"))
}
