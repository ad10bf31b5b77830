//! What is done to the images before a network sees them: fitted on the training split, saved with the model.
//!
//! Nothing else knows a mean image: data sets hand out [`Fitted`] preparations, minibatches are gathered from a [`Source`].

pub mod cache;
pub mod components;
mod covariance;
mod moments;

use std::sync::Arc;

use clap::ValueEnum;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::images::{Label, RowValues, Rows};
use super::sets::Shape;
use crate::blas::eigen::Eigen;
use crate::real::Real;
use crate::tensors::{Parts, Tensor};

/// The names of a preparation's numbers in a model's file.
const MEAN: &str = "mean_image";
const FACTOR: &str = "scale_image";
const PROJECTION: &str = "projection";

/// What is done to images, fitted on the training split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Preparation {
    /// The mean image is subtracted
    #[default]
    Mean,
    /// Each channel has mean 0 and standard deviation 1
    Channel,
    /// Each pixel of each channel has mean 0 and standard deviation 1
    Pixel,
    /// The first principal components of the images
    Pca,
    /// Principal components, each divided by its standard deviation
    PcaWhiten,
    /// Images whose pixels are uncorrelated, as near to the images as that can be
    Zca,
}

impl Preparation {
    /// Its name in files and flags. Identities of trials are hashes of it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Channel => "channel",
            Self::Pixel => "pixel",
            Self::Pca => "pca",
            Self::PcaWhiten => "pca-whiten",
            Self::Zca => "zca",
        }
    }

    /// Whether its numbers are sums over all pixels, and no longer bytes less a mean.
    pub fn projects(self) -> bool {
        matches!(self, Self::Pca | Self::PcaWhiten | Self::Zca)
    }
}

/// A preparation with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// What is done.
    pub preparation: Preparation,
    /// Principal components that are kept: their number where it is 1 or more, else the share of variance that they keep.
    pub components: f64,
    /// What is added to the variances where components are divided by standard deviations; the mean variance of a pixel is 1.
    pub epsilon: f64,
}

impl Recipe {
    /// The mean image is subtracted: what identities and fingerprints take for granted.
    pub const MEAN: Self = Self { preparation: Preparation::Mean, components: 0.0, epsilon: 0.0 };

    /// A preparation with settings, of which those that it does not use count as zero.
    pub fn new(preparation: Preparation, components: f64, epsilon: f64) -> Self {
        let is_pca = matches!(preparation, Preparation::Pca | Preparation::PcaWhiten);
        let whitens = matches!(preparation, Preparation::PcaWhiten | Preparation::Zca);
        let used = |is_used: bool, value: f64| if is_used { value } else { 0.0 };
        Self { preparation, components: used(is_pca, components), epsilon: used(whitens, epsilon) }
    }

    /// How many numbers a prepared image of `inputs` has; where a share of variance decides that, as many as it can have.
    pub fn outputs(self, inputs: usize) -> usize {
        if self.components >= 1.0 { inputs.min(self.components as usize) } else { inputs }
    }

    /// Fits it to the training `rows`, images of a `shape`; `decompose` gives the eigenvectors of their covariance, where they are needed.
    /// Sums of integers are exact, so they do not depend on their order.
    ///
    /// # Errors
    /// The eigenvectors cannot be found.
    ///
    /// # Panics
    /// There are no rows.
    pub fn fit(
        self,
        rows: Rows<'_>,
        shape: Shape,
        decompose: impl FnOnce() -> Result<Arc<Eigen>, String>,
    ) -> Result<Fitted, String> {
        assert!(!rows.is_empty(), "there are training rows");
        match self.preparation {
            Preparation::Mean => {
                Ok(Fitted { mean: moments::means(rows, shape.inputs()), factor: None, projection: None })
            }
            Preparation::Channel => Ok(moments::standardised(rows, shape.inputs(), shape.channels)),
            Preparation::Pixel => Ok(moments::standardised(rows, shape.inputs(), shape.inputs())),
            Preparation::Pca | Preparation::PcaWhiten | Preparation::Zca => {
                Ok(components::fit(self, rows, shape.inputs(), &*decompose()?))
            }
        }
    }
}

/// A preparation of images, fitted to training rows: (x − mean) ∘ factor, or projection · (x − mean).
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The mean image, (D), which is subtracted.
    mean: Vec<f64>,
    /// What each difference is multiplied by, (D).
    factor: Option<Vec<f64>>,
    /// What the differences are projected by, (k, D).
    projection: Option<Array2<f32>>,
}

impl Fitted {
    /// A mean image that is known already, (D).
    pub fn of_mean(mean: Vec<f64>) -> Self {
        Self { mean, factor: None, projection: None }
    }

    /// D: how many numbers an image has.
    pub fn inputs(&self) -> usize {
        self.mean.len()
    }

    /// How many numbers a prepared image has.
    pub fn outputs(&self) -> usize {
        self.projection.as_ref().map_or(self.mean.len(), Array2::nrows)
    }

    /// Its numbers in the precision of `T`.
    pub fn prepared<T: Real>(&self) -> Prepared<T> {
        let number = |&value: &f64| T::from_f64(value);
        Prepared {
            mean: self.mean.iter().map(number).collect(),
            factor: self.factor.as_ref().map(|factor| factor.iter().map(number).collect()),
            projection: self.projection.as_ref().map(|matrix| matrix.mapv(|value| T::from_f64(f64::from(value)))),
        }
    }

    /// W1 (D, H), numbers row by row, of the same scores on images of pixels less their mean: what each unit looks for in an image. `w1` is
    /// (prepared numbers, H).
    ///
    /// # Panics
    /// `w1` has not one row for each prepared number.
    pub fn in_pixels(&self, w1: &Tensor) -> Tensor {
        let &[rows, units] = w1.shape() else { panic!("W1 is a matrix") };
        assert_eq!(rows, self.outputs(), "a row of W1 for each prepared number");
        let weights = Array2::from_shape_vec((rows, units), w1.to_f64()).expect("as many numbers as the shape has");
        let mut weights = match &self.projection {
            Some(matrix) => matrix.mapv(f64::from).t().dot(&weights),
            None => weights,
        };
        for (mut row, factor) in weights.rows_mut().into_iter().zip(self.factor.iter().flatten()) {
            row *= *factor;
        }
        Tensor::new(&[self.inputs(), units], weights.iter().copied().collect::<Vec<f64>>())
    }

    /// Writes it beside a model.
    pub fn save(&self, into: &mut Parts) {
        into.put(MEAN, &[self.mean.len()], self.mean.clone());
        if let Some(factor) = &self.factor {
            into.put(FACTOR, &[factor.len()], factor.clone());
        }
        if let Some(matrix) = &self.projection {
            into.put(PROJECTION, &[matrix.nrows(), matrix.ncols()], matrix.iter().copied().collect());
        }
    }

    /// Reads that of a model of `outputs` inputs.
    ///
    /// # Errors
    /// Something is missing or has another shape or precision.
    pub fn load(from: &Parts, outputs: usize) -> Result<Self, String> {
        let projection = match from.tensors.get(PROJECTION) {
            None => None,
            Some(tensor) => {
                let &[rows, columns] = tensor.shape() else { return Err(format!("`{PROJECTION}` is no matrix")) };
                let numbers = from.numbers::<f32>(PROJECTION, &[outputs, columns])?.to_vec();
                Some(Array2::from_shape_vec((rows, columns), numbers).map_err(|error| error.to_string())?)
            }
        };
        let inputs = projection.as_ref().map_or(outputs, Array2::ncols);
        let mean = from.numbers(MEAN, &[inputs])?.to_vec();
        let factor = match from.tensors.contains_key(FACTOR) {
            true => Some(from.numbers(FACTOR, &[inputs])?.to_vec()),
            false => None,
        };
        Ok(Self { mean, factor, projection })
    }
}

/// A preparation in the precision of a training.
#[derive(Clone, Debug)]
pub struct Prepared<T> {
    mean: Vec<T>,
    factor: Option<Vec<T>>,
    projection: Option<Array2<T>>,
}

impl<T: Real> Prepared<T> {
    /// `rows` as minibatches are gathered from them.
    pub fn source<'a>(&'a self, rows: Rows<'a>) -> Source<'a, T> {
        let projection = self.projection.as_ref().map(|matrix| matrix.view());
        let by = Applied { mean: &self.mean, factor: self.factor.as_deref(), projection };
        match rows.values {
            RowValues::Bytes(values) => Source::Bytes { values, labels: rows.labels, by },
            RowValues::Floats(values) => Source::Floats { values, labels: rows.labels, by },
        }
    }

    /// How many numbers a prepared image has.
    pub fn outputs(&self) -> usize {
        self.projection.as_ref().map_or(self.mean.len(), Array2::nrows)
    }
}

/// What is done to a row when it is gathered: (x − mean) ∘ factor, or projection · (x − mean).
#[derive(Clone, Copy, Debug)]
pub struct Applied<'a, T> {
    /// The mean image, (D).
    pub mean: &'a [T],
    /// What each difference is multiplied by, (D).
    pub factor: Option<&'a [T]>,
    /// What the differences are projected by, (k, D).
    pub projection: Option<ArrayView2<'a, T>>,
}

/// Where the rows of minibatches come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a, T> {
    /// Images as they are in the files, prepared when they are gathered. They stay bytes until then, a quarter of the memory traffic of
    /// f32 rows, and the same values to the bit.
    Bytes {
        /// (rows, D), row-major.
        values: &'a [u8],
        /// (rows).
        labels: &'a [Label],
        /// What is done to them.
        by: Applied<'a, T>,
    },
    /// Other rows as they are in the files, prepared when they are gathered.
    Floats {
        /// (rows, D), row-major.
        values: &'a [f32],
        /// (rows).
        labels: &'a [Label],
        /// What is done to them.
        by: Applied<'a, T>,
    },
    /// Rows that are prepared already.
    Numbers {
        /// (rows, k), row-major.
        x: ArrayView2<'a, T>,
        /// (rows).
        labels: &'a [Label],
    },
}

impl<T> Source<'_, T> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes { labels, .. } | Self::Floats { labels, .. } | Self::Numbers { labels, .. } => labels.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(recipe: Recipe, rows: Rows<'_>) -> Fitted {
        recipe.fit(rows, ROW, || components::decompose(rows, 3, None).map(Arc::new)).unwrap()
    }

    const ROW: Shape = Shape { rows: 1, columns: 1, channels: 3 };

    #[test]
    fn the_mean_image_is_the_mean_of_each_pixel() {
        let rows = Rows::of_bytes(&[1, 2, 4, 10, 20, 255], &[0, 1]);
        let fitted = fit(Recipe::MEAN, rows);
        assert_eq!(fitted, Fitted::of_mean(vec![5.5, 11.0, 129.5]));
        let mut parts = Parts::default();
        fitted.save(&mut parts);
        assert_eq!(Fitted::load(&parts, 3), Ok(fitted));
        assert!(Fitted::load(&parts, 4).is_err());
    }

    #[test]
    fn what_was_fitted_is_read_as_it_was_saved() {
        let pixels: Vec<u8> = (0..60_u32).map(|at| (at * at * 7 % 251) as u8).collect();
        let rows = Rows::of_bytes(&pixels, &[0; 20]);
        for preparation in Preparation::value_variants() {
            let fitted = Recipe::new(*preparation, 2.0, 0.1);
            let fitted = fit(fitted, rows);
            let mut parts = Parts::default();
            fitted.save(&mut parts);
            assert_eq!(Fitted::load(&parts, fitted.outputs()), Ok(fitted.clone()), "{preparation:?}");
            let is_pca = matches!(preparation, Preparation::Pca | Preparation::PcaWhiten);
            assert_eq!((fitted.inputs(), fitted.outputs()), (3, if is_pca { 2 } else { 3 }));
        }
    }
}
