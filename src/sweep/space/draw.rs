//! The draws of `[random]`: draw i of an axis is a function of the sampler, its seed, the space's name, the axis and i. Nothing is drawn
//! from a running stream, so more samples leave the first ones where they were, and another axis changes no draw of this one.
//!
//! Numbers are computed by `libm` and rounded to few decimal digits: the same bits on every machine, and legible in tables.

use std::collections::HashSet;

use rand::RngExt;
use sha2::{Digest, Sha256};

use super::axis::{Place, comparable_point, texts};
use crate::error::{Error, Result};
use crate::model::Hyperparameters;
use crate::model::value::{Kind, Value};
use crate::numbers;
use crate::random::{Purpose, stream};

/// Significant digits of a drawn number, unless `round` asks for others.
pub(super) const DIGITS: usize = 4;
/// Points of the Sobol sequence that there are.
const SOBOL_POINTS: usize = 1 << 16;
/// Draws in a row that were there already, after which a space counts as exhausted.
const MOST_REPEATED: usize = 1000;

/// How points are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sampler {
    /// Evenly: a Sobol sequence, scrambled after Owen. The dimension of an axis is the column of its hyperparameter.
    #[default]
    Sobol,
    /// Each draw by itself.
    Random,
}

impl Sampler {
    /// Their names.
    pub const NAMES: [&'static str; 2] = ["sobol", "random"];

    /// As TOML has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sobol => Self::NAMES[0],
            Self::Random => Self::NAMES[1],
        }
    }

    /// The sampler of this name.
    pub fn of(name: &str) -> Self {
        if name == Self::NAMES[1] { Self::Random } else { Self::Sobol }
    }
}

/// How the values of an axis are distributed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Law {
    /// The logarithm evenly between those of two positive numbers.
    LogUniform(f64, f64),
    /// Evenly between two numbers.
    Uniform(f64, f64),
    /// Whole numbers, both ends included.
    Integer(u64, u64),
    /// One of these.
    Choice(Vec<Value>),
}

/// An axis that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Drawn {
    /// Its hyperparameter.
    pub name: &'static str,
    /// How it is distributed.
    pub law: Law,
    /// Significant digits of a number.
    pub digits: usize,
    /// Where it stands.
    pub place: Place,
}

/// `[random]` of a space.
#[derive(Clone, Debug, Default)]
pub(super) struct Random {
    /// Different draws in all.
    pub samples: Option<(usize, Place)>,
    /// How they are drawn.
    pub sampler: Option<Sampler>,
    /// Another seed, other draws.
    pub seed: Option<u64>,
    /// What is drawn.
    pub axes: Vec<Drawn>,
}

impl Drawn {
    /// The value at a share of the distribution, 0 ≤ u < 1.
    fn at(&self, u: f64) -> Value {
        let is_whole = Hyperparameters::kind(self.name).is_some_and(|(_, kind)| kind == Kind::Whole);
        let number = |value: f64, low: f64, high: f64| {
            let rounded = rounded(value, self.digits).clamp(low, high);
            if is_whole { Value::Whole(rounded.round() as u64) } else { Value::Number(rounded + 0.0) }
        };
        match &self.law {
            Law::LogUniform(low, high) => {
                let (from, to) = (libm::log(*low), libm::log(*high));
                number(libm::exp(from + u * (to - from)), *low, *high)
            }
            Law::Uniform(low, high) => number(low + u * (high - low), *low, *high),
            Law::Integer(low, high) => {
                let count = (high - low) as f64 + 1.0;
                Value::Whole(low + ((u * count) as u64).min(high - low))
            }
            Law::Choice(values) => values[((u * values.len() as f64) as usize).min(values.len() - 1)],
        }
    }

    /// As TOML writes it.
    pub fn text(&self) -> String {
        let pair = |name: &str, a: String, b: String| format!("{name} = [{a}, {b}]");
        let law = match &self.law {
            Law::LogUniform(low, high) => pair("log_uniform", numbers::text(*low), numbers::text(*high)),
            Law::Uniform(low, high) => pair("uniform", numbers::text(*low), numbers::text(*high)),
            Law::Integer(low, high) => pair("integer", low.to_string(), high.to_string()),
            Law::Choice(values) => format!("choice = [{}]", texts(values).join(", ")),
        };
        let digits = if self.digits == DIGITS { String::new() } else { format!(", round = {}", self.digits) };
        format!("{{ {law}{digits} }}")
    }
}

impl Random {
    /// The different points of the space `name`, as many as are asked for or there are: a value an axis. Without axes it is one point.
    ///
    /// # Errors
    /// It is not said how many, or there is nothing to draw, or more than the sampler has.
    pub fn points(&self, name: &str) -> Result<Vec<Vec<Value>>> {
        let (samples, place) = match (&self.samples, self.axes.first()) {
            (None, None) => return Ok(vec![vec![]]),
            (Some((_, place)), None) => {
                let remedy = "write for example `learning_rate = { log_uniform = [1e-4, 1e-2] }` under [random]";
                return Err(Error::usage(place, "something to draw in [random]", "nothing", remedy));
            }
            (None, Some(axis)) => {
                let remedy = "write for example `samples = 60` under [random]";
                return Err(Error::usage(&axis.place, "`samples` beside it", "none", remedy));
            }
            (Some((samples, place)), Some(_)) => (*samples, place),
        };
        let sampler = self.sampler.unwrap_or_default();
        if sampler == Sampler::Sobol && samples > SOBOL_POINTS {
            let (expected, found) = (format!("at most {SOBOL_POINTS} with sampler \"sobol\""), samples.to_string());
            return Err(Error::usage(place, expected, found, "take fewer, or `sampler = \"random\"`"));
        }
        let seed = self.seed.unwrap_or_default();
        let of_axes: Vec<Draws> = self.axes.iter().map(|axis| Draws::new(sampler, seed, name, axis.name)).collect();
        let mut points = Vec::with_capacity(samples);
        let mut seen = HashSet::with_capacity(samples);
        let (mut number, mut repeated) = (0_usize, 0);
        while points.len() < samples && repeated < MOST_REPEATED {
            if sampler == Sampler::Sobol && number == SOBOL_POINTS {
                break;
            }
            let draw = |(axis, draws): (&Drawn, &Draws)| axis.at(draws.at(number));
            let point: Vec<Value> = self.axes.iter().zip(&of_axes).map(draw).collect();
            number += 1;
            if seen.insert(comparable_point(&point)) {
                points.push(point);
                repeated = 0;
            } else {
                repeated += 1;
            }
        }
        Ok(points)
    }
}

/// The shares that an axis draws.
struct Draws {
    sampler: Sampler,
    seed: u64,
    dimension: u32,
}

impl Draws {
    fn new(sampler: Sampler, seed: u64, space: &str, axis: &'static str) -> Self {
        // One seed for all axes of a Sobol sequence: only together are they spread evenly.
        let what = if sampler == Sampler::Sobol { "" } else { axis };
        let digest = Sha256::digest(format!("{} {seed} {space:?} {what}", sampler.name()));
        let seed = digest.iter().take(8).fold(0, |seed, &byte| seed << 8 | u64::from(byte));
        let dimension = Hyperparameters::neutral().entries().iter().position(|entry| entry.name == axis);
        Self { sampler, seed, dimension: dimension.unwrap_or_default() as u32 }
    }

    /// Of draw `number`, 0 ≤ u < 1.
    fn at(&self, number: usize) -> f64 {
        match self.sampler {
            Sampler::Sobol => sobol_burley::sample(number as u32, self.dimension, self.seed as u32).into(),
            Sampler::Random => stream(self.seed, Purpose::Search, number as u64).random(),
        }
    }
}

/// A number with so many significant decimal digits.
pub(super) fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &'static str, law: Law) -> Drawn {
        Drawn { name, law, digits: DIGITS, place: Place { key: name.to_owned(), place: "s.toml:1".to_owned() } }
    }

    fn random(samples: usize, sampler: Sampler, axes: &[Drawn]) -> Random {
        let place = Place { key: "samples".to_owned(), place: "s.toml:1".to_owned() };
        Random { samples: Some((samples, place)), sampler: Some(sampler), seed: None, axes: axes.to_vec() }
    }

    fn rate() -> Drawn {
        axis("learning_rate", Law::LogUniform(1e-4, 1e-2))
    }

    fn units() -> Drawn {
        axis("hidden", Law::Integer(10, 400))
    }

    /// Another version of the sampler, of `libm` or of the rounding would be other trials, under the same sweep file.
    #[test]
    fn draws_are_what_they_always_were() {
        let drawn = |sampler| random(4, sampler, &[rate(), units()]).points("").unwrap();
        let texts = |points: Vec<Vec<Value>>| points.iter().map(|point| texts(point).join(" ")).collect::<Vec<_>>();
        assert_eq!(texts(drawn(Sampler::Sobol)), SOBOL);
        assert_eq!(texts(drawn(Sampler::Random)), RANDOM);
    }

    const SOBOL: [&str; 4] = ["0.005696 386", "0.0005895 195", "0.001148 35", "0.0001179 248"];
    const RANDOM: [&str; 4] = ["0.0003311 373", "0.009733 259", "0.0001808 199", "0.000111 262"];

    #[test]
    fn more_samples_keep_the_first_ones_and_another_axis_changes_none_of_this_one() {
        for sampler in [Sampler::Sobol, Sampler::Random] {
            let few = random(30, sampler, &[rate()]).points("a").unwrap();
            let many = random(60, sampler, &[rate()]).points("a").unwrap();
            assert_eq!(few[..], many[..30]);
            let both = random(30, sampler, &[units(), rate()]).points("a").unwrap();
            let rates: Vec<Vec<Value>> = both.iter().map(|point| vec![point[1]]).collect();
            assert_eq!(rates, few);
            assert_ne!(few, random(30, sampler, &[rate()]).points("b").unwrap(), "another space draws others");
        }
    }

    #[test]
    fn values_stay_between_the_bounds_and_fill_them_evenly() {
        for sampler in [Sampler::Sobol, Sampler::Random] {
            let points = random(512, sampler, &[rate(), units()]).points("").unwrap();
            let below = points.iter().filter(|point| matches!(point[0], Value::Number(rate) if rate < 1e-3)).count();
            assert!((206..=306).contains(&below), "{below} of 512 below the middle");
            let inside = |point: &Vec<Value>| matches!(point[..], [Value::Number(1e-4..=1e-2), Value::Whole(10..=400)]);
            assert!(points.iter().all(inside));
        }
    }

    #[test]
    fn equal_draws_are_one_and_a_small_space_is_exhausted() {
        let words = axis("sampling", Law::Choice(vec![Value::Word("replacement"), Value::Word("shuffle")]));
        let few = axis("hidden", Law::Integer(1, 3));
        assert_eq!(random(50, Sampler::Random, &[words, few]).points("").unwrap().len(), 6);
    }

    #[test]
    fn numbers_are_rounded_to_so_many_digits() {
        assert_eq!((rounded(1.23456e-4, 4), rounded(98765.0, 2), rounded(0.5, 4)), (1.235e-4, 99000.0, 0.5));
        let even = |digits| Drawn { digits, ..axis("hidden", Law::LogUniform(10.0, 900.0)) };
        assert_eq!((even(4).at(0.5), even(1).at(0.5)), (Value::Whole(95), Value::Whole(90)));
    }
}
