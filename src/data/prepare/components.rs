//! Principal components of images, and what is made of them: PCA, PCA whitening, ZCA whitening.
//!
//! With the eigenvectors v_k and eigenvalues λ_k of the covariance, and s² the mean variance of a pixel, an image x becomes
//!
//! ```text
//! pca          v_kᵀ(x − mean) / s                                          for the first components k
//! pca-whiten   v_kᵀ(x − mean) / (s √(λ_k/s² + ε))
//! zca          Σ_k v_k v_kᵀ(x − mean) / (s √(λ_k/s² + ε))                  over all k
//! ```
//!
//! Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009), appendix A.

use std::path::Path;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Axis, s};

use super::covariance::covariance;
use super::{Fitted, Preparation, Recipe, cache, moments};
use crate::blas::eigen::{self, Eigen};
use crate::data::images::Rows;

/// Eigenvalues and eigenvectors of the covariance of images, from which all three are made; read from the file `cached` if they are
/// there, and written to it if they are not.
///
/// # Errors
/// They cannot be found.
pub fn decompose(rows: Rows<'_>, inputs: usize, cached: Option<&Path>) -> Result<Eigen, String> {
    if let Some(eigen) = cached.and_then(|path| cache::read(path, inputs)) {
        return Ok(eigen);
    }
    let eigen = eigen::symmetric(covariance(rows, inputs))?;
    cached.iter().for_each(|path| cache::write(path, &eigen));
    Ok(eigen)
}

/// Fits one of the three to images of `inputs` numbers, of which `eigen` is the [decomposition](decompose).
pub fn fit(recipe: Recipe, rows: Rows<'_>, inputs: usize, eigen: &Eigen) -> Fitted {
    let Eigen { values, vectors } = eigen;
    let variance = (values.iter().sum::<f64>() / inputs as f64).max(f64::MIN_POSITIVE);
    let kept = match recipe.preparation {
        Preparation::Zca => inputs,
        _ if recipe.components >= 1.0 => recipe.outputs(inputs),
        _ => components_of(values, recipe.components),
    };
    let whitened = |value: f64| 1.0 / (value.max(0.0) / variance + recipe.epsilon).sqrt().max(1e-6);
    let scale = 1.0 / variance.sqrt();
    let factor = |value: f64| if recipe.preparation == Preparation::Pca { scale } else { scale * whitened(value) };
    let vectors = vectors.slice(s![..kept, ..]).mapv(f64::from);
    let mut scaled = vectors.clone();
    scaled.axis_iter_mut(Axis(0)).zip(values).for_each(|(mut row, &value)| row *= factor(value));
    let projection = match recipe.preparation {
        Preparation::Zca => {
            let mut projection = Array2::zeros((inputs, inputs));
            general_mat_mul(1.0, &vectors.t(), &scaled, 0.0, &mut projection);
            projection
        }
        _ => scaled,
    };
    let projection = projection.mapv(|value| value as f32);
    Fitted { mean: moments::means(rows, inputs), factor: None, projection: Some(projection) }
}

/// How many of the largest eigenvalues make a share of their sum.
fn components_of(values: &[f64], share: f64) -> usize {
    let total: f64 = values.iter().map(|value| value.max(0.0)).sum();
    let mut sum = 0.0;
    let is_enough = |value: &f64| {
        sum += value.max(0.0);
        sum >= share * total
    };
    values.iter().position(is_enough).map_or(values.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prepared images of two correlated inputs and a third.
    fn prepared(recipe: Recipe) -> Array2<f64> {
        let byte = |at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8;
        let pixels: Vec<u8> = (0..4000_u32)
            .flat_map(|at| {
                let (a, b) = (byte(at), byte(at + 9999));
                [a / 2, a / 4 + b / 8, b / 3]
            })
            .collect();
        let rows = Rows::of_bytes(&pixels, &[0; 4000]);
        let Fitted { mean, projection, .. } = fit(recipe, rows, 3, &decompose(rows, 3, None).unwrap());
        let projection = projection.unwrap().mapv(f64::from);
        let x = Array2::from_shape_fn((4000, 3), |(row, input)| f64::from(pixels[3 * row + input]) - mean[input]);
        x.dot(&projection.t())
    }

    fn moments_of(x: &Array2<f64>) -> Array2<f64> {
        x.t().dot(x) / x.nrows() as f64
    }

    #[test]
    fn whitened_components_are_uncorrelated_with_variance_1() {
        for preparation in [Preparation::PcaWhiten, Preparation::Zca] {
            let found = moments_of(&prepared(Recipe::new(preparation, 3.0, 0.0)));
            let error = (found - Array2::<f64>::eye(3)).mapv(f64::abs);
            assert!(error.iter().all(|&error| error < 1e-3), "{preparation:?}: {error}");
        }
    }

    #[test]
    fn components_are_uncorrelated_and_the_largest_come_first() {
        let all = moments_of(&prepared(Recipe::new(Preparation::Pca, 3.0, 0.0)));
        assert!(all[[0, 0]] >= all[[1, 1]] && all[[1, 1]] >= all[[2, 2]]);
        assert!((all.diag().sum() - 3.0).abs() < 1e-3, "the mean variance is 1");
        assert!(all[[0, 1]].abs() < 1e-3);
        let share = (all[[0, 0]] + all[[1, 1]]) / 3.0 - 1e-6;
        assert_eq!(prepared(Recipe::new(Preparation::Pca, share, 0.0)).ncols(), 2);
        assert_eq!(prepared(Recipe::new(Preparation::Pca, 1.0, 0.0)).ncols(), 1);
    }
}
