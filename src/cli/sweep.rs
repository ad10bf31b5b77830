//! `mlpgrid sweep`: every trial of a sweep file, or of one shard of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use super::setup::{
    DataDirectory, duration, initialise_blas, this_program, warn_of_memory, warn_of_workers, workers_of,
};
use super::terminal::{log, print_all, print_json, warn};
use super::{dry_run, report};
use crate::blas::Blas;
use crate::error::Result;
use crate::files::RealDisk;
use crate::report::environment::Environment;
use crate::report::progress::Progress;
use crate::report::publish::{Summary, kernels_warning};
use crate::report::shown;
use crate::report::standing::Standing;
use crate::signals;
use crate::sweep::cluster;
use crate::sweep::events::Events;
use crate::sweep::job::Job;
use crate::sweep::journal::Results;
use crate::sweep::layout::ENVIRONMENT;
use crate::sweep::lock;
use crate::sweep::session::{Options, Session};
use crate::sweep::shard::Shard;
use crate::sweep::site::Site;
use crate::sweep::space::{Resolved, Space, Trial};
use crate::train::{EpochPoint, Outcome, Status, work_of_iteration};

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
    /// Threads, each of which trains one cohort at a time [default: SLURM_CPUS_PER_TASK, else the cores that affinity and control groups
    /// allow]
    #[arg(long, value_name = "COUNT")]
    workers: Option<usize>,
    /// Train part I of N of the sweep; `auto`: the part that the cluster's scheduler names (Slurm, Grid Engine); `auto/N`: it names
    /// the task, counted from 0, of N (also Kubernetes, PBS)
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Print what would be trained, in which cohorts, and how long it would take; train nothing, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print every trial of the sweep, or of the shard, as a line of JSON; train nothing, write nothing
    #[arg(long)]
    list: bool,
    /// Keep every trial's network in models/, not only the best one
    #[arg(long)]
    keep_models: bool,
    /// Accept a sweep file that has more trials than the one that the directory was made with, and lacks none
    #[arg(long)]
    extend: bool,
    /// Train trials again that ended so
    #[arg(long, value_name = "HOW", value_enum)]
    retry: Vec<Retry>,
    /// Seconds between two checkpoints of a cohort
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    checkpoint_every: f64,
    /// Take over from a process on another machine when it has not renewed its lock for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = lock::DEAD_AFTER.as_secs_f64())]
    takeover_after: f64,
    /// Override a key of the sweep file: a list makes it an axis of the grid, a single value fixes it, { uniform = [0, 1] } draws it; other tables
    /// by name: data.val=5000, random.samples=60, halving.eta=3 (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Which trials are trained again though they have a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Retry {
    /// The program failed at them
    Failed,
    /// Their loss was no longer a finite number
    Diverged,
}

/// What `sweep` prints.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    summary: Summary,
    trained_now: usize,
    train_seconds: f64,
    trial_iterations_per_second: Option<f64>,
    gflops: Option<f64>,
}

impl Arguments {
    fn retried(&self) -> Vec<Status> {
        let status = |retry: &Retry| match retry {
            Retry::Failed => Status::Failed,
            Retry::Diverged => Status::Diverged,
        };
        self.retry.iter().map(status).collect()
    }
}

/// Trains what is missing, writes the leaderboard and prints one JSON object. The code is 3 where trials failed.
///
/// # Errors
/// The sweep file, the data or the directory cannot be used, another process trains the same shard, a result cannot be written, or
/// a signal asked to stop.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let stop = signals::listen()?;
    let workers = workers_of(arguments.workers)?;
    warn_of_workers(workers);
    let takeover_after = duration("--takeover-after", arguments.takeover_after)?;
    let checkpoint_every = duration("--checkpoint-every", arguments.checkpoint_every)?;
    let shard = match &arguments.shard {
        Some(text) => cluster::shard(text, &|name| std::env::var(name).ok())?,
        None => Shard::WHOLE,
    };
    let mut space = Space::read(&arguments.spec)?;
    for assignment in &arguments.set {
        space.set(assignment)?;
    }
    let blas = initialise_blas()?;
    let data = arguments.data.load(&space.data).map_err(|error| space.located(error))?;
    let resolved = space.resolved(&data);
    let program = this_program()?;
    let site = Site {
        data: &data,
        directory: &arguments.out,
        kernel: &blas.kernel,
        shard,
        keep_models: arguments.keep_models,
        checkpoint_every,
        stop: &stop,
        disk: &RealDisk,
        program: Some(&program),
        process: None,
    };
    let retried = arguments.retried();
    let options = Options { workers, retried, may_extend: arguments.extend, takeover_after };
    let command = if arguments.dry_run { "dry run" } else { "sweep" };
    let standing = Arc::default();
    let display = Display { command, site, blas: &blas, workers, progress: OnceLock::new(), standing };
    if arguments.list {
        return list(&resolved, &site);
    }
    if arguments.dry_run {
        let session = Session::look(site, &resolved, options, &display)?;
        let job = session.plan();
        display.log_plan(&job, session.trials().len());
        return dry_run::run(&data, session.search(), session.trials(), &job);
    }

    let mut session = Session::open(site, &resolved, options, &display)?;
    resolved.rules().budget.max_hours.into_iter().for_each(|hours| end_after(hours, &stop));
    let started = Instant::now();
    let trained = session.run();
    let train_seconds = started.elapsed().as_secs_f64();
    display.progress.get().into_iter().for_each(Progress::finish);
    let trained_now = match trained {
        Ok(trained) => trained,
        Err(error) => {
            let (done, all) = session.recorded();
            log(&format!("sweep: {done} of {all} trials of shard {shard} are recorded"));
            return Err(error);
        }
    };
    if session.waits_for() > 0 {
        let missing = session.waits_for();
        log(&format!(
            "sweep: {missing} results of other shards are missing before this one can go on; run this command again when they are there"
        ));
    }
    let search = session.search().clone();
    let (trials, results) = session.results();
    let summary = report::publish("sweep", &arguments.out, &search, trials, results, report::TABLE_ROWS)?;
    let code = summary.exit_code();
    if shown::is_json() {
        shown::emit("end", json!({ "exit_code": code, "trained_now": trained_now, "missing": summary.missing }));
    }
    let rate = |amount: f64| (trained_now > 0).then(|| amount / train_seconds);
    let (iterations, work) = display.progress.get().map_or((0, 0.0), Progress::done);
    print_json(&Report {
        summary,
        trained_now,
        train_seconds,
        trial_iterations_per_second: rate(iterations as f64),
        gflops: rate(work / 1e9),
    })?;
    Ok(code)
}

/// Asks the sweep to stop after so many hours, as a signal does.
fn end_after(hours: f64, stop: &Arc<AtomicBool>) {
    let (stop, time) = (Arc::clone(stop), Duration::try_from_secs_f64(hours * 3600.0).unwrap_or(Duration::MAX));
    // The thread ends with the process, which does not wait for it.
    drop(thread::Builder::new().name("budget".to_owned()).spawn(move || {
        thread::sleep(time);
        log(&format!("sweep: the budget of {hours} hours is used up"));
        stop.store(true, Ordering::Relaxed);
    }));
}

/// Prints every trial of a shard as a line of JSON: its identity and its hyperparameters.
fn list(space: &Resolved, site: &Site<'_>) -> Result<u8> {
    let trials = space.trials()?;
    let lines = site.shard.of(&trials, site.data.inputs()).into_iter().map(|trial| {
        let entries = trial.hyperparameters.entries();
        let written = entries.iter().filter(|entry| entry.is_written());
        let pairs: String = written.map(|entry| format!(",\"{}\":{}", entry.name, entry.value)).collect();
        format!("{{\"trial\":\"{}\"{pairs}}}\n", trial.id)
    });
    print_all(lines)?;
    Ok(0)
}

/// Shows what a sweep reports.
struct Display<'a> {
    /// What lines begin with.
    command: &'static str,
    site: Site<'a>,
    blas: &'a Blas,
    workers: usize,
    /// Once it is known what there is to do.
    progress: OnceLock<Progress>,
    /// What the workers do, and the best so far.
    standing: Arc<Standing>,
}

impl Display<'_> {
    /// Logs what there is to do of a sweep of so many trials.
    fn log_plan(&self, job: &Job<'_>, trials: usize) {
        let shard = match self.site.shard {
            Shard::WHOLE => String::new(),
            shard => format!(" of the {} of shard {shard}", job.trials.len()),
        };
        let resumed = match job.resumed() {
            0 => String::new(),
            resumed => format!(" ({resumed} from checkpoints)"),
        };
        log(&format!(
            "sweep: {trials} trials, {}{shard} to train in {} cohorts{resumed}, {} workers, OpenBLAS {} ({} kernels)",
            job.missing.len(),
            job.cohorts.len(),
            job.limits.workers,
            self.blas.version,
            self.site.kernel
        ));
        if job.alone > 0 {
            warn(&format!(
                "with these BLAS kernels the results of {} trials would depend on their cohorts, to the last bits: each of them trains alone, \
                 which is slower",
                job.alone
            ));
        }
        warn_of_memory(job.bytes() as u64, "take fewer --workers, or ask for more memory");
    }

    /// A line above the bar, if there is one.
    fn line(&self, line: &str) {
        match self.progress.get() {
            Some(progress) => progress.log(line),
            None => log(line),
        }
    }
}

/// The number of this worker, from 0.
fn worker() -> usize {
    rayon::current_thread_index().unwrap_or(0)
}

impl Events for Display<'_> {
    fn log(&self, line: &str) {
        self.line(&format!("{}: {line}", self.command));
    }

    fn warn(&self, warning: &str) {
        match self.progress.get() {
            Some(progress) => progress.warn(warning),
            None => warn(warning),
        }
    }

    fn planned(&self, job: &Job<'_>, trials: &[Trial], before: &Results) -> Result<()> {
        if !job.missing.is_empty() || self.progress.get().is_none() {
            self.log_plan(job, trials.len());
        }
        if !job.missing.is_empty() {
            let mut kernels = before.kernels(trials.iter().map(|trial| trial.id.as_str()));
            for trial in &job.missing {
                let kernel = trial.hyperparameters.precision.kernel(self.site.kernel);
                *kernels.entry(kernel.to_owned()).or_default() += 1;
            }
            kernels_warning(&kernels).iter().for_each(|warning| warn(warning));
            let environment = Environment::of(self.blas).with(self.site.data, self.workers);
            environment.write(&self.site.directory.join(ENVIRONMENT))?;
        }
        let recorded = || trials.iter().filter_map(|trial| before.records.get(&trial.id));
        self.standing.planned(trials, recorded().map(|record| record.outcome.status));
        if let Some((trial, record)) = before.best(trials) {
            self.standing.offered(trial, &record.outcome);
        }
        if shown::is_json() {
            let fields = json!({
                "trials": trials.len(),
                "to_train": job.missing.len(),
                "cohorts": job.cohorts.len(),
                "workers": job.limits.workers,
                "kernel": self.site.kernel,
                "shard": self.site.shard.to_string(),
            });
            shown::emit("start", fields);
        }
        let work = job.work();
        match self.progress.get() {
            Some(progress) => progress.expect(work),
            None => drop(
                self.progress
                    .set(Progress::new("sweep", "trial-iterations", work).of_sweep(Arc::clone(&self.standing))),
            ),
        }
        Ok(())
    }

    fn iterated(&self, trials: usize, work: f64) {
        self.progress.get().into_iter().for_each(|progress| progress.add(trials as u64, work));
    }

    fn began(&self, trials: &[&Trial]) {
        self.standing.began(worker(), trials);
    }

    fn left(&self) {
        self.standing.left(worker());
    }

    fn epoch(&self, trial: &Trial, point: &EpochPoint) {
        let it = &trial.hyperparameters;
        let train_rows = self.site.data.ground().train_rows(it.fold());
        let epochs = it.iterations / it.iterations_per_epoch(train_rows);
        self.standing.epoch(worker(), trial, point, epochs);
    }

    fn ended(&self, trial: &Trial, outcome: &Outcome) {
        let Some(progress) = self.progress.get() else { return };
        let left = match outcome.status {
            Status::Stopped => 0, // that was all that was to be done
            _ => trial.hyperparameters.iterations - outcome.iterations_done,
        };
        progress.skip(left as f64 * work_of_iteration(&trial.hyperparameters, self.site.data.inputs()));
        let is_best = self.standing.ended(trial, outcome);
        if shown::is_json() {
            let fields = json!({
                "trial": trial.id,
                "status": outcome.status,
                "val_accuracy": outcome.val_accuracy,
                "diverged_at": outcome.diverged_at,
                "hyperparameters": trial.hyperparameters,
            });
            shown::emit("trial", fields);
            if is_best {
                shown::emit("best", json!({ "trial": trial.id, "val_accuracy": outcome.val_accuracy, "ended": true }));
            }
        }
        if outcome.status == Status::Failed {
            self.log(&format!("trial {} failed: a bug, please report it; its record holds more", trial.id));
        }
    }

    fn more_work(&self, work: f64, why: &str) {
        self.progress.get().into_iter().for_each(|progress| progress.expect(work));
        self.log(why);
    }

    fn seconds_left(&self) -> Option<f64> {
        self.progress.get().and_then(Progress::seconds_left)
    }
}
