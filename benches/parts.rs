//! The parts of an iteration, each alone: `cargo bench`. Hidden 50, batch 200, 3072 inputs, f32, one thread.

use divan::{Bencher, black_box};
use mlpgrid::blas;
use mlpgrid::blas::lanes::Lanes;
use mlpgrid::data::images::Label;
use mlpgrid::data::minibatch::{Batch, Minibatch};
use mlpgrid::data::prepare::{Applied, Source};
use mlpgrid::data::sampler::{Sampler, Sampling};
use mlpgrid::data::sets::cifar::PIXELS;
use mlpgrid::model::TwoLayerNet;
use mlpgrid::model::cohort::{Cohort, Step};
use mlpgrid::model::functions::OfPlatform;
use mlpgrid::model::head::{Head, UnitRows};
use mlpgrid::model::optimizer::{Factors, Method, Rule};
use mlpgrid::model::softmax::softmax_loss;
use mlpgrid::model::wide::Wide;
use mlpgrid::model::wide::blas::Blas;
use mlpgrid::random::{self, Purpose};
use mlpgrid::train::evaluation::shape;
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
fn images() -> (Vec<u8>, Vec<Label>) {
    let pixels = (0..ROWS * PIXELS).map(|at| (at * 31 % 251) as u8).collect();
    (pixels, (0..ROWS).map(|row| (row % 10) as Label).collect())
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
        let by = Applied { mean: &mean, factor: None, projection: None };
        let images = Source::Bytes { values: &pixels, labels: &labels, by };
        batch.gather(&images, rows.iter().map(|&row| row as usize), None);
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
    Blas::<f32>::lanes(shape(PIXELS, BATCH)).unwrap_or_else(Lanes::alone)
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
    let mut head = Head { b1: network.b1, w2: network.w2, b2: network.b2 };
    let mut gradient = Head::zeros(HIDDEN, 10);
    let (z, labels) = (filled(HIDDEN, BATCH) * 1e-3, labels());
    let (mut wide, mut work) = (z.clone(), vec![0.0; 11 * BATCH]);
    let places: Vec<usize> = (0..HIDDEN).collect();
    let scalars = Method::default().scalars(0, 1e-4, Factors::default());
    bencher.bench_local(|| {
        wide.assign(&z);
        let mut units = UnitRows { wide: wide.view_mut(), places: &places };
        let (scores, d_activations) = work.split_at_mut(10 * BATCH);
        head.scores(&mut units, 1.0, None, scores);
        assert!(softmax_loss::<f32, OfPlatform>(scores, &labels, 0.0).is_finite());
        head.backward(&mut units, scores, [scalars.delta as f32, 1.0], black_box(&mut gradient), d_activations);
        for (parameters, gradient) in head.parameters_mut().into_iter().zip(gradient.parameters()) {
            Rule::Sgd.apply(&scalars, parameters, &mut [], gradient);
        }
    });
}

#[divan::bench(args = [1, 4, 8, 16])]
fn iteration(bencher: Bencher, members: usize) {
    let member = |seed| (network(seed), Method::descent(0.1));
    let mut cohort = Cohort::<Blas<f32>>::new((0..members as u64).map(member).collect(), lanes());
    let batch = Minibatch::of(filled(BATCH, PIXELS), labels());
    let mut steps = vec![Step { iteration: 0, rate: 1e-4, ..Step::default() }; members];
    let mut scratch = cohort.scratch(BATCH);
    bencher.bench_local(|| cohort.iterate(&batch, &mut scratch, black_box(&mut steps)));
    assert!(steps.iter().all(|step| step.data_loss.is_finite()));
}

fn network(seed: u64) -> TwoLayerNet<f32> {
    TwoLayerNet::random(PIXELS, HIDDEN, 10, [1e-4; 2], &mut random::stream(seed, Purpose::Init, 0))
}

fn labels() -> Vec<Label> {
    (0..BATCH).map(|row| (row % 10) as Label).collect()
}
