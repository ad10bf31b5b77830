//! `mlpgrid refine`: the next sweep file, around what won.

use std::io::Write as _;
use std::path::PathBuf;

use super::terminal::{log, print, warn};
use crate::error::{Error, Result};
use crate::files;
use crate::report::{refine, statistics};
use crate::sweep::directory;
use crate::sweep::journal::Results;
use crate::sweep::search::Search;

/// Flags of `refine`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A sweep's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Configurations that the next sweep draws
    #[arg(long, value_name = "COUNT", default_value_t = 60)]
    samples: usize,
    /// Write the sweep file there, instead of to stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Prints a sweep file with a narrower space around the best configurations, with the reason beside each line.
///
/// # Errors
/// The directory is not a sweep's, or has no complete trial, or the file cannot be written.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let directory = arguments.directory.as_path();
    let space = directory::read(directory)?;
    let trials = space.trials()?;
    let mut results = Results::read(directory)?;
    results.damage_warnings(true).for_each(|warning| warn(warning));
    Search::new(&space, &trials)?.settle(&trials, &mut results);
    let ranked = statistics::rank(&trials, &results);
    let text = refine::next(&space, &trials, &ranked, arguments.samples.max(1)).ok_or_else(|| {
        let remedy = "run the sweep first: `mlpgrid status` prints how far it is";
        Error::content(directory, "a complete trial to refine around", "none", remedy)
    })?;
    match &arguments.out {
        Some(path) => {
            files::replace(path, |file| file.write_all(text.as_bytes()))?;
            log(&format!("refine: wrote {}", path.display()));
        }
        None => print(&text)?,
    }
    Ok(0)
}
