//! The fast path: a trial's bits do not depend on its cohort, and a cohort of many trials equals the reference network.

mod common;

use std::process::{Command, Stdio};

use common::Place;
use mlpgrid::blas;
use mlpgrid::data::minibatch::{Batch, Minibatch};
use mlpgrid::data::prepare::{Preparation, Recipe};
use mlpgrid::data::sampler::{Sampler, Sampling};
use mlpgrid::data::{DataConfig, Dataset, Split};
use mlpgrid::model::cohort::{Cohort, Step, Weights};
use mlpgrid::model::optimizer::{Factors, Method, Optimizer, Rule, blend, clip_factor, squares};
use mlpgrid::model::schedule::ScheduleName;
use mlpgrid::model::two_layer_net::Init;
use mlpgrid::model::wide::Wide;
use mlpgrid::model::wide::blas::Blas;
use mlpgrid::model::{CheckedHyperparameters, Hyperparameters, TwoLayerNet};
use mlpgrid::random::dropout::{Dropped, Uniforms};
use mlpgrid::random::{self, Purpose};
use mlpgrid::real::{Precision, Real};
use mlpgrid::tensors::Parts;
use mlpgrid::train::evaluation::shape;
use mlpgrid::train::observer::Collect;
use mlpgrid::train::{Detail, Ended, Origin, Outcome, Task, engine};

/// Everything that training leaves of each trial: how it ended, and its network.
type Left = (Outcome, Option<Parts>);

fn train(data: &Dataset, trials: &[CheckedHyperparameters]) -> Vec<Left> {
    let mut collect = Collect::default();
    let tasks: Vec<Task<'_>> = trials.iter().map(Task::whole).collect();
    let trained = engine(trials[0].precision).train(Origin::Seed, data, &tasks, Detail::Epochs, &mut collect);
    trained.expect("the trials are trained");
    let mut left: Vec<Option<Left>> = trials.iter().map(|_| None).collect();
    for Ended { trial, outcome, network, .. } in collect.0 {
        assert!(left[trial].is_none(), "a trial ends once");
        left[trial] = Some((outcome, network));
    }
    left.into_iter().map(|ended| ended.expect("every trial ends")).collect()
}

/// Trials of one seed that differ in everything else: shapes, rates, penalties, lengths; one diverges, one's decay turns the sign of
/// its weights, one's scale is folded again and again.
fn various(data: &Dataset, precision: Precision, kind: usize) -> Vec<CheckedHyperparameters> {
    // Long enough for a scale that is folded, and for others to leave on the way.
    let [whole, part] = if kind == 0 { [24, 11] } else { [12, 7] };
    let base = Hyperparameters {
        batch_size: 20,
        seed: 5,
        iterations: whole,
        weight_scale: 1e-2,
        precision,
        ..Hyperparameters::default()
    };
    let trial = |hidden, learning_rate, l2, iterations| Hyperparameters {
        hidden,
        learning_rate,
        l2,
        iterations,
        ..base.clone()
    };
    let trials = [
        trial(50, 1e-3, 0.25, whole),
        trial(7, 1e-4, 0.0, whole),
        trial(1, 2e-3, 1.0, 3),
        trial(64, 1e6, 0.1, whole),
        trial(33, 1e-3, 400.0, whole),
        trial(128, 5e-4, 0.1, part),
        trial(13, 1e-2, 60.0, whole),
        trial(260, 1e-3, 0.01, whole),
    ];
    let check = |(number, mut trial): (usize, Hyperparameters)| {
        of_kind(kind, number, &mut trial);
        trial.check(data.rows(Split::Train).len()).expect("in range")
    };
    trials.into_iter().enumerate().map(check).collect()
}

fn bits_do_not_depend_on_the_cohort(data: &Dataset, precision: Precision) {
    if !engine(precision).may_share(20, data.inputs()) {
        eprintln!("{} kernels have no lanes for {precision:?}: trials train alone", blas::describe().kernel);
        return;
    }
    // Eigenvectors take some 15 seconds: principal components are tried with one kernel and precision.
    let is_quick = precision == Precision::F64 || !std::env::var(KERNEL).is_ok_and(|kernel| kernel.is_empty());
    for kind in 0..if is_quick { KINDS - 2 } else { KINDS } {
        bits_of_kind_do_not_depend_on_the_cohort(data, precision, kind);
    }
}

/// How many kinds of cohorts [`of_kind`] knows.
const KINDS: usize = 6;

/// Gives a trial what all trials of a cohort of this kind have, and constants of its own.
fn of_kind(kind: usize, number: usize, h: &mut Hyperparameters) {
    let small = number as f64 / 100.0;
    match kind {
        0 => {}
        1 => {
            h.optimizer = Optimizer::Momentum;
            (h.momentum, h.dropout, h.label_smoothing) = (0.9 - small, 2.0 * small, small);
            (h.mirror, h.shift, h.schedule, h.warmup) = (0.5, 3, ScheduleName::Cosine, number);
        }
        2 => {
            h.optimizer = Optimizer::Nesterov;
            (h.clip_norm, h.average, h.init) = (0.1 + small, 0.9 + small, Init::He);
            (h.preparation, h.crop, h.rotate, h.brightness) = (Preparation::Channel, 0.2, 20.0, 0.1);
        }
        3 => {
            h.optimizer = Optimizer::Adam;
            (h.max_norm, h.beta1, h.dropout) = (0.1 + small, 0.9 - small, small);
            (h.preparation, h.input_dropout, h.schedule) = (Preparation::Pixel, 0.1, ScheduleName::Linear);
        }
        4 => {
            h.optimizer = Optimizer::Adamw;
            (h.average, h.preparation, h.components) = (0.9, Preparation::PcaWhiten, 20.0);
        }
        _ => {
            (h.clip_norm, h.max_norm, h.average) = (1.0, 5.0, 0.5);
            (h.preparation, h.components, h.cutout, h.contrast) = (Preparation::Pca, 0.9, 8, 0.3);
        }
    }
}

fn bits_of_kind_do_not_depend_on_the_cohort(data: &Dataset, precision: Precision, kind: usize) {
    let trials = various(data, precision, kind);
    let alone: Vec<_> = trials.iter().flat_map(|trial| train(data, std::slice::from_ref(trial))).collect();
    let diverged = alone.iter().filter(|(outcome, _)| outcome.diverged_at.is_some()).count();
    assert!(diverged == 1 || kind > 0, "{diverged}");
    assert!(alone.iter().filter(|(outcome, _)| outcome.diverged_at.is_none()).count() >= 4, "kind {kind}");
    let mut orders: Vec<Vec<usize>> =
        vec![(0..8).collect(), (0..8).rev().collect(), vec![3, 0], vec![0, 5, 1], vec![2, 6, 2, 6]];
    orders.push((0..24).map(|at| at * 5 % 8).collect());
    for order in orders {
        let cohort: Vec<_> = order.iter().map(|&trial| trials[trial].clone()).collect();
        for (&trial, together) in order.iter().zip(train(data, &cohort)) {
            assert!(together == alone[trial], "{precision:?} kind {kind}, trial {trial} in cohort {order:?}");
        }
    }
}

/// The kernel of this process, with which the test below does its work.
const KERNEL: &str = "MLPGRID_TEST_KERNEL";

#[test]
fn a_trial_alone_and_in_any_cohort_gives_the_same_bits_with_every_kernel_that_this_cpu_runs() {
    if std::env::var_os(KERNEL).is_some() {
        blas::initialise().expect("OpenBLAS takes one thread");
        let place = Place::new();
        let data = Dataset::load(&place.data(), &DataConfig::default()).expect("the data are there");
        bits_do_not_depend_on_the_cohort(&data, Precision::F32);
        bits_do_not_depend_on_the_cohort(&data, Precision::F64);
        return;
    }
    let mut kernels = blas::kernels_of_this_cpu();
    kernels.push(""); // what OpenBLAS chooses
    if cfg!(target_arch = "x86_64") {
        kernels.push("Nehalem");
    }
    // All at once, each on one core.
    let start = |kernel: &'static str| {
        let mut child = Command::new(std::env::current_exe().expect("a test knows its program"));
        child.args([
            "--exact",
            "--nocapture",
            "a_trial_alone_and_in_any_cohort_gives_the_same_bits_with_every_kernel_that_this_cpu_runs",
        ]);
        child.env(KERNEL, kernel).env_remove("OPENBLAS_CORETYPE");
        if !kernel.is_empty() {
            child.env("OPENBLAS_CORETYPE", kernel);
        }
        (kernel, child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the test starts"))
    };
    let children: Vec<_> = kernels.into_iter().map(start).collect();
    for (kernel, child) in children {
        let output = child.wait_with_output().expect("the test ends");
        assert!(output.status.success(), "kernel {kernel:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A member as reference networks, in f64 and in the cohort's precision.
struct Reference<T> {
    exact: TwoLayerNet<f64>,
    same_precision: TwoLayerNet<T>,
    learning_rate: f64,
    l2: f64,
    leaves_before: usize,
}

/// Trains a cohort and, beside it, each member as reference networks on the same minibatches; members leave on the way. Losses are
/// within `tolerance` of those in f64. First-layer weights (compared in the Euclidean norm of all of them) are too, or else
/// within twice the distance that the reference network of the cohort's own precision has: in f32 a score within rounding of
/// zero makes ReLU pass an image's share of a gradient in one network and not in the other, so rounding alone takes
/// networks apart.
fn equals_the_reference<T: Real>(tolerance: f64) {
    let place = Place::new();
    let data = Dataset::load(&place.data(), &DataConfig::default()).expect("the data are there");
    let inputs = data.inputs();
    let lanes = Blas::<T>::lanes(shape(inputs, 20)).expect("these kernels have lanes");
    // (hidden, learning rate, L2, the iteration before which it leaves)
    let members = [
        (50, 1e-4, 0.25, 300),
        (7, 3e-5, 0.0, 300),
        (24, 1e-4, 30.0, 300),
        (33, 2e-4, 5001.0, 40),
        (100, 5e-5, 1.0, 120),
    ];
    let reference = |((hidden, learning_rate, l2, leaves_before), seed)| {
        let mut stream = random::stream(seed, Purpose::Init, 0);
        let network = TwoLayerNet::<T>::random(inputs, hidden, 10, [1e-2; 2], &mut stream);
        Reference { exact: network.cast(), same_precision: network, learning_rate, l2, leaves_before }
    };
    let mut references: Vec<Reference<T>> = members.into_iter().zip(0..).map(reference).collect();
    let member = |of: &Reference<T>| (of.same_precision.clone(), Method::descent(of.l2));
    let mut cohort = Cohort::<Blas<T>>::new(references.iter().map(member).collect(), lanes);
    let mut scratch = cohort.scratch(20);
    let train_rows = data.rows(Split::Train);
    let prepared = data.fitted(Recipe::MEAN).expect("a mean can be fitted").prepared::<T>();
    let (mut sampler, mut rows) = (Sampler::new(1, Sampling::Replacement, train_rows.len()), [0; 20]);
    let mut batch = Minibatch::new(20, inputs);
    for iteration in 0..300 {
        let stays: Vec<bool> = references.iter().map(|reference| iteration < reference.leaves_before).collect();
        cohort.retain(|member| stays[member]);
        references.retain(|reference| iteration < reference.leaves_before);
        sampler.draw(&mut rows);
        batch.gather(&prepared.source(train_rows), rows.iter().map(|&row| row as usize), None);
        let exact_x = batch.x().mapv(|value| value.as_f64());
        let penalties: Vec<f64> = (0..cohort.len()).map(|member| cohort.penalty(member)).collect();
        let step = |of: &Reference<T>| Step { iteration, rate: of.learning_rate, ..Step::default() };
        let mut steps: Vec<Step> = references.iter().map(step).collect();
        cohort.iterate(&batch, &mut scratch, &mut steps);
        for (member, of) in references.iter_mut().enumerate() {
            let (loss, gradient) = of.exact.loss(exact_x.view(), batch.labels(), of.l2);
            of.exact.descend(&gradient, of.learning_rate);
            let (_, gradient) = of.same_precision.loss(batch.x(), batch.labels(), of.l2);
            of.same_precision.descend(&gradient, of.learning_rate);
            let ours = steps[member].data_loss + penalties[member];
            let place = format!("{:?} member {member} at {iteration}", T::PRECISION);
            assert!((ours - loss).abs() <= tolerance * loss.abs().max(1.0), "{place}: loss {ours} for {loss}");
            if iteration % 50 == 49 {
                let size = of.exact.w1.iter().map(|w| w * w).sum::<f64>().sqrt();
                let distance = |network: &TwoLayerNet<T>| {
                    network.w1.iter().zip(&of.exact.w1).map(|(a, b)| (a.as_f64() - b).powi(2)).sum::<f64>().sqrt()
                };
                let (ours, reference) = (distance(&cohort.network(member, Weights::Raw)), distance(&of.same_precision));
                assert!(
                    ours <= (tolerance * size).max(2.0 * reference),
                    "{place}: W1 is {ours} away, of {size}; the reference is {reference}"
                );
            }
        }
    }
    assert_eq!(cohort.len(), 3, "two members have left");
}

#[test]
fn a_cohort_equals_the_reference_trial_by_trial_to_1e_12_in_f64() {
    blas::initialise().expect("OpenBLAS takes one thread");
    equals_the_reference::<f64>(1e-12);
}

#[test]
fn a_cohort_equals_the_reference_trial_by_trial_within_f32s_precision() {
    blas::initialise().expect("OpenBLAS takes one thread");
    equals_the_reference::<f32>(2e-4);
}

/// A network that is trained as the papers write it: gradients of the reference, [`Rule::apply`] on whole matrices.
struct ByTheBook {
    network: TwoLayerNet<f64>,
    slots: Vec<TwoLayerNet<f64>>,
    average: TwoLayerNet<f64>,
    method: Method,
    rate: f64,
}

/// The numbers of W1, b1, W2, b2, and whether they are weights.
fn parts(network: &mut TwoLayerNet<f64>) -> [(&mut [f64], bool); 4] {
    let TwoLayerNet { w1, b1, w2, b2 } = network;
    let slice = "row-major";
    [
        (w1.as_slice_mut().expect(slice), true),
        (b1.as_slice_mut().expect(slice), false),
        (w2.as_slice_mut().expect(slice), true),
        (b2.as_slice_mut().expect(slice), false),
    ]
}

impl ByTheBook {
    fn new(network: TwoLayerNet<f64>, method: Method, rate: f64) -> Self {
        let mut zeros = network.clone();
        parts(&mut zeros).into_iter().for_each(|(part, _)| part.fill(0.0));
        Self { slots: vec![zeros; method.layout().slots()], average: network.clone(), network, method, rate }
    }

    fn iterate(&mut self, batch: &Minibatch<f64>, iteration: usize, uniforms: &Uniforms) -> f64 {
        let (method, hidden) = (self.method, self.network.b1.len());
        let mask = Dropped::<f64>::of(method.dropout).map(|dropped| {
            let mut mask = ndarray::Array2::ones((hidden, batch.labels().len()));
            for (unit, mut row) in mask.rows_mut().into_iter().enumerate() {
                dropped.apply(row.as_slice_mut().expect("row-major"), uniforms.row(unit));
            }
            mask.reversed_axes()
        });
        let mask = mask.as_ref().map(|mask| mask.view());
        let (loss, mut gradient) =
            self.network.regularized_loss(batch.x(), batch.labels(), 0.0, method.label_smoothing, mask);
        let mut scalars = method.scalars(iteration, self.rate, Factors::default());
        (scalars.factors, scalars.delta) = (Factors::default(), 1.0);
        if method.clip_norm > 0.0 {
            let norm = parts(&mut gradient).into_iter().map(|(part, _)| squares(part)).sum();
            scalars.clip = clip_factor(method.clip_norm, norm);
        }
        let mut slots: Vec<_> = self.slots.iter_mut().map(|slot| parts(slot).into_iter()).collect();
        for ((part, is_weight), (gradient, _)) in parts(&mut self.network).into_iter().zip(parts(&mut gradient)) {
            let mut slots: Vec<&mut [f64]> = slots.iter_mut().map(|slot| slot.next().expect("four parts").0).collect();
            let scalars = if is_weight { scalars } else { scalars.of_biases() };
            method.rule.apply(&scalars, part, &mut slots, gradient);
        }
        for mut unit in self.network.w1.columns_mut() {
            let norm = unit.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
            if method.max_norm > 0.0 && norm > method.max_norm {
                unit *= method.max_norm / norm;
            }
        }
        for ((average, _), (part, _)) in parts(&mut self.average).into_iter().zip(parts(&mut self.network)) {
            blend(average, part, scalars.average, 1.0);
        }
        loss
    }
}

#[test]
fn every_method_in_a_cohort_is_the_one_of_the_papers_trial_by_trial() {
    blas::initialise().expect("OpenBLAS takes one thread");
    let place = Place::new();
    let data = Dataset::load(&place.data(), &DataConfig::default()).expect("the data are there");
    let (inputs, seed) = (data.inputs(), 3);
    let lanes = || Blas::<f64>::lanes(shape(inputs, 20)).expect("these kernels have lanes");
    let momentum = |momentum, nesterov| Rule::Momentum { momentum, nesterov };
    let adam = |decoupled| Rule::Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-6, decoupled };
    let plain = Method { l2: 0.3, label_smoothing: 0.1, ..Method::default() };
    let cohorts = [
        [(Method { dropout: 0.4, ..plain }, 1e-4), (Method { max_norm: 0.3, ..plain }, 1e-4)],
        [(Method { clip_norm: 5.0, dropout: 0.4, ..plain }, 1e-3), (Method { clip_norm: 50.0, ..plain }, 1e-3)],
        [(Method { average: 0.9, ..plain }, 1e-4), (Method { average: 0.99, max_norm: 0.3, ..plain }, 1e-4)],
        [
            (Method { rule: momentum(0.9, false), dropout: 0.2, ..plain }, 1e-5),
            (Method { rule: momentum(0.5, false), max_norm: 0.4, ..plain }, 3e-5),
        ],
        [
            (Method { rule: momentum(0.9, false), clip_norm: 3.0, average: 0.5, ..plain }, 1e-4),
            (Method { rule: momentum(0.5, false), clip_norm: 9.0, average: 0.95, ..plain }, 1e-4),
        ],
        [
            (Method { rule: momentum(0.9, true), ..plain }, 1e-5),
            (Method { rule: momentum(0.8, true), l2: 0.0, ..plain }, 1e-5),
        ],
        [(Method { rule: adam(false), ..plain }, 1e-4), (Method { rule: adam(false), max_norm: 0.5, ..plain }, 1e-3)],
        [
            (Method { rule: adam(true), average: 0.9, clip_norm: 1.0, ..plain }, 1e-3),
            (Method { rule: adam(true), average: 0.8, clip_norm: 10.0, dropout: 0.5, ..plain }, 1e-4),
        ],
    ];
    for methods in cohorts {
        let begin = |(at, (method, rate)): (usize, (Method, f64))| {
            let mut stream = random::stream(at as u64, Purpose::Init, 0);
            let hidden = [50, 23][at];
            ByTheBook::new(TwoLayerNet::random(inputs, hidden, 10, [1e-2; 2], &mut stream), method, rate)
        };
        let mut books: Vec<ByTheBook> = methods.into_iter().enumerate().map(begin).collect();
        let networks = books.iter().map(|book| (book.network.clone(), book.method)).collect();
        let mut cohort = Cohort::<Blas<f64>>::new(networks, lanes());
        let (mut scratch, train_rows) = (cohort.scratch(20), data.rows(Split::Train));
        let prepared = data.fitted(Recipe::MEAN).expect("a mean can be fitted").prepared();
        let (mut sampler, mut rows) = (Sampler::new(1, Sampling::Replacement, train_rows.len()), [0; 20]);
        let (mut batch, mut uniforms) = (Minibatch::new(20, inputs), Uniforms::default());
        for iteration in 0..60 {
            sampler.draw(&mut rows);
            batch.gather(&prepared.source(train_rows), rows.iter().map(|&row| row as usize), None);
            uniforms.draw(seed, Purpose::Dropout, iteration, 50, 20);
            let step = |book: &ByTheBook| Step { iteration, rate: book.rate, seed, ..Step::default() };
            let mut steps: Vec<Step> = books.iter().map(step).collect();
            cohort.iterate(&batch, &mut scratch, &mut steps);
            for (member, book) in books.iter_mut().enumerate() {
                let loss = book.iterate(&batch, iteration, &uniforms);
                let method = book.method;
                let error = (steps[member].data_loss - loss).abs() / loss;
                assert!(error < 1e-9, "{method:?} at {iteration}: loss {} for {loss}", steps[member].data_loss);
            }
        }
        for (member, book) in books.iter().enumerate() {
            let pairs = [(Weights::Raw, &book.network), (Weights::Averaged, &book.average)];
            for (weights, expected) in pairs.into_iter().take(1 + usize::from(cohort.averages())) {
                let found = cohort.network(member, weights);
                let error = (&found.w1 - &expected.w1).iter().map(|error| error * error).sum::<f64>().sqrt();
                let size = expected.w1.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
                assert!(error < 1e-9 * size, "{:?}, {weights:?}: {error} of {size}", book.method);
            }
        }
    }
}

#[test]
fn a_member_that_diverges_leaves_and_the_others_go_on_as_if_it_had_not_been_there() {
    blas::initialise().expect("OpenBLAS takes one thread");
    let place = Place::new();
    let data = Dataset::load(&place.data(), &DataConfig::default()).expect("the data are there");
    let trials = various(&data, Precision::F32, 0);
    let with = train(&data, &[trials[0].clone(), trials[3].clone(), trials[1].clone()]);
    let without = train(&data, &[trials[0].clone(), trials[1].clone()]);
    assert!(with[1].0.diverged_at.is_some() && with[1].1.is_none());
    assert!(with[0] == without[0] && with[2] == without[1]);
}

/// The penalty of a trial overflows at iteration 2, where no epoch begins; its loss without penalty does some iterations later.
#[test]
fn where_a_trial_diverges_depends_on_the_trial_alone() {
    blas::initialise().expect("OpenBLAS takes one thread");
    let place = Place::new();
    let data = Dataset::load(&place.data(), &DataConfig::default()).expect("the data are there");
    let trial = |iterations, learning_rate, l2| {
        let base =
            Hyperparameters { hidden: 5, batch_size: 20, precision: Precision::F64, ..Hyperparameters::default() };
        let trial = Hyperparameters { iterations, learning_rate, l2, ..base };
        trial.check(data.rows(Split::Train).len()).expect("in range")
    };
    let diverging = trial(8, 1e-150, 5e199); // weights grow by 1 − 2ηλ, some 1e50, an iteration
    let alone = train(&data, std::slice::from_ref(&diverging)).remove(0);
    let at = alone.0.diverged_at.expect("it diverges");
    assert!((3..8).contains(&at), "not where the penalty alone overflows, but at {at}");
    // A mate that ends at iteration 3 asks for losses with penalties there.
    let mate = trial(3, 1e-3, 0.25);
    assert_eq!(train(&data, &[diverging.clone(), mate])[0], alone);
    // So does a history of every iteration.
    let mut collect = Collect::default();
    let task = [Task::whole(&diverging)];
    engine(Precision::F64).train(Origin::Seed, &data, &task, Detail::EveryIteration, &mut collect).unwrap();
    assert_eq!(collect.0[0].outcome, alone.0);
    // Its own last iteration counts: the loss that it is recorded with would be no number.
    let last = trial(3, 1e-150, 5e199);
    assert_eq!(train(&data, &[last])[0].0.diverged_at, Some(2));
}
