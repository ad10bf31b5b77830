//! A directory of `sweep` or `train`: whose it is.

use std::collections::HashSet;
use std::path::Path;

use super::layout::{CHECKPOINTS, MODEL, OF_SWEEP, OF_TRAINING, RESULTS, SWEEP_FILE, TRAINING_FILE};
use super::space::{Resolved, Trial};
use crate::error::{Error, Result};
use crate::files;
use crate::model::saved::Provenance;
use crate::train::checkpoint::Checkpoints;
use crate::version;

/// How a sweep and a directory stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The directory is no sweep's yet.
    New,
    /// It is this sweep's.
    Ours,
    /// It is, once [`extend`] has written the sweep file, which has so many trials more than the one that is there.
    Extends(usize),
}

/// A sweep that may have its directory.
#[derive(Debug)]
pub struct Claim {
    /// Its trials, in the order that the directory's sweep file gives them where there is one of an equal space: equals are ranked, and
    /// shards are cut, by that order, whatever the order in the file of each process.
    pub trials: Vec<Trial>,
    /// What `directory` is to it.
    pub standing: Standing,
}

/// Whether [`claim`] would succeed, and with what; writes nothing.
///
/// # Errors
/// As [`claim`], without trying whether the directory can be written.
pub fn check(directory: &Path, resolved: &Resolved, trials: Vec<Trial>, may_extend: bool) -> Result<Claim> {
    let path = directory.join(SWEEP_FILE);
    if !path.exists() {
        if directory.join(RESULTS).exists() {
            let expected = "the sweep file that the results belong to";
            return Err(Error::content(&path, expected, "no such file", "restore it, or choose another --out"));
        }
        refuse_others(directory, "sweep", TRAINING_FILE, &OF_SWEEP)?;
        return Ok(Claim { trials, standing: Standing::New });
    }
    let before = read(directory)?;
    let differences = before.differences(resolved);
    if differences.is_empty() {
        let trials = if before.has_order_of(resolved) { trials } else { before.trials()? };
        return Ok(Claim { trials, standing: Standing::Ours });
    }
    if !may_extend {
        let remedy = "choose another --out, give the sweep file that this directory was made with, or --extend it if \
            this one only adds trials";
        return Err(Error::usage(directory.display(), "the same sweep as before", differences.join("; "), remedy));
    }
    let now: HashSet<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    let trials_before = before.trials()?;
    let lost = trials_before.iter().filter(|trial| !now.contains(trial.id.as_str())).count();
    if lost > 0 {
        let found = format!("{lost} of its {} trials gone: {}", trials_before.len(), differences.join("; "));
        let remedy = "keep every value that was there, or choose another --out";
        return Err(Error::usage(directory.display(), "a sweep that only adds trials", found, remedy));
    }
    let standing = Standing::Extends(trials.len() - trials_before.len());
    Ok(Claim { trials, standing })
}

/// Makes `directory` this sweep's: writes the resolved sweep file, or checks that the one that is there is of an equal space; with
/// `may_extend`, or that it has more trials and lacks none.
///
/// # Errors
/// The directory cannot be written, or it holds another sweep: the error names each difference.
pub fn claim(directory: &Path, resolved: &Resolved, trials: Vec<Trial>, may_extend: bool) -> Result<Claim> {
    files::create_output_directory(directory)?;
    let claim = check(directory, resolved, trials, may_extend)?;
    if claim.standing != Standing::New {
        return Ok(claim);
    }
    // Of processes that begin at the same moment one writes the file, and the others take its order.
    files::create(&directory.join(SWEEP_FILE), text(resolved).as_bytes())?;
    check(directory, resolved, claim.trials, may_extend)
}

/// Makes `directory` that of the training of `trial`, which `resolved` describes: writes its configuration, or checks that the one that is
/// there holds the same.
///
/// # Errors
/// The directory cannot be written; or it is a sweep's or another training's, or has files that would be replaced.
pub fn claim_training(directory: &Path, resolved: &Resolved, trial: &Trial) -> Result<()> {
    files::create_output_directory(directory)?;
    let path = directory.join(TRAINING_FILE);
    if !path.exists() {
        // Earlier programs left no configuration beside a model or a checkpoint, but these name their trial.
        if !is_of(directory, trial)? {
            refuse_others(directory, "train", SWEEP_FILE, &OF_TRAINING)?;
        }
        let head = format!("# A training as mlpgrid {} resolved it: every default spelled out.", version::VERSION);
        files::create(&path, format!("{head}\n\n{}", resolved.to_toml()).as_bytes())?;
    }
    let differences = Resolved::read(&path)?.differences(resolved);
    if differences.is_empty() {
        return Ok(());
    }
    let remedy = "choose another --out, give the flags that this directory was made with, or remove it";
    Err(Error::usage(directory.display(), "the same training as before", differences.join("; "), remedy))
}

/// Whether the model or a checkpoint in `directory` is of this trial.
fn is_of(directory: &Path, trial: &Trial) -> Result<bool> {
    let is_model_of = Provenance::read(&directory.join(MODEL)).is_ok_and(|model| model.trial == trial.id);
    Ok(is_model_of || Checkpoints::find(&directory.join(CHECKPOINTS))?.trials().contains(trial.id.as_str()))
}

/// Refuses a directory of the other command, and files of the names in `written` that this one did not write.
fn refuse_others(directory: &Path, command: &str, other_file: &str, written: &[&str]) -> Result<()> {
    let is_there = |name: &&&str| directory.join(name).symlink_metadata().is_ok();
    let (found, remedy) = if is_there(&&other_file) {
        (format!("{other_file}: it is one of another command"), "choose another --out")
    } else if let Some(name) = written.iter().find(is_there) {
        (format!("{name}, which `{command}` did not write"), "choose another --out, or move it away")
    } else {
        return Ok(());
    };
    let expected = format!("a directory that is empty or an earlier one of `{command}`");
    Err(Error::usage(directory.display(), expected, found, remedy))
}

/// Writes the resolved sweep file.
///
/// # Errors
/// It cannot be written.
pub fn extend(directory: &Path, resolved: &Resolved) -> Result<()> {
    files::replace_on(&files::RealDisk, &directory.join(SWEEP_FILE), &[text(resolved).as_bytes()])
}

fn text(resolved: &Resolved) -> String {
    let head = format!("# A sweep as mlpgrid {} resolved it: every default spelled out.", version::VERSION);
    format!("{head}\n\n{}", resolved.to_toml())
}

/// The resolved sweep file of a sweep's directory.
///
/// # Errors
/// The directory is none, or its sweep file cannot be read, or is not one that `sweep` wrote.
pub fn read(directory: &Path) -> Result<Resolved> {
    let path = directory.join(SWEEP_FILE);
    if !path.exists() {
        let found = if directory.is_dir() { "none in this directory" } else { "no such directory" };
        return Err(Error::content(
            &path,
            "the sweep file of a sweep's directory",
            found,
            "give the directory that `mlpgrid sweep --out` wrote",
        ));
    }
    Resolved::read(&path)
}
