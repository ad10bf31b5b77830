//! For numpy: an archive of arrays. `description` is text in JSON.

use safetensors::View;

use super::zip::Archive;
use super::{Layers, description};
use crate::data::sets::npy::Header;
use crate::model::ensemble::Ensemble;

/// The model as numpy reads it: `mean_image` (D), `scale_image` (D) and `projection` (k, D) where it has them, `W1` (k, H), `b1` (H), `W2`
/// (H, C), `b2` (C); of an ensemble, the names of member k begin with `k.`. None where it is too large for the format, 4 GiB.
pub fn npz(ensemble: &Ensemble) -> Option<Vec<u8>> {
    let layers = Layers::of(ensemble);
    let mut archive = Archive::default();
    let mut size = 0;
    for (k, member) in layers.iter().enumerate() {
        let descr = if member.is_f64 { "<f8" } else { "<f4" };
        let prefix = if layers.len() > 1 { format!("{k}.") } else { String::new() };
        for (name, tensor) in &member.tensors {
            size += tensor.data_len() as u64;
            if u32::try_from(size).is_err() {
                return None;
            }
            let header = Header::bytes(descr, tensor.shape());
            archive.add(&format!("{prefix}{name}.npy"), &[&header, &tensor.data()]);
        }
    }
    let text = description(&layers).to_string();
    let letters: Vec<u8> = text.chars().flat_map(|letter| u32::from(letter).to_le_bytes()).collect();
    let header = Header::bytes(&format!("<U{}", text.chars().count()), &[]);
    archive.add("description.npy", &[&header, &letters]);
    archive.finish()
}
