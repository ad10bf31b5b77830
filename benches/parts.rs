//! The parts of an iteration, each alone: `cargo bench`. Hidden 50, batch 200, 3072 inputs, f32, one thread.

use divan::{Bencher, black_box};
use mlpgrid::blas;
use mlpgrid::blas::lanes::Lanes;
use mlpgrid::data::cifar::PIXELS;
use mlpgrid::data::dataset::Rows;
use mlpgrid::data::minibatch::{Minibatch, Sampler, Sampling};
use mlpgrid::model::TwoLayerNet;
use mlpgrid::model::cohort::{Cohort, Start};
use mlpgrid::model::second_layer::{SecondLayer, UnitRows, Update};
use mlpgrid::random::{self, Purpose};
use mlpgrid::train;
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

/// Rows of V for so many networks.
fn places(members: usize) -> usize {
    lanes().places(&vec![HIDDEN; members]).1
}

fn lanes() -> Lanes {
    train::lanes::<f32>(PIXELS, BATCH).unwrap_or_else(Lanes::alone)
}

#[divan::bench(args = [1, 4, 8, 16])]
fn forward(bencher: Bencher, members: usize) {
    let rows = places(members);
    let (x, v, mut z) = (filled(BATCH, PIXELS), filled(rows, PIXELS), filled(rows, BATCH));
    bencher.bench_local(|| general_mat_mul(1.0, &v, &x.t(), 0.0, black_box(&mut z)));
}

#[divan::bench(args = [1, 4, 8, 16])]
fn backward(bencher: Bencher, members: usize) {
    let rows = places(members);
    let (x, mut v, delta) = (filled(BATCH, PIXELS), filled(rows, PIXELS), filled(rows, BATCH) * 1e-9);
    bencher.bench_local(|| general_mat_mul(1.0, &delta, &x, 1.0, black_box(&mut v)));
}

/// What stands between the products, for one trial.
#[divan::bench]
fn middle(bencher: Bencher) {
    let network = network(0);
    let mut layer = SecondLayer { b1: network.b1, w2: network.w2, b2: network.b2 };
    let (z, labels) = (filled(HIDDEN, BATCH) * 1e-3, labels());
    let (mut wide, mut work) = (z.clone(), vec![0.0; 11 * BATCH]);
    let places: Vec<usize> = (0..HIDDEN).collect();
    let update = Update { scale: 1.0, rate: 1e-4, decay: 1.0, delta_factor: 1e-4 };
    bencher.bench_local(|| {
        wide.assign(&z);
        let wide = wide.as_slice_mut().expect("contiguous");
        let mut units = UnitRows { wide, columns: BATCH, places: &places };
        assert!(layer.update(&mut units, &labels, update, black_box(&mut work)).is_finite());
    });
}

#[divan::bench(args = [1, 4, 8, 16])]
fn iteration(bencher: Bencher, members: usize) {
    let start = |seed| Start::of(network(seed), 0.1, 1e-4);
    let mut cohort = Cohort::new((0..members as u64).map(start).collect(), lanes());
    let batch = Minibatch::of(filled(BATCH, PIXELS), labels());
    let (mut scratch, mut losses) = (cohort.scratch(BATCH), vec![0.0; members]);
    bencher.bench_local(|| cohort.iterate(&batch, &mut scratch, black_box(&mut losses)));
    assert!(losses.iter().all(|loss| loss.is_finite()));
}

fn network(seed: u64) -> TwoLayerNet<f32> {
    TwoLayerNet::random(PIXELS, HIDDEN, 10, 1e-4, &mut random::stream(seed, Purpose::Init, 0))
}

fn labels() -> Vec<u8> {
    (0..BATCH).map(|row| (row % 10) as u8).collect()
}
