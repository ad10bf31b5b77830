//! `mlpgrid status`: how far a sweep is.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::setup::duration;
use super::terminal::{percent, print, print_json, warn};
use crate::error::Result;
use crate::report::publish::{Summary, kernels_warning};
use crate::report::shown;
use crate::sweep::journal::Results;
use crate::sweep::layout::CHECKPOINTS;
use crate::sweep::lock::{self, DEAD_AFTER, Holder};
use crate::sweep::search::Search;
use crate::sweep::space::Trial;
use crate::sweep::{directory, plan};
use crate::train::checkpoint::Checkpoints;
use crate::train::work_of_iteration;

/// Flags of `status`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A sweep's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    /// Print it again every so many seconds, until nothing is missing; from any shell and any machine that sees the directory
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5")]
    watch: Option<f64>,
}

/// What `status` prints.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    summary: Summary,
    /// Of those missing, those that have a checkpoint.
    interrupted: usize,
    running: Vec<Running>,
    /// Until the last running process is done; with none running, for one worker at the rate so far.
    seconds_left: Option<f64>,
    damaged_records: usize,
    /// Trials in training, by their last checkpoints.
    in_training: Option<InTraining>,
}

/// What the last checkpoints hold.
#[derive(Debug, Serialize)]
struct InTraining {
    trials: usize,
    /// The least and the most iterations that are done.
    iterations: (usize, usize),
    /// The best of their latest validation accuracies, each where its epoch began.
    best_val_accuracy: Option<f64>,
    best_trial: Option<String>,
}

/// A process that trains.
#[derive(Debug, Serialize)]
struct Running {
    shard: String,
    host: String,
    pid: u32,
    since: String,
    trials_done: usize,
    trials: usize,
    seconds_left: Option<f64>,
}

impl Running {
    fn of(holder: &Holder) -> Self {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(holder.since_unix_seconds);
        Self {
            shard: holder.shard.to_string(),
            host: holder.host.clone(),
            pid: holder.pid,
            since: humantime::format_rfc3339_seconds(since).to_string(),
            trials_done: holder.advance.trials_done,
            trials: holder.advance.trials,
            seconds_left: holder.advance.seconds_left,
        }
    }
}

/// Counts the trials by how they ended, and prints who trains.
///
/// # Errors
/// The directory is not a sweep's, or cannot be read.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let every = arguments.watch.map(|seconds| duration("--watch", seconds)).transpose()?;
    let is_terminal = io::stdout().is_terminal();
    let mut lines = 0;
    loop {
        let report = look(arguments.directory.as_path())?;
        if arguments.json {
            print_json(&report)?;
        } else {
            let text = for_people(&report);
            // On a terminal the one before gives way.
            let back = if lines > 0 && is_terminal { format!("\x1b[{lines}A\x1b[J") } else { String::new() };
            lines = text.lines().count();
            print(&format!("{back}{text}"))?;
        }
        match every {
            Some(every) if report.summary.missing > 0 => thread::sleep(every),
            _ => return Ok(0),
        }
        if !arguments.json && !is_terminal {
            print("\n")?;
        }
    }
}

/// Reads the directory once.
fn look(directory: &Path) -> Result<Report> {
    let space = directory::read(directory)?;
    let trials = space.trials()?;
    let holders = lock::holders(directory, DEAD_AFTER)?;
    let running: Vec<Running> = holders.iter().filter(|holder| holder.is_running).map(Running::of).collect();
    let mut results = Results::read(directory)?;
    let search = Search::new(&space, &trials)?;
    search.settle(&trials, &mut results);
    let checkpoints = Checkpoints::find(&directory.join(CHECKPOINTS))?;
    let damage: Vec<&String> = results.damage_warnings(!running.is_empty()).collect();
    damage.iter().for_each(|damage| warn(damage));

    let in_checkpoints = checkpoints.trials();
    let is_interrupted =
        |trial: &&Trial| in_checkpoints.contains(trial.id.as_str()) && !results.records.contains_key(&trial.id);
    let seconds_left = match running.is_empty() {
        true => seconds_of_one_worker(&trials, &results),
        false => running.iter().filter_map(|process| process.seconds_left).reduce(f64::max),
    };
    let report = Report {
        summary: Summary::of(&trials, &results).within(&search, &trials, &results),
        interrupted: trials.iter().filter(is_interrupted).count(),
        running,
        seconds_left,
        damaged_records: damage.len(),
        in_training: in_training(&checkpoints, &results),
    };
    kernels_warning(&report.summary.kernels).iter().for_each(|warning| warn(warning));
    Ok(report)
}

/// The trials of the latest checkpoint of each cohort, without those that are recorded.
fn in_training(checkpoints: &Checkpoints, results: &Results) -> Option<InTraining> {
    let latest = checkpoints.latest();
    let trials: Vec<_> = latest.into_iter().filter(|(trial, ..)| !results.records.contains_key(*trial)).collect();
    let iterations = || trials.iter().map(|(_, iteration, _)| *iteration);
    let accuracies = trials.iter().filter_map(|(trial, _, so_far)| Some((*trial, so_far.curve.last()?.val_accuracy)));
    let best = accuracies.max_by(|a, b| a.1.total_cmp(&b.1));
    Some(InTraining {
        trials: trials.len(),
        iterations: (iterations().min()?, iterations().max()?),
        best_val_accuracy: best.map(|(_, accuracy)| accuracy),
        best_trial: best.map(|(trial, _)| trial.to_owned()),
    })
}

/// What the missing trials would take one worker at the rate of those that are recorded.
fn seconds_of_one_worker(trials: &[Trial], results: &Results) -> Option<f64> {
    let (mut seconds, mut done, mut missing) = (0.0, 0.0, 0.0);
    for trial in trials {
        // Inputs are the same for all, so they do not matter here.
        match results.records.get(&trial.id) {
            Some(record) => {
                seconds += record.train_seconds;
                done += work_of_iteration(&trial.hyperparameters, 1) * record.outcome.iterations_done as f64;
            }
            None => missing += plan::work(&trial.hyperparameters, 1),
        }
    }
    (done > 0.0 && missing > 0.0).then(|| missing * seconds / done)
}

fn for_people(report: &Report) -> String {
    let summary = &report.summary;
    let best = match &summary.best_configuration {
        Some(best) => format!("trial {}, validation accuracy {}", best.trial, best.text()),
        None => "none yet".to_owned(),
    };
    let missing = match report.interrupted {
        0 => summary.missing.to_string(),
        interrupted => format!("{}, {interrupted} of them with a checkpoint", summary.missing),
    };
    let mut lines = vec![
        ("trials", summary.trials.to_string()),
        ("complete", summary.complete.to_string()),
        ("diverged", summary.diverged.to_string()),
        ("stopped", summary.stopped.to_string()),
        ("failed", summary.failed.to_string()),
        ("missing", missing),
    ];
    for Running { shard, host, pid, since, trials_done, trials, .. } in &report.running {
        lines.push((
            "running",
            format!("shard {shard} on {host}, process {pid}, since {since}: {trials_done} of {trials} trials recorded"),
        ));
    }
    if report.running.is_empty() {
        lines.push(("running", "nobody".to_owned()));
    }
    if let Some(seconds) = report.seconds_left {
        let time = shown::duration(seconds.ceil());
        let whose = if report.running.is_empty() { " for one worker, at the rate so far" } else { "" };
        lines.push(("left", format!("about {time}{whose}")));
    }
    if let Some(InTraining { trials, iterations: (low, high), best_val_accuracy, best_trial }) = &report.in_training {
        let range = if low == high { low.to_string() } else { format!("{low} to {high}") };
        let best = match (best_val_accuracy, best_trial) {
            (Some(accuracy), Some(trial)) => {
                format!(", the best at {} validation accuracy: {trial}", percent(*accuracy))
            }
            _ => String::new(),
        };
        let noun = if *trials == 1 { "trial" } else { "trials" };
        lines.push(("training", format!("{trials} {noun}, by their last checkpoints at iteration {range}{best}")));
    }
    lines.push(("best", best));
    if summary.confirming > 0 {
        lines.push(("confirming", format!("{} trials with fresh seeds are missing", summary.confirming)));
    }
    if let Some(confirmed) = &summary.confirmed {
        lines.push(("confirmed", format!("trial {}, validation accuracy {}", confirmed.trial, confirmed.text())));
    }
    if summary.not_run > 0 {
        lines.push(("not run", format!("{}, beyond the budget", summary.not_run)));
    }
    lines.iter().map(|(name, value)| format!("{name:<10}{value}\n")).collect()
}
