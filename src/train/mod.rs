//! One cohort from its first iteration to its last: minibatches, learning rates, accuracies, history, divergence, checkpoints.

pub mod beginning;
pub mod checkpoint;
pub mod engine;
pub mod evaluation;
pub mod lockstep;
pub mod observer;
pub mod outcome;
pub mod pace;
mod task;
mod training;

pub use self::engine::{Engine, Fit, engine, fit};
pub use self::observer::{Detail, Ended, MemberState, Next, Observer, State};
pub use self::outcome::{EpochPoint, LossPoint, Outcome, SoFar, Status};
pub use self::task::{Origin, Task, work_of_iteration};
