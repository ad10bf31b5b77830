//! One configuration: every hyperparameter with its one spelling, its default and its range.
//!
//! The struct below is the only place where a hyperparameter is written down. Flags, TOML keys, columns, help and defaults
//! all come from it. What is parsed is unchecked; only [`CheckedHyperparameters`] can train.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::minibatch::Sampling;
use crate::error::{Error, Result};
use crate::random::{Generator, numpy};
use crate::real::Precision;

/// The hyperparameters of a trial, as given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub struct Hyperparameters {
    /// Hidden units of the network
    #[arg(long, value_name = "UNITS", default_value_t = Self::default().hidden, help_heading = "Hyperparameters")]
    pub hidden: usize,
    /// Learning rate of stochastic gradient descent
    #[arg(long, value_name = "RATE", default_value_t = Self::default().learning_rate, help_heading = "Hyperparameters")]
    pub learning_rate: f64,
    /// Factor on the learning rate after each epoch
    #[arg(long, value_name = "FACTOR", default_value_t = Self::default().learning_rate_decay, help_heading = "Hyperparameters")]
    pub learning_rate_decay: f64,
    /// L2 regularization λ in λ(‖W1‖² + ‖W2‖²), without ½, biases not decayed
    #[arg(long, value_name = "LAMBDA", default_value_t = Self::default().l2, help_heading = "Hyperparameters")]
    pub l2: f64,
    /// Rows of a minibatch
    #[arg(long, value_name = "ROWS", default_value_t = Self::default().batch_size, help_heading = "Hyperparameters")]
    pub batch_size: usize,
    /// Updates, each on one minibatch
    #[arg(long, value_name = "COUNT", default_value_t = Self::default().iterations, help_heading = "Hyperparameters")]
    pub iterations: usize,
    /// Standard deviation of the first weights
    #[arg(long, value_name = "STD", default_value_t = Self::default().weight_scale, help_heading = "Hyperparameters")]
    pub weight_scale: f64,
    /// How the rows of a minibatch are drawn
    #[arg(long, value_enum, default_value_t = Self::default().sampling, help_heading = "Hyperparameters")]
    pub sampling: Sampling,
    /// Precision of weights, minibatches and products
    #[arg(long, value_enum, default_value_t = Self::default().precision, help_heading = "Hyperparameters")]
    pub precision: Precision,
    /// Generator of the first weights and of the minibatches
    #[arg(long, value_enum, default_value_t = Self::default().random, help_heading = "Hyperparameters")]
    pub random: Generator,
    /// Seed of the first weights and of the minibatches
    #[arg(long, value_name = "NUMBER", default_value_t = Self::default().seed, help_heading = "Hyperparameters")]
    pub seed: u64,
}

impl Default for Hyperparameters {
    fn default() -> Self {
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
}

impl Hyperparameters {
    /// Every hyperparameter by name, in the order of the struct.
    pub fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => unreachable!("a struct of plain fields is an object"),
        }
    }

    /// The one check before any training: every range, and what must fit the `train_rows` of the data.
    ///
    /// # Errors
    /// A value is out of its range; the error names the hyperparameter.
    pub fn check(self, train_rows: usize) -> Result<CheckedHyperparameters> {
        let refuse = |name: &str, expected: String, found: String, remedy: &str| {
            Err(Error::usage(format!("`{name}`"), expected, found, remedy.to_owned()))
        };
        for (name, value, most) in [
            ("hidden", self.hidden, 1_000_000),
            ("batch_size", self.batch_size, 10_000_000),
            ("iterations", self.iterations, 1_000_000_000),
        ] {
            if !(1..=most).contains(&value) {
                return refuse(
                    name,
                    format!("a whole number from 1 to {most}"),
                    value.to_string(),
                    "choose one in that range",
                );
            }
        }
        for (name, value, may_be_zero) in [
            ("learning_rate", self.learning_rate, false),
            ("learning_rate_decay", self.learning_rate_decay, false),
            ("l2", self.l2, true),
            ("weight_scale", self.weight_scale, true),
        ] {
            if !value.is_finite() || value < 0.0 || (value == 0.0 && !may_be_zero) {
                let expected = if may_be_zero { "a finite number, 0 or more" } else { "a finite number above 0" };
                return refuse(name, expected.to_owned(), value.to_string(), "choose one in that range");
            }
        }
        if self.batch_size > train_rows {
            let expected = format!("at most {train_rows} rows, all of the training split");
            return refuse(
                "batch_size",
                expected,
                self.batch_size.to_string(),
                "choose a smaller batch, or train on more rows",
            );
        }
        if self.random == Generator::Numpy && self.seed > numpy::LARGEST_SEED {
            let expected = format!("a whole number from 0 to {}, as numpy takes", numpy::LARGEST_SEED);
            return refuse("seed", expected, self.seed.to_string(), "choose one in that range, or another `random`");
        }
        Ok(CheckedHyperparameters(self))
    }
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
        let Self { seed, batch_size, sampling, precision, random, hidden, .. } = *self;
        let drawn_before = (random == Generator::Numpy).then_some(hidden);
        CohortKey { seed, batch_size, sampling, precision, random, drawn_before }
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
