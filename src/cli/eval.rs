//! `mlpgrid eval`: the accuracy of a saved model.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::setup::{DataDirectory, initialise_blas, split};
use super::terminal::{log, percent, print_json, warn};
use crate::data::dataset::Splits;
use crate::data::{DataConfig, Dataset, Files, Split};
use crate::error::{Error, Result};
use crate::files;
use crate::limits;
use crate::model::saved::{Provenance, SavedModel};
use crate::numbers;
use crate::sweep::layout::{BEST_MODEL, MODEL};
use crate::train::engine;

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
    /// Validation rows, none of which the model was trained on [default: as the model was trained with]
    #[arg(long, value_name = "ROWS", value_parser = numbers::parse_whole::<usize>)]
    val: Option<usize>,
    /// Measure on data other than those that the model was trained with; without this flag they are refused
    #[arg(long, conflicts_with = "train")]
    other_data: bool,
}

/// What `eval` prints.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    trial: String,
    status: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    other_data: bool,
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
/// The model or the data cannot be read, or do not fit each other, or rows that the model was trained on would count as validation
/// rows.
pub fn run(arguments: &Arguments) -> Result<u8> {
    initialise_blas()?;
    let path = model_file(&arguments.model)?;
    // Its bytes, and its numbers in the order of training.
    limits::foresee("the model", path.metadata().map_or(0, |metadata| 3 * metadata.len()))?;
    let report = measure(arguments, &path, &SavedModel::read(&path)?)?;
    let also = |name: &str, accuracy: Option<f64>| {
        accuracy.map_or(String::new(), |accuracy| format!(", {name} accuracy {}", percent(accuracy)))
    };
    log(&format!(
        "eval: {}: validation accuracy {}{}{}",
        path.display(),
        percent(report.val_accuracy),
        also("test", report.test_accuracy),
        also("training", report.train_accuracy)
    ));
    print_json(&report)?;
    Ok(0)
}

fn measure(arguments: &Arguments, path: &Path, model: &SavedModel) -> Result<Report> {
    let (data, other_data) = load(arguments, path, &model.provenance)?;
    let (inputs, classes) = (model.fitted.inputs(), model.classes());
    if (inputs, classes) != (data.inputs(), data.classes()) {
        let expected = format!("a model of {} inputs and {} classes, as the data have", data.inputs(), data.classes());
        let found = format!("one of {inputs} inputs and {classes} classes");
        return Err(Error::content(path, expected, found, "give another model, or the data that it was trained on"));
    }
    let (precision, batch_size) =
        (model.provenance.hyperparameters.precision, model.provenance.hyperparameters.batch_size);
    let accuracy = |split| {
        let accuracy = engine(precision).accuracy(&model.network, &model.fitted, batch_size, data.rows(split));
        accuracy.map_err(|found| Error::content(path, "a whole model", found, "give another model"))
    };
    Ok(Report {
        model: path.display().to_string(),
        trial: model.provenance.trial.clone(),
        status: "complete",
        other_data,
        train_accuracy: arguments.train.then(|| accuracy(Split::Train)).transpose()?,
        val_accuracy: accuracy(Split::Val)?,
        test_accuracy: arguments.test.then(|| accuracy(Split::Test)).transpose()?,
        data_fingerprint: data.fingerprint.clone(),
    })
}

/// The data, split as the model's were as far as the flags do not ask for other rows, and whether they are other data than the model's.
fn load(arguments: &Arguments, path: &Path, provenance: &Provenance) -> Result<(Dataset, bool)> {
    let trained_on = &provenance.data;
    let files = arguments.data.read(trained_on.dataset)?;
    // The fingerprint stands for files and splits: with the splits that the model was trained with it must be the model's.
    let own = files.splits(trained_on).ok();
    let is_own = own.is_some_and(|own| files.fingerprint(own) == provenance.data_fingerprint);
    if !is_own {
        admit_other(arguments, path, provenance, &files)?;
    }
    // Where the model's splits do not fit these files, its training rows are not among them.
    let trained_rows = own.map_or(0, |own| own.train);
    let (recorded_train, recorded_val) = match own.filter(|_| is_own) {
        Some(Splits { train, val, .. }) => (Some(train), Some(val)),
        None => (trained_on.train, trained_on.val),
    };
    let val = arguments.val.or(recorded_val);
    if let Some(val) = val {
        refuse_trained_rows(val, trained_rows, files.training_images())?;
    }
    // The training rows matter only where they are measured: other numbers of them must not keep the rest from it.
    let train = recorded_train.filter(|_| arguments.train);
    let config = DataConfig { val, train, test: None, fingerprint: None, ..trained_on.clone() };
    Ok((split(files, &config)?, !is_own))
}

/// Refuses data that are not those of the model, unless they are asked for; then it warns.
fn admit_other(arguments: &Arguments, path: &Path, provenance: &Provenance, files: &Files) -> Result<()> {
    let fingerprint = &provenance.data_fingerprint;
    let expected = format!("the data that {} was trained on (fingerprint {fingerprint})", path.display());
    let found = if files.is_synthetic { "synthetic images that are others" } else { "others" };
    let DataConfig { train, val, test, .. } = provenance.data;
    let found = match [train, val, test].contains(&None) {
        true => format!("{found}, or other splits, which the model does not record"),
        false => found.to_owned(),
    };
    if arguments.other_data {
        warn(&format!(
            "{}: these are not {expected}; whether some of these images are among its training rows is not known",
            files.directory.display()
        ));
        return Ok(());
    }
    let remedy = "give the model's data with --data, or measure it on these with --other-data";
    Err(Error::usage(files.directory.display(), expected, found, remedy))
}

/// Training rows are the first of the training images, validation rows the last: refuses so many of these that they meet.
fn refuse_trained_rows(val: usize, trained_rows: usize, images: usize) -> Result<()> {
    let others = images - trained_rows;
    if trained_rows == 0 || val <= others {
        return Ok(());
    }
    let expected = format!(
        "at most {others} validation rows (the model was trained on the first {trained_rows} of the {images} training images)"
    );
    let found = match val.checked_sub(images) {
        None | Some(0) => format!("{val}, {} of which it was trained on", val - others),
        Some(_) => val.to_string(),
    };
    Err(Error::usage("--val", expected, found, "ask for fewer rows, or leave out --val"))
}

/// The file itself, or the model in a directory of `train` or `sweep`.
fn model_file(path: &Path) -> Result<PathBuf> {
    let file = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => model_in(path)?,
        Ok(_) => path.to_path_buf(),
        Err(error) => return Err(Error::io("read the model", path)(error)),
    };
    files::refuse_fifo(&file)?;
    Ok(file)
}

fn model_in(directory: &Path) -> Result<PathBuf> {
    for file in [MODEL, BEST_MODEL].map(|name| directory.join(name)) {
        match file.metadata() {
            Ok(_) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read the model", &file)(error)),
        }
    }
    let expected = format!("{MODEL} or {BEST_MODEL} in it");
    let remedy = "give a model file, or a directory that `train --out` or `sweep` wrote";
    Err(Error::content(directory, expected, "neither", remedy))
}
