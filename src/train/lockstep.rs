//! A cohort with its minibatches and buffers: what one iteration needs, in training and in benches.

use crate::data::minibatch::{Batch, Changes};
use crate::data::prepare::Source;
use crate::data::sampler::Sampler;
use crate::model::cohort::{Cohort, Scratch, Step};
use crate::model::wide::Wide;

/// A cohort, the stream of its minibatches, and the buffers that an iteration works in, allocated once.
pub struct Lockstep<W: Wide> {
    /// The networks.
    pub cohort: Cohort<W>,
    /// The minibatch of this iteration.
    pub batch: W::Batch,
    /// The buffers between the products.
    pub scratch: Scratch<W::Real>,
    /// What is changed at random in minibatches.
    pub changes: Option<Changes>,
    sampler: Sampler,
    rows: Vec<u32>,
}

impl<W: Wide> Lockstep<W> {
    /// Minibatches of `batch_size` rows of `inputs` numbers, drawn by `sampler`.
    pub fn new(cohort: Cohort<W>, sampler: Sampler, batch_size: usize, inputs: usize) -> Self {
        Self {
            batch: Batch::new(batch_size, inputs),
            scratch: cohort.scratch(batch_size),
            rows: vec![0; batch_size],
            changes: None,
            cohort,
            sampler,
        }
    }

    /// Draws the next minibatch without gathering it: some 2 ns a row.
    pub fn skip(&mut self) {
        self.sampler.draw(&mut self.rows);
    }

    /// Draws the next minibatch, that of an iteration, and gathers its rows.
    pub fn gather(&mut self, from: &Source<'_, W::Real>, iteration: usize) {
        self.sampler.draw(&mut self.rows);
        self.changes.iter_mut().for_each(|changes| changes.iteration = iteration);
        self.batch.gather(from, self.rows.iter().map(|&row| row as usize), self.changes.as_ref());
    }

    /// One iteration of every member on the next minibatch.
    ///
    /// # Panics
    /// As [`Cohort::iterate`].
    pub fn iterate(&mut self, from: &Source<'_, W::Real>, steps: &mut [Step]) {
        self.gather(from, steps.first().map_or(0, |step| step.iteration));
        self.cohort.iterate(&self.batch, &mut self.scratch, steps);
    }
}
