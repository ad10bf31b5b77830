//! `mlpgrid eval`: the accuracy of a saved model.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{DataDirectory, initialise_blas, percent, print_json, say};
use crate::data::{DataConfig, Split};
use crate::error::{Error, Result};
use crate::model::checkpoint::{AnyModel, SavedModel};
use crate::real::Real;
use crate::sweep::best::BEST_MODEL;
use crate::train;

/// Flags of `eval`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model file, or a directory that `train` or `sweep` wrote
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    data: DataDirectory,
    /// Measure on all training rows that the model was trained with, too
    #[arg(long)]
    train: bool,
    /// Measure on the test split too
    #[arg(long)]
    test: bool,
    /// Validation rows [default: as the model was trained with]
    #[arg(long, value_name = "ROWS")]
    val: Option<usize>,
}

/// What `eval` prints.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    trial: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_accuracy: Option<f64>,
    val_accuracy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_accuracy: Option<f64>,
    data_fingerprint: String,
}

/// Measures the model, in the precision that it was trained in, and prints one JSON object.
///
/// # Errors
/// The model or the data cannot be read, or do not fit each other.
pub fn run(arguments: &Arguments) -> Result<u8> {
    initialise_blas()?;
    let path = model_file(&arguments.model)?;
    let report = match AnyModel::read(&path)? {
        AnyModel::F32(model) => measure(arguments, &path, &model)?,
        AnyModel::F64(model) => measure(arguments, &path, &model)?,
    };
    let also = |name: &str, accuracy: Option<f64>| {
        accuracy.map_or(String::new(), |accuracy| format!(", {name} accuracy {}", percent(accuracy)))
    };
    say(&format!(
        "eval: {}: validation accuracy {}{}{}",
        path.display(),
        percent(report.val_accuracy),
        also("test", report.test_accuracy),
        also("training", report.train_accuracy)
    ));
    print_json(&report)?;
    Ok(0)
}

fn measure<T: Real>(arguments: &Arguments, path: &Path, model: &SavedModel<T>) -> Result<Report> {
    let trained_on = &model.provenance.data;
    let val = arguments.val.or(trained_on.val);
    // The training rows matter only where they are measured: other numbers of them must not keep the rest from it.
    let train = trained_on.train.filter(|_| arguments.train);
    let data = arguments.data.load(&DataConfig { val, train, test: None, fingerprint: None, ..trained_on.clone() })?;
    let (inputs, classes) = (model.network.w1.nrows(), model.network.b2.len());
    if (inputs, classes) != (data.inputs(), data.classes()) {
        let expected = format!("a model of {} inputs and {} classes, as the data have", data.inputs(), data.classes());
        let found = format!("one of {inputs} inputs and {classes} classes");
        return Err(Error::content(path, expected, found, "give another model, or the data that it was trained on"));
    }
    let batch_size = model.provenance.hyperparameters.batch_size;
    let accuracy = |split| train::accuracy(&model.network, batch_size, data.rows(split), &model.mean);
    Ok(Report {
        model: path.display().to_string(),
        trial: model.provenance.trial.clone(),
        status: "complete",
        train_accuracy: arguments.train.then(|| accuracy(Split::Train)),
        val_accuracy: accuracy(Split::Val),
        test_accuracy: arguments.test.then(|| accuracy(Split::Test)),
        data_fingerprint: data.fingerprint.clone(),
    })
}

/// The file itself, or the model in a directory of `train` or `sweep`.
fn model_file(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let candidates = [super::train::MODEL, BEST_MODEL].map(|name| path.join(name));
    candidates.into_iter().find(|file| file.exists()).ok_or_else(|| {
        let expected = format!("{} or {BEST_MODEL} in it", super::train::MODEL);
        Error::content(
            path,
            expected,
            "neither",
            "give a model file, or a directory that `train --out` or `sweep` wrote",
        )
    })
}
