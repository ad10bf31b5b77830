//! The network's mathematics against numbers from outside: the notebook's printed ones, numpy's, and central differences.

use mlpgrid::blas::lanes::Lanes;
use mlpgrid::data::minibatch::Minibatch;
use mlpgrid::model::TwoLayerNet;
use mlpgrid::model::cohort::{Cohort, Step, Weights};
use mlpgrid::model::optimizer::Method;
use mlpgrid::model::schedule::{Curve, Moment, Schedule};
use mlpgrid::model::wide::blas::Blas;
use mlpgrid::real::Real;
use ndarray::{Array1, Array2};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// What `scripts/oracle.py` wrote.
fn oracle() -> Value {
    serde_json::from_str(include_str!("fixtures/two_layer_net.json")).expect("the fixture is JSON")
}

fn vector<T: Real>(value: &Value) -> Array1<T> {
    value.as_array().expect("a list").iter().map(|number| T::from_f64(number.as_f64().expect("a number"))).collect()
}

fn matrix<T: Real>(value: &Value) -> Array2<T> {
    let rows: Vec<Array1<T>> = value.as_array().expect("a list").iter().map(vector).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(row, column)| rows[row][column])
}

fn labels(value: &Value) -> Vec<u16> {
    value.as_array().expect("a list").iter().map(|label| label.as_u64().expect("a label") as u16).collect()
}

fn net<T: Real>(value: &Value) -> TwoLayerNet<T> {
    TwoLayerNet {
        w1: matrix(&value["w1"]),
        b1: vector(&value["b1"]),
        w2: matrix(&value["w2"]),
        b2: vector(&value["b2"]),
    }
}

/// Every parameter as f64, in one row.
fn flat<T: Real>(net: &TwoLayerNet<T>) -> Vec<f64> {
    net.w1.iter().chain(&net.b1).chain(&net.w2).chain(&net.b2).map(|value| value.as_f64()).collect()
}

/// The largest relative difference, relative to the larger of the two but at least to `floor`.
fn relative_error(a: &[f64], b: &[f64], floor: f64) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / a.abs().max(b.abs()).max(floor)).fold(0.0, f64::max)
}

fn agrees_with_numpy<T: Real>(case: &Value, tolerance: f64) {
    let (net, x, y) = (net::<T>(&case["net"]), matrix(&case["x"]), labels(&case["y"]));
    let scores: Vec<f64> = net.scores(x.view()).iter().map(|score| score.as_f64()).collect();
    let expected: Vec<f64> = matrix::<f64>(&case["scores"]).into_iter().collect();
    assert!(relative_error(&scores, &expected, 1.0) < tolerance, "scores");
    let (loss, gradient) = net.loss(x.view(), &y, case["l2"].as_f64().expect("a number"));
    assert!((loss - case["loss"].as_f64().expect("a number")).abs() < tolerance, "loss {loss}");
    let gradients = self::net::<f64>(&case["gradients"]);
    assert!(relative_error(&flat(&gradient), &flat(&gradients), 1.0) < tolerance, "gradients");
}

#[test]
fn the_toy_network_gives_the_notebooks_printed_scores_and_loss() {
    let case = &oracle()["toy"];
    let (net, x) = (net::<f64>(&case["net"]), matrix::<f64>(&case["x"]));
    let printed = [
        [-0.81233741, -1.27654624, -0.70335995],
        [-0.17129677, -1.18803311, -0.47310444],
        [-0.51590475, -1.01354314, -0.8504215],
        [-0.15419291, -0.48629638, -0.52901952],
        [-0.00618733, -0.12435261, -0.15226949],
    ];
    for (row, expected) in net.scores(x.view()).rows().into_iter().zip(printed) {
        for (score, expected) in row.iter().zip(expected) {
            assert!((score - expected).abs() < 1e-7);
        }
    }
    let (loss, _) = net.loss(x.view(), &labels(&case["y"]), 0.05);
    assert!((loss - 1.303_787_891_33).abs() < 1e-11, "{loss}");
}

#[test]
fn scores_loss_and_gradients_agree_with_numpy_in_f64_and_f32() {
    let oracle = oracle();
    for case in oracle["random"].as_array().expect("a list").iter().chain([&oracle["toy"]]) {
        agrees_with_numpy::<f64>(case, 1e-12);
        agrees_with_numpy::<f32>(case, 2e-5);
    }
}

#[test]
fn a_cohort_of_one_trains_as_numpy_does() {
    let case = &oracle()["training"];
    fn trains<T: Real>(case: &Value, tolerance: f64) {
        let number = |key: &str| case[key].as_f64().expect("a number");
        let method = Method::descent(number("l2"));
        let schedule =
            Schedule { base: number("learning_rate"), warmup: 0, curve: Curve::EpochDecay { factor: number("decay") } };
        let mut cohort = Cohort::<Blas<T>>::new(vec![(net(&case["net"]), method)], Lanes::alone());
        let mut scratch = cohort.scratch(8);
        let batches = case["batches"].as_array().expect("a list");
        for (iteration, (batch, expected)) in batches.iter().zip(vector::<f64>(&case["losses"])).enumerate() {
            let batch = Minibatch::of(matrix(&batch["x"]), labels(&batch["y"]));
            let moment = Moment { iteration, per_epoch: 1, iterations: batches.len() };
            let mut step = [Step { iteration, rate: schedule.rate(moment), ..Step::default() }];
            let penalty = cohort.penalty(0);
            cohort.iterate(&batch, &mut scratch, &mut step);
            assert!((step[0].data_loss + penalty - expected).abs() < tolerance);
        }
        let trained = flat(&net::<f64>(&case["trained"]));
        assert!(relative_error(&flat(&cohort.network(0, Weights::Raw)), &trained, 1.0) < tolerance);
    }
    trains::<f64>(case, 1e-12);
    trains::<f32>(case, 1e-5);
}

/// The step of central differences.
const STEP: f64 = 1e-3;

/// A random network and data whose hidden units keep away from the kink of ReLU, where no derivative exists.
struct Case<T> {
    net: TwoLayerNet<T>,
    x: Array2<T>,
    y: Vec<u16>,
}

fn random_case<T: Real>(
    seed: u64,
    rows: usize,
    inputs: usize,
    hidden: usize,
    classes: usize,
    margin: f64,
) -> Option<Case<T>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut net = TwoLayerNet::<T>::random(inputs, hidden, classes, [0.7; 2], &mut random);
    net.b1.mapv_inplace(|_| T::from_f64(random.random_range(-0.5..0.5)));
    net.b2.mapv_inplace(|_| T::from_f64(random.random_range(-0.5..0.5)));
    let x = Array2::from_shape_simple_fn((rows, inputs), || T::from_f64(random.random_range(-1.0..1.0)));
    let y = (0..rows).map(|_| random.random_range(0..classes) as u16).collect();
    let z = x.dot(&net.w1) + &net.b1;
    z.iter().all(|value| value.as_f64().abs() > margin).then_some(Case { net, x, y })
}

/// The gradient by central differences: the five-point rule with steps of 1e-3, whose own error is some 1e-11.
fn central_differences(net: &TwoLayerNet<f64>, x: &Array2<f64>, y: &[u16], l2: f64) -> TwoLayerNet<f64> {
    let mut moved = net.clone();
    let count = flat(net).len();
    let mut at = |parameter: usize, change: f64| {
        let mut parameters = moved.w1.iter_mut().chain(&mut moved.b1).chain(&mut moved.w2).chain(&mut moved.b2);
        *parameters.nth(parameter).expect("a parameter") += change;
        let loss = moved.loss(x.view(), y, l2).0;
        let mut parameters = moved.w1.iter_mut().chain(&mut moved.b1).chain(&mut moved.w2).chain(&mut moved.b2);
        *parameters.nth(parameter).expect("a parameter") -= change;
        loss
    };
    let mut derivative = |parameter| {
        let slope = |near: f64, far: f64| (8.0 * near - far) / (12.0 * STEP);
        slope(at(parameter, STEP) - at(parameter, -STEP), at(parameter, 2.0 * STEP) - at(parameter, -2.0 * STEP))
    };
    let mut gradient = net.clone();
    let parameters = gradient.w1.iter_mut().chain(&mut gradient.b1).chain(&mut gradient.w2).chain(&mut gradient.b2);
    parameters.zip(0..count).for_each(|(value, parameter)| *value = derivative(parameter));
    gradient
}

/// The largest of the four gradients' relative errors ‖a − b‖ / (‖a‖ + ‖b‖).
fn gradient_error(a: &TwoLayerNet<f64>, b: &TwoLayerNet<f64>) -> f64 {
    let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let error = |a: Vec<f64>, b: Vec<f64>| {
        let difference: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        norm(&difference) / (norm(&a) + norm(&b)).max(1e-8)
    };
    let matrices =
        [(&a.w1, &b.w1), (&a.w2, &b.w2)].map(|(a, b)| error(a.iter().copied().collect(), b.iter().copied().collect()));
    let vectors = [(&a.b1, &b.b1), (&a.b2, &b.b2)].map(|(a, b)| error(a.to_vec(), b.to_vec()));
    matrices.into_iter().chain(vectors).fold(0.0, f64::max)
}

#[test]
fn the_toy_gradients_are_those_of_central_differences() {
    let case = &oracle()["toy"];
    let (net, x, y) = (net::<f64>(&case["net"]), matrix::<f64>(&case["x"]), labels(&case["y"]));
    let (_, gradient) = net.loss(x.view(), &y, 0.05);
    let numeric = central_differences(&net, &x, &y, 0.05);
    let error = relative_error(&flat(&gradient), &flat(&numeric), 1e-8);
    assert!(error < 1e-8, "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, rng_seed: RngSeed::Fixed(231), ..ProptestConfig::default() })]

    #[test]
    fn gradients_of_random_shapes_are_those_of_central_differences(
        seed: u64, rows in 1_usize..8, inputs in 1_usize..12, hidden in 1_usize..10, classes in 2_usize..8, l2 in 0.0..2.0,
    ) {
        let case = random_case::<f64>(seed, rows, inputs, hidden, classes, 3.0 * STEP);
        prop_assume!(case.is_some(), "no ReLU is near its kink");
        let Case { net, x, y } = case.expect("assumed");
        let (_, gradient) = net.loss(x.view(), &y, l2);
        let error = gradient_error(&gradient, &central_differences(&net, &x, &y, l2));
        prop_assert!(error < 1e-8, "{}", error);
    }

    #[test]
    fn gradients_in_f32_are_those_in_f64_within_f32s_precision(
        seed: u64, rows in 1_usize..8, inputs in 1_usize..12, hidden in 1_usize..10, classes in 2_usize..8, l2 in 0.0..2.0,
    ) {
        let case = random_case::<f32>(seed, rows, inputs, hidden, classes, 1e-3);
        prop_assume!(case.is_some(), "no ReLU is near its kink");
        let Case { net, x, y } = case.expect("assumed");
        let (loss, gradient) = net.loss(x.view(), &y, l2);
        let wide = |matrix: &Array2<f32>| matrix.mapv(f64::from);
        let net64 = TwoLayerNet { w1: wide(&net.w1), b1: net.b1.mapv(f64::from), w2: wide(&net.w2), b2: net.b2.mapv(f64::from) };
        let (loss64, gradient64) = net64.loss(wide(&x).view(), &y, l2);
        prop_assert!((loss - loss64).abs() < 1e-5 * loss64.max(1.0));
        prop_assert!(relative_error(&flat(&gradient), &flat(&gradient64), 1.0) < 1e-5);
    }
}

#[test]
fn scores_that_would_overflow_the_exponential_give_a_finite_loss() {
    let net = TwoLayerNet {
        w1: ndarray::array![[1.0_f32]],
        b1: ndarray::array![0.0],
        w2: ndarray::array![[1.0, -1.0]],
        b2: ndarray::array![0.0, 0.0],
    };
    let (loss, gradient) = net.loss(ndarray::array![[1e4_f32]].view(), &[1], 0.0);
    assert_eq!(loss, 2e4);
    assert!(flat(&gradient).iter().all(|value| value.is_finite()));
}

#[test]
fn a_hidden_unit_that_is_not_a_number_shows_in_the_loss() {
    let net = TwoLayerNet {
        w1: ndarray::array![[f32::NAN, 1.0]],
        b1: ndarray::array![0.0, 0.0],
        w2: Array2::ones((2, 2)),
        b2: Array1::zeros(2),
    };
    assert!(net.loss(ndarray::array![[1.0_f32]].view(), &[0], 0.0).0.is_nan());
    let mut cohort = Cohort::<Blas<f32>>::new(vec![(net, Method::default())], Lanes::alone());
    let (mut scratch, mut step) = (cohort.scratch(1), [Step { rate: 0.1, ..Step::default() }]);
    cohort.iterate(&Minibatch::of(ndarray::array![[1.0_f32]], vec![0]), &mut scratch, &mut step);
    assert!(step[0].data_loss.is_nan());
}
