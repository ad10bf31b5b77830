//! One configuration: every hyperparameter with its one spelling, its default and its range.
//!
//! A hyperparameter is written down in the struct below, in [`Hyperparameters::neutral`] and in the table beside it; flags, TOML keys,
//! columns, help and defaults all come from there. What is parsed is unchecked; only [`CheckedHyperparameters`] can train.
//!
//! **Results outlive the program that recorded them.** A program that knows one hyperparameter more reads what older ones wrote: what
//! they do not name has its *neutral* value, with which training does what it did before there was that hyperparameter. For the same
//! reason a later hyperparameter is hashed, compared and listed only where it differs from its neutral value, so a trial that does not
//! use it keeps its identity and a sweep that does not use it keeps its files, to the byte. The hyperparameters of version 1 of the
//! results are always hashed and listed.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::optimizer::Method;
use super::optimizer::Rule;
use super::schedule::Schedule;
use super::value::{Kind, Parameter, Value};
use crate::data::sampler::Sampling;
use crate::error::{Error, Result};
use crate::numbers::{parse_number, parse_whole};
use crate::random::{Generator, numpy};
use crate::real::Precision;

/// The hyperparameters of a trial, as given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default = "Hyperparameters::neutral")]
#[command(next_help_heading = "Hyperparameters")]
pub struct Hyperparameters {
    /// Hidden units of the network
    #[arg(long, value_name = "UNITS", value_parser = parse_whole::<usize>, default_value_t = Self::default().hidden)]
    pub hidden: usize,
    /// Learning rate of stochastic gradient descent
    #[arg(long, value_name = "RATE", value_parser = parse_number, default_value_t = Self::default().learning_rate)]
    pub learning_rate: f64,
    /// Factor on the learning rate after each epoch
    #[arg(long, value_name = "FACTOR", value_parser = parse_number, default_value_t = Self::default().learning_rate_decay)]
    pub learning_rate_decay: f64,
    /// L2 regularization λ in λ(‖W1‖² + ‖W2‖²), without ½, biases not decayed
    #[arg(long, value_name = "LAMBDA", value_parser = parse_number, default_value_t = Self::default().l2)]
    pub l2: f64,
    /// Rows of a minibatch
    #[arg(long, value_name = "ROWS", value_parser = parse_whole::<usize>, default_value_t = Self::default().batch_size)]
    pub batch_size: usize,
    /// Updates, each on one minibatch
    #[arg(long, value_name = "COUNT", value_parser = parse_whole::<usize>, default_value_t = Self::default().iterations)]
    pub iterations: usize,
    /// Standard deviation of the first weights
    #[arg(long, value_name = "STD", value_parser = parse_number, default_value_t = Self::default().weight_scale)]
    pub weight_scale: f64,
    /// How the rows of a minibatch are drawn
    #[arg(long, value_enum, default_value_t = Self::default().sampling)]
    pub sampling: Sampling,
    /// Precision of weights, minibatches and products
    #[arg(long, value_enum, default_value_t = Self::default().precision)]
    pub precision: Precision,
    /// Generator of the first weights and of the minibatches
    #[arg(long, value_enum, default_value_t = Self::default().random)]
    pub random: Generator,
    /// Seed of the first weights and of the minibatches
    #[arg(long, value_name = "NUMBER", value_parser = parse_whole::<u64>, default_value_t = Self::default().seed)]
    pub seed: u64,
}

impl Default for Hyperparameters {
    /// All neutral. A default that is to be another goes here.
    fn default() -> Self {
        Self::neutral()
    }
}

/// Whether the files of a sweep and identities name a hyperparameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Version 1 of the results knew it.
    Always,
    /// It came later.
    UnlessNeutral,
}

/// A hyperparameter of one configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Its one spelling.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// The value with which training does what it did before there was this hyperparameter.
    pub neutral: Value,
    /// Whether it is named where it has that value.
    pub written: Written,
}

impl Entry {
    /// Whether hashes and files name it.
    pub fn is_written(&self) -> bool {
        self.written == Written::Always || self.value != self.neutral
    }
}

/// How many hyperparameters there are.
pub const COUNT: usize = 11;

impl Hyperparameters {
    /// What a record or a resolved sweep file means that names no hyperparameter at all. These values never change: a *default* may.
    pub fn neutral() -> Self {
        Self {
            hidden: 50,
            learning_rate: 1e-3,
            learning_rate_decay: 0.95,
            l2: 0.25,
            batch_size: 200,
            iterations: 1000,
            weight_scale: 1e-4,
            sampling: Sampling::Replacement,
            precision: Precision::F32,
            random: Generator::ChaCha8,
            seed: 0,
        }
    }

    /// Every hyperparameter, in the order of columns. A new one goes to the end, as [`Written::UnlessNeutral`].
    fn table(&mut self) -> [(&'static str, Written, &mut dyn Parameter); COUNT] {
        let Self {
            hidden,
            learning_rate,
            learning_rate_decay,
            l2,
            batch_size,
            iterations,
            weight_scale,
            sampling,
            precision,
            random,
            seed,
        } = self;
        [
            ("hidden", Written::Always, hidden),
            ("learning_rate", Written::Always, learning_rate),
            ("learning_rate_decay", Written::Always, learning_rate_decay),
            ("l2", Written::Always, l2),
            ("batch_size", Written::Always, batch_size),
            ("iterations", Written::Always, iterations),
            ("weight_scale", Written::Always, weight_scale),
            ("sampling", Written::Always, sampling),
            ("precision", Written::Always, precision),
            ("random", Written::Always, random),
            ("seed", Written::Always, seed),
        ]
    }

    /// Every hyperparameter with its value, in the order of columns.
    pub fn entries(&self) -> [Entry; COUNT] {
        let (mut own, mut neutral) = (self.clone(), Self::neutral());
        let mut neutral = neutral.table().into_iter();
        own.table().map(|(name, written, field)| {
            let value = field.value();
            let neutral = neutral.next().map_or(value, |(_, _, field)| field.value());
            Entry { name, value, neutral, written }
        })
    }

    /// What the values of the hyperparameter `name` must be, with the name for good; none where there is no such hyperparameter.
    pub fn kind(name: &str) -> Option<(&'static str, Kind)> {
        let mut any = Self::neutral();
        any.table().into_iter().find(|(known, ..)| *known == name).map(|(known, _, field)| (known, field.kind()))
    }

    /// Gives a hyperparameter a value. Returns whether there is such a hyperparameter, and of the value's kind.
    pub fn set(&mut self, name: &str, value: Value) -> bool {
        self.table().into_iter().find(|(known, ..)| *known == name).is_some_and(|(_, _, field)| field.set(value))
    }

    /// The one check before any training: every range, and what must fit the `train_rows` of the data.
    ///
    /// # Errors
    /// A value is out of its range; the error names the hyperparameter.
    pub fn check(mut self, train_rows: usize) -> Result<CheckedHyperparameters> {
        // Without `..`: a new hyperparameter is checked here, or listed as one that needs no check.
        let Self {
            hidden,
            learning_rate,
            learning_rate_decay,
            l2,
            batch_size,
            iterations,
            weight_scale,
            sampling: _,
            precision: _,
            random,
            seed,
        } = &mut self;
        let refuse = |name: &str, expected: String, found: String, remedy: &str| {
            Err(Error::usage(format!("`{name}`"), expected, found, remedy.to_owned()))
        };
        for (name, value, most) in [
            ("hidden", &*hidden, 1_000_000),
            ("batch_size", batch_size, 10_000_000),
            ("iterations", iterations, 1_000_000_000),
        ] {
            if !(1..=most).contains(value) {
                return refuse(
                    name,
                    format!("a whole number from 1 to {most}"),
                    value.to_string(),
                    "choose one in that range",
                );
            }
        }
        for (name, value, may_be_zero) in [
            ("learning_rate", learning_rate, false),
            ("learning_rate_decay", learning_rate_decay, false),
            ("l2", l2, true),
            ("weight_scale", weight_scale, true),
        ] {
            *value += 0.0; // -0 is 0
            if !value.is_finite() || *value < 0.0 || (*value == 0.0 && !may_be_zero) {
                let expected = if may_be_zero { "a finite number, 0 or more" } else { "a finite number above 0" };
                return refuse(name, expected.to_owned(), value.to_string(), "choose one in that range");
            }
        }
        if *batch_size > train_rows {
            let expected = format!("at most {train_rows} rows, all of the training split");
            let remedy = "choose a smaller batch, or train on more rows";
            return refuse("batch_size", expected, batch_size.to_string(), remedy);
        }
        if *random == Generator::Numpy && *seed > numpy::LARGEST_SEED {
            let expected = format!("a whole number from 0 to {}, as numpy takes", numpy::LARGEST_SEED);
            return refuse("seed", expected, seed.to_string(), "choose one in that range, or another `random`");
        }
        Ok(CheckedHyperparameters(self))
    }
}

/// The names of the hyperparameters that a table of these configurations has as columns.
pub fn columns<E: AsRef<[Entry]>>(configurations: impl IntoIterator<Item = E>) -> Vec<&'static str> {
    let mut columns = Hyperparameters::neutral().entries().map(|entry| (entry.name, entry.is_written())).to_vec();
    for configuration in configurations {
        for entry in configuration.as_ref().iter().filter(|entry| entry.is_written()) {
            match columns.iter_mut().find(|(name, _)| *name == entry.name) {
                Some((_, is_written)) => *is_written = true,
                None => columns.push((entry.name, true)),
            }
        }
    }
    columns.into_iter().filter(|(_, is_written)| *is_written).map(|(name, _)| name).collect()
}

/// Hyperparameters that passed [`Hyperparameters::check`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct CheckedHyperparameters(Hyperparameters);

impl Deref for CheckedHyperparameters {
    type Target = Hyperparameters;

    fn deref(&self) -> &Hyperparameters {
        &self.0
    }
}

/// What trials of one cohort have in common: they see the same minibatches, in the same precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CohortKey {
    seed: u64,
    batch_size: usize,
    sampling: Sampling,
    precision: Precision,
    random: Generator,
    /// Hidden units, where the stream of the minibatches begins behind the first weights.
    drawn_before: Option<usize>,
}

impl Hyperparameters {
    /// Trials that agree in this can train in one cohort.
    pub fn cohort_key(&self) -> CohortKey {
        // Without `..`: what is not in the key must leave minibatches, precision and streams alone.
        let Self {
            seed,
            batch_size,
            sampling,
            precision,
            random,
            hidden,
            learning_rate: _,
            learning_rate_decay: _,
            l2: _,
            iterations: _, // a trial leaves its cohort when it has done them
            weight_scale: _,
        } = *self;
        let drawn_before = (random == Generator::Numpy).then_some(hidden);
        CohortKey { seed, batch_size, sampling, precision, random, drawn_before }
    }
}

impl Hyperparameters {
    /// The update rule.
    pub fn rule(&self) -> Rule {
        Rule::Sgd
    }

    /// How a member of a cohort is trained.
    pub fn method(&self) -> Method {
        Method { rule: self.rule(), l2: self.l2 }
    }

    /// How the learning rate changes.
    pub fn schedule(&self) -> Schedule {
        Schedule::EpochDecay { factor: self.learning_rate_decay }
    }
}

impl CheckedHyperparameters {
    /// Iterations of an epoch of `train_rows` rows: at least one.
    pub fn iterations_per_epoch(&self, train_rows: usize) -> usize {
        (train_rows / self.batch_size).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_accepted() {
        assert!(Hyperparameters::default().check(49_000).is_ok());
    }

    /// A hyperparameter that a later program could have.
    fn momentum(value: f64) -> Entry {
        let (value, neutral) = (Value::Number(value), Value::Number(0.0));
        Entry { name: "momentum", value, neutral, written: Written::UnlessNeutral }
    }

    #[test]
    fn a_later_hyperparameter_is_a_column_only_where_a_trial_uses_it() {
        let known = Hyperparameters::default().entries();
        let with = |value| [&known[..], &[momentum(value)]].concat();
        let names = known.map(|entry| entry.name).to_vec();
        assert_eq!(columns::<Vec<Entry>>([]), names, "before there is a trial");
        assert_eq!(columns([known.to_vec(), with(0.0)]), names);
        assert_eq!(columns([with(0.0), with(0.9)]), [&names[..], &["momentum"]].concat());
    }

    #[test]
    fn the_table_names_every_hyperparameter_as_serde_does() {
        let entries = Hyperparameters::default().entries();
        let serde_json::Value::Object(map) = serde_json::to_value(Hyperparameters::default()).unwrap() else {
            panic!("a struct is an object")
        };
        let pairs = entries.map(|entry| (entry.name.to_owned(), entry.value.to_string()));
        assert_eq!(pairs.to_vec(), map.into_iter().map(|(key, value)| (key, value.to_string())).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_record_does_not_name_is_neutral() {
        let read: Hyperparameters = serde_json::from_str("{\"hidden\":7}").unwrap();
        assert_eq!(read, Hyperparameters { hidden: 7, ..Hyperparameters::neutral() });
    }

    #[test]
    fn each_hyperparameter_can_be_set_to_a_value_of_its_kind_and_to_no_other() {
        let other = Hyperparameters {
            hidden: 7,
            learning_rate: 0.5,
            learning_rate_decay: 0.5,
            l2: 0.5,
            batch_size: 7,
            iterations: 7,
            weight_scale: 0.5,
            sampling: Sampling::Shuffle,
            precision: Precision::F64,
            random: Generator::Numpy,
            seed: u64::MAX,
        };
        let mut set = Hyperparameters::default();
        assert!(other.entries().iter().all(|entry| set.set(entry.name, entry.value)));
        assert_eq!(set, other);
        assert!(!set.set("hidden", Value::Number(7.0)) && !set.set("sampling", Value::Word("f32")));
        assert!(!set.set("momentum", Value::Number(0.9)));
        assert_eq!(set, other);
    }

    #[test]
    fn zero_has_no_sign_once_it_is_checked() {
        let given = Hyperparameters { l2: -0.0, weight_scale: -0.0, ..Hyperparameters::default() };
        let checked = given.check(1000).unwrap();
        assert!(checked.l2.is_sign_positive() && checked.weight_scale.is_sign_positive());
    }

    #[test]
    fn each_bad_value_is_refused_by_name() {
        let refused = |change: fn(&mut Hyperparameters)| {
            let mut hyperparameters = Hyperparameters::default();
            change(&mut hyperparameters);
            hyperparameters.check(1000).expect_err("refused").to_string()
        };
        assert!(refused(|h| h.hidden = 0).starts_with("`hidden`: expected a whole number from 1"));
        assert!(refused(|h| h.batch_size = 0).starts_with("`batch_size`"));
        assert!(refused(|h| h.batch_size = 1001).contains("at most 1000 rows"));
        assert!(refused(|h| h.iterations = 0).starts_with("`iterations`"));
        assert!(refused(|h| h.learning_rate = f64::NAN).starts_with("`learning_rate`"));
        assert!(refused(|h| h.learning_rate = 0.0).contains("above 0, found 0"));
        assert!(refused(|h| h.learning_rate_decay = f64::INFINITY).contains("found inf"));
        assert!(refused(|h| h.l2 = -0.1).contains("found -0.1"));
        assert!(refused(|h| h.weight_scale = -1.0).starts_with("`weight_scale`"));
        let large = refused(|h| (h.random, h.seed) = (Generator::Numpy, 1 << 32));
        assert!(large.starts_with("`seed`: expected a whole number from 0 to 4294967295"), "{large}");
    }
}
