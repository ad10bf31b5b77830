//! `mlpgrid status`: how far a sweep is.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::terminal::{print, print_json, warn};
use crate::error::Result;
use crate::report::publish::{Summary, kernels_warning};
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
    let directory = arguments.directory.as_path();
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
    };
    kernels_warning(&report.summary.kernels).iter().for_each(|warning| warn(warning));
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&for_people(&report))?;
    }
    Ok(0)
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
        let time = humantime::format_duration(Duration::from_secs(seconds.ceil() as u64));
        let whose = if report.running.is_empty() { " for one worker, at the rate so far" } else { "" };
        lines.push(("left", format!("about {time}{whose}")));
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
