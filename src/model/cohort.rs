//! Many networks side by side: trials that see the same minibatches train in lockstep over one wide first-layer matrix.
//!
//! Shape letters as in [`two_layer_net`], with K members and ΣH hidden units in all:
//!
//! ```text
//! one forward    Z = X · [V_1 | V_2 | … | V_K]          (B, D)·(D, ΣH)
//! per member     bias, ReLU, second layer, softmax, deltas          (small)
//! one backward   [V_1 | … | V_K] += Xᵀ · [Δ_1 | … | Δ_K]  (D, B)·(B, ΣH), straight into the weights
//! ```
//!
//! Two identities make it exact and cheap.
//!
//! *No gradient buffer.* SGD adds −η·dW1 = −η·Xᵀ·dZ to the weights, so each member's columns of dZ are scaled by its own −η and
//! the product accumulates into the weights.
//!
//! *No decay pass.* The L2 penalty multiplies W1 by (1 − 2ηλ) before that. Member k's weights are held as W1_k = σ_k·V_k;
//! the decay multiplies the scalar σ_k, and Δ_k is divided by it. Before σ_k gets small it is folded back into V_k.
//! Source: L. Bottou, "Stochastic Gradient Descent Tricks" (2012), section 5.1.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, Zip, s};

use super::two_layer_net::{self, TwoLayerNet};
use crate::data::minibatch::Minibatch;
use crate::real::Real;

/// σ is folded into the weights when it falls below this: far above where f32 loses digits, rare enough to cost nothing.
const SMALLEST_SCALE: f64 = 1e-3;

/// One network of a cohort: all but its first-layer weights, which stand in the wide matrix.
#[derive(Clone, Debug)]
struct Member<T> {
    /// Its columns of the wide matrix.
    columns: Range<usize>,
    /// σ: W1 = σ·V.
    scale: f64,
    b1: Array1<T>,
    w2: Array2<T>,
    b2: Array1<T>,
    l2: f64,
    learning_rate: f64,
}

/// The weights of K networks that train in lockstep.
#[derive(Clone, Debug)]
pub struct Cohort<T> {
    /// V, (D, ΣH), row-major.
    v: Array2<T>,
    members: Vec<Member<T>>,
}

/// A worker's private buffers, allocated once for a cohort.
#[derive(Clone, Debug)]
pub struct Scratch<T> {
    /// Z, then Δ: (B, ΣH).
    wide: Array2<T>,
    /// Activations A of one member: (B, H).
    activations: Array2<T>,
    /// Scores, then dS, of one member: (B, C).
    scores: Array2<T>,
    /// dW2 of one member: (H, C).
    d_w2: Array2<T>,
}

impl<T: Real> Cohort<T> {
    /// Puts networks side by side, each with its own L2 and learning rate.
    ///
    /// # Panics
    /// There is none, or they differ in inputs.
    pub fn new(networks: Vec<(TwoLayerNet<T>, f64, f64)>) -> Self {
        let views: Vec<_> = networks.iter().map(|(network, ..)| network.w1.view()).collect();
        let v = ndarray::concatenate(Axis(1), &views).expect("networks of a cohort have the same inputs");
        let v = v.as_standard_layout().into_owned();
        let mut start = 0;
        let member = |(network, l2, learning_rate): (TwoLayerNet<T>, f64, f64)| {
            let columns = start..start + network.b1.len();
            start = columns.end;
            Member { columns, scale: 1.0, b1: network.b1, w2: network.w2, b2: network.b2, l2, learning_rate }
        };
        let members = networks.into_iter().map(member).collect();
        Self { v, members }
    }

    /// K.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Buffers for minibatches of up to `rows` rows.
    pub fn scratch(&self, rows: usize) -> Scratch<T> {
        let hidden = self.members.iter().map(|member| member.columns.len()).max().unwrap_or(0);
        let classes = self.members.first().map_or(0, |member| member.b2.len());
        Scratch {
            wide: Array2::zeros((rows, self.v.ncols())),
            activations: Array2::zeros((rows, hidden)),
            scores: Array2::zeros((rows, classes)),
            d_w2: Array2::zeros((hidden, classes)),
        }
    }

    /// One iteration of every member on `batch`: forward, loss, backward, update. `data_losses[k]` gets member k's loss
    /// without its penalty, taken before the update.
    pub fn iterate(&mut self, batch: &Minibatch<T>, scratch: &mut Scratch<T>, data_losses: &mut [f64]) {
        let (x, labels) = (batch.x(), batch.labels());
        for member in &mut self.members {
            member.fold_scale(&mut self.v);
        }
        self.forward(x, scratch);
        for (member, loss) in self.members.iter_mut().zip(data_losses) {
            *loss = member.update(&mut self.v, labels, scratch);
        }
        let deltas = scratch.wide.slice(s![..labels.len(), ..self.v.ncols()]);
        general_mat_mul(T::one(), &x.t(), &deltas, T::one(), &mut self.v);
    }

    /// Rows of `batch` whose largest score is that of their label, added to `correct[k]` for member k.
    pub fn count_correct(&self, batch: &Minibatch<T>, scratch: &mut Scratch<T>, correct: &mut [usize]) {
        let (x, labels) = (batch.x(), batch.labels());
        self.forward(x, scratch);
        for (member, correct) in self.members.iter().zip(correct) {
            let wide = scratch.wide.slice(s![..labels.len(), member.columns.clone()]);
            let mut activations = scratch.activations.slice_mut(s![..labels.len(), ..member.columns.len()]);
            let mut scores = scratch.scores.slice_mut(s![..labels.len(), ..]);
            member.scores(wide, &mut activations, &mut scores);
            let predicted = scores.rows().into_iter().map(|row| two_layer_net::largest(row.iter().copied()));
            *correct += predicted.zip(labels).filter(|&(predicted, &label)| predicted == usize::from(label)).count();
        }
    }

    /// λ(‖W1‖² + ‖W2‖²) of member k: one pass over its weights.
    pub fn penalty(&self, member: usize) -> f64 {
        let member = &self.members[member];
        if member.l2 == 0.0 {
            return 0.0;
        }
        let squares = |weights: ArrayView2<'_, T>| -> f64 { weights.iter().map(|w| w.as_f64() * w.as_f64()).sum() };
        let first = squares(self.v.slice(s![.., member.columns.clone()]));
        member.l2 * (member.scale * member.scale * first + squares(member.w2.view()))
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
        let kept: Vec<usize> = (0..self.members.len()).filter(|&member| stays(member)).collect();
        if kept.len() == self.members.len() {
            return;
        }
        let columns: Vec<usize> = kept.iter().flat_map(|&member| self.members[member].columns.clone()).collect();
        self.v = self.v.select(Axis(1), &columns);
        let mut start = 0;
        let members = std::mem::take(&mut self.members).into_iter().enumerate();
        self.members = members.filter(|(member, _)| kept.contains(member)).map(|(_, member)| member).collect();
        for member in &mut self.members {
            member.columns = start..start + member.columns.len();
            start = member.columns.end;
        }
    }

    /// Member k as a network of its own.
    pub fn network(&self, member: usize) -> TwoLayerNet<T> {
        let member = &self.members[member];
        let scale = T::from_f64(member.scale);
        let w1 = self.v.slice(s![.., member.columns.clone()]).map(|&weight| weight * scale);
        TwoLayerNet { w1, b1: member.b1.clone(), w2: member.w2.clone(), b2: member.b2.clone() }
    }

    /// Z = X·V into the scratch.
    fn forward(&self, x: ArrayView2<'_, T>, scratch: &mut Scratch<T>) {
        let mut z = scratch.wide.slice_mut(s![..x.nrows(), ..self.v.ncols()]);
        general_mat_mul(T::one(), &x, &self.v, T::zero(), &mut z);
    }
}

impl<T: Real> Member<T> {
    /// What one iteration of L2 multiplies W1 and W2 by: 1 − 2ηλ.
    fn decay(&self) -> f64 {
        1.0 - 2.0 * self.learning_rate * self.l2
    }

    /// W1 *= `factor`, in the wide matrix.
    fn multiply(&self, v: &mut Array2<T>, factor: f64) {
        let factor = T::from_f64(factor);
        v.slice_mut(s![.., self.columns.clone()]).mapv_inplace(|weight| weight * factor);
    }

    /// Folds σ into V where this iteration's decay would make it too small.
    fn fold_scale(&mut self, v: &mut Array2<T>) {
        if self.scale != 1.0 && self.scale * self.decay() < SMALLEST_SCALE {
            self.multiply(v, self.scale);
            self.scale = 1.0;
        }
    }

    /// A = max(0, σZ + b1) and S = A·W2 + b2, with Z this member's columns of `wide`.
    fn scores(
        &self,
        wide: ArrayView2<'_, T>,
        activations: &mut ArrayViewMut2<'_, T>,
        scores: &mut ArrayViewMut2<'_, T>,
    ) {
        let scale = T::from_f64(self.scale);
        let bias = self.b1.broadcast(wide.dim()).expect("one bias a hidden unit");
        Zip::from(&mut *activations).and(wide).and(bias).for_each(|activation, &z, &bias| {
            *activation = two_layer_net::rectify(z * scale + bias);
        });
        general_mat_mul(T::one(), activations, &self.w2, T::zero(), scores);
        *scores += &self.b2;
    }

    /// All between the two wide products: returns the data loss, updates everything but V, and leaves Δ in the member's
    /// columns of `scratch.wide`.
    fn update(&mut self, v: &mut Array2<T>, labels: &[u8], scratch: &mut Scratch<T>) -> f64 {
        let (rows, hidden) = (labels.len(), self.columns.len());
        let mut wide = scratch.wide.slice_mut(s![..rows, self.columns.clone()]);
        let mut activations = scratch.activations.slice_mut(s![..rows, ..hidden]);
        let mut scores = scratch.scores.slice_mut(s![..rows, ..]);
        let mut d_w2 = scratch.d_w2.slice_mut(s![..hidden, ..]);
        self.scores(wide.view(), &mut activations, &mut scores);
        let loss = two_layer_net::softmax_loss(&mut scores, labels);

        let count = T::from_f64(rows as f64);
        scores.mapv_inplace(|value| value / count); // dS
        general_mat_mul(T::one(), &activations.t(), &scores, T::zero(), &mut d_w2);
        general_mat_mul(T::one(), &scores, &self.w2.t(), T::zero(), &mut wide); // dA, over Z
        Zip::from(&mut wide).and(&activations).for_each(|delta, &activation| {
            if activation <= T::zero() {
                *delta = T::zero(); // dZ
            }
        });

        let (decay, rate) = (self.decay(), T::from_f64(-self.learning_rate));
        for row in wide.rows() {
            self.b1.scaled_add(rate, &row);
        }
        for row in scores.rows() {
            self.b2.scaled_add(rate, &row);
        }
        let decay_of_weights = T::from_f64(decay);
        self.w2.mapv_inplace(|weight| weight * decay_of_weights);
        self.w2.scaled_add(rate, &d_w2);

        self.scale *= decay;
        if self.scale < SMALLEST_SCALE {
            // The decay of one iteration is all but total, or turns the sign: no scalar can hold that.
            self.multiply(v, self.scale);
            self.scale = 1.0;
        }
        let factor = T::from_f64(-self.learning_rate / self.scale);
        wide.mapv_inplace(|delta| delta * factor); // Δ
        loss
    }
}
