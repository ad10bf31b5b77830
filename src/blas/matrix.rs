//! Matrices as OpenBLAS reads and writes them fastest: rows that begin on a cache line, with a gap behind each.
//!
//! Rows of 3072 floats are three pages long: without a gap a column falls into one set of the first-level cache, of which OpenBLAS
//! reads 4 to 16 rows at a time. A gap in the minibatch makes an iteration 1 to 2 % faster, one in the weights 2 % more (cohorts of 16
//! networks of 50 units, batches of 200, AVX-512). Vectors of 64 bytes that lie across two cache lines are loaded and stored as two:
//! rows on cache lines make the backward product alone 0.9 % faster, the forward product 0.4 %.

use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

use crate::real::Real;

/// Bytes of a cache line, and of a vector of AVX-512.
const LINE: usize = 64;

/// A row-major matrix.
#[derive(Debug)]
pub struct Matrix<T> {
    numbers: Vec<T>,
    /// Where in `numbers` the first row begins.
    start: usize,
    rows: usize,
    columns: usize,
    /// From a row to the next.
    stride: usize,
}

impl<T: Real> Matrix<T> {
    /// Zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        let line = LINE / size_of::<T>();
        let stride = columns.next_multiple_of(line) + line;
        // Even a view of no rows wants room for one.
        let numbers = vec![T::zero(); rows.max(1) * stride + line];
        // Numbers until the next cache line; where that is not known, the matrix is only slower.
        let start = Some(numbers.as_ptr().align_offset(LINE)).filter(|&start| start <= line).unwrap_or(0);
        Self { numbers, start, rows, columns, stride }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All of it, (rows, columns).
    pub fn view(&self) -> ArrayView2<'_, T> {
        self.top(self.rows)
    }

    /// The first `rows` rows.
    ///
    /// # Panics
    /// There are fewer.
    pub fn top(&self, rows: usize) -> ArrayView2<'_, T> {
        let shape = (rows, self.columns).strides((self.stride, 1));
        ArrayView2::from_shape(shape, &self.numbers[self.start..]).expect("there are as many rows")
    }

    /// All of it, to be written to.
    pub fn view_mut(&mut self) -> ArrayViewMut2<'_, T> {
        let shape = (self.rows, self.columns).strides((self.stride, 1));
        ArrayViewMut2::from_shape(shape, &mut self.numbers[self.start..]).expect("there are as many rows")
    }

    /// Row `row`.
    ///
    /// # Panics
    /// There is none of that number.
    pub fn row(&self, row: usize) -> &[T] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        &self.numbers[self.start + row * self.stride..][..self.columns]
    }

    /// All rows, to be split among threads.
    pub fn rows_mut(&mut self) -> RowsMut<'_, T> {
        RowsMut {
            numbers: &mut self.numbers[self.start..],
            rows: self.rows,
            columns: self.columns,
            stride: self.stride,
        }
    }

    /// Row `row`, to be written to.
    ///
    /// # Panics
    /// There is none of that number.
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        &mut self.numbers[self.start + row * self.stride..][..self.columns]
    }
}

/// Some rows of a [`Matrix`], to be written to.
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    numbers: &'a mut [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<T> RowsMut<'_, T> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The first `rows` rows, and the others.
    ///
    /// # Panics
    /// There are fewer.
    pub fn split_at(self, rows: usize) -> (Self, Self) {
        let Self { numbers, rows: all, columns, stride } = self;
        let (first, others) = numbers.split_at_mut(rows * stride);
        (Self { numbers: first, rows, columns, stride }, Self { numbers: others, rows: all - rows, columns, stride })
    }

    /// All of them, to be written to.
    pub fn view_mut(&mut self) -> ArrayViewMut2<'_, T> {
        let shape = (self.rows, self.columns).strides((self.stride, 1));
        ArrayViewMut2::from_shape(shape, self.numbers).expect("there are as many rows")
    }

    /// Row `row`, to be written to.
    ///
    /// # Panics
    /// There is none of that number.
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        &mut self.numbers[row * self.stride..][..self.columns]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_begin_on_cache_lines_and_views_show_them<T: Real>() {
        for (rows, columns) in [(0, 5), (0, 40), (1, 1), (3, 3072), (7, 13)].repeat(20) {
            let mut matrix = Matrix::<T>::zeros(rows, columns);
            for row in 0..rows {
                let numbers = (0..columns).map(|column| T::from_f64((row * columns + column) as f64));
                matrix.row_mut(row).iter_mut().zip(numbers).for_each(|(place, number)| *place = number);
                assert_eq!(matrix.row(row).as_ptr().align_offset(LINE), 0);
            }
            assert!(matrix.view().indexed_iter().all(|((row, column), &n)| n == matrix.row(row)[column]));
            assert_eq!((matrix.view().dim(), matrix.view_mut().dim()), ((rows, columns), (rows, columns)));
            assert_eq!(matrix.top(rows / 2).nrows(), rows / 2);
        }
    }

    #[test]
    fn rows_begin_on_cache_lines_and_views_show_them_in_both_precisions() {
        rows_begin_on_cache_lines_and_views_show_them::<f32>();
        rows_begin_on_cache_lines_and_views_show_them::<f64>();
    }
}
