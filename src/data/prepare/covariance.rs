//! The covariance of pixels, exact up to one last division: no BLAS kernel and no number of threads shows in it.
//!
//! Bytes less 128 are at most 128 in size, so sums of 1,024 of their products are below 2²⁴ and exact in f32, whatever their order: blocks of
//! so many rows are multiplied in f32, and added in 64-bit integers. Other numbers are multiplied in f64 by the BLAS, whose kernel shows.

use std::ops::Range;
use std::thread;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, s};

use super::moments;
use crate::data::images::{RowValues, Rows};

/// Rows whose products sum exactly in f32.
const BLOCK: usize = 1024;
/// Columns of the covariance that one thread sums at a time.
const PANEL: usize = 512;

/// The covariance (D, D) of images of `inputs` numbers, divided by their number.
pub fn covariance(rows: Rows<'_>, inputs: usize) -> Array2<f64> {
    match rows.values {
        RowValues::Bytes(values) => of_bytes(values, inputs),
        RowValues::Floats(values) => of_floats(values, &moments::means(rows, inputs)),
    }
}

/// What `panel` makes of each run of columns, at once.
///
/// Threads of its own: a thread of a pool that waits for others may begin another cohort meanwhile, and want what is made here.
fn panels<T: Send>(inputs: usize, panel: impl Fn(Range<usize>) -> Array2<T> + Sync) -> Vec<(usize, Array2<T>)> {
    thread::scope(|scope| {
        let panel = &panel;
        let spawn = |start| (start, scope.spawn(move || panel(start..(start + PANEL).min(inputs))));
        let threads: Vec<_> = (0..inputs).step_by(PANEL).map(spawn).collect();
        let join = |(start, thread): (usize, thread::ScopedJoinHandle<'_, _>)| {
            (start, thread.join().expect("sums do not panic"))
        };
        threads.into_iter().map(join).collect()
    })
}

/// Fills a symmetric matrix with what `entry` makes of each sum on or above the diagonal, and its mirror image.
fn symmetric<T: Copy>(
    inputs: usize,
    panels: Vec<(usize, Array2<T>)>,
    entry: impl Fn(usize, usize, T) -> f64,
) -> Array2<f64> {
    let mut matrix = Array2::zeros((inputs, inputs));
    for (start, panel) in panels {
        for ((row, column), &sum) in panel.indexed_iter() {
            let column = start + column;
            if row <= column {
                matrix[[row, column]] = entry(row, column, sum);
                matrix[[column, row]] = matrix[[row, column]];
            }
        }
    }
    matrix
}

fn of_bytes(values: &[u8], inputs: usize) -> Array2<f64> {
    let count = values.len() / inputs;
    let panels = panels(inputs, |columns| panel(values, inputs, columns));
    let mut sums = vec![0_i64; inputs];
    for row in values.chunks_exact(inputs) {
        sums.iter_mut().zip(row).for_each(|(sum, &pixel)| *sum += i64::from(pixel) - 128);
    }
    let squared = (count as f64) * (count as f64);
    symmetric(inputs, panels, |row, column, product| {
        let numerator = product as i128 * count as i128 - sums[row] as i128 * sums[column] as i128;
        numerator as f64 / squared
    })
}

fn of_floats(values: &[f32], means: &[f64]) -> Array2<f64> {
    let inputs = means.len();
    let count = (values.len() / inputs) as f64;
    symmetric(inputs, panels(inputs, |columns| panel_of_floats(values, means, columns)), |_, _, sum| sum / count)
}

/// Columns of XᵀX, down to the last row on or above the diagonal, for X the rows less their means.
fn panel_of_floats(values: &[f32], means: &[f64], columns: Range<usize>) -> Array2<f64> {
    let inputs = means.len();
    let mut sums = Array2::zeros((columns.end, columns.len()));
    let mut numbers = vec![0.0_f64; BLOCK * inputs];
    for block in values.chunks(BLOCK * inputs) {
        for (row, values) in numbers.chunks_exact_mut(inputs).zip(block.chunks_exact(inputs)) {
            row.iter_mut().zip(values).zip(means).for_each(|((x, &value), mean)| *x = f64::from(value) - mean);
        }
        let x = ArrayView2::from_shape((block.len() / inputs, inputs), &numbers[..block.len()]);
        let x = x.expect("whole rows");
        let (left, right) = (x.slice(s![.., ..columns.end]), x.slice(s![.., columns.clone()]));
        general_mat_mul(1.0, &left.t(), &right, 1.0, &mut sums);
    }
    sums
}

/// Columns of XᵀX, down to the last row on or above the diagonal, for X the bytes less 128.
fn panel(values: &[u8], inputs: usize, columns: Range<usize>) -> Array2<i64> {
    let mut sums = Array2::<i64>::zeros((columns.end, columns.len()));
    let mut product = Array2::<f32>::zeros((columns.end, columns.len()));
    let mut numbers = vec![0.0_f32; BLOCK * inputs];
    for bytes in values.chunks(BLOCK * inputs) {
        numbers.iter_mut().zip(bytes).for_each(|(number, &byte)| *number = f32::from(byte) - 128.0);
        let x = ArrayView2::from_shape((bytes.len() / inputs, inputs), &numbers[..bytes.len()]);
        let x = x.expect("whole rows");
        let (left, right) = (x.slice(s![.., ..columns.end]), x.slice(s![.., columns.clone()]));
        general_mat_mul(1.0, &left.t(), &right, 0.0, &mut product);
        sums.zip_mut_with(&product, |sum, &product| *sum += product as i64);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_covariance_and_symmetric() {
        let inputs = 5;
        let pixels: Vec<u8> =
            (0..2500 * inputs as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
        let labels = vec![0; 2500];
        let found = covariance(Rows::of_bytes(&pixels, &labels), inputs);
        // The same numbers, times a half, as floats: a quarter of it.
        let floats: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel) / 2.0).collect();
        let of_floats = covariance(Rows::of_floats(&floats, &labels), inputs) * 4.0;
        for (of_bytes, of_floats) in found.iter().zip(&of_floats) {
            assert!((of_bytes - of_floats).abs() < 1e-9 * of_bytes.abs().max(1.0), "{of_bytes} {of_floats}");
        }
        let of = |input: usize| pixels.iter().skip(input).step_by(inputs).map(|&pixel| f64::from(pixel));
        let mean = |input: usize| of(input).sum::<f64>() / 2500.0;
        for row in 0..inputs {
            for column in 0..inputs {
                let products = of(row).zip(of(column)).map(|(a, b)| (a - mean(row)) * (b - mean(column)));
                let expected = products.sum::<f64>() / 2500.0;
                assert!((found[[row, column]] - expected).abs() < 1e-8 * expected.abs().max(1.0));
                assert_eq!(found[[row, column]], found[[column, row]]);
            }
        }
    }
}
