//! A state dictionary as `torch.save` writes it: an archive of a pickle and the numbers of each tensor.
//! Source: docs.pytorch.org/docs/stable/notes/serialization; Python's `pickletools`, protocol 2.

use safetensors::View;
use safetensors::tensor::Dtype;

use super::zip::Archive;
use crate::tensors::Tensor;

/// The file of named tensors; none where it is too large for the format, 4 GiB.
pub fn state_dictionary(tensors: &[(String, Tensor)]) -> Option<Vec<u8>> {
    if u32::try_from(tensors.iter().map(|(_, tensor)| tensor.data_len() as u64).sum::<u64>()).is_err() {
        return None;
    }
    let mut archive = Archive::default();
    archive.add("archive/data.pkl", &[&pickle(tensors)]);
    archive.add("archive/byteorder", &[b"little"]);
    for (number, (_, tensor)) in tensors.iter().enumerate() {
        archive.add(&format!("archive/data/{number}"), &[&tensor.data()]);
    }
    archive.add("archive/version", &[b"3\n"]);
    archive.finish()
}

/// `{name: torch._utils._rebuild_tensor_v2(storage, 0, sizes, strides, False, OrderedDict()), …}`.
fn pickle(tensors: &[(String, Tensor)]) -> Vec<u8> {
    let mut code = b"\x80\x02}(".to_vec(); // protocol 2; an empty dictionary; a mark
    for (storage, (name, tensor)) in tensors.iter().enumerate() {
        text(&mut code, name);
        code.extend_from_slice(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut code, "storage");
        let kind = if (&tensor).dtype() == Dtype::F32 { "FloatStorage" } else { "DoubleStorage" };
        code.extend_from_slice(format!("ctorch\n{kind}\n").as_bytes());
        text(&mut code, &storage.to_string());
        text(&mut code, "cpu");
        number(&mut code, tensor.shape().iter().product());
        code.extend_from_slice(b"tQ"); // a tuple, which names the storage
        number(&mut code, 0);
        let strides = (0..tensor.shape().len()).map(|at| tensor.shape()[at + 1..].iter().product());
        tuple(&mut code, tensor.shape().iter().copied());
        tuple(&mut code, strides);
        code.extend_from_slice(b"\x89ccollections\nOrderedDict\n)RtR"); // False; an empty OrderedDict; the call
    }
    code.extend_from_slice(b"u."); // into the dictionary
    code
}

fn text(code: &mut Vec<u8>, text: &str) {
    code.push(b'X');
    code.extend_from_slice(&(text.len() as u32).to_le_bytes());
    code.extend_from_slice(text.as_bytes());
}

/// A whole number of eight bytes, of which the highest bit is not set.
fn number(code: &mut Vec<u8>, value: usize) {
    code.extend_from_slice(b"\x8a\x08");
    code.extend_from_slice(&(value as u64).to_le_bytes());
}

fn tuple(code: &mut Vec<u8>, numbers: impl Iterator<Item = usize>) {
    code.push(b'(');
    numbers.for_each(|value| number(code, value));
    code.push(b't');
}
