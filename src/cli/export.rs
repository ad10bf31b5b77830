//! `mlpgrid export`: models and sweeps for other programs.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::eval::model_file;
use super::terminal::{log, print_path, warn};
use crate::error::{Error, Result};
use crate::export::{self, File, optuna};
use crate::files::{self, RealDisk};
use crate::model::ensemble::Ensemble;
use crate::sweep::directory;
use crate::sweep::journal::Results;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A file for numpy: numpy.load
    Npz,
    /// A file for onnxruntime and whatever else reads ONNX: input x (N, D), output scores (N, C)
    Onnx,
    /// A folder for PyTorch: model.pt, and model.py whose load() gives a module
    Pytorch,
    /// A folder for a model hub: model.safetensors, config.json, README.md and model.py
    Hub,
    /// Of a sweep: a journal file that Optuna and its dashboard open as a study
    Optuna,
}

/// Write a model for another program, with what is done to images inside; or a sweep as a study
///
/// The model takes numbers as they are in the data files: of images the pixels from 0 to 255, by row, column and channel. An ensemble (the file of
/// `eval --ensemble N --out FILE`) gives the mean of its members' probabilities in place of scores. Prints the path.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model file, or a directory that `train` or `sweep` wrote; for optuna a sweep's directory
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write, or for pytorch and hub the folder
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
}

/// Writes the export, and prints its path.
///
/// # Errors
/// The model or the sweep cannot be read, is too large for the format, or the export cannot be written.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let Arguments { model, format, out } = arguments;
    if *format == Format::Optuna {
        let trials = directory::read(model)?.trials()?;
        let results = Results::read(model)?;
        results.damage_warnings(true).for_each(|warning| warn(warning));
        let name = fs::canonicalize(model).ok().and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
        let journal = optuna::journal(name.as_deref().unwrap_or("mlpgrid"), &trials, &results);
        files::replace_on(&RealDisk, out, &[&journal])?;
        let recorded = trials.iter().filter(|trial| results.records.contains_key(&trial.id)).count();
        log(&format!("export: {recorded} of {} trials are in {}", trials.len(), out.display()));
        print_path(out)?;
        return Ok(0);
    }
    let path = model_file(model)?;
    let ensemble = Ensemble::read(&path)?;
    let too_large = || {
        let remedy = "choose --format hub, which has no such limit";
        Error::content(&path, "a model that the format has room for", "a larger one", remedy)
    };
    match format {
        Format::Npz => write_file(out, &export::npz(&ensemble).ok_or_else(too_large)?),
        Format::Onnx => write_file(out, &export::onnx(&ensemble).ok_or_else(too_large)?),
        Format::Pytorch => write_folder(out, &export::pytorch(&ensemble).ok_or_else(too_large)?),
        Format::Hub => write_folder(out, &export::hub(&ensemble)),
        Format::Optuna => unreachable!("it has been written"),
    }?;
    log(&format!("export: {} is {}", path.display(), out.display()));
    print_path(out)?;
    Ok(0)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    files::replace_on(&RealDisk, path, &[bytes])
}

fn write_folder(folder: &Path, content: &[File]) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io("create the directory", folder))?;
    content.iter().try_for_each(|(name, bytes)| write_file(&folder.join(name), bytes))
}
