//! Accuracy and loss of the members of a cohort.

use crate::blas::lanes::{Lanes, Shape};
use crate::data::augment::View;
use crate::data::images::Rows;
use crate::data::minibatch::{Batch, Changes, ImageChanges};
use crate::data::prepare::{Fitted, Source};
use crate::data::sets::Shape as ImageShape;
use crate::model::TwoLayerNet;
use crate::model::cohort::{Cohort, Scratch, Weights};
use crate::model::optimizer::Method;
use crate::model::tally::Tally;
use crate::model::wide::Wide;
use crate::real::Real;
use crate::tensors::Parts;

/// Rows of a minibatch at evaluation. The number of rows in a product shows in the last bits, so it is one number everywhere.
pub const EVALUATION_ROWS: usize = 250;

/// The shapes of the products that hidden units take part in.
pub fn shape(inputs: usize, batch_size: usize) -> Shape {
    Shape { batch_rows: batch_size, evaluation_rows: EVALUATION_ROWS, inputs }
}

/// Buffers for measuring accuracy and loss, allocated once.
pub struct Evaluation<W: Wide> {
    batch: W::Batch,
    scratch: Scratch<W::Real>,
    tallies: Vec<Tally>,
}

impl<W: Wide> Evaluation<W> {
    /// Room for the networks of `cohort`, of `inputs` inputs.
    pub fn new(cohort: &Cohort<W>, inputs: usize) -> Self {
        Self {
            batch: Batch::new(EVALUATION_ROWS, inputs),
            scratch: cohort.scratch(EVALUATION_ROWS),
            tallies: vec![Tally::default(); cohort.len()],
        }
    }

    /// How each member of `cohort` does on all rows of a split.
    pub fn tallies(&mut self, cohort: &Cohort<W>, weights: Weights, from: &Source<'_, W::Real>) -> &[Tally] {
        self.begin(cohort);
        for start in (0..from.len()).step_by(EVALUATION_ROWS) {
            let end = (start + EVALUATION_ROWS).min(from.len());
            self.batch.gather(from, start..end, None);
            cohort.tally(&self.batch, weights, &mut self.scratch, &mut self.tallies);
        }
        &self.tallies
    }

    /// How each member does on a minibatch that is there already.
    pub fn tallies_of_batch(
        &mut self,
        cohort: &Cohort<W>,
        batch: &W::Batch,
        scratch: &mut Scratch<W::Real>,
    ) -> &[Tally] {
        self.begin(cohort);
        cohort.tally(batch, Weights::Averaged, scratch, &mut self.tallies);
        &self.tallies
    }

    fn begin(&mut self, cohort: &Cohort<W>) {
        self.tallies.truncate(cohort.len());
        self.tallies.iter_mut().for_each(Tally::clear);
    }
}

/// As [`Engine::accuracy`](super::Engine::accuracy).
pub fn accuracy<W: Wide>(network: &Parts, fitted: &Fitted, batch_size: usize, rows: Rows<'_>) -> Result<f64, String> {
    let inputs = fitted.outputs();
    let lanes = W::lanes(shape(inputs, batch_size)).unwrap_or_else(Lanes::alone);
    let cohort = Cohort::<W>::new(vec![(TwoLayerNet::load(network)?, Method::default())], lanes);
    let prepared = fitted.prepared();
    Ok(Evaluation::new(&cohort, inputs).tallies(&cohort, Weights::Raw, &prepared.source(rows))[0].accuracy())
}

/// As [`Engine::probabilities`](super::Engine::probabilities).
pub fn probabilities<W: Wide>(
    network: &Parts,
    fitted: &Fitted,
    batch_size: usize,
    rows: Rows<'_>,
    (shape_of_image, view): (ImageShape, View),
) -> Result<Vec<f64>, String> {
    let inputs = fitted.outputs();
    let lanes = W::lanes(shape(inputs, batch_size)).unwrap_or_else(Lanes::alone);
    let network = TwoLayerNet::load(network)?;
    let classes = network.b2.len();
    let cohort = Cohort::<W>::new(vec![(network, Method::default())], lanes);
    let prepared = fitted.prepared();
    let source = prepared.source(rows);
    let images = ImageChanges::Fixed(view);
    let changes = Changes { shape: shape_of_image, images, input_dropout: 0.0, seed: 0, iteration: 0 };
    let (mut batch, mut scratch) = (W::Batch::new(EVALUATION_ROWS, inputs), cohort.scratch(EVALUATION_ROWS));
    let mut probabilities = Vec::with_capacity(rows.len() * classes);
    for start in (0..rows.len()).step_by(EVALUATION_ROWS) {
        let end = (start + EVALUATION_ROWS).min(rows.len());
        batch.gather(&source, start..end, Some(&changes));
        cohort.scores(&batch, Weights::Raw, &mut scratch, |_, scores| {
            for row in 0..end - start {
                let of_row = scores.iter().skip(row).step_by(EVALUATION_ROWS).map(|score| score.as_f64());
                let largest = of_row.clone().fold(f64::NEG_INFINITY, f64::max);
                // `libm`, whose bits are the same on every machine.
                let exponentials = of_row.map(|score| libm::exp(score - largest));
                let sum: f64 = exponentials.clone().sum();
                probabilities.extend(exponentials.map(|exponential| exponential / sum));
            }
        });
    }
    Ok(probabilities)
}
