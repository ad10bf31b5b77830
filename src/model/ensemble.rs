//! Several models whose probabilities are averaged, in one file.

use std::collections::HashMap;
use std::path::Path;

use safetensors::SafeTensors;

use super::saved::{Provenance, SavedModel};
use crate::error::{Error, Result};
use crate::files::{self, RealDisk};
use crate::tensors::{Parts, Tensor};

/// The key of the metadata that holds where each member comes from, as a list in JSON.
const KEY: &str = "mlpgrid-ensemble";

/// Models of the same data; one at least.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// The best first.
    pub members: Vec<SavedModel>,
}

impl Ensemble {
    /// Writes it, whole or not at all: the tensors of member k begin with `k.`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let of_members: Vec<Parts> = self.members.iter().map(SavedModel::tensors).collect();
        let name = |k: usize| move |(name, tensor)| (format!("{k}.{name}"), tensor);
        let tensors = of_members.iter().enumerate().flat_map(|(k, parts)| parts.tensors.iter().map(name(k)));
        let provenances: Vec<&Provenance> = self.members.iter().map(|member| &member.provenance).collect();
        let provenances = serde_json::to_string(&provenances).expect("plain fields become JSON");
        let metadata = HashMap::from([(KEY.to_owned(), provenances)]);
        let bytes = safetensors::serialize(tensors, Some(metadata)).expect("valid tensors serialize");
        files::replace_on(&RealDisk, path, &[&bytes])
    }

    /// Reads an ensemble, or a model as an ensemble of one.
    ///
    /// # Errors
    /// The file is missing, is no safetensors file, or is neither.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read the model", path))?;
        let metadata = SafeTensors::read_metadata(&bytes).ok().map(|(_, metadata)| metadata);
        let provenances = metadata.and_then(|metadata| metadata.metadata().as_ref()?.get(KEY).cloned());
        let Some(provenances) = provenances else {
            return Ok(Self { members: vec![SavedModel::of_bytes(&bytes, path)?] });
        };
        let refuse = |found: String| {
            let remedy = "write it again with `mlpgrid eval DIR --ensemble N --out FILE`";
            Error::content(path, "an ensemble of this program", found, remedy)
        };
        let provenances: Vec<Provenance> =
            serde_json::from_str(&provenances).map_err(|error| refuse(error.to_string()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| refuse(error.to_string()))?;
        let mut of_members = vec![Parts::default(); provenances.len()];
        for (name, view) in tensors.tensors() {
            let place =
                name.split_once('.').and_then(|(k, own)| Some((of_members.get_mut(k.parse::<usize>().ok()?)?, own)));
            let (parts, own) = place.ok_or_else(|| refuse(format!("a tensor `{name}`")))?;
            let tensor = Tensor::of_view(&view).map_err(|dtype| refuse(format!("`{name}` of type {dtype:?}")))?;
            parts.tensors.insert(own.to_owned(), tensor);
        }
        let member = |(parts, provenance)| SavedModel::of_tensors(parts, provenance).map_err(refuse);
        let members: Vec<SavedModel> = of_members.into_iter().zip(provenances).map(member).collect::<Result<_>>()?;
        if members.is_empty() {
            return Err(refuse("one without members".to_owned()));
        }
        Ok(Self { members })
    }
}
