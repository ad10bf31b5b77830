//! `mlpgrid sweep`: every trial of a sweep file.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use super::{DataDirectory, initialise_blas, percent, print_json, say};
use crate::error::{Error, Result};
use crate::report::environment::{Environment, available_cores};
use crate::report::leaderboard;
use crate::report::progress::Progress;
use crate::sweep::directory;
use crate::sweep::journal::Results;
use crate::sweep::runner::{self, Site, Watcher};
use crate::sweep::space::{Space, Trial};
use crate::train::{Outcome, Status};

/// Rows of the table at the end.
const TABLE_ROWS: usize = 10;

/// Flags of `sweep`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The sweep file
    #[arg(value_name = "SPEC.toml")]
    spec: PathBuf,
    #[command(flatten)]
    data: DataDirectory,
    /// Directory for the results; run the same command again to train what is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Trials trained at the same time [default: the cores that affinity and control groups allow]
    #[arg(long, value_name = "COUNT")]
    workers: Option<usize>,
    /// Override a key of the sweep file: a list makes it an axis of the grid, a single value fixes it (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// What `sweep` prints.
#[derive(Debug, Serialize)]
struct Report {
    trials: usize,
    complete: usize,
    diverged: usize,
    failed: usize,
    trained_now: usize,
    best_val_accuracy: Option<f64>,
    best_trial: Option<String>,
    train_seconds: f64,
    trial_iterations_per_second: Option<f64>,
    gflops: Option<f64>,
}

/// Trains what is missing, writes the leaderboard and prints one JSON object. The code is 3 where trials failed.
///
/// # Errors
/// The sweep file, the data or the directory cannot be used, or a result cannot be written.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let workers = arguments.workers.unwrap_or_else(available_cores);
    if !(1..=4096).contains(&workers) {
        return Err(Error::usage("--workers", "1 to 4096", workers.to_string(), "ask for at most one worker a core"));
    }
    let mut space = Space::read(&arguments.spec)?;
    for assignment in &arguments.set {
        space.set(assignment)?;
    }
    let blas = initialise_blas()?;
    let data = arguments.data.load(&space.data)?;
    let resolved = space.resolved(&data);
    let trials = resolved.trials()?;
    directory::claim(&arguments.out, &resolved)?;

    let before = Results::read(&arguments.out)?;
    for damage in &before.damage {
        say(&format!("warning: {damage}"));
    }
    let missing: Vec<&Trial> = trials.iter().filter(|trial| !before.records.contains_key(&trial.id)).collect();
    let iterations: usize = missing.iter().map(|trial| trial.hyperparameters.iterations).sum();
    say(&format!(
        "sweep: {} trials, {} to train, {workers} workers, OpenBLAS {} ({} kernels)",
        trials.len(),
        missing.len(),
        blas.version,
        blas.kernel
    ));
    let progress = Progress::new("sweep", "trial-iterations", iterations as u64);
    let site = Site { data: &data, directory: &arguments.out, kernel: &blas.kernel, workers };
    if !missing.is_empty() {
        Environment::of(&blas).with(&data, workers).write(&arguments.out.join("environment.json"))?;
    }
    let started = Instant::now();
    let trained_now = runner::run(site, &trials, &Display { progress: &progress });
    let train_seconds = started.elapsed().as_secs_f64();
    progress.finish();
    let trained_now = trained_now?;

    let results = Results::read(&arguments.out)?;
    let rows = leaderboard::rank(&trials, &results);
    let path = arguments.out.join("leaderboard.csv");
    leaderboard::write_csv(&path, &rows)?;
    say(&format!("\n{}", leaderboard::table(&rows, &trials, TABLE_ROWS)));
    say(&format!("sweep: {} of {} trials are in {}", rows.len(), trials.len(), path.display()));

    let count = |status| rows.iter().filter(|row| row.outcome.status == status).count();
    let best = rows.first().filter(|row| row.outcome.status == Status::Complete);
    let done = |trial: &&&Trial| results.records.get(&trial.id).map_or(0, |record| record.outcome.iterations_done);
    let iterations_done: usize = missing.iter().map(|trial| done(&trial)).sum();
    let floating_point_operations: f64 =
        missing.iter().map(|trial| done(&trial) as f64 * flops(trial, data.inputs())).sum();
    let rate = |amount: f64| (trained_now > 0).then(|| amount / train_seconds);
    print_json(&Report {
        trials: trials.len(),
        complete: count(Status::Complete),
        diverged: count(Status::Diverged),
        failed: count(Status::Failed),
        trained_now,
        best_val_accuracy: best.and_then(|row| row.outcome.val_accuracy),
        best_trial: best.map(|row| row.trial.id.clone()),
        train_seconds,
        trial_iterations_per_second: rate(iterations_done as f64),
        gflops: rate(floating_point_operations / 1e9),
    })?;
    Ok(if count(Status::Failed) > 0 { 3 } else { 0 })
}

/// Floating-point operations of one iteration of a trial: the two products with D, 4·B·D·H.
fn flops(trial: &Trial, inputs: usize) -> f64 {
    let h = &trial.hyperparameters;
    4.0 * h.batch_size as f64 * inputs as f64 * h.hidden as f64
}

/// Shows what the workers do.
struct Display<'a> {
    progress: &'a Progress,
}

impl Watcher for Display<'_> {
    fn iterated(&self, trials: usize) {
        self.progress.add(trials as u64);
    }

    fn ended(&self, trial: &Trial, outcome: &Outcome, is_best: bool) {
        match (outcome.status, outcome.val_accuracy) {
            (Status::Complete, Some(accuracy)) if is_best => {
                self.progress.note(format!("best val accuracy {} ({})", percent(accuracy), trial.id));
            }
            (Status::Failed, _) => self
                .progress
                .say(&format!("sweep: trial {} failed: a bug, please report it; its record says more", trial.id)),
            _ => {}
        }
    }
}
