//! What a network computes between the two wide products: biases, ReLU, second layer, softmax, and their gradients. Nothing here
//! knows an update rule.
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

use super::functions::Functions;
use super::two_layer_net::rectify;
use crate::data::images::Label;
use crate::random::dropout::{Dropped, Uniforms};
use crate::real::Real;
use crate::tensors::Parts;

/// Partial sums of a sum over columns.
const PARTIAL_SUMS: usize = 8;
/// Classes whose sums are carried together: as many as registers hold.
const GROUP: usize = 5;
/// The parameters' names in [`Parts`].
const NAMES: [&str; 3] = ["b1", "W2", "b2"];
/// Hidden units whose share of the scores is added together.
const UNITS: usize = 5;

/// The parameters of a network other than its first-layer weights; their gradient has the same shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Head<T> {
    /// First-layer biases, (H).
    pub b1: Array1<T>,
    /// Second-layer weights, (H, C).
    pub w2: Array2<T>,
    /// Second-layer biases, (C).
    pub b2: Array1<T>,
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

impl<T: Real> Head<T> {
    /// Zeros, for H hidden units and C classes.
    pub fn zeros(hidden: usize, classes: usize) -> Self {
        Self { b1: Array1::zeros(hidden), w2: Array2::zeros((hidden, classes)), b2: Array1::zeros(classes) }
    }

    /// C.
    pub fn classes(&self) -> usize {
        self.b2.len()
    }

    /// From Zᵀ / `scale`: Aᵀ in its place, of which some is dropped where that is asked for, and Sᵀ (C, B).
    pub fn scores(
        &self,
        units: &mut UnitRows<'_, T>,
        scale: T,
        dropped: Option<(Dropped<T>, &Uniforms)>,
        scores: &mut [T],
    ) {
        scores_of(self, units, scale, dropped, scores);
    }

    /// From Aᵀ and dSᵀ: the gradient of these parameters, without penalty, and dZᵀ · `delta_factor` in place of Aᵀ. `kept_factor` is what
    /// the activations that dropout kept were multiplied by. `d_activations` (B) is room to work in.
    pub fn backward(
        &self,
        units: &mut UnitRows<'_, T>,
        d_scores: &[T],
        [delta_factor, kept_factor]: [T; 2],
        gradient: &mut Self,
        d_activations: &mut [T],
    ) {
        backward(self, units, d_scores, [delta_factor, kept_factor], gradient, d_activations);
    }

    /// b1, W2, b2 as plain numbers.
    pub fn parameters(&self) -> [&[T]; 3] {
        [self.b1.as_slice(), self.w2.as_slice(), self.b2.as_slice()].map(|part| part.expect("a head is contiguous"))
    }

    /// As [`Head::parameters`], to be changed.
    pub fn parameters_mut(&mut self) -> [&mut [T]; 3] {
        let parts = [self.b1.as_slice_mut(), self.w2.as_slice_mut(), self.b2.as_slice_mut()];
        parts.map(|part| part.expect("a head is contiguous"))
    }

    /// Writes them, with a prefix before each name.
    pub fn save(&self, into: &mut Parts, prefix: &str) {
        let (hidden, classes) = self.w2.dim();
        let shapes: [&[usize]; 3] = [&[hidden], &[hidden, classes], &[classes]];
        for ((name, shape), numbers) in NAMES.into_iter().zip(shapes).zip(self.parameters()) {
            into.put(&format!("{prefix}{name}"), shape, numbers.to_vec());
        }
    }

    /// Reads what [`Head::save`] wrote.
    ///
    /// # Errors
    /// Something is missing, or does not fit the rest or the precision.
    pub fn load(from: &Parts, prefix: &str) -> Result<Self, String> {
        let name = |name: &str| format!("{prefix}{name}");
        let &[hidden, classes] = from.tensor(&name("W2"))?.shape() else {
            return Err(format!("`{}` is no matrix", name("W2")));
        };
        let mut head = Self::zeros(hidden, classes);
        let shapes: [&[usize]; 3] = [&[hidden], &[hidden, classes], &[classes]];
        for ((part, shape), numbers) in NAMES.into_iter().zip(shapes).zip(head.parameters_mut()) {
            numbers.copy_from_slice(from.numbers(&name(part), shape)?);
        }
        Ok(head)
    }
}

/// Turns Sᵀ (C, B) into dSᵀ = (P − Q)ᵀ / B, and returns the data loss: the mean of −Σ_c Q[i, c] log P[i, c], where Q is onehot(y), of
/// which `smoothing` is spread over all classes.
pub fn softmax_loss<T: Real, F: Functions<T>>(scores: &mut [T], labels: &[Label], smoothing: f64) -> f64 {
    loss_of::<T, F>(scores, labels, smoothing)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn scores_of<T: Real>(
    layer: &Head<T>,
    units: &mut UnitRows<'_, T>,
    scale: T,
    dropped: Option<(Dropped<T>, &Uniforms)>,
    scores: &mut [T],
) {
    let (columns, classes) = (units.columns, layer.b2.len());
    for (row, &bias) in scores.chunks_exact_mut(columns).zip(&layer.b2) {
        row.fill(bias);
    }
    for (unit, &bias) in layer.b1.iter().enumerate() {
        for value in units.row(unit) {
            *value = rectify(*value * scale + bias);
        }
        if let Some((dropped, uniforms)) = dropped {
            dropped.apply(units.row(unit), uniforms.row(unit));
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

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn loss_of<T: Real, F: Functions<T>>(scores: &mut [T], labels: &[Label], smoothing: f64) -> f64 {
    let (blocks, rest) = labels.as_chunks::<PARTIAL_SUMS>();
    let mut loss = 0.0;
    for (block, labels_of_block) in blocks.iter().enumerate() {
        loss +=
            softmax_block::<T, F, PARTIAL_SUMS>(scores, labels.len(), block * PARTIAL_SUMS, labels_of_block, smoothing);
    }
    for (at, label) in rest.iter().enumerate() {
        loss += softmax_block::<T, F, 1>(scores, labels.len(), blocks.len() * PARTIAL_SUMS + at, &[*label], smoothing);
    }
    loss / labels.len() as f64
}

/// Softmax of the W columns from `start`: returns the sum of their losses.
#[inline(always)]
fn softmax_block<T: Real, F: Functions<T>, const W: usize>(
    scores: &mut [T],
    columns: usize,
    start: usize,
    labels: &[Label; W],
    smoothing: f64,
) -> f64 {
    let count = T::from_f64(columns as f64);
    let mut largest = [T::neg_infinity(); W];
    for row in scores.chunks_exact(columns) {
        let row: [T; W] = std::array::from_fn(|lane| row[start + lane]);
        largest = std::array::from_fn(|lane| if row[lane] > largest[lane] { row[lane] } else { largest[lane] });
    }
    let of_label = |lane: usize| usize::from(labels[lane]) * columns + start + lane;
    let mut loss: f64 = (0..W).map(|lane| (largest[lane] - scores[of_label(lane)]).as_f64()).sum();
    let classes = scores.len() / columns;
    if smoothing > 0.0 {
        // Σ_c Q log P is that of the label, and of each class its share of what is spread.
        loss *= 1.0 - smoothing;
        for row in scores.chunks_exact(columns) {
            let of_row: f64 = (0..W).map(|lane| (largest[lane] - row[start + lane]).as_f64()).sum();
            loss += of_row * (smoothing / classes as f64);
        }
    }
    let mut sums = [T::zero(); W];
    for row in scores.chunks_exact_mut(columns) {
        for lane in 0..W {
            let exponential = F::exp(row[start + lane] - largest[lane]);
            row[start + lane] = exponential;
            sums[lane] += exponential;
        }
    }
    loss += sums.iter().map(|sum| F::ln(sum.as_f64())).sum::<f64>();
    let factors = sums.map(|sum| T::one() / (sum * count));
    for row in scores.chunks_exact_mut(columns) {
        for lane in 0..W {
            row[start + lane] *= factors[lane];
        }
    }
    if smoothing > 0.0 {
        let spread = T::from_f64(smoothing / classes as f64) / count;
        scores.chunks_exact_mut(columns).for_each(|row| row[start..start + W].iter_mut().for_each(|d| *d -= spread));
        let rest = T::from_f64(1.0 - smoothing) / count;
        (0..W).for_each(|lane| scores[of_label(lane)] -= rest);
        return loss;
    }
    for lane in 0..W {
        scores[of_label(lane)] -= T::one() / count;
    }
    loss
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn backward<T: Real>(
    layer: &Head<T>,
    units: &mut UnitRows<'_, T>,
    d_scores: &[T],
    [delta_factor, kept_factor]: [T; 2],
    gradient: &mut Head<T>,
    d_activations: &mut [T],
) {
    let (columns, classes) = (units.columns, layer.b2.len());
    let weights = layer.w2.as_slice().expect("W2 is row-major").chunks_exact(classes);
    let d_weights = gradient.w2.as_slice_mut().expect("dW2 is row-major").chunks_exact_mut(classes);
    for (unit, (d_bias, (weights, d_weights))) in gradient.b1.iter_mut().zip(weights.zip(d_weights)).enumerate() {
        let row = units.row(unit);
        d_activations.fill(T::zero());
        let groups = weights.chunks(GROUP).zip(d_weights.chunks_mut(GROUP)).zip(d_scores.chunks(GROUP * columns));
        for ((weights, d_weights), d_rows) in groups {
            match weights.len() {
                1 => backward_classes::<T, 1>(row, d_rows, weights, d_weights, d_activations),
                2 => backward_classes::<T, 2>(row, d_rows, weights, d_weights, d_activations),
                3 => backward_classes::<T, 3>(row, d_rows, weights, d_weights, d_activations),
                4 => backward_classes::<T, 4>(row, d_rows, weights, d_weights, d_activations),
                _ => backward_classes::<T, GROUP>(row, d_rows, weights, d_weights, d_activations),
            }
        }
        *d_bias = rectify_gradient(row, d_activations, delta_factor, kept_factor);
    }
    for (d_bias, d_row) in gradient.b2.iter_mut().zip(d_scores.chunks_exact(columns)) {
        *d_bias = sum(d_row);
    }
}

/// For G classes and one hidden unit: dA[i, h] += Σ_c dS[i, c]·W2[h, c], and dW2[h, c] = Σ_i A[i, h]·dS[i, c]. Each dS is loaded once,
/// and all sums stay in registers.
#[inline(always)]
fn backward_classes<T: Real, const G: usize>(
    activations: &[T],
    d_rows: &[T],
    weights: &[T],
    d_weights: &mut [T],
    d_activations: &mut [T],
) {
    let columns = activations.len();
    let factors: [T; G] = std::array::from_fn(|class| weights[class]);
    let rows: [(&[[T; PARTIAL_SUMS]], &[T]); G] =
        std::array::from_fn(|class| d_rows[class * columns..][..columns].as_chunks());
    let mut sums = [[T::zero(); PARTIAL_SUMS]; G];
    let (blocks, rest) = activations.as_chunks::<PARTIAL_SUMS>();
    let (d_blocks, d_rest) = d_activations.as_chunks_mut::<PARTIAL_SUMS>();
    for (at, (activations, d_activations)) in blocks.iter().zip(d_blocks).enumerate() {
        let mut d_block = *d_activations;
        for class in 0..G {
            let d_scores = rows[class].0[at];
            sums[class] = multiply_add(sums[class], *activations, d_scores);
            d_block = multiply_add(d_block, d_scores, [factors[class]; PARTIAL_SUMS]);
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
    for (d_weight, sums) in d_weights.iter_mut().zip(sums) {
        *d_weight = total(sums);
    }
}

/// dZ is dA · `kept` where A > 0, and zero elsewhere, dropped or not: returns Σ_i dZ[i, h], and leaves dZ · `factor` in place of A.
#[inline(always)]
fn rectify_gradient<T: Real>(activations: &mut [T], d_activations: &[T], factor: T, kept: T) -> T {
    let pick = |activation: T, d_activation: T| if activation <= T::zero() { T::zero() } else { d_activation * kept };
    let mut sums = [T::zero(); PARTIAL_SUMS];
    let (blocks, rest) = activations.as_chunks_mut::<PARTIAL_SUMS>();
    let (d_blocks, d_rest) = d_activations.as_chunks::<PARTIAL_SUMS>();
    for (block, d_block) in blocks.iter_mut().zip(d_blocks) {
        let dz: [T; PARTIAL_SUMS] = std::array::from_fn(|lane| pick(block[lane], d_block[lane]));
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
fn multiply_add<T: Real>(sums: [T; PARTIAL_SUMS], a: [T; PARTIAL_SUMS], b: [T; PARTIAL_SUMS]) -> [T; PARTIAL_SUMS] {
    std::array::from_fn(|lane| sums[lane] + a[lane] * b[lane])
}

/// The sum, in [`PARTIAL_SUMS`] partial sums.
#[inline(always)]
fn sum<T: Real>(values: &[T]) -> T {
    let mut sums = [T::zero(); PARTIAL_SUMS];
    let (blocks, rest) = values.as_chunks::<PARTIAL_SUMS>();
    for block in blocks {
        for lane in 0..PARTIAL_SUMS {
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
fn total<T: Real>(sums: [T; PARTIAL_SUMS]) -> T {
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
