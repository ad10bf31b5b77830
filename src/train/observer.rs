//! What a cohort reports while it trains, and to whom.

use super::outcome::{EpochPoint, LossPoint, Outcome, SoFar};
use crate::tensors::Parts;

/// Which losses are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Those where an epoch begins: a loss with its penalty costs a pass over the weights.
    Epochs,
    /// Every iteration's.
    EveryIteration,
}

/// Follows a cohort while it trains. Trials are numbered as the tasks that it began with.
pub trait Observer {
    /// So many trials have done one more iteration, of so many floating-point operations in all.
    fn iterated(&mut self, _trials: usize, _work: f64) {}

    /// The loss of a trial at an iteration, where [`Detail`] asks for it.
    fn loss(&mut self, _trial: usize, _point: &LossPoint) {}

    /// A trial began an epoch.
    fn epoch(&mut self, _trial: usize, _point: &EpochPoint) {}

    /// Asked before each iteration.
    fn next(&mut self) -> Next {
        Next::Iterate
    }

    /// Where the trials stand that are still in training, as [`Next`] asked.
    fn checkpoint(&mut self, _state: State) {}

    /// Trials ended, together.
    fn ended(&mut self, ended: Vec<Ended>);
}

/// What to do between two iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Train on.
    Iterate,
    /// Hand out the state, then train on.
    Checkpoint,
    /// Hand out the state, then stop.
    CheckpointAndStop,
    /// Stop.
    Stop,
}

/// A cohort between two iterations: what it resumes from as if it had never stopped, to the bit. The stream of minibatches is not in it:
/// so many iterations have brought that to its place. Neither are learning rates: they are functions of the iteration.
#[derive(Clone, Debug)]
pub struct State {
    /// Iterations done.
    pub iteration: usize,
    /// The trials that are still in training.
    pub members: Vec<MemberState>,
}

/// A trial in training.
#[derive(Clone, Debug)]
pub struct MemberState {
    /// Its number among the tasks.
    pub trial: usize,
    /// Its weights, and what its update rule keeps.
    pub parts: Parts,
    /// Its result so far.
    pub so_far: SoFar,
}

/// A trial at its end.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its number among the tasks.
    pub trial: usize,
    /// Its result.
    pub outcome: Outcome,
    /// The trained network, as `W1`, `b1`, `W2`, `b2`; none if it diverged or was stopped.
    pub network: Option<Parts>,
    /// Where it stands, if it was stopped at a cut.
    pub state: Option<State>,
    /// Its share of the time that the cohort took.
    pub train_seconds: f64,
}

/// Keeps how trials end, and nothing else.
#[derive(Debug, Default)]
pub struct Collect(pub Vec<Ended>);

impl Observer for Collect {
    fn ended(&mut self, ended: Vec<Ended>) {
        self.0.extend(ended);
    }
}
