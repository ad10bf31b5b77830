//! The first half of the notebook: a network of 4 inputs, 10 hidden units and 3 classes on 5 rows.
//!
//! Scores, loss and gradient check go through the [reference](TwoLayerNet), as the notebook's do; training goes through a
//! [cohort](Cohort) of one, the path that trains everything else.

use ndarray::{Array2, Axis};

use super::PenaltyGradient;
use crate::blas::lanes::Lanes;
use crate::data::images::Label;
use crate::data::minibatch::Minibatch;
use crate::model::TwoLayerNet;
use crate::model::cohort::{Cohort, Step};
use crate::model::optimizer::Method;
use crate::model::schedule::{Curve, Moment, Schedule};
use crate::model::wide::blas::Blas;
use crate::random::numpy::RandomState;
use crate::train::LossPoint;

/// Rows, inputs, hidden units, classes.
const SIZES: [usize; 4] = [5, 4, 10, 3];
const LABELS: [Label; 5] = [0, 1, 2, 2, 1];
const WEIGHT_SCALE: f64 = 1e-1;
/// λ of loss and gradient check.
const L2: f64 = 0.05;
/// The step of the gradient check's central differences.
const STEP: f64 = 1e-5;

/// Training: 100 iterations on 200 rows drawn from 5. An epoch is one iteration, so the rate decays after each.
const ITERATIONS: usize = 100;
const BATCH_SIZE: u32 = 200;
const LEARNING_RATE: f64 = 1e-1;
const LEARNING_RATE_DECAY: f64 = 0.95;
const TRAINING_L2: f64 = 5e-6;

/// What the first half computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Toy {
    /// S (5, 3).
    pub scores: Array2<f64>,
    /// With λ = 0.05.
    pub loss: f64,
    /// The largest relative errors of the gradients of W1, b1, W2 and b2 against central differences.
    pub gradient_errors: [f64; 4],
    /// Loss at each of the 100 iterations.
    pub losses: Vec<f64>,
}

impl Toy {
    /// Computes it; `state` is left where the second half goes on.
    pub fn replay(state: &mut RandomState, penalty_gradient: PenaltyGradient) -> Self {
        let net = network(state);
        state.seed(1);
        let x = Array2::from_shape_simple_fn((SIZES[0], SIZES[1]), || 10.0 * state.randn());
        let (loss, gradient) = loss(&net, &x, penalty_gradient);
        Self {
            scores: net.scores(x.view()),
            loss,
            gradient_errors: gradient_errors(&net, &x, &gradient),
            losses: train(network(state), &x, state, penalty_gradient),
        }
    }
}

/// The toy network: the same whenever it is asked for, because it seeds the stream.
fn network(state: &mut RandomState) -> TwoLayerNet<f64> {
    let [_, inputs, hidden, classes] = SIZES;
    state.seed(0);
    TwoLayerNet::random(inputs, hidden, classes, [WEIGHT_SCALE; 2], state)
}

/// The loss with its penalty, and the gradient that training would descend: the derivative, or the one that the notebook's author
/// wrote, where the penalty's part is λ W in place of 2λ W.
fn loss(net: &TwoLayerNet<f64>, x: &Array2<f64>, penalty_gradient: PenaltyGradient) -> (f64, TwoLayerNet<f64>) {
    let (loss, mut gradient) = net.loss(x.view(), &LABELS, L2);
    let missing = 2.0 * (1.0 - penalty_gradient.share()) * L2;
    gradient.w1.scaled_add(-missing, &net.w1);
    gradient.w2.scaled_add(-missing, &net.w2);
    (loss, gradient)
}

/// For each of W1, b1, W2 and b2 the largest |a − n| / max(1e-8, |a| + |n|), with a from `gradient` and n the central difference
/// (L(p + h) − L(p − h)) / 2h of the loss.
fn gradient_errors(net: &TwoLayerNet<f64>, x: &Array2<f64>, gradient: &TwoLayerNet<f64>) -> [f64; 4] {
    let mut moved = net.clone();
    let analytic = parameters(&mut gradient.clone()).map(|part| part.to_vec());
    let mut errors = [0.0; 4];
    for (part, error) in errors.iter_mut().enumerate() {
        for (at, &a) in analytic[part].iter().enumerate() {
            let mut loss_at = |change: f64| {
                let value = parameters(&mut moved)[part][at];
                parameters(&mut moved)[part][at] = value + change;
                let loss = moved.loss(x.view(), &LABELS, L2).0;
                parameters(&mut moved)[part][at] = value;
                loss
            };
            let numeric = (loss_at(STEP) - loss_at(-STEP)) / (2.0 * STEP);
            *error = f64::max(*error, (a - numeric).abs() / (a.abs() + numeric.abs()).max(1e-8));
        }
    }
    errors
}

/// W1, b1, W2, b2 as plain numbers.
fn parameters(net: &mut TwoLayerNet<f64>) -> [&mut [f64]; 4] {
    let whole = "a network that was drawn is contiguous";
    [
        net.w1.as_slice_mut().expect(whole),
        net.b1.as_slice_mut().expect(whole),
        net.w2.as_slice_mut().expect(whole),
        net.b2.as_slice_mut().expect(whole),
    ]
}

/// Trains on minibatches of rows drawn with replacement; returns the loss at each iteration, before its update.
fn train(
    net: TwoLayerNet<f64>,
    x: &Array2<f64>,
    state: &mut RandomState,
    penalty_gradient: PenaltyGradient,
) -> Vec<f64> {
    let method = Method::descent(TRAINING_L2 * penalty_gradient.share());
    let schedule =
        Schedule { base: LEARNING_RATE, warmup: 0, curve: Curve::EpochDecay { factor: LEARNING_RATE_DECAY } };
    let mut cohort = Cohort::<Blas<f64>>::new(vec![(net, method)], Lanes::alone());
    let mut scratch = cohort.scratch(BATCH_SIZE as usize);
    let mut iterate = |iteration| {
        let rows: Vec<usize> = (0..BATCH_SIZE).map(|_| state.choice(SIZES[0] as u32) as usize).collect();
        let labels = rows.iter().map(|&row| LABELS[row]).collect();
        let batch = Minibatch::of(x.select(Axis(0), &rows), labels);
        let rate = schedule.rate(Moment { iteration, per_epoch: 1, iterations: ITERATIONS });
        let (penalty, mut step) = (cohort.penalty(0), [Step { iteration, rate, ..Step::default() }]);
        cohort.iterate(&batch, &mut scratch, &mut step);
        let point = LossPoint { iteration, data_loss: step[0].data_loss, penalty, learning_rate: rate };
        penalty_gradient.whole(point).loss()
    };
    (0..ITERATIONS).map(&mut iterate).collect()
}
