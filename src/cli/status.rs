//! `mlpgrid status`: how far a sweep is.

use std::path::PathBuf;

use serde::Serialize;

use super::{percent, print, print_json, say};
use crate::error::Result;
use crate::sweep::directory;
use crate::sweep::journal::{Results, better_first};
use crate::train::Status;

/// Flags of `status`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A sweep's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// What `status` prints.
#[derive(Debug, Serialize)]
struct Report {
    trials: usize,
    complete: usize,
    diverged: usize,
    failed: usize,
    missing: usize,
    damaged_records: usize,
    best_val_accuracy: Option<f64>,
    best_trial: Option<String>,
}

/// Counts the trials by how they ended.
///
/// # Errors
/// The directory is not a sweep's, or cannot be read.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let space = directory::read(&arguments.directory)?;
    let trials = space.trials()?;
    let results = Results::read(&arguments.directory)?;
    for damage in &results.damage {
        say(&format!("warning: {damage}"));
    }
    let records: Vec<_> = trials.iter().filter_map(|trial| results.records.get(&trial.id)).collect();
    let count = |status| records.iter().filter(|record| record.outcome.status == status).count();
    let complete = records.iter().filter(|record| record.outcome.status == Status::Complete);
    let best = complete.min_by(|a, b| better_first(&a.outcome, &b.outcome));
    let report = Report {
        trials: trials.len(),
        complete: count(Status::Complete),
        diverged: count(Status::Diverged),
        failed: count(Status::Failed),
        missing: trials.len() - records.len(),
        damaged_records: results.damage.len(),
        best_val_accuracy: best.and_then(|record| record.outcome.val_accuracy),
        best_trial: best.map(|record| record.trial.clone()),
    };
    if arguments.json {
        print_json(&report)?;
        return Ok(0);
    }
    let best = match (&report.best_trial, report.best_val_accuracy) {
        (Some(trial), Some(accuracy)) => format!("{} validation accuracy, trial {trial}", percent(accuracy)),
        _ => "none yet".to_owned(),
    };
    let lines = [
        ("trials", report.trials.to_string()),
        ("complete", report.complete.to_string()),
        ("diverged", report.diverged.to_string()),
        ("failed", report.failed.to_string()),
        ("missing", report.missing.to_string()),
        ("best", best),
    ];
    print(&lines.iter().map(|(name, value)| format!("{name:<10}{value}\n")).collect::<String>())?;
    Ok(0)
}
