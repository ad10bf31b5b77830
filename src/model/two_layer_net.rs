//! The notebook's network on one page: the readable reference that the fast path is tested against.
//!
//! B rows of D inputs, H hidden units, C classes. Given X (B, D) and labels y (B), with parameters W1 (D, H), b1 (H),
//! W2 (H, C), b2 (C):
//!
//! ```text
//! Z  = X·W1 + b1                   (B, H)
//! A  = max(0, Z)                   (B, H)    ReLU
//! S  = A·W2 + b2                   (B, C)    scores
//! P  = exp(S) / Σ_c exp(S)         (B, C)    softmax, row by row
//!
//! L  = −(1/B) Σ_i log P[i, y_i]  +  λ(‖W1‖² + ‖W2‖²)
//! ```
//!
//! Softmax does not change when a row of S is shifted, so the row's largest score is subtracted first and no exponential
//! overflows; and log P[i, y] = (S[i, y] − max) − log Σ exp(S − max), so no logarithm of zero is taken either.
//!
//! Backwards, by the chain rule, with 1[·] one where the condition holds and zero elsewhere. The derivative of
//! −log P[i, y_i] by S[i, c] is P[i, c] − 1[c = y_i], which gives
//!
//! ```text
//! dS  = (P − onehot(y)) / B        (B, C)
//! dW2 = Aᵀ·dS + 2λ W2              (H, C)    the derivative of λ‖W‖² is 2λ W
//! db2 = Σ_i dS[i]                  (C)
//! dA  = dS·W2ᵀ                     (B, H)
//! dZ  = dA ∘ 1[Z > 0]              (B, H)
//! dW1 = Xᵀ·dZ + 2λ W1              (D, H)
//! db1 = Σ_i dZ[i]                  (H)
//! ```
//!
//! Two regularizers change that. *Dropout* multiplies A by a mask M (B, H), of zeros and 1/(1 − p), in training: A = max(0, Z) ∘ M, and
//! dZ = dA ∘ M ∘ `1[Z > 0]`. *Label smoothing* by s replaces onehot(y) in L and dS by Q = (1 − s) onehot(y) + s/C, so that
//! L = −(1/B) Σ_i Σ_c Q[i, c] log P[i, c]. Source: C. Szegedy et al., "Rethinking the Inception Architecture" (2016).
//!
//! Source: the course notes of cs231n, "Putting it together: Minimal Neural Network Case Study",
//! <https://cs231n.github.io/neural-networks-case-study/>.

use clap::ValueEnum;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, Zip};

use serde::{Deserialize, Serialize};

use crate::data::images::Label;
use crate::random::Normals;
use crate::real::Real;

/// The parameters of a network; the gradient of a loss has the same shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct TwoLayerNet<T> {
    /// First-layer weights, (D, H).
    pub w1: Array2<T>,
    /// First-layer biases, (H).
    pub b1: Array1<T>,
    /// Second-layer weights, (H, C).
    pub w2: Array2<T>,
    /// Second-layer biases, (C).
    pub b2: Array1<T>,
}

/// The standard deviation of the first weights of a layer with n inputs and m outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// `weight_scale`, in both layers: the notebook's way
    #[default]
    Scale,
    /// √(2/n) of n inputs: He's
    He,
    /// √(2/(n + m)) of n inputs and m outputs: Xavier Glorot's
    Xavier,
}

impl Init {
    /// Its name in files and flags. Identities of trials are hashes of it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Scale => "scale",
            Self::He => "he",
            Self::Xavier => "xavier",
        }
    }

    /// Standard deviation of the weights of each layer. Sources: K. He et al., "Delving Deep into Rectifiers" (2015); X. Glorot and
    /// Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
    pub fn scales(self, inputs: usize, hidden: usize, classes: usize, weight_scale: f64) -> [f64; 2] {
        let of_layer = |from: usize, to: usize| match self {
            Self::Scale => weight_scale,
            Self::He => (2.0 / from as f64).sqrt(),
            Self::Xavier => (2.0 / (from + to) as f64).sqrt(),
        };
        [of_layer(inputs, hidden), of_layer(hidden, classes)]
    }
}

impl<T: Real> TwoLayerNet<T> {
    /// Weights drawn from normal distributions with these standard deviations for W1 and W2, W1 first, row by row; biases zero.
    pub fn random(inputs: usize, hidden: usize, classes: usize, scales: [f64; 2], stream: &mut impl Normals) -> Self {
        let mut draw = |shape, scale: f64| Array2::from_shape_simple_fn(shape, || T::from_f64(scale * stream.normal()));
        let (w1, w2) = (draw((inputs, hidden), scales[0]), draw((hidden, classes), scales[1]));
        Self { w1, b1: Array1::zeros(hidden), w2, b2: Array1::zeros(classes) }
    }

    /// The same parameters, rounded to another precision.
    pub fn cast<U: Real>(&self) -> TwoLayerNet<U> {
        let number = |&value: &T| U::from_f64(value.as_f64());
        TwoLayerNet {
            w1: self.w1.map(number),
            b1: self.b1.map(number),
            w2: self.w2.map(number),
            b2: self.b2.map(number),
        }
    }

    /// S (B, C) for X (B, D).
    pub fn scores(&self, x: ArrayView2<'_, T>) -> Array2<T> {
        self.hidden_activations(x).dot(&self.w2) + &self.b2
    }

    /// The loss L on X (B, D) with labels y (B), and its gradient.
    ///
    /// # Panics
    /// The shapes do not fit, or a label is not below C.
    pub fn loss(&self, x: ArrayView2<'_, T>, labels: &[Label], l2: f64) -> (f64, Self) {
        self.regularized_loss(x, labels, l2, 0.0, None)
    }

    /// As [`loss`](Self::loss), with label smoothing by a share s, and dropout by a mask M (B, H).
    ///
    /// # Panics
    /// The shapes do not fit, or a label is not below C.
    pub fn regularized_loss(
        &self,
        x: ArrayView2<'_, T>,
        labels: &[Label],
        l2: f64,
        smoothing: f64,
        mask: Option<ArrayView2<'_, T>>,
    ) -> (f64, Self) {
        let (rows, penalty) = (T::from_f64(labels.len() as f64), T::from_f64(2.0 * l2));
        let mut hidden = self.hidden_activations(x);
        mask.iter().for_each(|mask| hidden *= mask);
        let mut scores = hidden.dot(&self.w2) + &self.b2;
        let data_loss = softmax_loss(&mut scores.view_mut(), labels, smoothing);

        let d_scores = scores.mapv_into(|value| value / rows);
        let w2 = hidden.t().dot(&d_scores) + &self.w2 * penalty;
        let b2 = d_scores.sum_axis(Axis(0));
        let mut d_hidden = d_scores.dot(&self.w2.t());
        Zip::from(&mut d_hidden).and(&hidden).for_each(|delta, &activation| {
            if activation <= T::zero() {
                *delta = T::zero();
            }
        });
        mask.iter().for_each(|mask| d_hidden *= mask);
        let w1 = x.t().dot(&d_hidden) + &self.w1 * penalty;
        let b1 = d_hidden.sum_axis(Axis(0));
        (data_loss + l2 * self.squared_weights(), Self { w1, b1, w2, b2 })
    }

    /// ‖W1‖² + ‖W2‖², summed in f64.
    pub fn squared_weights(&self) -> f64 {
        self.w1.iter().chain(&self.w2).map(|weight| weight.as_f64() * weight.as_f64()).sum()
    }

    /// One update of gradient descent: parameters −= rate · gradient.
    pub fn descend(&mut self, gradient: &Self, rate: f64) {
        let rate = T::from_f64(-rate);
        self.w1.scaled_add(rate, &gradient.w1);
        self.b1.scaled_add(rate, &gradient.b1);
        self.w2.scaled_add(rate, &gradient.w2);
        self.b2.scaled_add(rate, &gradient.b2);
    }

    /// A (B, H).
    fn hidden_activations(&self, x: ArrayView2<'_, T>) -> Array2<T> {
        (x.dot(&self.w1) + &self.b1).mapv_into(rectify)
    }
}

/// max(0, value), where NaN stays NaN: a network that diverged must not look alive.
#[inline(always)]
pub fn rectify<T: Real>(value: T) -> T {
    if value < T::zero() { T::zero() } else { value }
}

/// Turns scores S (B, C) into P − Q, and returns the mean of −Σ_c Q[i, c] log P[i, c], with labels smoothed by a share.
pub fn softmax_loss<T: Real>(scores: &mut ArrayViewMut2<'_, T>, labels: &[Label], smoothing: f64) -> f64 {
    let mut loss = 0.0;
    let spread = smoothing / scores.ncols() as f64;
    for (mut row, &label) in scores.rows_mut().into_iter().zip(labels) {
        let largest = row.fold(T::neg_infinity(), |largest, &score| largest.max(score));
        row.mapv_inplace(|score| score - largest);
        let of_label = row[usize::from(label)].as_f64();
        let of_all: f64 = if smoothing > 0.0 { row.iter().map(|score| score.as_f64()).sum() } else { 0.0 };
        row.mapv_inplace(T::exp);
        let sum = row.sum();
        loss += sum.as_f64().ln() - (1.0 - smoothing) * of_label - spread * of_all;
        row.mapv_inplace(|exponential| exponential / sum - T::from_f64(spread));
        row[usize::from(label)] -= T::from_f64(1.0 - smoothing);
    }
    loss / labels.len() as f64
}

/// Position of the largest value; the first of equals.
pub fn largest<T: Real>(values: impl IntoIterator<Item = T>) -> usize {
    let start = (0, T::neg_infinity());
    values.into_iter().enumerate().fold(start, |best, (at, value)| if value > best.1 { (at, value) } else { best }).0
}
