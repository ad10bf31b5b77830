//! What a sweep reports while it runs.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::job::Job;
use super::journal::Results;
use super::space::Trial;
use crate::error::Result;
use crate::train::{EpochPoint, Outcome};

/// Follows a sweep, from every worker at once.
pub trait Events: Sync {
    /// Something that was done.
    fn log(&self, _line: &str) {}

    /// Something that the user should know.
    fn warn(&self, _warning: &str) {}

    /// What is trained next, before it is; of the sweep's `trials`; `before` is what was recorded until now.
    ///
    /// # Errors
    /// The sweep should not go on.
    fn planned(&self, _job: &Job<'_>, _trials: &[Trial], _before: &Results) -> Result<()> {
        Ok(())
    }

    /// So many trials have done one more iteration, which took so many floating-point operations.
    fn iterated(&self, _trials: usize, _work: f64) {}

    /// A worker of this process began to train trials together.
    fn began(&self, _trials: &[&Trial]) {}

    /// It left them, at their end or before.
    fn left(&self) {}

    /// A trial in training began an epoch.
    fn epoch(&self, _trial: &Trial, _point: &EpochPoint) {}

    /// A trial ended and is recorded.
    fn ended(&self, _trial: &Trial, _outcome: &Outcome) {}

    /// So many floating-point operations more are to be done than were planned, for a reason.
    fn more_work(&self, _work: f64, _why: &str) {}

    /// Seconds until everything is trained, as far as that is known.
    fn seconds_left(&self) -> Option<f64> {
        None
    }
}

/// Hands on what a sweep reports, and counts the trials that ended.
pub struct Counting<'a> {
    events: &'a dyn Events,
    ended: AtomicUsize,
}

impl<'a> Counting<'a> {
    /// None ended yet.
    pub fn new(events: &'a dyn Events) -> Self {
        Self { events, ended: AtomicUsize::new(0) }
    }

    /// How many ended.
    pub fn count(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Events for Counting<'_> {
    fn log(&self, line: &str) {
        self.events.log(line);
    }

    fn warn(&self, warning: &str) {
        self.events.warn(warning);
    }

    fn planned(&self, job: &Job<'_>, trials: &[Trial], before: &Results) -> Result<()> {
        self.events.planned(job, trials, before)
    }

    fn iterated(&self, trials: usize, work: f64) {
        self.events.iterated(trials, work);
    }

    fn began(&self, trials: &[&Trial]) {
        self.events.began(trials);
    }

    fn left(&self) {
        self.events.left();
    }

    fn epoch(&self, trial: &Trial, point: &EpochPoint) {
        self.events.epoch(trial, point);
    }

    fn ended(&self, trial: &Trial, outcome: &Outcome) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.events.ended(trial, outcome);
    }

    fn more_work(&self, work: f64, why: &str) {
        self.events.more_work(work, why);
    }

    fn seconds_left(&self) -> Option<f64> {
        self.events.seconds_left()
    }
}
