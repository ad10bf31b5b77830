//! What there is to train, and where a cohort begins.

use super::observer::State;
use crate::data::sampler::Sampler;
use crate::model::{CheckedHyperparameters, Hyperparameters};
use crate::tensors::Parts;

/// A trial to train.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Its configuration.
    pub hyperparameters: &'a CheckedHyperparameters,
    /// Iterations after which it ends: its own, which stay the horizon of its schedule; or fewer, one more than where an epoch begins, for
    /// there it has been measured.
    pub until: usize,
}

impl<'a> Task<'a> {
    /// To its last iteration.
    pub fn whole(hyperparameters: &'a CheckedHyperparameters) -> Self {
        Self { hyperparameters, until: hyperparameters.iterations }
    }
}

/// Where a cohort begins.
#[derive(Clone, Debug)]
pub enum Origin {
    /// At first weights and minibatches drawn from the trials' seeds.
    Seed,
    /// At these networks, one a task, and this stream of minibatches.
    Given {
        /// `W1`, `b1`, `W2`, `b2` of each.
        networks: Vec<Parts>,
        /// Draws the rows of every minibatch.
        sampler: Sampler,
    },
    /// Where a state stands; its members are among the tasks.
    Resumed(State),
}

/// Floating-point operations of an iteration of a trial on images of `inputs` numbers: 4·B·D·H, the two products with D, what is left of
/// these numbers once they are prepared.
pub fn work_of_iteration(trial: &Hyperparameters, inputs: usize) -> f64 {
    4.0 * trial.batch_size as f64 * trial.recipe().outputs(inputs) as f64 * trial.hidden as f64
}
