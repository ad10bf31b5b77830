//! `mlpgrid sweep`: every trial of a sweep file, or of one shard of it.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::ValueEnum;
use serde::Serialize;

use super::report::{self, Summary};
use super::{
    DataDirectory, dry_run, duration, initialise_blas, percent, print_json, say, this_program, warn_of_memory,
    warn_of_workers,
};
use crate::error::{Error, Result};
use crate::files::{self, RealDisk};
use crate::machine::available_cores;
use crate::report::environment::Environment;
use crate::report::progress::Progress;
use crate::signals;
use crate::sweep::cluster;
use crate::sweep::directory::{self, Claim, Standing};
use crate::sweep::job::{Job, Site};
use crate::sweep::journal::{self, Results, better_first};
use crate::sweep::layout::{CHECKPOINTS, ENVIRONMENT};
use crate::sweep::lock::{self, Advance, Lock};
use crate::sweep::runner::{self, Watcher};
use crate::sweep::shard::Shard;
use crate::sweep::space::{Space, Trial};
use crate::train::checkpoint::Checkpoints;
use crate::train::{Outcome, Status, work_of_iteration};

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
    /// Override a key of the sweep file: a list makes it an axis of the grid, a single value fixes it (repeatable)
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
    /// `--workers`, or what Slurm gave this task, or what the machine has.
    fn workers(&self) -> Result<usize> {
        let from_slurm = std::env::var("SLURM_CPUS_PER_TASK").ok().filter(|told| !told.is_empty());
        let (place, told) = match (self.workers, from_slurm) {
            (Some(workers), _) => ("--workers", workers.to_string()),
            (None, Some(told)) => ("SLURM_CPUS_PER_TASK", told),
            (None, None) => return Ok(available_cores()),
        };
        let workers = told.parse().ok().filter(|workers| (1..=4096).contains(workers));
        workers.ok_or_else(|| {
            Error::usage(place, "1 to 4096", format!("`{told}`"), "ask for one worker a core, with --workers")
        })
    }

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
    let workers = arguments.workers()?;
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
    let trials = resolved.trials()?;
    let directory = arguments.out.as_path();
    let program = this_program()?;
    let site = Site {
        data: &data,
        directory,
        kernel: &blas.kernel,
        shard,
        keep_models: arguments.keep_models,
        checkpoint_every,
        stop: &stop,
        disk: &RealDisk,
        program: Some(&program),
        process: None,
    };
    if arguments.dry_run {
        let Claim { trials, standing } = dry_run::claim(site, &resolved, trials, arguments.extend, takeover_after)?;
        let checkpoints = Checkpoints::find_whole(&directory.join(CHECKPOINTS))?;
        let job = Job::new(site, &trials, &Results::read(directory)?, &arguments.retried(), &checkpoints, workers);
        tell_plan(&job, site, trials.len(), &blas.version);
        return dry_run::run(&data, &job, standing);
    }

    let Claim { trials, standing } = directory::claim(directory, &resolved, trials, arguments.extend)?;
    let lock = Lock::take(directory, shard, takeover_after, &stop, &|line| say(&format!("sweep: {line}")))?;
    let is_alone =
        lock::holders(directory, takeover_after)?.iter().all(|other| other.shard == shard || !other.is_running);
    if let Standing::Extends(added) = standing {
        if !is_alone {
            let expected = "no other process in this directory while the sweep is extended";
            return Err(Error::usage(
                directory.display(),
                expected,
                "one that trains another shard",
                "wait until it ends",
            ));
        }
        directory::extend(directory, &resolved)?;
        say(&format!("sweep: {added} trials were added"));
    }
    files::remove_leftovers(directory, files::SURELY_DEAD);
    journal::repair(directory, shard)?.iter().for_each(|repaired| say(&format!("repaired: {repaired}")));
    let before = Results::read(directory)?;
    let checkpoints = Checkpoints::find_whole(&directory.join(CHECKPOINTS))?;
    before.damage_to_tell(!is_alone).chain(&checkpoints.damage).for_each(|damage| say(&format!("warning: {damage}")));
    let job = Job::new(site, &trials, &before, &arguments.retried(), &checkpoints, workers);
    tell_plan(&job, site, trials.len(), &blas.version);
    checkpoints.tell_unusable(&site.made(), &job.missing).iter().for_each(|line| say(&format!("warning: {line}")));
    if !job.missing.is_empty() {
        let mut kernels = before.kernels(&trials);
        *kernels.entry(blas.kernel.clone()).or_default() += job.missing.len();
        report::kernels_warning(&kernels).iter().for_each(|warning| say(warning));
        Environment::of(&blas).with(&data, workers).write(&directory.join(ENVIRONMENT))?;
    }

    let display = Display::new(&job, &data);
    let started = Instant::now();
    let work = || runner::run(site, &job, &display);
    let outcome = lock.while_held(takeover_after, &stop, &|| display.advance(), work);
    let train_seconds = started.elapsed().as_secs_f64();
    display.progress.finish();

    let results = Results::read(directory)?;
    if outcome.is_ok() {
        // After an interruption, a trial that is trained again has an old record, and a checkpoint to resume from.
        Checkpoints::find(&directory.join(CHECKPOINTS))?.remove_recorded(&|trial| results.records.contains_key(trial));
    }
    if let Err(error) = outcome {
        let done = job.trials.iter().filter(|trial| results.records.contains_key(&trial.id)).count();
        say(&format!("sweep: {done} of {} trials of shard {shard} are recorded", job.trials.len()));
        return Err(error);
    }
    let summary = report::publish("sweep", directory, &trials, results, report::TABLE_ROWS)?;
    let code = summary.exit_code();
    let rate = |amount: f64| (!job.missing.is_empty()).then(|| amount / train_seconds);
    let (iterations, work) = display.progress.done();
    print_json(&Report {
        summary,
        trained_now: job.missing.len(),
        train_seconds,
        trial_iterations_per_second: rate(iterations as f64),
        gflops: rate(work / 1e9),
    })?;
    Ok(code)
}

/// Says what there is to do.
fn tell_plan(job: &Job<'_>, site: Site<'_>, trials: usize, blas_version: &str) {
    let shard = match site.shard {
        Shard::WHOLE => String::new(),
        shard => format!(" of the {} of shard {shard}", job.trials.len()),
    };
    let resumed = match job.resumed() {
        0 => String::new(),
        resumed => format!(" ({resumed} from checkpoints)"),
    };
    say(&format!(
        "sweep: {trials} trials, {}{shard} to train in {} cohorts{resumed}, {} workers, OpenBLAS {blas_version} ({} kernels)",
        job.missing.len(),
        job.cohorts.len(),
        job.limits.workers,
        site.kernel
    ));
    if job.alone > 0 {
        say(&format!(
            "warning: with these BLAS kernels the results of {} trials would depend on their cohorts, to the last bits: each of them trains \
             alone, which is slower",
            job.alone
        ));
    }
    warn_of_memory(job.bytes() as u64, "take fewer --workers, or ask for more memory");
}

/// Shows what the workers do.
struct Display<'a> {
    progress: Progress,
    trials: usize,
    inputs: usize,
    ended: AtomicUsize,
    /// The best result so far, of this process or before it.
    best: Mutex<Option<Outcome>>,
    job: &'a Job<'a>,
}

impl<'a> Display<'a> {
    fn new(job: &'a Job<'a>, data: &crate::data::Dataset) -> Self {
        Self {
            progress: Progress::new("sweep", "trial-iterations", job.work()),
            trials: job.missing.len(),
            inputs: data.inputs(),
            ended: AtomicUsize::new(0),
            best: Mutex::new(job.best.clone()),
            job,
        }
    }

    /// Takes a result in; returns whether it is better than all before it.
    fn is_best(&self, outcome: &Outcome) -> bool {
        let Ok(mut best) = self.best.lock() else { return false };
        let is_best = best.as_ref().is_none_or(|best| better_first(outcome, best).is_lt());
        if is_best {
            *best = Some(outcome.clone());
        }
        is_best
    }

    fn advance(&self) -> Advance {
        let already = self.job.trials.len() - self.trials;
        Advance {
            trials_done: already + self.ended.load(Ordering::Relaxed),
            trials: self.job.trials.len(),
            seconds_left: self.progress.seconds_left(),
        }
    }
}

impl Watcher for Display<'_> {
    fn iterated(&self, trials: usize, work: f64) {
        self.progress.add(trials as u64, work);
    }

    fn ended(&self, trial: &Trial, outcome: &Outcome) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        let left = trial.hyperparameters.iterations - outcome.iterations_done;
        self.progress.skip(left as f64 * work_of_iteration(&trial.hyperparameters, self.inputs));
        match (outcome.status, outcome.val_accuracy) {
            (Status::Complete, Some(accuracy)) if self.is_best(outcome) => {
                self.progress.note(format!("best val accuracy {} ({})", percent(accuracy), trial.id));
            }
            (Status::Failed, _) => self
                .progress
                .say(&format!("sweep: trial {} failed: a bug, please report it; its record says more", trial.id)),
            _ => {}
        }
    }

    fn more_work(&self, work: f64, why: &str) {
        self.progress.expect(work);
        self.progress.say(&format!("sweep: {why}"));
    }

    fn warn(&self, warning: &str) {
        self.progress.say(&format!("warning: {warning}"));
    }
}
