//! Which rows come next, and bringing them together: sampling, and the gather into the caller's buffer.

use clap::ValueEnum;
use multiversion::multiversion;
use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::prepare::Source;
use crate::blas::matrix::Matrix;
use crate::random::numpy::RandomState;
use crate::random::{self, ChaCha8Rng, Purpose};
use crate::real::Real;

/// How the rows of a minibatch are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Each row drawn from all, whatever was drawn before: the notebook's way
    #[default]
    Replacement,
    /// All rows in a new random order each epoch; what is left of an epoch goes before the next order
    Shuffle,
}

impl Sampling {
    /// Its name in files and flags. Identities of trials are hashes of it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Replacement => "replacement",
            Self::Shuffle => "shuffle",
        }
    }
}

/// What row numbers are drawn from.
#[derive(Clone, Debug)]
enum Stream {
    ChaCha8(Box<ChaCha8Rng>),
    Numpy(Box<RandomState>),
}

/// An endless stream of row numbers, the same for the same stream, sampling and number of rows.
#[derive(Clone, Debug)]
pub struct Sampler {
    stream: Stream,
    rows: u32,
    /// The current order and the place in it, where sampling shuffles; empty where it draws with replacement.
    order: Vec<u32>,
    next: usize,
}

impl Sampler {
    /// A stream over `rows` rows, from ChaCha8.
    pub fn new(seed: u64, sampling: Sampling, rows: usize) -> Self {
        Self::over(Stream::ChaCha8(Box::new(random::stream(seed, Purpose::Minibatches, 0))), sampling, rows)
    }

    /// A stream over `rows` rows that goes on where `state` stands: numpy's `choice` or, where sampling shuffles, `shuffle`.
    pub fn from_numpy(state: RandomState, sampling: Sampling, rows: usize) -> Self {
        Self::over(Stream::Numpy(Box::new(state)), sampling, rows)
    }

    fn over(stream: Stream, sampling: Sampling, rows: usize) -> Self {
        let rows = u32::try_from(rows).expect("a data set has fewer than 2^32 rows");
        let order = match sampling {
            Sampling::Replacement => vec![],
            Sampling::Shuffle => (0..rows).collect(),
        };
        let next = order.len(); // shuffled before the first draw
        Self { stream, rows, order, next }
    }

    /// Fills `batch` with the next rows.
    pub fn draw(&mut self, batch: &mut [u32]) {
        for row in batch {
            *row = if self.order.is_empty() { self.stream.below(self.rows) } else { self.next_of_order() };
        }
    }

    fn next_of_order(&mut self) -> u32 {
        if self.next == self.order.len() {
            self.stream.shuffle(&mut self.order);
            self.next = 0;
        }
        self.next += 1;
        self.order[self.next - 1]
    }
}

impl Stream {
    fn below(&mut self, rows: u32) -> u32 {
        match self {
            Self::ChaCha8(stream) => stream.random_range(0..rows),
            Self::Numpy(state) => state.choice(rows),
        }
    }

    fn shuffle(&mut self, order: &mut [u32]) {
        match self {
            Self::ChaCha8(stream) => order.shuffle(stream),
            Self::Numpy(state) => state.shuffle(order),
        }
    }
}

/// The rows that a product reads, and their labels.
pub trait Batch<T>: Send {
    /// Room for `rows` rows of `inputs` numbers.
    fn new(rows: usize, inputs: usize) -> Self;

    /// Gathers row `rows[i]` of `from` as row i, with its label.
    ///
    /// # Panics
    /// There are more rows than room, a row number is not below `from.len()`, or rows have another number of inputs.
    fn gather(&mut self, from: &Source<'_, T>, rows: impl ExactSizeIterator<Item = usize>);

    /// y as last gathered.
    fn labels(&self) -> &[u8];
}

/// A buffer of B rows of real numbers: X (B, D), and the labels y (B).
#[derive(Debug)]
pub struct Minibatch<T> {
    /// (room for rows, D).
    buffer: Matrix<T>,
    labels: Vec<u8>,
    rows: usize,
}

impl<T: Real> Minibatch<T> {
    /// A minibatch that is there already: X (B, D) and y (B).
    ///
    /// # Panics
    /// They differ in rows.
    pub fn of(x: Array2<T>, labels: Vec<u8>) -> Self {
        assert_eq!(x.nrows(), labels.len(), "one label a row");
        let mut batch = Self::new(x.nrows(), x.ncols());
        batch.buffer.view_mut().assign(&x);
        Self { rows: labels.len(), labels, ..batch }
    }

    /// X (B, D) as last gathered.
    pub fn x(&self) -> ArrayView2<'_, T> {
        self.buffer.top(self.rows)
    }

    /// Everything that the buffer has room for: X, and below it whatever was there before. Products read all of it, so that they have the
    /// same shape, and so the same bits, for the last rows of a split.
    pub fn buffer(&self) -> ArrayView2<'_, T> {
        self.buffer.view()
    }
}

impl<T: Real> Batch<T> for Minibatch<T> {
    fn new(rows: usize, inputs: usize) -> Self {
        Self { buffer: Matrix::zeros(rows, inputs), labels: vec![0; rows], rows: 0 }
    }

    fn gather(&mut self, from: &Source<'_, T>, rows: impl ExactSizeIterator<Item = usize>) {
        let Source::Bytes { rows: from, mean } = *from;
        let inputs = self.buffer.columns();
        assert_eq!(mean.len(), inputs, "rows have as many numbers as the buffer");
        self.rows = rows.len();
        assert!(self.rows <= self.buffer.rows(), "{} rows do not fit a buffer of {}", self.rows, self.buffer.rows());
        let source = |row: usize| &from.pixels[row * inputs..(row + 1) * inputs];
        let mut rows = rows.peekable();
        for (place, label) in self.labels.iter_mut().enumerate() {
            let Some(row) = rows.next() else { break };
            if let Some(&next) = rows.peek() {
                // Rows come from anywhere in memory: the next one is on its way while this one is decoded.
                std::hint::black_box(source(next).iter().step_by(64).fold(0, |sum: u8, &byte| sum ^ byte));
            }
            *label = from.labels[row];
            decode(self.buffer.row_mut(place), source(row), mean);
        }
    }

    fn labels(&self) -> &[u8] {
        &self.labels[..self.rows]
    }
}

/// A row of bytes, less the mean image.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn decode<T: Real>(target: &mut [T], source: &[u8], mean: &[T]) {
    for ((value, &byte), &mean) in target.iter_mut().zip(source).zip(mean) {
        *value = T::from_byte(byte) - mean;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dataset::Rows;

    #[test]
    fn an_epoch_of_shuffled_sampling_holds_every_row_once_and_epochs_differ() {
        let mut sampler = Sampler::new(3, Sampling::Shuffle, 10);
        let mut epoch = || {
            let mut rows = [0; 10];
            rows.chunks_mut(5).for_each(|batch| sampler.draw(batch));
            rows
        };
        let (first, second) = (epoch(), epoch());
        let sorted = |mut rows: [u32; 10]| {
            rows.sort_unstable();
            rows
        };
        assert_eq!(sorted(first), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(sorted(second), sorted(first));
        assert_ne!(first, second);
    }

    #[test]
    fn sampling_with_replacement_replays_and_stays_in_range() {
        let draw = |seed| {
            let mut rows = [0; 1000];
            Sampler::new(seed, Sampling::Replacement, 7).draw(&mut rows);
            rows
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!((0..7).all(|row| draw(1).contains(&row)) && draw(1).iter().all(|&row| row < 7));
    }

    #[test]
    fn gather_brings_rows_and_labels_and_subtracts_the_mean() {
        let from = Rows { pixels: &[1, 2, 3, 4, 5, 6], labels: &[7, 8, 9] };
        let mut batch = Minibatch::<f32>::new(3, 2);
        batch.gather(&Source::Bytes { rows: from, mean: &[0.5, 1.0] }, [2, 0].into_iter());
        assert_eq!(batch.x(), ndarray::array![[4.5, 5.0], [0.5, 1.0]]);
        assert_eq!(batch.labels(), [9, 7]);
    }
}
