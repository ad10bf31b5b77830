//! Many networks side by side: trials that see the same minibatches train in lockstep over one wide first-layer matrix.
//!
//! Shape letters as in [`two_layer_net`](super::two_layer_net), with K members. All first-layer weights stand in one matrix V, a
//! row a hidden unit, so everything is transposed and a member's units can stand anywhere:
//!
//! ```text
//! one forward    Zᵀ = V·Xᵀ             (places, D)·(D, B)
//! per member     bias, ReLU, second layer, softmax, deltas    (small; see `second_layer`)
//! one backward   V += Δᵀ·X             (places, B)·(B, D), straight into the weights
//! ```
//!
//! Two identities make it exact and cheap.
//!
//! *No gradient buffer.* SGD adds −η·dW1 = −η·Xᵀ·dZ to the weights, so each member's rows of dZᵀ are scaled by its own −η and the
//! product accumulates into the weights.
//!
//! *No decay pass.* The L2 penalty multiplies W1 by (1 − 2ηλ) before that. Member k's weights are held as W1_k = σ_k·V_k;
//! the decay multiplies the scalar σ_k, and Δ_k is divided by it. Before σ_k gets small it is folded back into V_k.
//! Source: L. Bottou, "Stochastic Gradient Descent Tricks" (2012), section 5.1.
//!
//! A member's results do not depend on its neighbours, to the bit: rows of a product do not mix, each unit stands in a place of the
//! lane that it has alone ([`Lanes`]), and what is per member is computed by itself.

use clap::ValueEnum;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, s};
use serde::Serialize;

use super::second_layer::{SecondLayer, UnitRows, Update};
use super::two_layer_net::TwoLayerNet;
use crate::blas::lanes::Lanes;
use crate::blas::matrix::Matrix;
use crate::data::minibatch::Minibatch;
use crate::real::Real;

/// σ is folded into the weights when it falls below this: far above where f32 loses digits, rare enough to cost nothing.
const SMALLEST_SCALE: f64 = 1e-3;

/// The derivative of the penalty λ‖W‖² that training descends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PenaltyGradient {
    /// 2λ W, as the derivative is
    #[default]
    Derived,
    /// λ W, as the notebook's author wrote it: half of the derivative
    Notebook,
}

impl PenaltyGradient {
    /// What it multiplies λ W by.
    pub fn factor(self) -> f64 {
        match self {
            Self::Derived => 2.0,
            Self::Notebook => 1.0,
        }
    }
}

/// A network to train, and how.
#[derive(Clone, Debug)]
pub struct Start<T> {
    /// The weights, those of the first layer divided by `scale`.
    pub network: TwoLayerNet<T>,
    /// σ: the first layer is σ times that of `network`.
    pub scale: f64,
    /// λ.
    pub l2: f64,
    /// η of the first epoch.
    pub learning_rate: f64,
    /// Which gradient of the penalty it descends.
    pub penalty_gradient: PenaltyGradient,
}

impl<T> Start<T> {
    /// With λ and η, and the gradient of the penalty as it is derived.
    pub fn of(network: TwoLayerNet<T>, l2: f64, learning_rate: f64) -> Self {
        Self { network, scale: 1.0, l2, learning_rate, penalty_gradient: PenaltyGradient::Derived }
    }
}

/// One network of a cohort: all but its first-layer weights, which stand in the wide matrix.
#[derive(Clone, Debug)]
struct Member<T> {
    /// The row of V for each hidden unit.
    places: Vec<usize>,
    /// σ: W1 = σ·V.
    scale: f64,
    layer: SecondLayer<T>,
    l2: f64,
    learning_rate: f64,
    penalty_gradient: PenaltyGradient,
}

/// The weights of K networks that train in lockstep.
#[derive(Debug)]
pub struct Cohort<T> {
    /// V, (places, D). Rows without a unit are zero, and stay so.
    v: Matrix<T>,
    members: Vec<Member<T>>,
    lanes: Lanes,
}

/// A worker's private buffers, allocated once for a cohort.
#[derive(Clone, Debug)]
pub struct Scratch<T> {
    /// Zᵀ, then Aᵀ, then Δᵀ: (places, B).
    wide: Array2<T>,
    /// Sᵀ, then dSᵀ, of one member, and a row more: (C + 1, B).
    work: Vec<T>,
}

impl<T: Real> Cohort<T> {
    /// Puts networks side by side, each unit in its lane.
    ///
    /// # Panics
    /// There is none, or they differ in inputs.
    pub fn new(starts: Vec<Start<T>>, lanes: Lanes) -> Self {
        let inputs = starts[0].network.w1.nrows();
        let units: Vec<usize> = starts.iter().map(|start| start.network.b1.len()).collect();
        let (places, rows) = lanes.places(&units);
        let mut v = Matrix::zeros(rows, inputs);
        let mut member = |(start, places): (Start<T>, Vec<usize>)| {
            let Start { network: TwoLayerNet { w1, b1, w2, b2 }, scale, l2, learning_rate, penalty_gradient } = start;
            for (unit, &place) in w1.columns().into_iter().zip(&places) {
                v.row_mut(place).iter_mut().zip(unit).for_each(|(place, &weight)| *place = weight);
            }
            let layer = SecondLayer { b1, w2, b2 };
            Member { places, scale, layer, l2, learning_rate, penalty_gradient }
        };
        let members = starts.into_iter().zip(places).map(&mut member).collect();
        Self { v, members, lanes }
    }

    /// K.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Rows of V, those without a unit included.
    pub fn places(&self) -> usize {
        self.v.rows()
    }

    /// Buffers for minibatches of `rows` rows.
    pub fn scratch(&self, rows: usize) -> Scratch<T> {
        let classes = self.members.first().map_or(0, |member| member.layer.b2.len());
        Scratch { wide: Array2::zeros((self.places(), rows)), work: vec![T::zero(); (classes + 1) * rows] }
    }

    /// One iteration of every member on `batch`: forward, loss, backward, update. `data_losses[k]` gets member k's loss
    /// without its penalty, taken before the update.
    pub fn iterate(&mut self, batch: &Minibatch<T>, scratch: &mut Scratch<T>, data_losses: &mut [f64]) {
        self.forward(batch.x(), scratch);
        self.middle(batch.labels(), scratch, data_losses);
        self.backward(batch.x(), scratch);
    }

    /// The first wide product: Zᵀ = V·Xᵀ into the scratch.
    pub fn forward(&self, x: ArrayView2<'_, T>, scratch: &mut Scratch<T>) {
        let mut z = scratch.wide.slice_mut(s![..self.v.rows(), ..]);
        general_mat_mul(T::one(), &self.v.view(), &x.t(), T::zero(), &mut z);
    }

    /// All between the two wide products, member by member: updates everything but V, and leaves Δᵀ in place of Zᵀ.
    pub fn middle(&mut self, labels: &[u8], scratch: &mut Scratch<T>, data_losses: &mut [f64]) {
        for (member, loss) in self.members.iter_mut().zip(data_losses) {
            *loss = member.update(&mut self.v, labels, scratch);
        }
    }

    /// The second wide product: V += Δᵀ·X.
    pub fn backward(&mut self, x: ArrayView2<'_, T>, scratch: &Scratch<T>) {
        let deltas = scratch.wide.slice(s![..self.v.rows(), ..]);
        general_mat_mul(T::one(), &deltas, &x, T::one(), &mut self.v.view_mut());
    }

    /// Rows of `batch` whose largest score is that of their label, added to `correct[k]` for member k.
    pub fn count_correct(&self, batch: &Minibatch<T>, scratch: &mut Scratch<T>, correct: &mut [usize]) {
        // All rows that the buffer has take part, so that the product has the same shape for the last rows of a split.
        self.forward(batch.buffer(), scratch);
        let columns = scratch.wide.ncols();
        for (member, correct) in self.members.iter().zip(correct) {
            let mut units = member.units(&mut scratch.wide);
            let scores = &mut scratch.work[..member.layer.b2.len() * columns];
            member.layer.scores(&mut units, T::from_f64(member.scale), scores);
            let predicted =
                |row: usize| super::two_layer_net::largest(scores.iter().skip(row).step_by(columns).copied());
            *correct +=
                batch.labels().iter().enumerate().filter(|&(row, &label)| predicted(row) == usize::from(label)).count();
        }
    }

    /// λ(‖W1‖² + ‖W2‖²) of member k: one pass over its weights.
    pub fn penalty(&self, member: usize) -> f64 {
        let member = &self.members[member];
        if member.l2 == 0.0 {
            return 0.0;
        }
        let first: f64 = member.places.iter().map(|&place| squares(self.v.row(place))).sum();
        let second: f64 = member.layer.w2.iter().map(|weight| weight.as_f64() * weight.as_f64()).sum();
        member.l2 * (member.scale * member.scale * first + second)
    }

    /// The learning rate of member k.
    pub fn learning_rate(&self, member: usize) -> f64 {
        self.members[member].learning_rate
    }

    /// Multiplies the learning rate of member k.
    pub fn decay_learning_rate(&mut self, member: usize, factor: f64) {
        self.members[member].learning_rate *= factor;
    }

    /// Drops the members for which `stays` is false, and closes the gaps that they leave in the wide matrix.
    pub fn retain(&mut self, stays: impl Fn(usize) -> bool) {
        let mut number = 0;
        let mut kept = std::mem::take(&mut self.members);
        kept.retain(|_| {
            number += 1;
            stays(number - 1)
        });
        let units: Vec<usize> = kept.iter().map(|member| member.places.len()).collect();
        let (places, rows) = self.lanes.places(&units);
        let mut v = Matrix::zeros(rows, self.v.columns());
        for (member, places) in kept.iter_mut().zip(places) {
            for (&old, &new) in member.places.iter().zip(&places) {
                v.row_mut(new).copy_from_slice(self.v.row(old));
            }
            member.places = places;
        }
        self.v = v;
        self.members = kept;
    }

    /// Member k as a network of its own.
    pub fn network(&self, member: usize) -> TwoLayerNet<T> {
        let scale = T::from_f64(self.members[member].scale);
        self.unscaled(member, |weight| weight * scale)
    }

    /// Member k as it stands: what [`Cohort::new`] makes it again from, to the bit.
    pub fn state(&self, member: usize) -> Start<T> {
        let &Member { scale, l2, learning_rate, penalty_gradient, .. } = &self.members[member];
        Start { network: self.unscaled(member, |weight| weight), scale, l2, learning_rate, penalty_gradient }
    }

    /// Member k with `of` each of its rows of V for a first layer.
    fn unscaled(&self, member: usize, of: impl Fn(T) -> T) -> TwoLayerNet<T> {
        let Member { places, layer, .. } = &self.members[member];
        let w1 =
            Array2::from_shape_fn(
                (self.v.columns(), places.len()),
                |(input, unit)| of(self.v.row(places[unit])[input]),
            );
        TwoLayerNet { w1, b1: layer.b1.clone(), w2: layer.w2.clone(), b2: layer.b2.clone() }
    }
}

impl<T: Real> Member<T> {
    /// What one iteration of L2 multiplies W1 and W2 by: 1 − 2ηλ, with the gradient as derived.
    fn decay(&self) -> f64 {
        1.0 - self.penalty_gradient.factor() * self.learning_rate * self.l2
    }

    /// W1 *= `factor`, in the wide matrix.
    fn multiply(&self, v: &mut Matrix<T>, factor: f64) {
        let factor = T::from_f64(factor);
        for &place in &self.places {
            v.row_mut(place).iter_mut().for_each(|weight| *weight *= factor);
        }
    }

    /// Its rows of the wide buffer.
    fn units<'a>(&'a self, wide: &'a mut Array2<T>) -> UnitRows<'a, T> {
        let columns = wide.ncols();
        UnitRows { wide: wide.as_slice_mut().expect("the buffer is contiguous"), columns, places: &self.places }
    }

    /// All between the two wide products: returns the data loss, updates everything but V, and leaves Δᵀ in the member's rows of
    /// `scratch.wide`.
    fn update(&mut self, v: &mut Matrix<T>, labels: &[u8], scratch: &mut Scratch<T>) -> f64 {
        let (decay, before) = (self.decay(), self.scale);
        self.scale *= decay;
        if self.scale < SMALLEST_SCALE {
            // Small, zero or negative: fold it in.
            self.multiply(v, self.scale);
            self.scale = 1.0;
        }
        let update = Update {
            scale: T::from_f64(before),
            rate: T::from_f64(self.learning_rate),
            decay: T::from_f64(decay),
            delta_factor: T::from_f64(-self.learning_rate / self.scale),
        };
        let columns = scratch.wide.ncols();
        let wide = scratch.wide.as_slice_mut().expect("the buffer is contiguous");
        let mut units = UnitRows { wide, columns, places: &self.places };
        self.layer.update(&mut units, labels, update, &mut scratch.work)
    }
}

/// The sum of squares, in f64.
fn squares<T: Real>(values: &[T]) -> f64 {
    values.iter().map(|value| value.as_f64() * value.as_f64()).sum()
}
