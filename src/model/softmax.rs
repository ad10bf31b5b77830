//! The softmax over classes, and the gradient of its loss.
//!
//! As everything between the wide products, scores are held transposed, (C, B): a row a class, and loops run over independent columns, some
//! at a time.

use multiversion::multiversion;

use super::functions::Functions;
use crate::data::images::Label;
use crate::real::Real;

/// Columns that are computed together.
const COLUMNS: usize = 8;

/// Turns Sᵀ (C, B) into dSᵀ = (P − Q)ᵀ / B, and returns the data loss: the mean of −Σ_c Q[i, c] log P[i, c], where Q is onehot(y), of
/// which `smoothing` is spread over all classes.
pub fn softmax_loss<T: Real, F: Functions<T>>(scores: &mut [T], labels: &[Label], smoothing: f64) -> f64 {
    loss_of::<T, F>(scores, labels, smoothing)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn loss_of<T: Real, F: Functions<T>>(scores: &mut [T], labels: &[Label], smoothing: f64) -> f64 {
    let (blocks, rest) = labels.as_chunks::<COLUMNS>();
    let mut loss = 0.0;
    for (block, labels_of_block) in blocks.iter().enumerate() {
        loss += softmax_block::<T, F, COLUMNS>(scores, labels.len(), block * COLUMNS, labels_of_block, smoothing);
    }
    for (at, label) in rest.iter().enumerate() {
        loss += softmax_block::<T, F, 1>(scores, labels.len(), blocks.len() * COLUMNS + at, &[*label], smoothing);
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
