//! What follows from hyperparameters: which trials may share a cohort, and what the other modules are to do.

use super::Hyperparameters;
use crate::data::augment::Augment;
use crate::data::fold::Fold;
use crate::data::prepare::{Preparation, Recipe};
use crate::data::sampler::Sampling;
use crate::model::optimizer::{Layout, Method, Optimizer, Rule};
use crate::model::schedule::{Curve, Schedule, ScheduleName};
use crate::random::Generator;
use crate::real::Precision;

/// What trials of one cohort have in common: they see the same minibatches, in the same precision, and hold the same matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CohortKey {
    seed: u64,
    batch_size: usize,
    sampling: Sampling,
    precision: Precision,
    random: Generator,
    /// Hidden units, where the stream of the minibatches begins behind the first weights.
    drawn_before: Option<usize>,
    layout: Layout,
    preparation: Preparation,
    /// Bits of the numbers that change minibatches.
    changes: [u64; 10],
    /// Which rows they are drawn from.
    folds: [usize; 2],
}

/// What tells a trial from the others of its configuration: seed, number of folds, fold.
pub type Repeat = [u64; 3];

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
            optimizer: _, // in the layout
            momentum: _,
            beta1: _,
            beta2: _,
            epsilon: _,
            clip_norm: _, // in the layout
            schedule: _,
            warmup: _,
            learning_rate_floor: _,
            decay_epochs: _,
            dropout: _,
            input_dropout,
            label_smoothing: _,
            average: _, // in the layout
            max_norm: _,
            init: _,
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
            patience: _, // a trial leaves its cohort when it has lost it
            folds,
            fold,
        } = *self;
        let drawn_before = (random == Generator::Numpy).then_some(hidden);
        let number = f64::to_bits;
        let changes = [
            number(input_dropout),
            number(components),
            number(whitening_epsilon),
            number(mirror),
            shift as u64,
            number(crop),
            number(rotate),
            cutout as u64,
            number(brightness),
            number(contrast),
        ];
        let layout = self.method().layout();
        CohortKey {
            seed,
            batch_size,
            sampling,
            precision,
            random,
            drawn_before,
            layout,
            preparation,
            changes,
            folds: [folds, fold],
        }
    }

    /// The update rule.
    fn rule(&self) -> Rule {
        let Self { momentum, beta1, beta2, epsilon, .. } = *self;
        match self.optimizer {
            Optimizer::Sgd => Rule::Sgd,
            Optimizer::Momentum => Rule::Momentum { momentum, nesterov: false },
            Optimizer::Nesterov => Rule::Momentum { momentum, nesterov: true },
            Optimizer::Adam => Rule::Adam { beta1, beta2, epsilon, decoupled: false },
            Optimizer::Adamw => Rule::Adam { beta1, beta2, epsilon, decoupled: true },
        }
    }

    /// How a network is trained.
    pub fn method(&self) -> Method {
        let Self { l2, clip_norm, max_norm, average, dropout, label_smoothing, .. } = *self;
        Method { rule: self.rule(), l2, clip_norm, max_norm, average, dropout, label_smoothing }
    }

    /// How the learning rate changes.
    pub fn schedule(&self) -> Schedule {
        let curve = match self.schedule {
            ScheduleName::Decay => Curve::EpochDecay { factor: self.learning_rate_decay },
            ScheduleName::Step => Curve::Step { factor: self.learning_rate_decay, epochs: self.decay_epochs },
            ScheduleName::Cosine => Curve::Cosine { floor: self.learning_rate_floor },
            ScheduleName::Linear => Curve::Linear { floor: self.learning_rate_floor },
        };
        Schedule { base: self.learning_rate, warmup: self.warmup, curve }
    }

    /// What is done to images, once and for all.
    pub fn recipe(&self) -> Recipe {
        Recipe::new(self.preparation, self.components, self.whitening_epsilon)
    }

    /// The part of the rows that is validated on, with cross-validation.
    pub fn fold(&self) -> Option<Fold> {
        (self.folds > 0).then(|| Fold { index: self.fold.saturating_sub(1), count: self.folds })
    }

    /// Which repeat of its configuration a trial is.
    pub fn repeat(&self) -> Repeat {
        [self.seed, self.folds as u64, self.fold as u64]
    }

    /// Iterations of an epoch of `train_rows` rows: at least one.
    pub fn iterations_per_epoch(&self, train_rows: usize) -> usize {
        (train_rows / self.batch_size.max(1)).max(1)
    }

    /// How the images of minibatches are changed.
    pub fn augment(&self) -> Augment {
        let Self { mirror, shift, crop, rotate, cutout, brightness, contrast, .. } = *self;
        Augment { mirror, shift, crop, rotate, cutout, brightness, contrast }
    }
}
