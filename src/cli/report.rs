//! `mlpgrid report`: what a sweep's directory holds, merged.

use std::fs;
use std::path::{Path, PathBuf};

use super::terminal::{log, print_json, warn};
use crate::error::{Error, Result};
use crate::export::tensorboard;
use crate::files::{self, RealDisk};
use crate::report::leaderboard::{self, Row};
use crate::report::publish::{self, Summary, kernels_warning};
use crate::sweep::directory;
use crate::sweep::journal::Results;
use crate::sweep::layout::LEADERBOARD;
use crate::sweep::lock::{self, DEAD_AFTER};
use crate::sweep::search::Search;
use crate::sweep::space::Trial;

/// Rows of the table at the end.
pub const TABLE_ROWS: usize = 10;
/// Flags of `report`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A sweep's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Rows of the table, and trials for TensorBoard
    #[arg(long, value_name = "ROWS", default_value_t = TABLE_ROWS)]
    top: usize,
    /// Folder for event files that TensorBoard reads, of the best trials, with their hyperparameters
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
}

/// Writes the leaderboard and the best model of everything that any process recorded here, and prints one JSON object. The code is
/// 3 where trials failed.
///
/// # Errors
/// The directory is not a sweep's, or cannot be read or written.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let directory = arguments.directory.as_path();
    let space = directory::read(directory)?;
    let trials = space.trials()?;
    let others_write = lock::holders(directory, DEAD_AFTER)?.iter().any(|holder| holder.is_running);
    let mut results = Results::read(directory)?;
    results.damage_warnings(others_write).for_each(|warning| warn(warning));
    let search = Search::new(&space, &trials)?;
    let summary = publish("report", directory, &search, &trials, &mut results, arguments.top)?;
    if let Some(folder) = &arguments.tensorboard {
        tensorboard(folder, &trials, &results, arguments.top)?;
    }
    print_json(&summary)?;
    Ok(summary.exit_code())
}

/// Writes the best trials for TensorBoard, a folder each.
fn tensorboard(folder: &Path, trials: &[Trial], results: &Results, top: usize) -> Result<()> {
    const FILE: &str = "events.out.tfevents.0.mlpgrid";
    let write = |folder: &Path, bytes: &[u8]| {
        fs::create_dir_all(folder).map_err(Error::io("create the directory", folder))?;
        files::replace_on(&RealDisk, &folder.join(FILE), &[bytes])
    };
    write(folder, &tensorboard::experiment(trials))?;
    let rows = leaderboard::rank(trials, results);
    for Row { trial, .. } in rows.iter().take(top) {
        write(&folder.join(&trial.id), &tensorboard::events(trial, &results.records[&trial.id]))?;
    }
    let count = rows.len().min(top);
    log(&format!("report: the best {count} trials are in {}: tensorboard --logdir {0}", folder.display()));
    Ok(())
}

/// Writes leaderboard and best model, and prints the `top` rows as a table; `command` is named in the line below it.
///
/// # Errors
/// As [`publish::publish`]; the table has been printed all the same.
pub fn publish(
    command: &str,
    directory: &Path,
    search: &Search,
    trials: &[Trial],
    results: &mut Results,
    top: usize,
) -> Result<Summary> {
    let best_is_here = publish::publish(directory, search, trials, results);
    let rows = leaderboard::rank(trials, results);
    log(&format!("\n{}", leaderboard::table(&rows, trials, top)));
    if !best_is_here? {
        warn("the model of the best trial is not here; run the sweep again: it trains that trial once more");
    }
    let summary = Summary::of(trials, results).within(search, trials, results);
    if let Some(best) = &summary.best_configuration {
        log(&format!("{command}: best configuration: trial {}, validation accuracy {}", best.trial, best.text()));
    }
    if let Some(best) = &summary.confirmed {
        log(&format!("{command}: confirmed with fresh seeds: trial {}, {}", best.trial, best.text()));
    }
    kernels_warning(&summary.kernels).iter().for_each(|warning| warn(warning));
    log(&format!(
        "{command}: {} of {} trials are in {}",
        rows.len(),
        trials.len(),
        directory.join(LEADERBOARD).display()
    ));
    Ok(summary)
}
