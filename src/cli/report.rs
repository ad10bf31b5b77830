//! `mlpgrid report`: what a sweep's directory holds, merged and drawn.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::setup::{DataDirectory, duration, initialise_blas};
use super::terminal::{log, print_json, warn};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::files;
use crate::report::publish::{self, Summary, kernels_warning};
use crate::report::view::View;
use crate::report::{html, leaderboard, network};
use crate::signals;
use crate::sweep::directory;
use crate::sweep::journal::Results;
use crate::sweep::layout::{BEST_MODEL, ENVIRONMENT, LEADERBOARD, REPORT};
use crate::sweep::lock::{self, DEAD_AFTER};
use crate::sweep::space::{Resolved, Trial};

/// Rows of the table at the end.
pub const TABLE_ROWS: usize = 10;

/// Flags of `report`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A sweep's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Rows of the table
    #[arg(long, value_name = "ROWS", default_value_t = TABLE_ROWS)]
    top: usize,
    /// Write everything again whenever there is something new, as often as every so many seconds, until no trial is missing; the page in a
    /// browser follows
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    watch: Option<f64>,
    #[command(flatten)]
    data: OptionalData,
}

/// The data, where the report is to show images.
#[derive(Debug, clap::Args)]
struct OptionalData {
    /// Directory of the sweep's data: the report then shows what the best network confuses
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Writes the report, the leaderboard and the best model of everything that any process recorded here, and prints one JSON object. The code
/// is 3 where trials failed.
///
/// # Errors
/// The directory is not a sweep's, or cannot be read or written; the data are not those of the sweep.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let every = arguments.watch.map(|seconds| duration("--watch", seconds)).transpose()?;
    let stop = every.map(|_| signals::listen()).transpose()?;
    let directory = arguments.directory.as_path();
    let space = directory::read(directory)?;
    let data = match &arguments.data.data {
        Some(path) => Some(DataDirectory::at(path).load(space.data()).map_err(|error| space.located(error))?),
        None => None,
    };
    let mut results = Results::read(directory)?;
    let mut space = space;
    loop {
        let trials = space.trials()?;
        let others_write = lock::holders(directory, DEAD_AFTER)?.iter().any(|holder| holder.is_running);
        results.damage_warnings(others_write).for_each(|warning| warn(warning));
        let summary = publish("report", directory, &trials, &mut results, arguments.top)?;
        let refresh = every.filter(|_| summary.missing > 0).map(|every| every.as_secs_f64().ceil().max(1.0) as u32);
        draw(directory, &space, (&trials, &results), data.as_ref(), refresh)?;
        let (Some(every), Some(stop)) = (every, &stop) else {
            print_json(&summary)?;
            return Ok(summary.exit_code());
        };
        if summary.missing == 0 {
            print_json(&summary)?;
            return Ok(summary.exit_code());
        }
        // Until there is something new.
        let mut since = Instant::now();
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            if since.elapsed() >= every {
                if results.refresh(directory)? {
                    break;
                }
                since = Instant::now();
            }
            thread::sleep(Duration::from_millis(100));
        }
        space = directory::read(directory)?; // it may have been extended
    }
}

/// Writes the page.
fn draw(
    directory: &Path,
    space: &Resolved,
    (trials, results): (&[Trial], &Results),
    data: Option<&Dataset>,
    refresh: Option<u32>,
) -> Result<()> {
    let mut view = View::of(name_of(directory), space, trials, results);
    let environment = fs::read(directory.join(ENVIRONMENT)).ok();
    view.environment = environment.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let model = directory.join(BEST_MODEL);
    if model.exists() {
        initialise_blas()?;
        match network::of(&model, data) {
            Ok(network) => view.network = network,
            // Another process may be replacing it by a better one.
            Err(error) => warn(&format!("the report lacks the best network: {error}")),
        }
    }
    let path = directory.join(REPORT);
    let page = html::page(&view, refresh);
    files::replace(&path, |file| file.write_all(page.as_bytes()))?;
    log(&format!("report: {} ({} kB)", path.display(), page.len().div_ceil(1000)));
    Ok(())
}

/// The directory's own name.
fn name_of(directory: &Path) -> String {
    let whole = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    whole.file_name().map_or_else(|| "sweep".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Writes leaderboard and best model, and prints the `top` rows as a table; `command` is named in the line below it.
///
/// # Errors
/// As [`publish::publish`]; the table has been printed all the same.
pub fn publish(
    command: &str,
    directory: &Path,
    trials: &[Trial],
    results: &mut Results,
    top: usize,
) -> Result<Summary> {
    let best_is_here = publish::publish(directory, trials, results);
    let rows = leaderboard::rank(trials, results);
    log(&format!("\n{}", leaderboard::table(&rows, trials, top)));
    if !best_is_here? {
        warn("the model of the best trial is not here; run the sweep again: it trains that trial once more");
    }
    let summary = Summary::of(trials, results);
    kernels_warning(&summary.kernels).iter().for_each(|warning| warn(warning));
    log(&format!(
        "{command}: {} of {} trials are in {}",
        rows.len(),
        trials.len(),
        directory.join(LEADERBOARD).display()
    ));
    Ok(summary)
}
