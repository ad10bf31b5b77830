//! What is done to the images before a network sees them: fitted on the training split, saved with the model.
//!
//! Nothing else knows the mean image: data sets have a [`Fitted`] preparation, minibatches are gathered from a [`Source`].

use super::images::Rows;
use crate::real::Real;
use crate::tensors::Parts;

/// The name of the mean image in a model's file.
const MEAN: &str = "mean_image";

/// What is done to images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preparation {
    /// The mean image of the training split is subtracted.
    #[default]
    Mean,
}

impl Preparation {
    /// Its name. Fingerprints of data are hashes of it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Mean => "mean",
        }
    }

    /// Fits it to the training `rows`, of `inputs` pixels each. Sums of integers are exact, so only the division of a mean rounds.
    ///
    /// # Panics
    /// There are no rows.
    pub fn fit(self, rows: Rows<'_>, inputs: usize) -> Fitted {
        assert!(!rows.is_empty(), "there are training rows");
        match self {
            Self::Mean => {
                let mut sums = vec![0_u64; inputs];
                for row in rows.pixels.chunks_exact(inputs) {
                    sums.iter_mut().zip(row).for_each(|(sum, &pixel)| *sum += u64::from(pixel));
                }
                Fitted { mean: sums.iter().map(|&sum| sum as f64 / rows.len() as f64).collect() }
            }
        }
    }
}

/// A preparation of images, fitted to training rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The mean image, (D), which is subtracted.
    mean: Vec<f64>,
}

impl Fitted {
    /// A mean image that is known already, (D).
    pub fn of_mean(mean: Vec<f64>) -> Self {
        Self { mean }
    }

    /// D: how many numbers a prepared row has.
    pub fn inputs(&self) -> usize {
        self.mean.len()
    }

    /// Its numbers in the precision of `T`.
    pub fn prepared<T: Real>(&self) -> Prepared<T> {
        Prepared { mean: self.mean.iter().map(|&value| T::from_f64(value)).collect() }
    }

    /// Writes it beside a model.
    pub fn save(&self, into: &mut Parts) {
        into.put(MEAN, &[self.mean.len()], self.mean.clone());
    }

    /// Reads that of a model of `inputs` inputs.
    ///
    /// # Errors
    /// It is missing or has another shape or precision.
    pub fn load(from: &Parts, inputs: usize) -> Result<Self, String> {
        from.numbers(MEAN, &[inputs]).map(|mean| Self { mean: mean.to_vec() })
    }
}

/// A preparation in the precision of a training.
#[derive(Clone, Debug)]
pub struct Prepared<T> {
    mean: Vec<T>,
}

impl<T> Prepared<T> {
    /// `rows` as minibatches are gathered from them.
    pub fn source<'a>(&'a self, rows: Rows<'a>) -> Source<'a, T> {
        Source::Bytes { rows, mean: &self.mean }
    }
}

/// Where the rows of minibatches come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a, T> {
    /// Images as they are in the files, less a mean image: they stay bytes until they are gathered, a quarter of the memory traffic of
    /// f32 rows, and the same values to the bit.
    Bytes {
        /// The images.
        rows: Rows<'a>,
        /// The mean image, (D).
        mean: &'a [T],
    },
}

impl<T> Source<'_, T> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes { rows, .. } => rows.len(),
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

    #[test]
    fn the_mean_image_is_the_mean_of_each_pixel() {
        let rows = Rows { pixels: &[1, 2, 4, 10, 20, 255], labels: &[0, 1] };
        let fitted = Preparation::Mean.fit(rows, 3);
        assert_eq!(fitted, Fitted::of_mean(vec![5.5, 11.0, 129.5]));
        let mut parts = Parts::default();
        fitted.save(&mut parts);
        assert_eq!(Fitted::load(&parts, 3), Ok(fitted));
        assert!(Fitted::load(&parts, 4).is_err());
    }
}
