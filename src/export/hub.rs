//! For PyTorch: a folder with weights and the module that reads them; and for a model hub, the same with a card.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{File, Layers, description, torch};
use crate::model::ensemble::Ensemble;
use crate::model::saved::Provenance;
use crate::tensors::Tensor;

/// The module that reads the weights beside it.
const MODULE: &str = include_str!("model.py");

/// `model.pt`, a state dictionary, and `model.py`, whose `load()` reads it. None where it is too large for the format, 4 GiB.
pub fn pytorch(ensemble: &Ensemble) -> Option<Vec<File>> {
    let state = torch::state_dictionary(&state(&Layers::of(ensemble)))?;
    Some(vec![("model.pt", state), ("model.py", MODULE.into())])
}

/// `model.safetensors`, `config.json`, `README.md`, and `model.py`, whose `load()` reads the weights.
pub fn hub(ensemble: &Ensemble) -> Vec<File> {
    let layers = Layers::of(ensemble);
    let state = state(&layers);
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let tensors = state.iter().map(|(name, tensor)| (name.as_str(), tensor));
    let weights = safetensors::serialize(tensors, Some(metadata)).expect("valid tensors serialize");
    let config = format!("{:#}\n", description(&layers));
    vec![
        ("model.safetensors", weights),
        ("config.json", config.into()),
        ("README.md", card(&layers).into()),
        ("model.py", MODULE.into()),
    ]
}

/// The tensors by PyTorch's names: weights of linear layers are (outputs, inputs).
fn state(layers: &[Layers<'_>]) -> Vec<(String, Tensor)> {
    let mut state = vec![];
    for (k, member) in layers.iter().enumerate() {
        let prefix = if layers.len() > 1 { format!("members.{k}.") } else { String::new() };
        for (name, tensor) in &member.tensors {
            let (name, tensor) = match *name {
                "W1" => ("fc1.weight", transposed(tensor)),
                "b1" => ("fc1.bias", tensor.clone()),
                "W2" => ("fc2.weight", transposed(tensor)),
                "b2" => ("fc2.bias", tensor.clone()),
                name => (name, tensor.clone()),
            };
            state.push((format!("{prefix}{name}"), tensor));
        }
    }
    state
}

fn transposed(tensor: &Tensor) -> Tensor {
    fn of<T: crate::real::Real>(numbers: &[T], [rows, columns]: [usize; 2]) -> Tensor {
        let transposed = (0..columns).flat_map(|column| (0..rows).map(move |row| numbers[row * columns + column]));
        Tensor::new(&[columns, rows], transposed.collect())
    }
    let &[rows, columns] = tensor.shape() else { panic!("weights are a matrix") };
    match (tensor.numbers::<f32>(), tensor.numbers::<f64>()) {
        (Some(numbers), _) => of(numbers, [rows, columns]),
        (_, Some(numbers)) => of(numbers, [rows, columns]),
        _ => unreachable!("numbers are of one of the two precisions"),
    }
}

/// What a hub shows of the model: fields in YAML, and text.
fn card(layers: &[Layers<'_>]) -> String {
    let Provenance { data, val_accuracy, program, hyperparameters, .. } = layers[0].provenance;
    let [inputs, hidden, classes] = layers[0].sizes();
    let name = data.dataset.name();
    let task = if layers[0].provenance.image().is_some() { "image-classification" } else { "tabular-classification" };
    let mut text =
        format!("---\nlibrary_name: pytorch\npipeline_tag: {task}\ntags:\n- mlpgrid\n- mlp\nmetrics:\n- accuracy\n");
    if data.dataset.published().is_some() {
        let _ = writeln!(text, "datasets:\n- {}", if classes == 10 { "cifar10" } else { "cifar100" });
    }
    if let (Some(accuracy), [_]) = (val_accuracy, layers) {
        let _ = write!(
            text,
            "model-index:\n- name: mlpgrid\n  results:\n  - task:\n      type: {task}\n    dataset:\n      name: {name}\n      type: {}\n      \
            split: validation\n    metrics:\n    - type: accuracy\n      value: {accuracy}\n      name: validation accuracy\n",
            data.dataset.key()
        );
    }
    let what = match layers.len() {
        1 => format!("a network of two layers, {inputs} inputs, {hidden} hidden units, {classes} classes"),
        count => format!(
            "{count} networks of two layers, {inputs} inputs, {classes} classes; their probabilities are averaged"
        ),
    };
    let accuracy = |member: &Layers<'_>| {
        let accuracy = member.provenance.val_accuracy.map_or("unknown".to_owned(), |a| format!("{:.2} %", 100.0 * a));
        format!("- trial `{}`: validation accuracy {accuracy}\n", member.provenance.trial)
    };
    let accuracies: String = layers.iter().map(accuracy).collect();
    let _ = write!(
        text,
        "---\n\n# {name}: {what}\n\n{accuracies}\nIf the model was chosen among several by validation accuracy, that number is optimistic: test it once, on rows \
        that chose nothing.\n\n```python\nfrom model import load   # beside this file\n\nscores = load()(x)       # x: (N, {inputs}), numbers as in the \
        data files\n```\n\nWhat is done to images ({}) is inside. Trained by mlpgrid {program}; `config.json` has all hyperparameters.\n",
        hyperparameters.preparation.key()
    );
    text
}
