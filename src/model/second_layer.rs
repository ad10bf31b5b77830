//! What a trial does between the two wide products: bias, ReLU, second layer, softmax, deltas.
//!
//! Everything is held transposed, a row a unit or class and a column an image: rows are B long and contiguous, so every loop runs
//! over independent columns. Those loops are plain multiplications and additions (never fused), and the sums over columns have
//! eight partial sums whatever the machine: the numbers are the same on every CPU. For H units and C classes, with the
//! formulas of [`two_layer_net`](super::two_layer_net):
//!
//! ```text
//! Zᵀ (H, B) is given, and becomes Aᵀ, then Δᵀ     Sᵀ (C, B), then dSᵀ     W2 (H, C)
//! ```

use multiversion::multiversion;
use ndarray::{Array1, Array2};

use crate::real::Real;

/// Partial sums of a sum over columns.
const LANES: usize = 8;
/// Classes whose sums are carried together: as many as registers hold.
const GROUP: usize = 5;
/// Hidden units whose share of the scores is added together.
const UNITS: usize = 5;

/// The parameters of a trial other than its first-layer weights.
#[derive(Clone, Debug, PartialEq)]
pub struct SecondLayer<T> {
    /// First-layer biases, (H).
    pub b1: Array1<T>,
    /// Second-layer weights, (H, C).
    pub w2: Array2<T>,
    /// Second-layer biases, (C).
    pub b2: Array1<T>,
}

/// One update of gradient descent, in the numbers that it takes.
#[derive(Clone, Copy, Debug)]
pub struct Update<T> {
    /// σ: first-layer weights are σ·V.
    pub scale: T,
    /// Learning rate η.
    pub rate: T,
    /// What L2 multiplies W2 by.
    pub decay: T,
    /// What dZ is multiplied by to be added to V: −η / σ after this update.
    pub delta_factor: T,
}

/// The rows of a wide (places, B) matrix that belong to one trial.
#[derive(Debug)]
pub struct UnitRows<'a, T> {
    /// The matrix, row-major.
    pub wide: &'a mut [T],
    /// B.
    pub columns: usize,
    /// The row of each hidden unit.
    pub places: &'a [usize],
}

impl<T> UnitRows<'_, T> {
    /// The row of hidden unit `unit`.
    #[inline(always)]
    fn row(&mut self, unit: usize) -> &mut [T] {
        let start = self.places[unit] * self.columns;
        &mut self.wide[start..start + self.columns]
    }
}

impl<T: Real> SecondLayer<T> {
    /// From Zᵀ: Aᵀ in its place, and Sᵀ (C, B).
    pub fn scores(&self, units: &mut UnitRows<'_, T>, scale: T, scores: &mut [T]) {
        scores_of(self, units, scale, scores);
    }

    /// From Zᵀ: the data loss, this layer updated, and Δᵀ in place of Zᵀ. `work` (C + 1, B) is overwritten.
    pub fn update(&mut self, units: &mut UnitRows<'_, T>, labels: &[u8], update: Update<T>, work: &mut [T]) -> f64 {
        let (scores, d_activations) = work.split_at_mut(self.b2.len() * labels.len());
        scores_of(self, units, update.scale, scores);
        let loss = softmax_loss(scores, labels);
        backward(self, units, update, scores, d_activations);
        loss
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn scores_of<T: Real>(layer: &SecondLayer<T>, units: &mut UnitRows<'_, T>, scale: T, scores: &mut [T]) {
    let (columns, classes) = (units.columns, layer.b2.len());
    for (row, &bias) in scores.chunks_exact_mut(columns).zip(&layer.b2) {
        row.fill(bias);
    }
    for (unit, &bias) in layer.b1.iter().enumerate() {
        for value in units.row(unit) {
            let z = *value * scale + bias;
            *value = if z < T::zero() { T::zero() } else { z }; // NaN stays NaN
        }
    }
    // Several units at a time, so that a row of scores is loaded and stored once for all of them. Each score is still summed
    // unit after unit.
    let weights = layer.w2.as_slice().expect("W2 is row-major");
    let (groups, rest) = units.places.as_chunks::<UNITS>();
    for (group, places) in groups.iter().enumerate() {
        add_units(scores, units.wide, columns, places, &weights[group * UNITS * classes..]);
    }
    for (unit, place) in (groups.len() * UNITS..).zip(rest) {
        add_units(scores, units.wide, columns, &[*place], &weights[unit * classes..]);
    }
}

/// Sᵀ += for U hidden units, A[·, h]·W2[h, c]. `weights` begins with the first of them.
#[inline(always)]
fn add_units<T: Real, const U: usize>(
    scores: &mut [T],
    wide: &[T],
    columns: usize,
    places: &[usize; U],
    weights: &[T],
) {
    let classes = scores.len() / columns;
    let activations: [&[T]; U] = places.map(|place| &wide[place * columns..][..columns]);
    for (class, row) in scores.chunks_exact_mut(columns).enumerate() {
        let weights: [T; U] = std::array::from_fn(|unit| weights[unit * classes + class]);
        for (column, score) in row.iter_mut().enumerate() {
            for unit in 0..U {
                *score += activations[unit][column] * weights[unit];
            }
        }
    }
}

/// Turns Sᵀ (C, B) into dSᵀ = (P − onehot(y))ᵀ / B, and returns the mean of −log P[i, y_i].
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn softmax_loss<T: Real>(scores: &mut [T], labels: &[u8]) -> f64 {
    let (blocks, rest) = labels.as_chunks::<LANES>();
    let mut loss = 0.0;
    for (block, labels_of_block) in blocks.iter().enumerate() {
        loss += softmax_block(scores, labels.len(), block * LANES, labels_of_block);
    }
    for (at, label) in rest.iter().enumerate() {
        loss += softmax_block(scores, labels.len(), blocks.len() * LANES + at, &[*label]);
    }
    loss / labels.len() as f64
}

/// Softmax of the W columns from `start`: returns the sum of their −log P[i, y_i].
#[inline(always)]
fn softmax_block<T: Real, const W: usize>(scores: &mut [T], columns: usize, start: usize, labels: &[u8; W]) -> f64 {
    let count = T::from_f64(columns as f64);
    let mut largest = [T::neg_infinity(); W];
    for row in scores.chunks_exact(columns) {
        let row: [T; W] = std::array::from_fn(|lane| row[start + lane]);
        largest = std::array::from_fn(|lane| if row[lane] > largest[lane] { row[lane] } else { largest[lane] });
    }
    let of_label = |lane: usize| usize::from(labels[lane]) * columns + start + lane;
    let mut loss: f64 = (0..W).map(|lane| (largest[lane] - scores[of_label(lane)]).as_f64()).sum();
    let mut sums = [T::zero(); W];
    for row in scores.chunks_exact_mut(columns) {
        for lane in 0..W {
            let exponential = (row[start + lane] - largest[lane]).exp();
            row[start + lane] = exponential;
            sums[lane] += exponential;
        }
    }
    loss += sums.iter().map(|sum| sum.as_f64().ln()).sum::<f64>();
    let factors = sums.map(|sum| T::one() / (sum * count));
    for row in scores.chunks_exact_mut(columns) {
        for lane in 0..W {
            row[start + lane] *= factors[lane];
        }
    }
    for lane in 0..W {
        scores[of_label(lane)] -= T::one() / count;
    }
    loss
}

/// From Aᵀ and dSᵀ: Δᵀ in place of Aᵀ, and this layer's update. `d_activations` (B) is room to work in.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn backward<T: Real>(
    layer: &mut SecondLayer<T>,
    units: &mut UnitRows<'_, T>,
    update: Update<T>,
    d_scores: &[T],
    d_activations: &mut [T],
) {
    let (columns, classes) = (units.columns, layer.b2.len());
    let weights = layer.w2.as_slice_mut().expect("W2 is row-major").chunks_exact_mut(classes);
    for (unit, (bias, weights)) in layer.b1.iter_mut().zip(weights).enumerate() {
        let row = units.row(unit);
        d_activations.fill(T::zero());
        let groups = weights.chunks_mut(GROUP).zip(d_scores.chunks(GROUP * columns));
        for (weights, d_rows) in groups {
            match weights.len() {
                1 => backward_classes::<T, 1>(row, d_rows, weights, d_activations, update),
                2 => backward_classes::<T, 2>(row, d_rows, weights, d_activations, update),
                3 => backward_classes::<T, 3>(row, d_rows, weights, d_activations, update),
                4 => backward_classes::<T, 4>(row, d_rows, weights, d_activations, update),
                _ => backward_classes::<T, GROUP>(row, d_rows, weights, d_activations, update),
            }
        }
        *bias -= update.rate * rectify_gradient(row, d_activations, update.delta_factor);
    }
    for (bias, d_row) in layer.b2.iter_mut().zip(d_scores.chunks_exact(columns)) {
        *bias -= update.rate * sum(d_row);
    }
}

/// For G classes and one hidden unit: dA[i, h] += Σ_c dS[i, c]·W2[h, c] with W2 as it was, and the update of W2[h, c] by
/// Σ_i A[i, h]·dS[i, c]. Each dS is loaded once, and all sums stay in registers.
#[inline(always)]
fn backward_classes<T: Real, const G: usize>(
    activations: &[T],
    d_rows: &[T],
    weights: &mut [T],
    d_activations: &mut [T],
    update: Update<T>,
) {
    let columns = activations.len();
    let factors: [T; G] = std::array::from_fn(|class| weights[class]);
    let rows: [(&[[T; LANES]], &[T]); G] =
        std::array::from_fn(|class| d_rows[class * columns..][..columns].as_chunks());
    let mut sums = [[T::zero(); LANES]; G];
    let (blocks, rest) = activations.as_chunks::<LANES>();
    let (d_blocks, d_rest) = d_activations.as_chunks_mut::<LANES>();
    for (at, (activations, d_activations)) in blocks.iter().zip(d_blocks).enumerate() {
        let mut d_block = *d_activations;
        for class in 0..G {
            let d_scores = rows[class].0[at];
            sums[class] = multiply_add(sums[class], *activations, d_scores);
            d_block = multiply_add(d_block, d_scores, [factors[class]; LANES]);
        }
        *d_activations = d_block;
    }
    for (lane, (&activation, d_activation)) in rest.iter().zip(d_rest).enumerate() {
        for class in 0..G {
            let d_score = rows[class].1[lane];
            sums[class][lane] += activation * d_score;
            *d_activation += d_score * factors[class];
        }
    }
    for (weight, sums) in weights.iter_mut().zip(sums) {
        *weight = *weight * update.decay - update.rate * total(sums);
    }
}

/// dZ is dA where A > 0, and zero elsewhere: returns Σ_i dZ[i, h], and leaves dZ · `factor` in place of A.
#[inline(always)]
fn rectify_gradient<T: Real>(activations: &mut [T], d_activations: &[T], factor: T) -> T {
    let pick = |activation: T, d_activation: T| if activation <= T::zero() { T::zero() } else { d_activation };
    let mut sums = [T::zero(); LANES];
    let (blocks, rest) = activations.as_chunks_mut::<LANES>();
    let (d_blocks, d_rest) = d_activations.as_chunks::<LANES>();
    for (block, d_block) in blocks.iter_mut().zip(d_blocks) {
        let dz: [T; LANES] = std::array::from_fn(|lane| pick(block[lane], d_block[lane]));
        sums = std::array::from_fn(|lane| sums[lane] + dz[lane]);
        *block = dz.map(|value| value * factor);
    }
    for (lane, (activation, &d_activation)) in rest.iter_mut().zip(d_rest).enumerate() {
        let dz = pick(*activation, d_activation);
        sums[lane] += dz;
        *activation = dz * factor;
    }
    total(sums)
}

/// sums + a∘b
#[inline(always)]
fn multiply_add<T: Real>(sums: [T; LANES], a: [T; LANES], b: [T; LANES]) -> [T; LANES] {
    std::array::from_fn(|lane| sums[lane] + a[lane] * b[lane])
}

/// The sum, in [`LANES`] partial sums.
#[inline(always)]
fn sum<T: Real>(values: &[T]) -> T {
    let mut sums = [T::zero(); LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            sums[lane] += block[lane];
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        *sum += value;
    }
    total(sums)
}

/// Adds partial sums by halves: always in this order.
#[inline(always)]
fn total<T: Real>(sums: [T; LANES]) -> T {
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
