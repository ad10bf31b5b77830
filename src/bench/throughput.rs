//! The rate of training, cell by cell: hidden units, batch size, cohort width.
//!
//! Inside the timer: sampling, gather, forward, second layer with loss, backward, update, on every worker at once, over random images
//! that no cache holds. Outside: the first weights, evaluation (1,000 validation rows once an epoch: some 2 % more products), records.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Start as Timing;
use crate::blas;
use crate::blas::lanes::Lanes;
use crate::data::images::{Label, Rows};
use crate::data::minibatch::{Batch, Changes, ImageChanges};
use crate::data::prepare::{Fitted, Prepared};
use crate::data::sampler::{Sampler, Sampling};
use crate::data::sets::cifar::{PIXELS, SHAPE};
use crate::integer::{Int8, Int16};
use crate::model::cohort::{Cohort, Step};
use crate::model::optimizer::Optimizer;
use crate::model::wide::Wide;
use crate::model::wide::blas::Blas;
use crate::model::wide::integer::Integer;
use crate::model::{Hyperparameters, TwoLayerNet};
use crate::random::{self, Purpose};
use crate::real::Precision;
use crate::train::evaluation::shape;
use crate::train::fit;
use crate::train::lockstep::Lockstep;

/// Random images: as many bytes as no cache holds.
const ROWS: usize = 20_000;
const CLASSES: usize = 10;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// H.
    pub hidden: usize,
    /// B.
    pub batch_size: usize,
    /// K: trials of each worker's cohort.
    pub cohort: usize,
    /// The update rule.
    pub optimizer: Optimizer,
    /// What its trials are trained in.
    pub precision: Precision,
    /// Whether half of the images are mirrored, and all shifted by up to 4 pixels.
    pub is_augmented: bool,
}

impl Cell {
    /// Bytes that a worker needs for its cohort.
    pub fn bytes(self) -> usize {
        fit(&self.trial(), PIXELS).bytes(self.hidden * self.cohort)
    }

    /// The configuration of its trials.
    pub fn trial(self) -> Hyperparameters {
        let Self { hidden, batch_size, optimizer, precision, is_augmented, .. } = self;
        let (mirror, shift) = if is_augmented { (0.5, 4) } else { (0.0, 0) };
        Hyperparameters { hidden, batch_size, optimizer, precision, mirror, shift, ..Hyperparameters::default() }
    }
}

/// Random images and labels; none before they are needed.
#[derive(Clone, Debug, Default)]
pub struct Images {
    pixels: Vec<u8>,
    labels: Vec<Label>,
}

impl Images {
    /// In memory.
    pub const BYTES: u64 = (ROWS * (PIXELS + size_of::<Label>())) as u64;

    /// As many as no cache holds.
    pub fn random() -> Self {
        let mut stream = random::stream(0, Purpose::SyntheticImages, 0);
        let mut pixels = vec![0; ROWS * PIXELS];
        stream.fill_bytes(&mut pixels);
        Self { pixels, labels: (0..ROWS).map(|_| stream.random_range(0..CLASSES as Label)).collect() }
    }

    /// These, drawn now if they were not needed before.
    pub fn filled(&mut self) -> &Self {
        if self.labels.is_empty() {
            *self = Self::random();
        }
        self
    }

    fn rows(&self) -> Rows<'_> {
        Rows::of_bytes(&self.pixels, &self.labels)
    }
}

/// One worker's cohort and buffers, ready to iterate.
struct Bench<'a, W: Wide> {
    images: &'a Images,
    prepared: Prepared<W::Real>,
    lockstep: Lockstep<W>,
    steps: Vec<Step>,
}

impl<'a, W: Wide> Bench<'a, W> {
    fn new(images: &'a Images, cell: Cell) -> Self {
        let network = |seed| {
            TwoLayerNet::random(PIXELS, cell.hidden, CLASSES, [1e-4; 2], &mut random::stream(seed, Purpose::Init, 0))
        };
        let trial = cell.trial();
        let method = trial.method();
        let lanes = W::lanes(shape(PIXELS, cell.batch_size)).unwrap_or_else(Lanes::alone);
        let networks = (0..cell.cohort).map(|trial| (network(trial as u64), method)).collect();
        let sampler = Sampler::new(0, Sampling::Replacement, ROWS);
        let mut lockstep = Lockstep::new(Cohort::new(networks, lanes), sampler, cell.batch_size, PIXELS);
        lockstep.changes = cell.is_augmented.then(|| Changes {
            shape: SHAPE,
            images: ImageChanges::Drawn(trial.augment()),
            input_dropout: 0.0,
            seed: 0,
            iteration: 0,
        });
        Self {
            images,
            prepared: Fitted::of_mean(vec![127.5; PIXELS]).prepared(),
            lockstep,
            steps: vec![Step { iteration: 0, rate: 1e-5, ..Step::default() }; cell.cohort],
        }
    }

    fn gather(&mut self) {
        self.lockstep.gather(&self.prepared.source(self.images.rows()), 0);
    }

    fn iterate(&mut self) {
        self.lockstep.iterate(&self.prepared.source(self.images.rows()), black_box(&mut self.steps));
    }

    /// The timed work was real: the losses are those of networks that learn nothing from random labels.
    fn check(&self) {
        assert!(
            self.steps.iter().all(|step| (1.5..4.0).contains(&step.data_loss)),
            "losses of random labels are near ln 10: {:?}",
            self.steps
        );
    }
}

/// What is measured of an arithmetic.
struct Measures {
    rate: Measure<f64>,
    parts: Measure<Breakdown>,
}

/// Measures trials of a cell, by so many workers at once, for so long; the last argument returns when other processes are prepared too.
type Measure<R> = fn(&Images, Cell, usize, Duration, &(dyn Fn() + Sync)) -> R;

fn measures(precision: Precision) -> Measures {
    fn of<W: Wide>() -> Measures {
        Measures { rate: rate::<W>, parts: parts_of::<W> }
    }
    match precision {
        Precision::F32 => of::<Blas<f32>>(),
        Precision::F64 => of::<Blas<f64>>(),
        Precision::Int8 => of::<Integer<Int8>>(),
        Precision::Int16 => of::<Integer<Int16>>(),
    }
}

/// Trial-iterations a second of `workers` cohorts at once, over about `duration`. `others` returns when those of other processes are
/// prepared too.
pub fn trial_iterations_per_second(
    images: &Images,
    cell: Cell,
    workers: usize,
    duration: Duration,
    others: &(dyn Fn() + Sync),
) -> f64 {
    (measures(cell.precision).rate)(images, cell, workers, duration, others)
}

fn rate<W: Wide>(images: &Images, cell: Cell, workers: usize, duration: Duration, others: &(dyn Fn() + Sync)) -> f64 {
    let timing = Timing::new(workers, others);
    let rate = || {
        blas::set_one_thread();
        let mut bench = Bench::<W>::new(images, cell);
        bench.iterate(); // pages are touched, buffers are there
        timing.wait();
        let (started, mut iterations) = (Instant::now(), 0);
        while started.elapsed() < duration || iterations < 2 {
            bench.iterate();
            iterations += 1;
        }
        let seconds = started.elapsed().as_secs_f64();
        bench.check();
        f64::from(iterations) * cell.cohort as f64 / seconds
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(rate)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a worker of the bench does not panic")).sum()
    })
}

/// Where the time of an iteration goes, in microseconds, on one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Breakdown {
    /// Sampling and gather.
    pub gather_micros: f64,
    /// First wide product.
    pub forward_micros: f64,
    /// Second layers, softmax, losses, deltas.
    pub middle_micros: f64,
    /// Second wide product.
    pub backward_micros: f64,
}

impl Breakdown {
    /// All of an iteration.
    pub fn total_micros(&self) -> f64 {
        self.gather_micros + self.forward_micros + self.middle_micros + self.backward_micros
    }
}

/// Measures the parts of iterations while all workers are busy; medians over the iterations of one of them. `others` returns when those
/// of other processes are prepared too.
pub fn breakdown(
    images: &Images,
    cell: Cell,
    workers: usize,
    duration: Duration,
    others: &(dyn Fn() + Sync),
) -> Breakdown {
    (measures(cell.precision).parts)(images, cell, workers, duration, others)
}

fn parts_of<W: Wide>(
    images: &Images,
    cell: Cell,
    workers: usize,
    duration: Duration,
    others: &(dyn Fn() + Sync),
) -> Breakdown {
    let timing = Timing::new(workers, others);
    let parts = || {
        blas::set_one_thread();
        let mut bench = Bench::<W>::new(images, cell);
        bench.iterate();
        timing.wait();
        let (started, mut samples) = (Instant::now(), [const { Vec::new() }; 4]);
        while started.elapsed() < duration || samples[0].len() < 5 {
            let mut last = Instant::now();
            let mut lap = |part: usize| {
                let now = Instant::now();
                samples[part].push((now - last).as_secs_f64() * 1e6);
                last = now;
            };
            bench.gather();
            lap(0);
            let Lockstep { cohort, batch, scratch, .. } = &mut bench.lockstep;
            cohort.forward(batch, scratch);
            lap(1);
            cohort.middle(batch.labels(), scratch, &mut bench.steps);
            lap(2);
            cohort.backward(batch, scratch);
            lap(3);
        }
        let [gather_micros, forward_micros, middle_micros, backward_micros] = samples.map(|samples| median(&samples));
        Breakdown { gather_micros, forward_micros, middle_micros, backward_micros }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(parts)).collect();
        let parts: Vec<Breakdown> = threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
        parts.first().copied().unwrap_or_default()
    })
}

/// The middle value; of an even number, the upper of the two.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
