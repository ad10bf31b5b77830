//! The parts of an iteration, each alone: `cargo bench`. Hidden 50, batch 200, 3072 inputs, f32, one thread.

use divan::{Bencher, black_box};
use mlpgrid::blas;
use mlpgrid::data::cifar::PIXELS;
use mlpgrid::data::dataset::Rows;
use mlpgrid::data::minibatch::{Minibatch, Sampler, Sampling};
use mlpgrid::model::TwoLayerNet;
use mlpgrid::model::cohort::Cohort;
use mlpgrid::random::{self, Purpose};
use ndarray::Array2;
use ndarray::linalg::general_mat_mul;

const BATCH: usize = 200;
const HIDDEN: usize = 50;
const ROWS: usize = 10_000;

fn main() {
    blas::initialise().expect("OpenBLAS takes one thread");
    divan::main();
}

/// Images that cost what real ones cost: more of them than any cache holds.
fn images() -> (Vec<u8>, Vec<u8>) {
    let pixels = (0..ROWS * PIXELS).map(|at| (at * 31 % 251) as u8).collect();
    (pixels, (0..ROWS).map(|row| (row % 10) as u8).collect())
}

fn draw(sampler: &mut Sampler) -> [u32; BATCH] {
    let mut rows = [0; BATCH];
    sampler.draw(&mut rows);
    rows
}

#[divan::bench]
fn gather(bencher: Bencher) {
    let (pixels, labels) = images();
    let mut sampler = Sampler::new(0, Sampling::Replacement, ROWS);
    let (mut batch, mean) = (Minibatch::<f32>::new(BATCH, PIXELS), vec![120.5; PIXELS]);
    bencher.bench_local(|| {
        let rows = draw(&mut sampler);
        batch.gather(Rows { pixels: &pixels, labels: &labels }, &mean, rows.iter().map(|&row| row as usize));
        black_box(&batch);
    });
}

fn filled(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(row, column)| ((row * 7 + column * 13) % 17) as f32 - 8.0)
}

#[divan::bench(args = [1, 4, 8, 16])]
fn forward(bencher: Bencher, members: usize) {
    let (x, v, mut z) = (filled(BATCH, PIXELS), filled(PIXELS, members * HIDDEN), filled(BATCH, members * HIDDEN));
    bencher.bench_local(|| general_mat_mul(1.0, &x, &v, 0.0, black_box(&mut z)));
}

#[divan::bench(args = [1, 4, 8, 16])]
fn backward(bencher: Bencher, members: usize) {
    let (x, mut v, delta) =
        (filled(BATCH, PIXELS), filled(PIXELS, members * HIDDEN), filled(BATCH, members * HIDDEN) * 1e-9);
    bencher.bench_local(|| general_mat_mul(1.0, &x.t(), &delta, 1.0, black_box(&mut v)));
}

#[divan::bench(args = [1, 4, 8, 16])]
fn iteration(bencher: Bencher, members: usize) {
    let net = |seed| TwoLayerNet::<f32>::random(PIXELS, HIDDEN, 10, 1e-4, &mut random::stream(seed, Purpose::Init, 0));
    let mut cohort = Cohort::new((0..members as u64).map(|seed| (net(seed), 0.1, 1e-4)).collect());
    let batch = Minibatch::of(filled(BATCH, PIXELS), (0..BATCH).map(|row| (row % 10) as u8).collect());
    let (mut scratch, mut losses) = (cohort.scratch(BATCH), vec![0.0; members]);
    bencher.bench_local(|| cohort.iterate(&batch, &mut scratch, black_box(&mut losses)));
    assert!(losses.iter().all(|loss| loss.is_finite()));
}
