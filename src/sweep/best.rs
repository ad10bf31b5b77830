//! The best model. Each shard keeps its own; the whole sweep's is the best of them.

use std::fs;
use std::path::{Path, PathBuf};

use super::journal::{Record, Results};
use super::layout::{BEST_MODEL, BEST_OF_SHARDS, MODELS};
use super::shard::Shard;
use super::site::Site;
use super::space::Trial;
use crate::error::{Error, Result};
use crate::files::{self, RealDisk};
use crate::model::saved::Provenance;

/// Where the best model of a shard is.
pub fn path(directory: &Path, shard: Shard) -> PathBuf {
    match shard {
        Shard::WHOLE => directory.join(BEST_MODEL),
        _ => directory.join(BEST_OF_SHARDS).join(format!("{}.safetensors", shard.file_name())),
    }
}

/// Where the process that trains at `site` keeps the best model.
pub fn file(site: Site<'_>) -> PathBuf {
    let Some(process) = site.process else { return path(site.directory, site.shard) };
    site.directory.join(BEST_OF_SHARDS).join(format!("{}{process}.safetensors", of_processes(site.shard)))
}

/// What the names of the best models of the further processes of a shard begin with.
fn of_processes(shard: Shard) -> String {
    format!("{}-process-", shard.file_name())
}

/// Where the model of a trial is, if every model is kept.
pub fn kept(directory: &Path, trial: &str) -> PathBuf {
    directory.join(MODELS).join(format!("{trial}.safetensors"))
}

/// The best trial of a shard, whose model is not here.
#[derive(Debug)]
pub struct Lost<'a> {
    /// The trial.
    pub trial: &'a Trial,
    /// Its record.
    pub record: Record,
}

/// Makes sure that the best model of this shard's `trials` is in its file. Where it is nowhere, damaged or another trial's (a process
/// died between two writes, or somebody removed it), returns the trial: trained once more it gives the same model to the bit, with
/// the same BLAS kernel.
///
/// # Errors
/// The model cannot be written.
pub fn lost<'a>(site: Site<'_>, trials: &[&'a Trial], results: &Results) -> Result<Option<Lost<'a>>> {
    let Some((trial, record)) = results.best(trials.iter().copied()) else { return Ok(None) };
    let is_here = place(site.directory, trial, &file(site))?;
    Ok((!is_here).then(|| Lost { trial, record: record.clone() }))
}

/// Removes the best models of the further processes of this shard: the best of them is in the shard's own file.
///
/// # Errors
/// The folder cannot be listed.
pub fn remove_of_processes(site: Site<'_>) -> Result<()> {
    for path in files::with_extension(&site.directory.join(BEST_OF_SHARDS), "safetensors")? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(&of_processes(site.shard)) {
            drop(fs::remove_file(path)); // it takes room, no more
        }
    }
    drop(fs::remove_dir(site.directory.join(BEST_OF_SHARDS))); // where nothing else is in it
    Ok(())
}

/// Makes the best model of the whole sweep, that of the best of the `rivals`, from those of the shards. Returns whether it is there.
///
/// # Errors
/// It cannot be written.
pub fn merge<'a>(directory: &Path, rivals: impl IntoIterator<Item = &'a Trial>, results: &Results) -> Result<bool> {
    results.best(rivals).map_or(Ok(true), |(best, _)| place(directory, best, &path(directory, Shard::WHOLE)))
}

/// Copies a trial's model to `path`, from wherever in the sweep's directory it is. Returns whether it is there.
fn place(directory: &Path, trial: &Trial, path: &Path) -> Result<bool> {
    let is_of_trial = |path: &Path| Provenance::read(path).is_ok_and(|model| model.trial == trial.id);
    if is_of_trial(path) {
        return Ok(true);
    }
    let mut places = files::with_extension(&directory.join(BEST_OF_SHARDS), "safetensors")?;
    places.extend([self::path(directory, Shard::WHOLE), kept(directory, &trial.id)]);
    let Some(place) = places.into_iter().find(|place| is_of_trial(place)) else { return Ok(false) };
    let bytes = fs::read(&place).map_err(Error::io("read the model", &place))?;
    path.parent().map_or(Ok(()), files::create_output_directory)?;
    files::replace_on(&RealDisk, path, &[&bytes])?;
    Ok(true)
}
