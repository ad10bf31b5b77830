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

mod check;
mod derived;

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::optimizer::Optimizer;
use super::schedule::ScheduleName;
use super::two_layer_net::Init;
use super::value::{Kind, Parameter, Value};
use crate::data::prepare::Preparation;
use crate::data::sampler::Sampling;
use crate::numbers::{parse_number, parse_whole};
use crate::random::Generator;
use crate::real::Precision;

pub use self::derived::{CohortKey, Repeat};

/// The hyperparameters of a trial, as given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default = "Hyperparameters::neutral")]
#[command(next_help_heading = "Hyperparameters")]
pub struct Hyperparameters {
    /// Hidden units of the network
    #[arg(long, value_name = "UNITS", value_parser = parse_whole::<usize>, default_value_t = Self::default().hidden)]
    pub hidden: usize,
    /// Learning rate
    #[arg(long, value_name = "RATE", value_parser = parse_number, default_value_t = Self::default().learning_rate)]
    pub learning_rate: f64,
    /// Factor on the learning rate after each epoch, in schedule decay; after decay_epochs in schedule step
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
    /// Standard deviation of the first weights, with init scale
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
    /// Update rule
    #[arg(long, value_enum, help_heading = "Optimizer", default_value_t = Self::default().optimizer)]
    pub optimizer: Optimizer,
    /// Momentum μ of optimizer momentum and nesterov
    #[arg(long, value_name = "MU", value_parser = parse_number, help_heading = "Optimizer", default_value_t = Self::default().momentum)]
    pub momentum: f64,
    /// β₁ of adam and adamw: decay of the average gradient
    #[arg(long, value_name = "BETA", value_parser = parse_number, help_heading = "Optimizer", default_value_t = Self::default().beta1)]
    pub beta1: f64,
    /// β₂ of adam and adamw: decay of the average squared gradient
    #[arg(long, value_name = "BETA", value_parser = parse_number, help_heading = "Optimizer", default_value_t = Self::default().beta2)]
    pub beta2: f64,
    /// ε of adam and adamw
    #[arg(long, value_name = "EPSILON", value_parser = parse_number, help_heading = "Optimizer", default_value_t = Self::default().epsilon)]
    pub epsilon: f64,
    /// Largest norm of the gradient of the data loss, over all parameters; 0: any
    #[arg(long, value_name = "NORM", value_parser = parse_number, help_heading = "Optimizer", default_value_t = Self::default().clip_norm)]
    pub clip_norm: f64,
    /// How the learning rate changes
    #[arg(long, value_enum, help_heading = "Optimizer", default_value_t = Self::default().schedule)]
    pub schedule: ScheduleName,
    /// Iterations in which the learning rate rises to where the schedule begins
    #[arg(long, value_name = "COUNT", value_parser = parse_whole::<usize>, help_heading = "Optimizer", default_value_t = Self::default().warmup)]
    pub warmup: usize,
    /// Where schedule cosine and linear end, as a share of the learning rate
    #[arg(long, value_name = "SHARE", value_parser = parse_number, help_heading = "Optimizer", default_value_t = Self::default().learning_rate_floor)]
    pub learning_rate_floor: f64,
    /// Epochs of one learning rate in schedule step
    #[arg(long, value_name = "EPOCHS", value_parser = parse_whole::<usize>, help_heading = "Optimizer", default_value_t = Self::default().decay_epochs)]
    pub decay_epochs: usize,
    /// Share of hidden units that an image does not see in training
    #[arg(long, value_name = "SHARE", value_parser = parse_number, help_heading = "Regularization", default_value_t = Self::default().dropout)]
    pub dropout: f64,
    /// Share of inputs that are set to zero in training
    #[arg(long, value_name = "SHARE", value_parser = parse_number, help_heading = "Regularization", default_value_t = Self::default().input_dropout)]
    pub input_dropout: f64,
    /// Share of each label that is spread over all classes
    #[arg(long, value_name = "SHARE", value_parser = parse_number, help_heading = "Regularization", default_value_t = Self::default().label_smoothing)]
    pub label_smoothing: f64,
    /// Decay of the average of the weights, which is evaluated and saved; 0: no average
    #[arg(long, value_name = "DECAY", value_parser = parse_number, help_heading = "Regularization", default_value_t = Self::default().average)]
    pub average: f64,
    /// Largest norm of the first-layer weights of a hidden unit; 0: any
    #[arg(long, value_name = "NORM", value_parser = parse_number, help_heading = "Regularization", default_value_t = Self::default().max_norm)]
    pub max_norm: f64,
    /// Standard deviation of the first weights
    #[arg(long, value_enum, default_value_t = Self::default().init)]
    pub init: Init,
    /// What is done to images before the network, fitted on the training split
    #[arg(long, value_enum, help_heading = "Preparation of images", default_value_t = Self::default().preparation)]
    pub preparation: Preparation,
    /// Of pca and pca-whiten: components that are kept if 1 or more, else the share of variance that they keep
    #[arg(long, value_name = "NUMBER", value_parser = parse_number, help_heading = "Preparation of images", default_value_t = Self::default().components)]
    pub components: f64,
    /// Of pca-whiten and zca: ε that is added to the variances, where the mean variance of a pixel is 1
    #[arg(long, value_name = "EPSILON", value_parser = parse_number, help_heading = "Preparation of images", default_value_t = Self::default().whitening_epsilon)]
    pub whitening_epsilon: f64,
    /// Share of images that are mirrored
    #[arg(long, value_name = "SHARE", value_parser = parse_number, help_heading = "Augmentation", default_value_t = Self::default().mirror)]
    pub mirror: f64,
    /// Largest shift of an image, up, down, left and right
    #[arg(long, value_name = "PIXELS", value_parser = parse_whole::<usize>, help_heading = "Augmentation", default_value_t = Self::default().shift)]
    pub shift: usize,
    /// Largest share of the side that is cropped before an image is scaled to its size again
    #[arg(long, value_name = "SHARE", value_parser = parse_number, help_heading = "Augmentation", default_value_t = Self::default().crop)]
    pub crop: f64,
    /// Largest angle by which an image is rotated
    #[arg(long, value_name = "DEGREES", value_parser = parse_number, help_heading = "Augmentation", default_value_t = Self::default().rotate)]
    pub rotate: f64,
    /// Side of a square that is blanked out in an image
    #[arg(long, value_name = "PIXELS", value_parser = parse_whole::<usize>, help_heading = "Augmentation", default_value_t = Self::default().cutout)]
    pub cutout: usize,
    /// Largest change of brightness, as a share of white
    #[arg(long, value_name = "SHARE", value_parser = parse_number, help_heading = "Augmentation", default_value_t = Self::default().brightness)]
    pub brightness: f64,
    /// Largest change of contrast: a factor from 1 - SHARE to 1 + SHARE
    #[arg(long, value_name = "SHARE", value_parser = parse_number, help_heading = "Augmentation", default_value_t = Self::default().contrast)]
    pub contrast: f64,
    /// Epochs without a better validation accuracy after which training ends; 0: never
    #[arg(long, value_name = "EPOCHS", value_parser = parse_whole::<usize>, help_heading = "Regularization", default_value_t = Self::default().patience)]
    pub patience: usize,
    /// Parts into which training and validation rows are cut for cross-validation; 0: none
    #[arg(long, value_name = "COUNT", value_parser = parse_whole::<usize>, help_heading = "Cross-validation", default_value_t = Self::default().folds)]
    pub folds: usize,
    /// The part, from 1, that is validated on while the others are trained on; in a sweep 0: each of them in turn
    #[arg(long, value_name = "NUMBER", value_parser = parse_whole::<usize>, help_heading = "Cross-validation", default_value_t = Self::default().fold)]
    pub fold: usize,
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
pub const COUNT: usize = 40;

/// The hyperparameters in which trials of one configuration differ: repeats of each other, on other random numbers or other rows.
pub const OF_REPEATS: [&str; 3] = ["seed", "folds", "fold"];

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
            optimizer: Optimizer::Sgd,
            momentum: 0.9,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            clip_norm: 0.0,
            schedule: ScheduleName::Decay,
            warmup: 0,
            learning_rate_floor: 0.0,
            decay_epochs: 10,
            dropout: 0.0,
            input_dropout: 0.0,
            label_smoothing: 0.0,
            average: 0.0,
            max_norm: 0.0,
            init: Init::Scale,
            preparation: Preparation::Mean,
            components: 0.99,
            whitening_epsilon: 0.1,
            mirror: 0.0,
            shift: 0,
            crop: 0.0,
            rotate: 0.0,
            cutout: 0,
            brightness: 0.0,
            contrast: 0.0,
            patience: 0,
            folds: 0,
            fold: 0,
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
            optimizer,
            momentum,
            beta1,
            beta2,
            epsilon,
            clip_norm,
            schedule,
            warmup,
            learning_rate_floor,
            decay_epochs,
            dropout,
            input_dropout,
            label_smoothing,
            average,
            max_norm,
            init,
            preparation,
            components,
            whitening_epsilon,
            mirror,
            shift,
            crop,
            rotate,
            cutout,
            brightness,
            contrast,
            patience,
            folds,
            fold,
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
            ("optimizer", Written::UnlessNeutral, optimizer),
            ("momentum", Written::UnlessNeutral, momentum),
            ("beta1", Written::UnlessNeutral, beta1),
            ("beta2", Written::UnlessNeutral, beta2),
            ("epsilon", Written::UnlessNeutral, epsilon),
            ("clip_norm", Written::UnlessNeutral, clip_norm),
            ("schedule", Written::UnlessNeutral, schedule),
            ("warmup", Written::UnlessNeutral, warmup),
            ("learning_rate_floor", Written::UnlessNeutral, learning_rate_floor),
            ("decay_epochs", Written::UnlessNeutral, decay_epochs),
            ("dropout", Written::UnlessNeutral, dropout),
            ("input_dropout", Written::UnlessNeutral, input_dropout),
            ("label_smoothing", Written::UnlessNeutral, label_smoothing),
            ("average", Written::UnlessNeutral, average),
            ("max_norm", Written::UnlessNeutral, max_norm),
            ("init", Written::UnlessNeutral, init),
            ("preparation", Written::UnlessNeutral, preparation),
            ("components", Written::UnlessNeutral, components),
            ("whitening_epsilon", Written::UnlessNeutral, whitening_epsilon),
            ("mirror", Written::UnlessNeutral, mirror),
            ("shift", Written::UnlessNeutral, shift),
            ("crop", Written::UnlessNeutral, crop),
            ("rotate", Written::UnlessNeutral, rotate),
            ("cutout", Written::UnlessNeutral, cutout),
            ("brightness", Written::UnlessNeutral, brightness),
            ("contrast", Written::UnlessNeutral, contrast),
            ("patience", Written::UnlessNeutral, patience),
            ("folds", Written::UnlessNeutral, folds),
            ("fold", Written::UnlessNeutral, fold),
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

/// The names of the hyperparameters that are not the same in all of these configurations.
pub fn varied<'a>(configurations: impl IntoIterator<Item = &'a Hyperparameters>) -> Vec<&'static str> {
    let mut configurations = configurations.into_iter().map(Hyperparameters::entries);
    let Some(first) = configurations.next() else { return vec![] };
    let mut varies = first.map(|_| false);
    for configuration in configurations {
        let differs = first.iter().zip(&configuration).map(|(one, other)| one.value != other.value);
        varies.iter_mut().zip(differs).for_each(|(varies, differs)| *varies |= differs);
    }
    first.iter().zip(varies).filter(|(_, varies)| *varies).map(|(entry, _)| entry.name).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_accepted() {
        assert!(Hyperparameters::default().check(49_000).is_ok());
    }

    /// A hyperparameter that a later program could have.
    fn later(value: f64) -> Entry {
        let (value, neutral) = (Value::Number(value), Value::Number(0.0));
        Entry { name: "later", value, neutral, written: Written::UnlessNeutral }
    }

    #[test]
    fn a_later_hyperparameter_is_a_column_only_where_a_trial_uses_it() {
        let known = Hyperparameters::default().entries();
        let with = |value| [&known[..], &[later(value)]].concat();
        let written = known.iter().filter(|entry| entry.is_written());
        let names: Vec<&str> = written.map(|entry| entry.name).collect();
        assert_eq!(columns::<Vec<Entry>>([]), names, "before there is a trial");
        assert_eq!(columns([known.to_vec(), with(0.0)]), names);
        assert_eq!(columns([with(0.0), with(0.9)]), [&names[..], &["later"]].concat());
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
            optimizer: Optimizer::Adam,
            momentum: 0.25,
            beta1: 0.25,
            beta2: 0.25,
            epsilon: 0.25,
            clip_norm: 0.25,
            schedule: ScheduleName::Linear,
            warmup: 7,
            learning_rate_floor: 0.25,
            decay_epochs: 7,
            dropout: 0.25,
            input_dropout: 0.25,
            label_smoothing: 0.25,
            average: 0.25,
            max_norm: 0.25,
            init: Init::He,
            preparation: Preparation::Pixel,
            components: 0.25,
            whitening_epsilon: 0.25,
            mirror: 0.25,
            shift: 7,
            crop: 0.25,
            rotate: 0.25,
            cutout: 7,
            brightness: 0.25,
            contrast: 0.25,
            patience: 7,
            folds: 7,
            fold: 7,
        };
        let mut set = Hyperparameters::default();
        assert!(other.entries().iter().all(|entry| set.set(entry.name, entry.value)));
        assert_eq!(set, other);
        assert!(!set.set("hidden", Value::Number(7.0)) && !set.set("sampling", Value::Word("f32")));
        assert!(!set.set("later", Value::Number(0.9)));
        assert_eq!(set, other);
    }
}
