//! Minibatches of bytes, for arithmetics that multiply pixels as they are: the mean and the factor of a preparation come with them.

use super::images::Label;
use super::minibatch::{Batch, Changes};
use super::prepare::{Applied, Source};
use crate::random::Purpose;
use crate::random::dropout::{Dropped, Uniforms};

/// B rows of bytes x, and what makes the numbers that a network sees of them: (x − mean) ∘ factor · kept.
#[derive(Debug, Default)]
pub struct ByteBatch {
    /// (room for rows, stride); rows end with zeros.
    pixels: Vec<u8>,
    room: usize,
    inputs: usize,
    labels: Vec<Label>,
    rows: usize,
    mean: Vec<f32>,
    factor: Option<Vec<f32>>,
    kept: f32,
    uniforms: Uniforms,
}

impl ByteBatch {
    /// The bytes of all rows that there is room for; those behind the last row are whatever was there before.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// From a row to the next.
    pub fn stride(&self) -> usize {
        self.inputs.next_multiple_of(4)
    }

    /// Rows that there is room for.
    pub fn room(&self) -> usize {
        self.room
    }

    /// D.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The mean image, (D).
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// What each difference from the mean is multiplied by, (D).
    pub fn factor(&self) -> Option<&[f32]> {
        self.factor.as_deref()
    }

    /// What the numbers are multiplied by besides: more than 1 where some inputs are dropped.
    pub fn kept(&self) -> f32 {
        self.kept
    }
}

impl Batch<f32> for ByteBatch {
    fn new(rows: usize, inputs: usize) -> Self {
        let stride = inputs.next_multiple_of(4);
        Self { pixels: vec![0; rows * stride], room: rows, inputs, labels: vec![0; rows], kept: 1.0, ..Self::default() }
    }

    /// # Panics
    /// Also where rows are not bytes, or are projected.
    fn gather(
        &mut self,
        from: &Source<'_, f32>,
        rows: impl ExactSizeIterator<Item = usize>,
        changes: Option<&Changes>,
    ) {
        let Source::Bytes { values, labels, by: Applied { mean, factor, projection: None } } = *from else {
            panic!("checked: integers multiply bytes");
        };
        self.rows = rows.len();
        assert!(self.rows <= self.room, "{} rows do not fit a buffer of {}", self.rows, self.room);
        assert_eq!(mean.len(), self.inputs, "rows have as many bytes as the buffer");
        self.mean.clear();
        self.mean.extend_from_slice(mean);
        match (&mut self.factor, factor) {
            (Some(own), Some(factor)) => own.copy_from_slice(factor),
            (own, factor) => *own = factor.map(<[f32]>::to_vec),
        }
        let mut change = changes.and_then(Changes::of_images);
        let (inputs, stride) = (self.inputs, self.stride());
        let source = |row: usize| &values[row * inputs..(row + 1) * inputs];
        for ((target, label), row) in self.pixels.chunks_exact_mut(stride).zip(&mut self.labels).zip(rows) {
            *label = labels[row];
            match &mut change {
                None => target[..inputs].copy_from_slice(source(row)),
                Some(change) => change(source(row), &mut target[..inputs]),
            }
        }
        self.kept = 1.0;
        let dropped = changes.and_then(|changes| Some((changes, Dropped::<f32>::of(changes.input_dropout)?)));
        if let Some((changes, dropped)) = dropped {
            self.uniforms.draw(changes.seed, Purpose::InputDropout, changes.iteration, self.rows, inputs);
            for (row, target) in self.pixels.chunks_exact_mut(stride).take(self.rows).enumerate() {
                // The byte nearest to the mean stands for a zero.
                for ((pixel, &uniform), &mean) in target.iter_mut().zip(self.uniforms.row(row)).zip(mean) {
                    if uniform < dropped.threshold {
                        *pixel = mean.round_ties_even() as u8;
                    }
                }
            }
            self.kept = dropped.factor;
        }
    }

    fn labels(&self) -> &[Label] {
        &self.labels[..self.rows]
    }
}
