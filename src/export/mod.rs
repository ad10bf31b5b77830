//! Models and sweeps for other programs.
//!
//! What is done to images is inside a model: it is relu(P·((x − mean) ∘ scale)·W1 + b1)·W2 + b2 of a row x as it is in the data files, where scale and P may be missing; an
//! ensemble is the mean of its members' softmax. Nothing is folded into anything else: with the mean in b1 the scores of pixels from 0 to 255
//! would lose half their digits.

mod hub;
mod npz;
mod onnx;
pub mod optuna;
mod protobuf;
pub mod tensorboard;
mod torch;
mod zip;

pub use hub::{hub, pytorch};
pub use npz::npz;
pub use onnx::onnx;

use serde_json::{Value, json};

use crate::data::sets::Shape;
use crate::model::ensemble::Ensemble;
use crate::model::saved::{Provenance, SavedModel};
use crate::tensors::Tensor;

/// A file of an export: its name, none where there is one file only, and its bytes.
pub type File = (&'static str, Vec<u8>);

/// What was done to images, and the network: the names of the tensors in the order in which they are used.
const NAMES: [&str; 7] = ["mean_image", "scale_image", "projection", "W1", "b1", "W2", "b2"];

/// The tensors of a model, all of the type of its weights.
struct Layers<'a> {
    is_f64: bool,
    tensors: Vec<(&'static str, Tensor)>,
    provenance: &'a Provenance,
}

impl<'a> Layers<'a> {
    /// Those of each member of an ensemble.
    fn of(ensemble: &'a Ensemble) -> Vec<Self> {
        let of_member = |member: &'a SavedModel| {
            let parts = member.tensors();
            let is_f64 = parts.tensors.get("W1").is_some_and(|w1| w1.numbers::<f64>().is_some());
            let tensor = |name| Some((name, of_type(parts.tensors.get(name)?, is_f64)));
            Self { is_f64, tensors: NAMES.into_iter().filter_map(tensor).collect(), provenance: &member.provenance }
        };
        ensemble.members.iter().map(of_member).collect()
    }

    fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|(other, _)| *other == name).map(|(_, tensor)| tensor)
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.get(name).expect("a network has its weights, and a mean was subtracted")
    }

    /// D, H, C.
    fn sizes(&self) -> [usize; 3] {
        [self.tensor("mean_image").shape()[0], self.tensor("b1").shape()[0], self.tensor("b2").shape()[0]]
    }
}

/// A tensor in f64 or f32.
fn of_type(tensor: &Tensor, is_f64: bool) -> Tensor {
    let numbers = tensor.to_f64();
    match is_f64 {
        true => Tensor::new(tensor.shape(), numbers),
        false => Tensor::new(tensor.shape(), numbers.into_iter().map(|number| number as f32).collect()),
    }
}

/// What the model is, for people and programs.
fn description(layers: &[Layers<'_>]) -> Value {
    let first = &layers[0];
    let [inputs, _, classes] = first.sizes();
    let member = |layers: &Layers<'_>| {
        let Provenance { trial, hyperparameters, val_accuracy, .. } = layers.provenance;
        json!({ "trial": trial, "val_accuracy": val_accuracy, "hyperparameters": hyperparameters })
    };
    let Provenance { data, data_fingerprint, program, kernel, .. } = first.provenance;
    let shape = first.provenance.image().map(|Shape { rows, columns, channels }| [rows, columns, channels]);
    json!({
        "model_type": "mlpgrid",
        "inputs": inputs,
        "image": shape,
        "classes": classes,
        "members": layers.iter().map(member).collect::<Vec<_>>(),
        "data": data,
        "data_fingerprint": data_fingerprint,
        "program": program,
        "kernel": kernel,
    })
}
