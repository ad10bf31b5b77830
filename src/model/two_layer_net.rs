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
//! Source: the course notes of cs231n, "Putting it together: Minimal Neural Network Case Study",
//! <https://cs231n.github.io/neural-networks-case-study/>.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, Zip};

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

impl<T: Real> TwoLayerNet<T> {
    /// Weights drawn from a normal distribution of standard deviation `weight_scale`, W1 first, row by row; biases zero.
    pub fn random(inputs: usize, hidden: usize, classes: usize, weight_scale: f64, stream: &mut impl Normals) -> Self {
        let mut weight = || T::from_f64(weight_scale * stream.normal());
        let mut draw = |shape| Array2::from_shape_simple_fn(shape, &mut weight);
        let (w1, w2) = (draw((inputs, hidden)), draw((hidden, classes)));
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
    pub fn loss(&self, x: ArrayView2<'_, T>, labels: &[u8], l2: f64) -> (f64, Self) {
        let (rows, penalty) = (T::from_f64(labels.len() as f64), T::from_f64(2.0 * l2));
        let hidden = self.hidden_activations(x);
        let mut scores = hidden.dot(&self.w2) + &self.b2;
        let data_loss = softmax_loss(&mut scores.view_mut(), labels);

        let d_scores = scores.mapv_into(|value| value / rows);
        let w2 = hidden.t().dot(&d_scores) + &self.w2 * penalty;
        let b2 = d_scores.sum_axis(Axis(0));
        let mut d_hidden = d_scores.dot(&self.w2.t());
        Zip::from(&mut d_hidden).and(&hidden).for_each(|delta, &activation| {
            if activation <= T::zero() {
                *delta = T::zero();
            }
        });
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

/// Turns scores S (B, C) into P − onehot(y), and returns the mean of −log P[i, y_i].
pub fn softmax_loss<T: Real>(scores: &mut ArrayViewMut2<'_, T>, labels: &[u8]) -> f64 {
    let mut loss = 0.0;
    for (mut row, &label) in scores.rows_mut().into_iter().zip(labels) {
        let largest = row.fold(T::neg_infinity(), |largest, &score| largest.max(score));
        row.mapv_inplace(|score| score - largest);
        let of_label = row[usize::from(label)].as_f64();
        row.mapv_inplace(T::exp);
        let sum = row.sum();
        loss += sum.as_f64().ln() - of_label;
        row.mapv_inplace(|exponential| exponential / sum);
        row[usize::from(label)] -= T::one();
    }
    loss / labels.len() as f64
}

/// Position of the largest value; the first of equals.
pub fn largest<T: Real>(values: impl IntoIterator<Item = T>) -> usize {
    let start = (0, T::neg_infinity());
    values.into_iter().enumerate().fold(start, |best, (at, value)| if value > best.1 { (at, value) } else { best }).0
}
