//! `mlpgrid report`: what a sweep's directory holds, merged.

use std::path::PathBuf;

use serde::Serialize;

use super::sweep::{LEADERBOARD, TABLE_ROWS};
use super::{print_json, say};
use crate::error::Result;
use crate::report::leaderboard;
use crate::sweep::journal::Results;
use crate::sweep::{best, directory};
use crate::train::Status;

/// Flags of `report`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A sweep's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Rows of the table
    #[arg(long, value_name = "ROWS", default_value_t = TABLE_ROWS)]
    top: usize,
}

/// What `report` prints.
#[derive(Debug, Serialize)]
struct Report {
    trials: usize,
    complete: usize,
    diverged: usize,
    failed: usize,
    missing: usize,
    best_val_accuracy: Option<f64>,
    best_trial: Option<String>,
}

/// Writes the leaderboard and the best model of everything that any process recorded here, and prints one JSON object. The code is
/// 3 where trials failed.
///
/// # Errors
/// The directory is not a sweep's, or cannot be read or written.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let directory = arguments.directory.as_path();
    let trials = directory::read(directory)?.trials()?;
    let results = Results::read(directory)?;
    results.damage.iter().for_each(|damage| say(&format!("warning: {damage}")));
    let rows = leaderboard::rank(&trials, &results);
    let path = directory.join(LEADERBOARD);
    leaderboard::write_csv(&path, &rows)?;
    if !best::merge(directory, &trials, &results)? {
        say("warning: the model of the best trial is not here; run the sweep again: it trains that trial once more");
    }
    say(&leaderboard::table(&rows, &trials, arguments.top));
    say(&format!("report: {} of {} trials are in {}", rows.len(), trials.len(), path.display()));
    let count = |status| rows.iter().filter(|row| row.outcome.status == status).count();
    let best = rows.first().filter(|row| row.outcome.status == Status::Complete);
    print_json(&Report {
        trials: trials.len(),
        complete: count(Status::Complete),
        diverged: count(Status::Diverged),
        failed: count(Status::Failed),
        missing: trials.len() - rows.len(),
        best_val_accuracy: best.and_then(|row| row.outcome.val_accuracy),
        best_trial: best.map(|row| row.trial.id.clone()),
    })?;
    Ok(if count(Status::Failed) > 0 { 3 } else { 0 })
}
