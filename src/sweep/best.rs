//! The best model. Each shard keeps its own; the whole sweep's is the best of them.

use std::fs;
use std::path::{Path, PathBuf};

use super::job::Site;
use super::journal::{Results, better_first};
use super::shard::Shard;
use super::space::Trial;
use crate::error::{Error, Result};
use crate::files::{self, RealDisk};
use crate::model::TwoLayerNet;
use crate::model::checkpoint::{AnyModel, Provenance, SavedModel};
use crate::real::{Precision, Real};
use crate::train::{self, Detail, Ended, Next, Observer, Outcome, Status};
use crate::version;

/// File name of the sweep's best model.
pub const BEST_MODEL: &str = "best.safetensors";
/// Folder of every trial's model, if all are kept.
pub const MODELS: &str = "models";
/// Folder of the best models of shards.
const OF_SHARDS: &str = "best";

/// Where the best model of a shard is.
pub fn path(directory: &Path, shard: Shard) -> PathBuf {
    match shard {
        Shard::WHOLE => directory.join(BEST_MODEL),
        _ => directory.join(OF_SHARDS).join(format!("{}.safetensors", shard.file_name())),
    }
}

/// Where the model of a trial is, if every model is kept.
pub fn kept(directory: &Path, trial: &str) -> PathBuf {
    directory.join(MODELS).join(format!("{trial}.safetensors"))
}

/// A trial's network with what made it.
pub fn saved<T: Real>(site: Site<'_>, trial: &Trial, network: &TwoLayerNet<T>, outcome: &Outcome) -> SavedModel<T> {
    let provenance = Provenance {
        trial: trial.id.clone(),
        hyperparameters: (*trial.hyperparameters).clone(),
        data: site.data.config.clone(),
        data_fingerprint: site.data.fingerprint.clone(),
        val_accuracy: outcome.val_accuracy,
        program: version::program(),
        kernel: site.kernel.to_owned(),
    };
    SavedModel { network: network.clone(), mean: site.data.mean.clone(), provenance }
}

/// The complete trial that validation ranks first, of those that have a record.
fn best<'a>(trials: impl IntoIterator<Item = &'a Trial>, results: &'a Results) -> Option<(&'a Trial, &'a Outcome)> {
    let recorded = trials.into_iter().filter_map(|trial| Some((trial, &results.records.get(&trial.id)?.outcome)));
    recorded.filter(|(_, outcome)| outcome.status == Status::Complete).min_by(|a, b| better_first(a.1, b.1))
}

/// Makes sure that the best model of this shard's `trials` is in its file: where it is missing, damaged or another trial's (a process
/// died between two writes), the trial is trained once more, which gives the same model to the bit.
///
/// # Errors
/// The model cannot be written, or the process was asked to stop.
pub fn keep(site: Site<'_>, trials: &[&Trial]) -> Result<()> {
    let results = Results::read(site.directory)?;
    let Some((best, outcome)) = best(trials.iter().copied(), &results) else { return Ok(()) };
    if bring(site.directory, best, &path(site.directory, site.shard))? {
        return Ok(());
    }
    match best.hyperparameters.precision {
        Precision::F32 => make_again::<f32>(site, best, outcome),
        Precision::F64 => make_again::<f64>(site, best, outcome),
    }
}

/// Makes the best model of the whole sweep from those of the shards. Returns whether it is there.
///
/// # Errors
/// It cannot be written.
pub fn merge(directory: &Path, trials: &[Trial], results: &Results) -> Result<bool> {
    best(trials, results).map_or(Ok(true), |(best, _)| bring(directory, best, &path(directory, Shard::WHOLE)))
}

/// Brings a trial's model to `path`, from wherever in the sweep's directory it is.
fn bring(directory: &Path, trial: &Trial, path: &Path) -> Result<bool> {
    let is_of_trial = |path: &Path| AnyModel::read(path).is_ok_and(|model| model.provenance().trial == trial.id);
    if is_of_trial(path) {
        return Ok(true);
    }
    let mut places = files::with_extension(&directory.join(OF_SHARDS), "safetensors")?;
    places.extend([self::path(directory, Shard::WHOLE), kept(directory, &trial.id)]);
    let Some(place) = places.into_iter().find(|place| is_of_trial(place)) else { return Ok(false) };
    let bytes = fs::read(&place).map_err(Error::io("read the model", &place))?;
    files::replace_on(&RealDisk, path, &[&bytes])?;
    Ok(true)
}

fn make_again<T: Real>(site: Site<'_>, best: &Trial, outcome: &Outcome) -> Result<()> {
    let mut keeper = Keeper::<T> { site, network: None };
    train::train(site.data, std::slice::from_ref(&best.hyperparameters), Detail::Epochs, &mut keeper);
    if site.is_asked_to_stop() {
        return Err(Error::Interrupted);
    }
    let write = |network| {
        files::replace_on(
            site.disk,
            &path(site.directory, site.shard),
            &[&saved(site, best, &network, outcome).to_bytes()],
        )
    };
    keeper.network.map_or(Ok(()), write)
}

/// Keeps the network that training ends with.
struct Keeper<'a, T> {
    site: Site<'a>,
    network: Option<TwoLayerNet<T>>,
}

impl<T> Observer<T> for Keeper<'_, T> {
    fn next(&mut self) -> Next {
        if self.site.is_asked_to_stop() { Next::Stop } else { Next::Iterate }
    }

    fn ended(&mut self, ended: Vec<Ended<T>>) {
        self.network = ended.into_iter().find_map(|end| end.network);
    }
}
