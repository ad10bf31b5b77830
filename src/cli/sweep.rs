//! `mlpgrid sweep`: every trial of a sweep file.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{DataDirectory, initialise_blas, percent, print_json, say};
use crate::bench::gemm;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::report::environment::{Environment, available_cores};
use crate::report::leaderboard;
use crate::report::progress::Progress;
use crate::sweep::directory;
use crate::sweep::journal::Results;
use crate::sweep::plan::{self, CohortPlan};
use crate::sweep::runner::{self, Job, Site, Watcher};
use crate::sweep::space::{Space, Trial};
use crate::train::{self, Outcome, Status};

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
    /// Print what would be trained, in which cohorts, and how long it would take; train nothing, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Keep every trial's network in models/, not only the best one
    #[arg(long)]
    keep_models: bool,
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
    if !arguments.dry_run {
        directory::claim(&arguments.out, &resolved)?;
    }

    let before = Results::read(&arguments.out)?;
    for damage in &before.damage {
        say(&format!("warning: {damage}"));
    }
    let site =
        Site { data: &data, directory: &arguments.out, kernel: &blas.kernel, keep_models: arguments.keep_models };
    let job = Job::new(site, &trials, &before, workers);
    say(&format!(
        "sweep: {} trials, {} to train in {} cohorts, {workers} workers, OpenBLAS {} ({} kernels)",
        trials.len(),
        job.missing.len(),
        job.cohorts.len(),
        blas.version,
        blas.kernel
    ));
    if !job.limits.may_share {
        say(
            "warning: with these BLAS kernels a trial's bits would depend on its cohort: each trial trains alone, which is slower",
        );
    }
    if arguments.dry_run {
        return dry_run(&data, &job);
    }
    if !job.missing.is_empty() {
        Environment::of(&blas).with(&data, workers).write(&arguments.out.join("environment.json"))?;
    }
    let progress = Progress::new("sweep", "trial-iterations", job.work());
    let started = Instant::now();
    let outcome = runner::run(site, &job, &Display { progress: &progress, inputs: data.inputs() });
    let train_seconds = started.elapsed().as_secs_f64();
    progress.finish();
    outcome?;

    let results = Results::read(&arguments.out)?;
    let rows = leaderboard::rank(&trials, &results);
    let path = arguments.out.join("leaderboard.csv");
    leaderboard::write_csv(&path, &rows)?;
    say(&format!("\n{}", leaderboard::table(&rows, &trials, TABLE_ROWS)));
    say(&format!("sweep: {} of {} trials are in {}", rows.len(), trials.len(), path.display()));

    let count = |status| rows.iter().filter(|row| row.outcome.status == status).count();
    let best = rows.first().filter(|row| row.outcome.status == Status::Complete);
    let done = |trial: &Trial| results.records.get(&trial.id).map_or(0, |record| record.outcome.iterations_done) as f64;
    let iterations_done: f64 = job.missing.iter().map(|trial| done(trial)).sum();
    let work = |trial: &Trial| done(trial) * plan::work_of_iteration(&trial.hyperparameters, data.inputs());
    let work_done: f64 = job.missing.iter().map(|trial| work(trial)).sum();
    let rate = |amount: f64| (!job.missing.is_empty()).then(|| amount / train_seconds);
    print_json(&Report {
        trials: trials.len(),
        complete: count(Status::Complete),
        diverged: count(Status::Diverged),
        failed: count(Status::Failed),
        trained_now: job.missing.len(),
        best_val_accuracy: best.and_then(|row| row.outcome.val_accuracy),
        best_trial: best.map(|row| row.trial.id.clone()),
        train_seconds,
        trial_iterations_per_second: rate(iterations_done),
        gflops: rate(work_done / 1e9),
    })?;
    Ok(if count(Status::Failed) > 0 { 3 } else { 0 })
}

/// What `sweep --dry-run` prints.
#[derive(Debug, Serialize)]
struct DryRun {
    trials: usize,
    missing: usize,
    cohorts: usize,
    widest_cohort: usize,
    workers: usize,
    trials_may_share_cohorts: bool,
    floating_point_operations: f64,
    data_bytes: usize,
    bytes_per_worker: usize,
    gemm_gflops: f64,
    predicted_seconds: f64,
}

/// The plan, for people and for programs. The rate that the prediction rests on is measured here and now.
fn dry_run(data: &Dataset, job: &Job<'_>) -> Result<u8> {
    let workers = job.limits.workers;
    let gemm_gflops = gemm::large_gflops(workers, Duration::from_millis(500));
    let rate_of_worker = gemm_gflops / workers as f64 * 1e9 * plan::SHARE_OF_GEMM;
    let bytes = |cohort: &CohortPlan| {
        let members = || cohort.trials.iter().map(|&position| &job.missing[position].hyperparameters);
        let units: usize = members().map(|trial| trial.hidden).sum();
        train::bytes_of_cohort::<f32>(units, members().map(|trial| trial.batch_size).max().unwrap_or(0), data.inputs())
    };
    let report = DryRun {
        trials: job.trials.len(),
        missing: job.missing.len(),
        cohorts: job.cohorts.len(),
        widest_cohort: job.cohorts.iter().map(|cohort| cohort.trials.len()).max().unwrap_or(0),
        workers,
        trials_may_share_cohorts: job.limits.may_share,
        floating_point_operations: job.work(),
        data_bytes: data.bytes(),
        bytes_per_worker: job.cohorts.iter().map(bytes).max().unwrap_or(0),
        gemm_gflops,
        predicted_seconds: plan::makespan(&job.cohorts, workers) / rate_of_worker,
    };
    let predicted = humantime::format_duration(Duration::from_secs(report.predicted_seconds.ceil() as u64));
    say(&format!(
        "dry run: {} cohorts of up to {} trials, {:.3e} floating-point operations, {:.0} MB of data and {:.0} MB a worker",
        report.cohorts,
        report.widest_cohort,
        report.floating_point_operations,
        report.data_bytes as f64 / 1e6,
        report.bytes_per_worker as f64 / 1e6
    ));
    say(&format!(
        "dry run: about {predicted} at the {gemm_gflops:.0} GFLOP/s that {workers} workers reach in large products now"
    ));
    print_json(&report)?;
    Ok(0)
}

/// Shows what the workers do.
struct Display<'a> {
    progress: &'a Progress,
    inputs: usize,
}

impl Watcher for Display<'_> {
    fn iterated(&self, trials: usize, work: f64) {
        self.progress.add(trials as u64, work);
    }

    fn ended(&self, trial: &Trial, outcome: &Outcome, is_best: bool) {
        let left = trial.hyperparameters.iterations - outcome.iterations_done;
        self.progress.add(0, left as f64 * plan::work_of_iteration(&trial.hyperparameters, self.inputs));
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
