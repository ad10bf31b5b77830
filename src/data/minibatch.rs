//! Bringing the rows of a minibatch together: the gather into the caller's buffer.

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2};

use super::prepare::Source;
use crate::blas::matrix::Matrix;
use crate::real::Real;

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
    use crate::data::images::Rows;

    #[test]
    fn gather_brings_rows_and_labels_and_subtracts_the_mean() {
        let from = Rows { pixels: &[1, 2, 3, 4, 5, 6], labels: &[7, 8, 9] };
        let mut batch = Minibatch::<f32>::new(3, 2);
        batch.gather(&Source::Bytes { rows: from, mean: &[0.5, 1.0] }, [2, 0].into_iter());
        assert_eq!(batch.x(), ndarray::array![[4.5, 5.0], [0.5, 1.0]]);
        assert_eq!(batch.labels(), [9, 7]);
    }
}
