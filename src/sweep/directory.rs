//! A sweep's directory: whose it is.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use super::journal::RESULTS;
use super::space::{Space, Trial};
use crate::error::{Error, Result};
use crate::files;
use crate::version;

/// File name of the resolved sweep file in the directory.
pub const SWEEP_FILE: &str = "sweep.toml";

/// What became of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The directory is this sweep's.
    Ours,
    /// It is, once [`extend`] has written the sweep file, which has so many trials more than the one that is there.
    Extends(usize),
}

/// Makes `directory` this sweep's: writes the resolved sweep file, or checks that the one that is there says the same; with
/// `may_extend`, or that it has more trials and lacks none.
///
/// # Errors
/// The directory cannot be written, or it holds another sweep: the error names each difference.
pub fn claim(directory: &Path, resolved: &Space, trials: &[Trial], may_extend: bool) -> Result<Claim> {
    files::create_output_directory(directory)?;
    let path = directory.join(SWEEP_FILE);
    if path.exists() {
        let before = read(directory)?;
        let differences = before.differences(resolved);
        if differences.is_empty() {
            return Ok(Claim::Ours);
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
        return Ok(Claim::Extends(trials.len() - trials_before.len()));
    }
    if directory.join(RESULTS).exists() {
        return Err(Error::content(
            &path,
            "the sweep file that the results belong to",
            "no such file",
            "restore it, or choose another --out",
        ));
    }
    extend(directory, resolved)?;
    Ok(Claim::Ours)
}

/// Writes the resolved sweep file.
///
/// # Errors
/// It cannot be written.
pub fn extend(directory: &Path, resolved: &Space) -> Result<()> {
    let text = format!(
        "# A sweep as mlpgrid {} resolved it: every default spelled out.\n\n{}",
        version::VERSION,
        resolved.to_toml()
    );
    files::replace(&directory.join(SWEEP_FILE), |file| file.write_all(text.as_bytes()))
}

/// The resolved sweep file of a sweep's directory.
///
/// # Errors
/// The directory is none, or its sweep file cannot be read.
pub fn read(directory: &Path) -> Result<Space> {
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
    Space::read(&path)
}
