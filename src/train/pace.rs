//! When a training stops, and when its state is kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::observer::Next;

/// Whether to train on, decided before each iteration.
#[derive(Debug)]
pub struct Pace<'a> {
    /// Set from outside when training is to stop, with a checkpoint.
    stop: &'a AtomicBool,
    /// Time between two checkpoints.
    checkpoint_every: Duration,
    last_checkpoint: Instant,
}

impl<'a> Pace<'a> {
    /// From now on.
    pub fn new(stop: &'a AtomicBool, checkpoint_every: Duration) -> Self {
        Self { stop, checkpoint_every, last_checkpoint: Instant::now() }
    }

    /// What to do next.
    pub fn next(&self) -> Next {
        if self.stop.load(Ordering::Relaxed) {
            Next::CheckpointAndStop
        } else if self.last_checkpoint.elapsed() >= self.checkpoint_every {
            Next::Checkpoint
        } else {
            Next::Iterate
        }
    }

    /// A checkpoint was written.
    pub fn checkpoint_written(&mut self) {
        self.last_checkpoint = Instant::now();
    }
}
