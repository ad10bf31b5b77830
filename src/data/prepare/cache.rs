//! Eigenvectors of images on disk: finding them takes some ten seconds, reading them a tenth of one.
//!
//! A file is named by a hash of the data's fingerprint, which stands for the training rows, and of the BLAS kernel, whose rounding is in the
//! numbers. It holds a checksum; one that is damaged is made anew. Nothing depends on whether there was one.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

use crate::blas::eigen::Eigen;
use crate::data::sets::contents::hex;
use crate::files::{self, RealDisk};
use crate::tensors::Tensor;

/// The key of the metadata that holds the SHA-256 of the numbers.
const CHECKSUM: &str = "sha256";
const VALUES: &str = "values";
const VECTORS: &str = "vectors";

/// Where the eigenvectors of data with a fingerprint are, found with a BLAS kernel.
pub fn path(folder: &Path, fingerprint: &str, kernel: &str) -> PathBuf {
    let name = Sha256::digest(format!("eigenvectors 1 {fingerprint} {kernel}"));
    folder.join(format!("eigenvectors-{}.safetensors", &hex(&name)[..16]))
}

/// Reads eigenvectors of `inputs` numbers; none where there are none, or other or damaged ones.
pub fn read(path: &Path, inputs: usize) -> Option<Eigen> {
    let bytes = fs::read(path).ok()?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
    let tensors = SafeTensors::deserialize(&bytes).ok()?;
    let values = Tensor::of_view(&tensors.tensor(VALUES).ok()?).ok()?;
    let vectors = Tensor::of_view(&tensors.tensor(VECTORS).ok()?).ok()?;
    let is_whole = metadata.metadata().as_ref()?.get(CHECKSUM)? == &checksum(&values, &vectors);
    if !is_whole || values.shape() != [inputs] || vectors.shape() != [inputs, inputs] {
        return None;
    }
    let values = values.numbers::<f64>()?.to_vec();
    let vectors = Array2::from_shape_vec((inputs, inputs), vectors.numbers::<f32>()?.to_vec()).ok()?;
    Some(Eigen { values, vectors })
}

/// Writes eigenvectors, as far as that is possible: without them everything is the same, only later.
pub fn write(path: &Path, eigen: &Eigen) {
    let inputs = eigen.values.len();
    let values = Tensor::new(&[inputs], eigen.values.clone());
    let vectors = Tensor::new(&[inputs, inputs], eigen.vectors.iter().copied().collect::<Vec<f32>>());
    let metadata = HashMap::from([(CHECKSUM.to_owned(), checksum(&values, &vectors))]);
    let tensors = [(VALUES, &values), (VECTORS, &vectors)];
    let Ok(bytes) = safetensors::serialize(tensors, Some(metadata)) else { return };
    let written = path.parent().map(fs::create_dir_all).transpose().is_ok();
    if written {
        drop(files::replace_on(&RealDisk, path, &[&bytes]));
    }
}

fn checksum(values: &Tensor, vectors: &Tensor) -> String {
    let hash =
        Sha256::new().chain_update(safetensors::View::data(&values)).chain_update(safetensors::View::data(&vectors));
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_damaged_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder.path().join("new"), "0123", "Zen");
        assert_eq!(read(&path, 2), None);
        let eigen = Eigen { values: vec![3.0, 1.0], vectors: ndarray::array![[0.6, 0.8], [0.8, -0.6]] };
        write(&path, &eigen);
        assert_eq!(read(&path, 2), Some(eigen));
        assert_eq!(read(&path, 3), None);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path, 2), None);
    }
}
