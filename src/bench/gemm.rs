//! The rate of large products with all workers busy: what this machine can do at all.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use ndarray::Array2;
use ndarray::linalg::general_mat_mul;

use super::Start;
use crate::blas;

/// Rows and columns of a large square product.
pub const SIZE: usize = 2048;

/// Bytes of the matrices of one worker.
pub fn bytes(size: usize) -> usize {
    3 * size * size * size_of::<f32>()
}

/// GFLOP/s of f32 products of `size` × `size` matrices by `workers` threads at once, together, over about `duration`. `others` returns
/// when those of other processes are prepared too.
pub fn gflops(workers: usize, size: usize, duration: Duration, others: &(dyn Fn() + Sync)) -> f64 {
    let start = Start::new(workers, others);
    let rate = || {
        blas::set_one_thread();
        let matrix = |seed: usize| {
            Array2::from_shape_fn((size, size), |(row, column)| ((row * 7 + column * 13 + seed) % 17) as f32 - 8.0)
        };
        let (a, b, mut c) = (matrix(0), matrix(5), Array2::zeros((size, size)));
        let mut multiply = || general_mat_mul(1.0, &a, &b, 0.0, black_box(&mut c));
        multiply(); // pages are touched, buffers are there
        start.wait();
        let (started, mut products) = (Instant::now(), 0);
        while started.elapsed() < duration || products == 0 {
            multiply();
            products += 1;
        }
        f64::from(products) * 2.0 * (size as f64).powi(3) / started.elapsed().as_secs_f64() / 1e9
    };
    if workers == 1 {
        return rate();
    }
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(rate)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
    })
}
