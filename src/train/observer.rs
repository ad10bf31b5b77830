//! Who is told what happens while a cohort trains, and in what words.

use super::outcome::{EpochPoint, Outcome, SoFar};
use crate::model::TwoLayerNet;
use crate::model::cohort::Start;

/// Which losses are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Those where an epoch begins: a loss with its penalty costs a pass over the weights.
    Epochs,
    /// Every iteration's.
    EveryIteration,
}

/// Told what happens while a cohort trains.
pub trait Observer<T> {
    /// So many trials, with so many hidden units in all, have done one more iteration.
    fn iterated(&mut self, _trials: usize, _units: usize) {}

    /// The loss of a trial at an iteration, where [`Detail`] asks for it.
    fn loss(&mut self, _trial: usize, _iteration: usize, _loss: f64, _learning_rate: f64) {}

    /// A trial began an epoch.
    fn epoch(&mut self, _trial: usize, _point: &EpochPoint) {}

    /// Asked before each iteration.
    fn next(&mut self) -> Next {
        Next::Iterate
    }

    /// Where the trials stand that are still in training, as [`Next`] asked.
    fn checkpoint(&mut self, _state: State<T>) {}

    /// Trials ended, together.
    fn ended(&mut self, ended: Vec<Ended<T>>);
}

/// What to do between two iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    Iterate,
    /// Hand out the state, then go on.
    Checkpoint,
    /// Hand out the state, then leave off.
    CheckpointAndStop,
    /// Leave off.
    Stop,
}

/// A cohort between two iterations: what [`resume`](super::resume) goes on from as if it had never stopped, to the bit. The
/// stream of minibatches is not in it: that is where so many iterations have brought it.
#[derive(Clone, Debug)]
pub struct State<T> {
    /// Iterations done.
    pub iteration: usize,
    /// The trials that are still in training.
    pub members: Vec<MemberState<T>>,
}

/// A trial in training.
#[derive(Clone, Debug)]
pub struct MemberState<T> {
    /// Its number among those the cohort began with.
    pub trial: usize,
    /// Its weights and rates.
    pub start: Start<T>,
    /// Its result so far.
    pub so_far: SoFar,
}

/// A trial at its end.
#[derive(Clone, Debug)]
pub struct Ended<T> {
    /// Its number among those the cohort began with.
    pub trial: usize,
    /// Its result.
    pub outcome: Outcome,
    /// The trained network; none if it diverged.
    pub network: Option<TwoLayerNet<T>>,
    /// Its share of the time that the cohort took.
    pub train_seconds: f64,
}
