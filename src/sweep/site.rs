//! Where a sweep runs, and how.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::shard::Shard;
use crate::data::Dataset;
use crate::files::Disk;
use crate::real::Precision;
use crate::train::checkpoint::Made;

/// Where a sweep runs, and how.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// The data.
    pub data: &'a Dataset,
    /// The sweep's directory.
    pub directory: &'a Path,
    /// The BLAS kernel.
    pub kernel: &'a str,
    /// Which part of the sweep this process trains.
    pub shard: Shard,
    /// Whether every trial's network is kept, beside the best one.
    pub keep_models: bool,
    /// Time between two checkpoints of a cohort.
    pub checkpoint_every: Duration,
    /// Set from outside when training is to stop, with a checkpoint.
    pub stop: &'a AtomicBool,
    /// Where results, checkpoints and models are written.
    pub disk: &'a dyn Disk,
    /// This program, for further processes where one has no room for all workers; none, and more workers are refused.
    pub program: Option<&'a Path>,
    /// Which of the further processes this one is, if it is one.
    pub process: Option<usize>,
}

impl Site<'_> {
    /// Whether training is to stop.
    pub fn is_asked_to_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What its checkpoints of trials in floating point are made by.
    pub fn made(&self) -> Made {
        Made::with(self.kernel, &self.data.fingerprint)
    }

    /// What checkpoints of trials in this precision are made by.
    pub fn made_in(&self, precision: Precision) -> Made {
        Made::with(precision.kernel(self.kernel), &self.data.fingerprint)
    }
}
