//! A trial's result.

use serde::{Deserialize, Serialize};

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All iterations done.
    Complete,
    /// The loss was no longer a finite number.
    Diverged,
    /// The program failed at it.
    Failed,
}

impl Status {
    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
        }
    }
}

/// The loss of one iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossPoint {
    /// Iteration, from 0.
    pub iteration: usize,
    /// Loss without penalty on the minibatch, before the update.
    pub data_loss: f64,
    /// λ(‖W1‖² + ‖W2‖²) before the update.
    pub penalty: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
}

impl LossPoint {
    /// The loss that training descends.
    pub fn loss(&self) -> f64 {
        self.data_loss + self.penalty
    }
}

/// What is measured where an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochPoint {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Iteration, from 0.
    pub iteration: usize,
    /// Loss with penalty on this iteration's minibatch, before the update.
    pub loss: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Accuracy on this minibatch, after the update.
    pub train_accuracy: f64,
    /// Accuracy on the validation split, after the update.
    pub val_accuracy: f64,
    /// Loss without penalty and smoothing on the validation split, after the update. Earlier programs did not record it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_loss: Option<f64>,
}

/// A trial's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Validation accuracy after the last iteration, a fraction; none if it diverged.
    pub val_accuracy: Option<f64>,
    /// That of the weights that are not averaged, where [`Outcome::val_accuracy`] is that of an average.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub raw_val_accuracy: Option<f64>,
    /// Loss without penalty and smoothing on the validation split after the last iteration. Earlier programs did not record it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_loss: Option<f64>,
    /// Loss of the first iteration.
    pub first_loss: Option<f64>,
    /// Loss of the last iteration; none if it diverged.
    pub final_loss: Option<f64>,
    /// Minibatch accuracy where the last epoch began.
    pub train_accuracy: Option<f64>,
    /// Updates done.
    pub iterations_done: usize,
    /// The iteration whose loss was not finite.
    pub diverged_at: Option<usize>,
    /// One point an epoch.
    pub curve: Vec<EpochPoint>,
    /// Which validation images were right after the last iteration: a bit each, in base64, the highest of a byte first. Earlier programs did
    /// not record it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_right: Option<String>,
}

impl Outcome {
    /// Of a trial that diverged at an iteration.
    pub fn diverged(at: usize, so_far: SoFar) -> Self {
        Self {
            status: Status::Diverged,
            val_accuracy: None,
            raw_val_accuracy: None,
            val_loss: None,
            first_loss: so_far.first_loss,
            final_loss: None,
            train_accuracy: None,
            iterations_done: at,
            diverged_at: Some(at),
            curve: so_far.curve,
            val_right: None,
        }
    }

    /// Of a trial that did so many iterations.
    pub fn complete(iterations: usize, loss: f64, val_accuracy: f64, so_far: SoFar) -> Self {
        Self {
            status: Status::Complete,
            val_accuracy: Some(val_accuracy),
            raw_val_accuracy: None,
            val_loss: None,
            first_loss: so_far.first_loss,
            final_loss: Some(loss),
            train_accuracy: so_far.curve.last().map(|point| point.train_accuracy),
            iterations_done: iterations,
            diverged_at: None,
            curve: so_far.curve,
            val_right: None,
        }
    }

    /// Of a trial at which the program failed.
    pub fn failed() -> Self {
        Self {
            status: Status::Failed,
            val_accuracy: None,
            raw_val_accuracy: None,
            val_loss: None,
            first_loss: None,
            final_loss: None,
            train_accuracy: None,
            iterations_done: 0,
            diverged_at: None,
            curve: Vec::new(),
            val_right: None,
        }
    }
}

/// What is known of a trial's result before it ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SoFar {
    /// Loss of the first iteration.
    pub first_loss: Option<f64>,
    /// One point an epoch.
    pub curve: Vec<EpochPoint>,
    /// Its share of the time since the cohort began.
    pub seconds: f64,
}
