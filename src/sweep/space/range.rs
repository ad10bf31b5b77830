//! Ranges of `[grid]`, written out: `{ from = 50, to = 400, times = 2 }`, `{ from, to, step }`, `{ log = [1e-3, 1], count = 4, or = 0 }`.

use toml::de::{DeTable, DeValue};

use super::axis::Place;
use super::draw::{DIGITS, rounded};
use super::values::{nearest, shown, typed};
use crate::error::{Error, Result};
use crate::model::value::{Kind, Value};

const KEYS: [&str; 7] = ["from", "to", "times", "step", "log", "count", "or"];
/// Values that a range has at most.
const MOST: usize = 100_000;
/// Digits that sums and products of decimal numbers keep.
const EXACT: usize = 12;

/// The values of a range.
///
/// # Errors
/// It is none.
pub(super) fn values(place: &Place, kind: &Kind, table: &DeTable<'_>) -> Result<Vec<Value>> {
    if !matches!(kind, Kind::Whole | Kind::Number) {
        return Err(Error::usage(place, format!("a list of {kind}"), "a range", "write a list"));
    }
    let mut found: [Option<&DeValue<'_>>; 7] = [None; 7];
    for (key, value) in table {
        match KEYS.iter().position(|known| *known == key.get_ref().as_ref()) {
            Some(at) => found[at] = Some(value.get_ref()),
            None => {
                let remedy = nearest(key.get_ref(), &KEYS);
                return Err(Error::usage(place, "a key of a range", format!("`{}`", key.get_ref()), remedy));
            }
        }
    }
    let number = |value: &DeValue<'_>| match typed(place, &Kind::Number, value)? {
        Value::Number(number) => Ok(number),
        _ => Err(Error::usage(place, "a number", shown(value), "change the value")),
    };
    let [from, to, times, step, log, count, or] = found;
    let wrong = |found: &str| {
        let expected = "`from`, `to` and one of `times` and `step`, or `log` and `count`";
        let remedy = "write for example { from = 50, to = 400, times = 2 } or { log = [1e-3, 1], count = 4 }";
        Error::usage(place, expected, found, remedy)
    };
    let numbers = match (from, to, times, step, log, count) {
        (Some(from), Some(to), Some(times), None, None, None) => {
            let (from, to, times) = (number(from)?, number(to)?, number(times)?);
            if !(from > 0.0 && to >= from && times > 1.0) {
                return Err(wrong("other than 0 < from ≤ to, times > 1"));
            }
            series(place, from, to, |value| value * times)?
        }
        (Some(from), Some(to), None, Some(step), None, None) => {
            let (from, to, step) = (number(from)?, number(to)?, number(step)?);
            if !(to >= from && step > 0.0) {
                return Err(wrong("other than from ≤ to, step > 0"));
            }
            series(place, from, to, |value| value + step)?
        }
        (None, None, None, None, Some(DeValue::Array(bounds)), Some(count)) if bounds.len() == 2 => {
            let (low, high) = (number(bounds[0].get_ref())?, number(bounds[1].get_ref())?);
            let Value::Whole(count) = typed(place, &Kind::Whole, count)? else { return Err(wrong("another count")) };
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            if !(low > 0.0 && high > low && (2..=MOST).contains(&count)) {
                return Err(wrong(&format!(
                    "other than 0 < low < high, values rather than exponents, and count from 2 to {MOST}"
                )));
            }
            logarithmic(low, high, count)
        }
        _ => return Err(wrong("another set of keys")),
    };
    let value = |number: f64| match kind {
        Kind::Whole => Value::Whole(number.round() as u64),
        _ => Value::Number(number + 0.0),
    };
    let mut values: Vec<Value> = numbers.into_iter().map(value).collect();
    values.dedup(); // whole numbers of a narrow range
    match or {
        Some(DeValue::Array(others)) => {
            for other in others {
                values.push(typed(place, kind, other.get_ref())?);
            }
        }
        Some(other) => values.push(typed(place, kind, other)?),
        None => {}
    }
    Ok(values)
}

/// From one number to another, each the `next` of the one before, without the noise of binary fractions.
fn series(place: &Place, from: f64, to: f64, next: impl Fn(f64) -> f64) -> Result<Vec<f64>> {
    let mut values = vec![from];
    loop {
        let value = rounded(next(values[values.len() - 1]), EXACT);
        if value > to {
            return Ok(values);
        }
        if values.len() == MOST {
            return Err(Error::usage(place, format!("at most {MOST} values"), "more", "make the steps larger"));
        }
        values.push(value);
    }
}

/// So many numbers whose logarithms are evenly spaced; the bounds as they are, the others rounded.
fn logarithmic(low: f64, high: f64, count: usize) -> Vec<f64> {
    let (from, to) = (libm::log(low), libm::log(high));
    let at = |number: usize| match number {
        0 => low,
        _ if number == count - 1 => high,
        _ => rounded(libm::exp(from + (to - from) * number as f64 / (count - 1) as f64), DIGITS),
    };
    (0..count).map(at).collect()
}
