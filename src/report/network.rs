//! The best network of a sweep, as pictures.

use std::path::Path;

use super::picture::Picture;
use super::view::Network;
use super::weights;
use crate::data::augment::View as Moved;
use crate::data::images::{RowValues, Rows};
use crate::data::sets::Shape;
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::model::saved::SavedModel;
use crate::model::two_layer_net::largest;
use crate::tensors::Tensor;
use crate::train::engine;

/// Units whose weights are shown.
const UNITS: usize = 48;
/// Images that the network was surest of and wrong about.
const WORST: usize = 12;

/// What can be shown of the model at `path`: its first layer, and with `data` what it confuses. None where there is no model.
///
/// # Errors
/// The model cannot be read, or does not fit the data.
pub fn of(path: &Path, data: Option<&Dataset>) -> Result<Option<Network>> {
    if !path.exists() {
        return Ok(None);
    }
    let model = SavedModel::read(path)?;
    let mut network =
        Network { first_layer: None, confusion: None, classes: vec![], worst: vec![], note: String::new() };
    let image = model.provenance.data.dataset.published().map(|set| set.shape).or(model.provenance.image);
    let (Some(w1), Some(w2)) = (model.network.tensor("W1").ok(), model.network.tensor("W2").ok()) else {
        return Ok(None);
    };
    let pixels = model.fitted.in_pixels(w1);
    let fits = |shape: &Shape| weights::can_draw(*shape, 1) && pixels.shape().first() == Some(&shape.inputs());
    if let Some(shape) = image.filter(fits) {
        let (shown, units) = strongest(&pixels, w2);
        let count = shown.shape()[1];
        network.first_layer = Some(weights::enlarged(&shown, shape, 1).png());
        if count < units {
            network.note = format!("Shown are the {count} of {units} hidden units that weigh most in the scores. ");
        }
    }
    match data {
        Some(data) => confuse(&mut network, path, &model, data)?,
        None => network.note += "What it confuses needs the images: `mlpgrid report DIR --data DATA`.",
    }
    Ok(Some(network))
}

/// The units of the largest outgoing weights, as columns of W1, and how many units there are.
fn strongest(w1: &Tensor, w2: &Tensor) -> (Tensor, usize) {
    let (inputs, units) = (w1.shape()[0], w1.shape()[1]);
    let classes = w2.shape().last().copied().unwrap_or(1).max(1);
    let norms: Vec<f64> =
        w2.to_f64().chunks(classes).map(|row| row.iter().map(|weight| weight * weight).sum::<f64>()).collect();
    let mut order: Vec<usize> = (0..units).collect();
    order.sort_by(|&a, &b| norms[b].total_cmp(&norms[a]));
    order.truncate(UNITS);
    let numbers = w1.to_f64();
    let shown: Vec<f64> = (0..inputs)
        .flat_map(|input| order.iter().map(move |&unit| (input, unit)))
        .map(|(i, u)| numbers[i * units + u])
        .collect();
    (Tensor::new(&[inputs, order.len()], shown), units)
}

fn confuse(network: &mut Network, path: &Path, model: &SavedModel, data: &Dataset) -> Result<()> {
    let hyperparameters = &model.provenance.hyperparameters;
    let data = data.fold(hyperparameters.fold());
    let rows: Rows<'_> = data.rows(Split::Val);
    let wrong = |found| {
        Error::content(path, "a model that fits the data", found, "give the data that the sweep was trained on")
    };
    if (model.fitted.inputs(), model.classes()) != (data.inputs(), data.classes()) {
        return Err(wrong(format!("one of {} inputs and {} classes", model.fitted.inputs(), model.classes())));
    }
    let plain = (data.shape(), Moved::moved(false, 0, 0));
    let engine = engine(hyperparameters.precision);
    let probabilities =
        engine.probabilities(&model.network, &model.fitted, hyperparameters.batch_size, rows, plain).map_err(wrong)?;
    let classes = data.classes();
    let mut confusion = vec![vec![0; classes]; classes];
    let mut worst: Vec<(f64, usize, usize, usize)> = vec![];
    for (row, (of_row, label)) in probabilities.chunks_exact(classes).zip(rows.labels).enumerate() {
        let (label, guess) = (usize::from(*label), largest(of_row.iter().copied()));
        confusion[label][guess] += 1;
        if label != guess {
            worst.push((of_row[guess], row, label, guess));
        }
    }
    worst.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    worst.truncate(WORST);
    network.classes = names(&data, classes);
    // Of a hundred classes no cell could be read.
    network.confusion = (classes <= 20).then_some(confusion);
    let inputs = data.inputs();
    let picture = |row: usize| -> Option<Vec<u8>> {
        let (RowValues::Bytes(bytes), Some(shape)) = (rows.values, data.image()) else { return None };
        let bytes = bytes.get(row * inputs..(row + 1) * inputs)?;
        let pixels = match shape.channels {
            3 => bytes.to_vec(),
            1 => bytes.iter().flat_map(|&grey| [grey; 3]).collect(),
            _ => return None,
        };
        Some(Picture { width: shape.columns, height: shape.rows, pixels }.png())
    };
    network.worst = worst
        .into_iter()
        .filter_map(|(probability, row, label, guess)| Some((picture(row)?, label, guess, probability)))
        .collect();
    network.note += &format!("Measured on the {} images of the validation split, which chose it.", rows.labels.len());
    Ok(())
}

/// The classes' names, where they are known.
fn names(data: &Dataset, classes: usize) -> Vec<String> {
    const CIFAR_10: [&str; 10] =
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
    match data.config.dataset.key() {
        "cifar10" if !data.is_synthetic => CIFAR_10.map(str::to_owned).to_vec(),
        _ => (0..classes).map(|class| format!("class {class}")).collect(),
    }
}
