//! Models in and out of safetensors files: `W1` (D, H), `b1` (H), `W2` (H, C), `b2` (C), the mean image that was subtracted
//! (`mean_image`, D), and, as metadata, what made them.

use std::collections::HashMap;
use std::path::Path;

use byteorder::{ByteOrder, LittleEndian};
use ndarray::{Array1, Array2};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::hyperparameters::Hyperparameters;
use super::two_layer_net::TwoLayerNet;
use crate::data::DataConfig;
use crate::error::{Error, Result};
use crate::files::{self, RealDisk};
use crate::real::{Precision, Real};

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The trial's identity.
    pub trial: String,
    /// Its configuration.
    pub hyperparameters: Hyperparameters,
    /// Data set and splits.
    pub data: DataConfig,
    /// Fingerprint of the data.
    pub data_fingerprint: String,
    /// Validation accuracy when it was saved, a fraction.
    pub val_accuracy: Option<f64>,
    /// Version and revision of the program.
    pub program: String,
    /// The BLAS kernel that it was trained with.
    pub kernel: String,
}

/// A model as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedModel<T> {
    /// The network.
    pub network: TwoLayerNet<T>,
    /// The mean image, (D).
    pub mean: Vec<f64>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// A model in the precision that it was trained in.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyModel {
    /// f32.
    F32(SavedModel<f32>),
    /// f64.
    F64(SavedModel<f64>),
}

impl AnyModel {
    /// Reads a model in the precision that its record names.
    ///
    /// # Errors
    /// As [`SavedModel::read`].
    pub fn read(path: &Path) -> Result<Self> {
        let model = SavedModel::<f64>::read(path)?;
        Ok(match model.provenance.hyperparameters.precision {
            Precision::F32 => Self::F32(model.cast()),
            Precision::F64 => Self::F64(model),
        })
    }

    /// Where it comes from.
    pub fn provenance(&self) -> &Provenance {
        match self {
            Self::F32(model) => &model.provenance,
            Self::F64(model) => &model.provenance,
        }
    }
}

/// The key of the metadata that holds a [`Provenance`] as JSON.
const KEY: &str = "mlpgrid";

impl<T: Real> SavedModel<T> {
    /// Writes the model, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        files::replace_on(&RealDisk, path, &[&self.to_bytes()])
    }

    /// The bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let network = &self.network;
        let numbers =
            |values: &mut dyn Iterator<Item = T>| values.flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let (inputs, hidden) = network.w1.dim();
        let classes = network.b2.len();
        let mut mean = vec![0; self.mean.len() * 8];
        LittleEndian::write_f64_into(&self.mean, &mut mean);
        let tensors = [
            ("W1", T::DTYPE, vec![inputs, hidden], numbers(&mut network.w1.iter().copied())),
            ("b1", T::DTYPE, vec![hidden], numbers(&mut network.b1.iter().copied())),
            ("W2", T::DTYPE, vec![hidden, classes], numbers(&mut network.w2.iter().copied())),
            ("b2", T::DTYPE, vec![classes], numbers(&mut network.b2.iter().copied())),
            ("mean_image", Dtype::F64, vec![inputs], mean),
        ];
        let views: Vec<_> = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| TensorView::new(*dtype, shape.clone(), bytes).map(|view| (*name, view)))
            .collect::<std::result::Result<_, _>>()
            .expect("every tensor has as many bytes as its shape says");
        let provenance = serde_json::to_string(&self.provenance).expect("plain fields become JSON");
        let metadata = HashMap::from([(KEY.to_owned(), provenance)]);
        safetensors::serialize(views, Some(metadata)).expect("valid tensors serialize")
    }

    /// The same model with its weights rounded to another precision, which loses nothing where they come from it.
    pub fn cast<U: Real>(self) -> SavedModel<U> {
        let Self { network, mean, provenance } = self;
        SavedModel { network: network.cast(), mean, provenance }
    }

    /// Reads a model, in either precision, and checks that its shapes fit each other.
    ///
    /// # Errors
    /// The file is missing, is no safetensors file, or not one of this program's models.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read the model", path))?;
        let refuse = |found: String| {
            let expected = "a safetensors file with W1 (D, H), b1 (H), W2 (H, C), b2 (C) and mean_image (D)";
            Error::content(path, expected, found, "give a model that `train` or `sweep` wrote")
        };
        let metadata = SafeTensors::read_metadata(&bytes)
            .map_err(|error| refuse(format!("another format or a damaged file ({error})")))?
            .1;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| refuse(format!("another format or a damaged file ({error})")))?;
        let provenance = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let provenance = provenance.ok_or_else(|| refuse("no record of what made it".to_owned()))?;
        let provenance = serde_json::from_str(provenance)
            .map_err(|error| refuse(format!("an unreadable record of what made it ({error})")))?;

        let tensor = |name: &str, shape: &[Option<usize>]| -> Result<(Vec<f64>, Vec<usize>)> {
            let view = tensors.tensor(name).map_err(|_| refuse(format!("no tensor `{name}`")))?;
            let fits = view.shape().len() == shape.len()
                && view.shape().iter().zip(shape).all(|(&found, &expected)| expected.is_none_or(|size| size == found));
            if !fits {
                return Err(refuse(format!("`{name}` of shape {:?}", view.shape())));
            }
            let values = match view.dtype() {
                Dtype::F32 => {
                    view.data().chunks_exact(4).map(|bytes| f64::from(LittleEndian::read_f32(bytes))).collect()
                }
                Dtype::F64 => view.data().chunks_exact(8).map(LittleEndian::read_f64).collect(),
                other => return Err(refuse(format!("`{name}` of type {other:?}"))),
            };
            Ok((values, view.shape().to_vec()))
        };
        let (w1, shape) = tensor("W1", &[None, None])?;
        let (inputs, hidden) = (shape[0], shape[1]);
        let (w2, shape) = tensor("W2", &[Some(hidden), None])?;
        let classes = shape[1];
        let (b1, _) = tensor("b1", &[Some(hidden)])?;
        let (b2, _) = tensor("b2", &[Some(classes)])?;
        let (mean, _) = tensor("mean_image", &[Some(inputs)])?;
        let real = |values: Vec<f64>| values.into_iter().map(T::from_f64).collect::<Vec<T>>();
        let network = TwoLayerNet {
            w1: Array2::from_shape_vec((inputs, hidden), real(w1)).expect("as many numbers as the shape says"),
            b1: Array1::from_vec(real(b1)),
            w2: Array2::from_shape_vec((hidden, classes), real(w2)).expect("as many numbers as the shape says"),
            b2: Array1::from_vec(real(b2)),
        };
        Ok(Self { network, mean, provenance })
    }
}
