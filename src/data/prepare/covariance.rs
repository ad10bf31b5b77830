//! The covariance of pixels, exact up to one last division: no BLAS kernel and no number of threads shows in it.
//!
//! Bytes less 128 are at most 128 in size, so sums of 1,024 of their products are below 2²⁴ and exact in f32, whatever their order: blocks of
//! so many rows are multiplied in f32, and added in 64-bit integers.

use std::thread;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, s};

use crate::data::images::Rows;

/// Rows whose products sum exactly in f32.
const BLOCK: usize = 1024;
/// Columns of the covariance that one thread sums at a time.
const PANEL: usize = 512;

/// The covariance (D, D) of images of `inputs` numbers, divided by their number.
pub fn covariance(rows: Rows<'_>, inputs: usize) -> Array2<f64> {
    let count = rows.len();
    // Threads of its own: a thread of a pool that waits for others may begin another cohort meanwhile, and want what is made here.
    let panels: Vec<(usize, Array2<i64>)> = thread::scope(|scope| {
        let spawn = |start| (start, scope.spawn(move || panel(rows, inputs, start..(start + PANEL).min(inputs))));
        let threads: Vec<_> = (0..inputs).step_by(PANEL).map(spawn).collect();
        let join = |(start, thread): (usize, thread::ScopedJoinHandle<'_, _>)| {
            (start, thread.join().expect("sums do not panic"))
        };
        threads.into_iter().map(join).collect()
    });
    let mut sums = vec![0_i64; inputs];
    for row in rows.pixels.chunks_exact(inputs) {
        sums.iter_mut().zip(row).for_each(|(sum, &pixel)| *sum += i64::from(pixel) - 128);
    }
    let squared = (count as f64) * (count as f64);
    let mut covariance = Array2::zeros((inputs, inputs));
    for (start, panel) in panels {
        for ((row, column), &product) in panel.indexed_iter() {
            let column = start + column;
            // Each entry on or above the diagonal, and its mirror image.
            if row <= column {
                let numerator = product as i128 * count as i128 - sums[row] as i128 * sums[column] as i128;
                covariance[[row, column]] = numerator as f64 / squared;
                covariance[[column, row]] = covariance[[row, column]];
            }
        }
    }
    covariance
}

/// Columns of XᵀX, down to the last row on or above the diagonal, for X the bytes less 128.
fn panel(rows: Rows<'_>, inputs: usize, columns: std::ops::Range<usize>) -> Array2<i64> {
    let mut sums = Array2::<i64>::zeros((columns.end, columns.len()));
    let mut product = Array2::<f32>::zeros((columns.end, columns.len()));
    let mut numbers = vec![0.0_f32; BLOCK * inputs];
    for bytes in rows.pixels.chunks(BLOCK * inputs) {
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
        let found = covariance(Rows { pixels: &pixels, labels: &labels }, inputs);
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
