//! Accuracy of the members of a cohort.

use super::lanes;
use crate::blas::lanes::Lanes;
use crate::data::dataset::Rows;
use crate::data::minibatch::Minibatch;
use crate::model::TwoLayerNet;
use crate::model::cohort::{Cohort, Scratch, Start};
use crate::real::Real;

/// Rows of a minibatch at evaluation. The number of rows in a product shows in the last bits, so it is one number everywhere.
pub const EVALUATION_ROWS: usize = 250;

/// Buffers for measuring accuracy.
pub struct Evaluation<T> {
    batch: Minibatch<T>,
    scratch: Scratch<T>,
    correct: Vec<usize>,
}

impl<T: Real> Evaluation<T> {
    /// Room for the networks of `cohort`, of `inputs` inputs.
    pub fn new(cohort: &Cohort<T>, inputs: usize) -> Self {
        let batch = Minibatch::new(EVALUATION_ROWS, inputs);
        Self { batch, scratch: cohort.scratch(EVALUATION_ROWS), correct: vec![0; cohort.len()] }
    }

    /// The accuracy of each member of `cohort` on `rows`, a fraction.
    pub fn accuracies(&mut self, cohort: &Cohort<T>, rows: Rows<'_>, mean: &[T], accuracies: &mut [f64]) {
        self.correct.fill(0);
        for start in (0..rows.len()).step_by(EVALUATION_ROWS) {
            let end = (start + EVALUATION_ROWS).min(rows.len());
            self.batch.gather(rows, mean, start..end);
            cohort.count_correct(&self.batch, &mut self.scratch, &mut self.correct);
        }
        fractions(&self.correct, rows.len(), accuracies);
    }

    /// The accuracy of each member on a minibatch that is there already.
    pub fn accuracies_of_batch(
        &mut self,
        cohort: &Cohort<T>,
        batch: &Minibatch<T>,
        scratch: &mut Scratch<T>,
        accuracies: &mut [f64],
    ) {
        self.correct.fill(0);
        cohort.count_correct(batch, scratch, &mut self.correct);
        fractions(&self.correct, batch.labels().len(), accuracies);
    }
}

fn fractions(correct: &[usize], rows: usize, accuracies: &mut [f64]) {
    for (accuracy, &correct) in accuracies.iter_mut().zip(correct) {
        *accuracy = correct as f64 / rows as f64;
    }
}

/// The accuracy on `rows` of a network that was trained with minibatches of `batch_size`, a fraction: what training itself measured.
pub fn accuracy<T: Real>(network: &TwoLayerNet<T>, batch_size: usize, rows: Rows<'_>, mean: &[f64]) -> f64 {
    let mean: Vec<T> = mean.iter().map(|&value| T::from_f64(value)).collect();
    let start = Start::of(network.clone(), 0.0, 0.0);
    let lanes = lanes::<T>(mean.len(), batch_size).unwrap_or_else(Lanes::alone);
    let cohort = Cohort::new(vec![start], lanes);
    let mut accuracy = [0.0];
    Evaluation::new(&cohort, mean.len()).accuracies(&cohort, rows, &mean, &mut accuracy);
    accuracy[0]
}
