//! `mlpgrid report`: what a sweep's directory holds, merged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{print_json, say};
use crate::error::Result;
use crate::report::leaderboard;
use crate::sweep::journal::{Results, better_first};
use crate::sweep::layout::LEADERBOARD;
use crate::sweep::lock::{self, DEAD_AFTER};
use crate::sweep::space::Trial;
use crate::sweep::{best, directory};
use crate::train::Status;

/// Rows of the table at the end.
pub const TABLE_ROWS: usize = 10;
/// How often the leaderboard is written again because records came meanwhile.
const ATTEMPTS: usize = 10;

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

/// How the trials of a sweep ended: what `report`, `sweep` and `status` print first.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Of the sweep, all shards together.
    pub trials: usize,
    /// Trained to the end.
    pub complete: usize,
    /// Their loss was no longer a finite number.
    pub diverged: usize,
    /// The program failed at them.
    pub failed: usize,
    /// Have no record yet.
    pub missing: usize,
    /// Of the best trial, a fraction.
    pub best_val_accuracy: Option<f64>,
    /// The complete trial that validation ranks first.
    pub best_trial: Option<String>,
    /// The BLAS kernels that computed the results, and how many trials each.
    pub kernels: BTreeMap<String, usize>,
}

impl Summary {
    /// Of what is recorded of `trials`.
    pub fn of(trials: &[Trial], results: &Results) -> Self {
        let records: Vec<_> = trials.iter().filter_map(|trial| results.records.get(&trial.id)).collect();
        let count = |status| records.iter().filter(|record| record.outcome.status == status).count();
        let complete = records.iter().filter(|record| record.outcome.status == Status::Complete);
        let best = complete.min_by(|a, b| better_first(&a.outcome, &b.outcome));
        Self {
            trials: trials.len(),
            complete: count(Status::Complete),
            diverged: count(Status::Diverged),
            failed: count(Status::Failed),
            missing: trials.len() - records.len(),
            best_val_accuracy: best.and_then(|record| record.outcome.val_accuracy),
            best_trial: best.map(|record| record.trial.clone()),
            kernels: results.kernels(trials),
        }
    }

    /// The exit code of a command that is done: 3 where trials failed.
    pub fn exit_code(&self) -> u8 {
        if self.failed > 0 { 3 } else { 0 }
    }
}

/// A warning where results come from several BLAS kernels: they differ in the last bits, so the ranking is no machine's own.
pub fn kernels_warning(kernels: &BTreeMap<String, usize>) -> Option<String> {
    let counts: Vec<String> = kernels.iter().map(|(kernel, trials)| format!("{kernel}: {trials} trials")).collect();
    (counts.len() > 1).then(|| {
        format!(
            "warning: the results are from several BLAS kernels ({}), which differ in the last bits, so no single machine gives this \
             leaderboard to the byte; run every shard with the same OPENBLAS_CORETYPE if that matters",
            counts.join(", ")
        )
    })
}

/// Writes the leaderboard and the best model of everything that any process recorded here, and prints one JSON object. The code is
/// 3 where trials failed.
///
/// # Errors
/// The directory is not a sweep's, or cannot be read or written.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let directory = arguments.directory.as_path();
    let trials = directory::read(directory)?.trials()?;
    let others_write = lock::holders(directory, DEAD_AFTER)?.iter().any(|holder| holder.is_running);
    let results = Results::read(directory)?;
    results.damage_to_tell(others_write).for_each(|damage| say(&format!("warning: {damage}")));
    let summary = publish("report", directory, &trials, results, arguments.top)?;
    print_json(&summary)?;
    Ok(summary.exit_code())
}

/// Writes the leaderboard and the best model of everything that is recorded, which is `results` and what came since, and prints the `top`
/// rows as a table; `command` is named in the line below it.
///
/// # Errors
/// Results cannot be read, or one of the files cannot be written: then the table has been printed all the same.
pub fn publish(command: &str, directory: &Path, trials: &[Trial], mut results: Results, top: usize) -> Result<Summary> {
    let path = directory.join(LEADERBOARD);
    let mut best_is_here = Ok(true);
    // Of shards that end at the same time, the one that read first may write last: it looks again.
    for _ in 0..ATTEMPTS {
        best_is_here = leaderboard::write_csv(&path, &leaderboard::rank(trials, &results))
            .and_then(|()| best::merge(directory, trials, &results));
        let now = Results::read(directory)?;
        let is_news = now.records.len() > results.records.len();
        results = now;
        if !is_news || best_is_here.is_err() {
            break;
        }
    }
    let rows = leaderboard::rank(trials, &results);
    say(&format!("\n{}", leaderboard::table(&rows, trials, top)));
    if !best_is_here? {
        say("warning: the model of the best trial is not here; run the sweep again: it trains that trial once more");
    }
    let summary = Summary::of(trials, &results);
    kernels_warning(&summary.kernels).iter().for_each(|warning| say(warning));
    say(&format!("{command}: {} of {} trials are in {}", rows.len(), trials.len(), path.display()));
    Ok(summary)
}
