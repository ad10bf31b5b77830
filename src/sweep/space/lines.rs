//! A line of `[fixed]`, `[grid]` or `[random]` to an axis.

use toml::de::DeValue;

use super::axis::{Axis, Place, repeated, texts};
use super::block::Block;
use super::draw::{DIGITS, Drawn, Law, Sampler};
use super::range;
use super::values::{hyperparameter, known, nearest, shown, typed};
use crate::error::{Error, Result};
use crate::model::Hyperparameters;
use crate::model::value::{Kind, Value};

/// Keys of `[random]` that are no hyperparameters.
pub(super) const OF_RANDOM: [&str; 3] = ["samples", "sampler", "sampler_seed"];
/// Keys of an axis in `[random]`.
pub(super) const OF_DRAWN: [&str; 5] = ["log_uniform", "uniform", "integer", "choice", "round"];

/// Adds a key of `[fixed]`, `[grid]` or `[random]` to a space.
pub(super) fn add(block: &mut Block, table: &str, at: Place, value: &DeValue<'_>) -> Result<()> {
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
