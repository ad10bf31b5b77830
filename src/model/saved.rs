//! Models in and out of safetensors files: `W1` (D, H), `b1` (H), `W2` (H, C), `b2` (C), the mean image that was subtracted
//! (`mean_image`, D), and, as metadata, what made them.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use byteorder::{LittleEndian, ReadBytesExt};
use ndarray::Array2;
use safetensors::SafeTensorError;
use safetensors::tensor::{Metadata, SafeTensors};
use serde::{Deserialize, Serialize};

use super::hyperparameters::Hyperparameters;
use super::trial::Trial;
use super::two_layer_net::TwoLayerNet;
use crate::data::prepare::Fitted;
use crate::data::sets::Shape;
use crate::data::{DataConfig, Dataset};
use crate::error::{Error, Result};
use crate::files::{self, RealDisk};
use crate::real::{Precision, Real};
use crate::tensors::{Parts, Tensor};
use crate::version;

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
    /// The shape of the user's own images; none of those of a published set, which is known, and of rows that are no images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Shape>,
    /// Validation accuracy when it was saved, a fraction.
    pub val_accuracy: Option<f64>,
    /// Version and revision of the program.
    pub program: String,
    /// The BLAS kernel that it was trained with.
    pub kernel: String,
}

/// A model as it stands in a file, in the precision that it was trained in.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedModel {
    /// `W1` (D, H), `b1` (H), `W2` (H, C), `b2` (C).
    pub network: Parts,
    /// What was done to the images.
    pub fitted: Fitted,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// The tensors of a network.
const NAMES: [&str; 4] = ["W1", "b1", "W2", "b2"];

impl<T: Real> TwoLayerNet<T> {
    /// The network as tensors.
    pub fn save(&self) -> Parts {
        let (inputs, hidden) = self.w1.dim();
        let classes = self.b2.len();
        let matrix = |matrix: &Array2<T>| matrix.iter().copied().collect::<Vec<T>>();
        let mut parts = Parts::default();
        parts.put("W1", &[inputs, hidden], matrix(&self.w1));
        parts.put("b1", &[hidden], self.b1.to_vec());
        parts.put("W2", &[hidden, classes], matrix(&self.w2));
        parts.put("b2", &[classes], self.b2.to_vec());
        parts
    }

    /// The network of such tensors.
    ///
    /// # Errors
    /// One is missing, or they do not fit each other or the precision of `T`.
    pub fn load(from: &Parts) -> std::result::Result<Self, String> {
        let matrix = |name: &str, rows: Option<usize>| match from.tensor(name)?.shape() {
            &[found, columns] if rows.is_none_or(|rows| rows == found) => {
                let numbers = from.numbers::<T>(name, &[found, columns])?.to_vec();
                Array2::from_shape_vec((found, columns), numbers).map_err(|error| error.to_string())
            }
            shape => Err(format!("`{name}` of shape {shape:?}")),
        };
        let w1 = matrix("W1", None)?;
        let w2 = matrix("W2", Some(w1.ncols()))?;
        let vector =
            |name: &str, length| from.numbers(name, &[length]).map(|numbers| numbers.iter().copied().collect());
        Ok(Self { b1: vector("b1", w1.ncols())?, b2: vector("b2", w2.ncols())?, w1, w2 })
    }
}

/// The key of the metadata that holds a [`Provenance`] as JSON.
const KEY: &str = "mlpgrid";
/// The longest header that a model's file can have, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;

fn refuse(path: &Path, found: String) -> Error {
    let expected = "a safetensors file with W1 (D, H), b1 (H), W2 (H, C), b2 (C) and mean_image (D)";
    Error::content(path, expected, found, "give a model that `train` or `sweep` wrote")
}

impl Provenance {
    /// The shape of the images that it was trained on; none where they were rows of numbers.
    pub fn image(&self) -> Option<Shape> {
        self.data.dataset.published().map(|format| format.shape).or(self.image)
    }

    /// Reads where a model comes from, without its weights.
    ///
    /// # Errors
    /// The file is missing, is no safetensors file, or not one of this program's models.
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = files::open_regular(path)?;
        let size = file.metadata().map_err(Error::io("read the model", path))?.len();
        // Safetensors: the length of the header in 8 bytes, the header, the numbers.
        let length = file.read_u64::<LittleEndian>().unwrap_or(u64::MAX);
        if length > LONGEST_HEADER.min(size) {
            return Err(refuse(path, "another format or a damaged file".to_owned()));
        }
        let mut header = Vec::new();
        file.take(length).read_to_end(&mut header).map_err(Error::io("read the model", path))?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| refuse(path, format!("another format or a damaged file ({error})")))?;
        let numbers = metadata.tensors().values().map(|tensor| tensor.data_offsets.1 as u64).max().unwrap_or(0);
        let expected = numbers.saturating_add(8 + length);
        if size != expected {
            return Err(refuse(path, format!("{size} bytes, where its header has {expected}")));
        }
        Self::of_metadata(&metadata, path)
    }

    fn of_metadata(metadata: &Metadata, path: &Path) -> Result<Self> {
        let provenance = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let provenance = provenance.ok_or_else(|| refuse(path, "no record of what made it".to_owned()))?;
        serde_json::from_str(provenance)
            .map_err(|error| refuse(path, format!("an unreadable record of what made it ({error})")))
    }
}

impl SavedModel {
    /// The `network` of a trial that was trained on `data` with a BLAS kernel, with its validation accuracy.
    ///
    /// # Panics
    /// What was done to the images cannot be done again.
    pub fn new(trial: &Trial, data: &Dataset, kernel: &str, network: &Parts, val_accuracy: Option<f64>) -> Self {
        let fitted = data.fold(trial.hyperparameters.fold()).fitted(trial.hyperparameters.recipe());
        let fitted = fitted.expect("it was fitted for the training");
        let provenance = Provenance {
            trial: trial.id.clone(),
            hyperparameters: (*trial.hyperparameters).clone(),
            data: data.config.clone(),
            data_fingerprint: data.fingerprint.clone(),
            image: data.image().filter(|_| data.config.dataset.published().is_none()),
            val_accuracy,
            program: version::program(),
            kernel: kernel.to_owned(),
        };
        Self { network: network.clone(), fitted: (*fitted).clone(), provenance }
    }

    /// C.
    pub fn classes(&self) -> usize {
        self.network.tensors.get("b2").map_or(0, |b2| b2.shape()[0])
    }

    /// Writes the model, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        files::replace_on(&RealDisk, path, &[&self.to_bytes()])
    }

    /// The bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let provenance = serde_json::to_string(&self.provenance).expect("plain fields become JSON");
        let metadata = HashMap::from([(KEY.to_owned(), provenance)]);
        safetensors::serialize(&self.tensors().tensors, Some(metadata)).expect("valid tensors serialize")
    }

    /// The network and what was done to the images.
    pub fn tensors(&self) -> Parts {
        let mut parts = self.network.clone();
        self.fitted.save(&mut parts);
        parts
    }

    /// Reads a model, and checks that its shapes fit each other.
    ///
    /// # Errors
    /// The file is missing, is no safetensors file, or not one of this program's models.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read the model", path))?;
        Self::of_bytes(&bytes, path)
    }

    /// Reads the bytes of the file at `path`.
    pub(super) fn of_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let damaged = |error: SafeTensorError| refuse(path, format!("another format or a damaged file ({error})"));
        let metadata = SafeTensors::read_metadata(bytes).map_err(damaged)?.1;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let provenance = Provenance::of_metadata(&metadata, path)?;
        let mut parts = Parts::default();
        for (name, view) in tensors.tensors() {
            let of_type = |dtype| refuse(path, format!("`{name}` of type {dtype:?}"));
            parts.tensors.insert(name.clone(), Tensor::of_view(&view).map_err(of_type)?);
        }
        Self::of_tensors(parts, provenance).map_err(|found| refuse(path, found))
    }

    /// The model of the tensors that [`SavedModel::tensors`] gave; otherwise what is wrong with them.
    pub(super) fn of_tensors(mut parts: Parts, provenance: Provenance) -> std::result::Result<Self, String> {
        match provenance.hyperparameters.precision {
            Precision::F32 | Precision::Int8 | Precision::Int16 => TwoLayerNet::<f32>::load(&parts).map(drop),
            Precision::F64 => TwoLayerNet::<f64>::load(&parts).map(drop),
        }?;
        let inputs = parts.tensor("W1")?.shape()[0];
        let fitted = Fitted::load(&parts, inputs)?;
        parts.tensors.retain(|name, _| NAMES.contains(&name.strip_prefix("raw.").unwrap_or(name)));
        Ok(Self { network: parts, fitted, provenance })
    }
}
