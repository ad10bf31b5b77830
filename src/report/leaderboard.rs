//! The trials of a sweep, best first: a CSV file for programs, a table for people.
//!
//! The file holds only what is a function of the sweep: no time, no host. Equal sweeps give equal files.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::statistics::Configuration;
use crate::error::Result;
use crate::files;
use crate::model::hyperparameters::{OF_REPEATS, columns, varied};
use crate::numbers::or_empty;
use crate::sweep::journal::{Results, better_first};
use crate::sweep::space::Trial;
use crate::train::{Outcome, Status};

/// One row: a trial that has a result.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The trial.
    pub trial: &'a Trial,
    /// Its result.
    pub outcome: &'a Outcome,
}

/// The trials that have results, best first; equals in the order of the sweep.
pub fn rank<'a>(trials: &'a [Trial], results: &'a Results) -> Vec<Row<'a>> {
    let row = |trial: &'a Trial| results.records.get(&trial.id).map(|record| Row { trial, outcome: &record.outcome });
    let mut rows: Vec<Row<'a>> = trials.iter().filter_map(row).collect();
    rows.sort_by(|a, b| better_first(a.outcome, b.outcome));
    rows
}

/// A column, and its cell.
type Column = (&'static str, fn(&Outcome) -> String);

/// Columns that came later: they are there only if a trial has something in them.
const LATER: [Column; 3] = [
    ("val_loss", |outcome| or_empty(outcome.val_loss)),
    ("rung", |outcome| or_empty(outcome.rung)),
    ("stopped_at", |outcome| or_empty((outcome.status == Status::Stopped).then_some(outcome.iterations_done))),
];

/// Writes `leaderboard.csv`: `rank,trial,status,val_accuracy,final_loss`, each hyperparameter under its own name (later than version 1 of
/// the results: only if a trial uses it), then
/// `first_loss,train_accuracy,iterations_done,diverged_at`, then `val_loss`, `rung` (the cut at which it was dropped) and `stopped_at`, each only
/// if a trial has it. What is not there is an empty field.
///
/// # Errors
/// The file cannot be written.
pub fn write_csv(path: &Path, rows: &[Row<'_>]) -> Result<()> {
    files::replace(path, |file| {
        let mut csv = csv::Writer::from_writer(file);
        let names = columns(rows.iter().map(|row| row.trial.hyperparameters.entries()));
        let later: Vec<_> =
            LATER.into_iter().filter(|(_, cell)| rows.iter().any(|row| !cell(row.outcome).is_empty())).collect();
        let header = ["rank", "trial", "status", "val_accuracy", "final_loss"].into_iter().chain(names.iter().copied());
        csv.write_record(
            header
                .chain(["first_loss", "train_accuracy", "iterations_done", "diverged_at"])
                .chain(later.iter().map(|(name, _)| *name)),
        )
        .map_err(io::Error::other)?;
        for (place, Row { trial, outcome }) in rows.iter().enumerate() {
            let mut record = vec![(place + 1).to_string(), trial.id.clone(), outcome.status.name().to_owned()];
            record.extend([or_empty(outcome.val_accuracy), or_empty(outcome.final_loss)]);
            let entries = trial.hyperparameters.entries();
            record.extend(entries.iter().filter(|entry| names.contains(&entry.name)).map(|entry| entry.value.plain()));
            record.extend([
                or_empty(outcome.first_loss),
                or_empty(outcome.train_accuracy),
                outcome.iterations_done.to_string(),
                or_empty(outcome.diverged_at),
            ]);
            record.extend(later.iter().map(|(_, cell)| cell(outcome)));
            csv.write_record(record).map_err(io::Error::other)?;
        }
        csv.flush()
    })
}

/// Writes `groups.csv`: a row a configuration, `rank,trial,status,seeds,val_mean,val_sd,val_low,val_high,val_loss,rung`, then each
/// hyperparameter but the seed and the folds; `trial` is the first of its trials. What is not there is an empty field.
///
/// # Errors
/// The file cannot be written.
pub fn write_groups(path: &Path, configurations: &[Configuration<'_>]) -> Result<()> {
    files::replace(path, |file| {
        let mut csv = csv::Writer::from_writer(file);
        let mut names = columns(configurations.iter().map(|one| one.first.hyperparameters.entries()));
        names.retain(|name| !OF_REPEATS.contains(name));
        let header =
            ["rank", "trial", "status", "seeds", "val_mean", "val_sd", "val_low", "val_high", "val_loss", "rung"];
        csv.write_record(header.into_iter().chain(names.iter().copied())).map_err(io::Error::other)?;
        for (place, one) in configurations.iter().enumerate() {
            let mut row = vec![(place + 1).to_string(), one.first.id.clone(), one.status.name().to_owned()];
            row.push(one.records.len().to_string());
            let estimate = one.estimate.as_ref();
            row.push(or_empty(estimate.map(|estimate| estimate.val_mean)));
            let of = [
                estimate.and_then(|estimate| estimate.val_sd),
                estimate.and_then(|estimate| estimate.val_low),
                estimate.and_then(|estimate| estimate.val_high),
                one.val_loss,
            ];
            row.extend(of.map(or_empty));
            row.push(or_empty(one.rung));
            let entries = one.first.hyperparameters.entries();
            row.extend(entries.iter().filter(|entry| names.contains(&entry.name)).map(|entry| entry.value.plain()));
            csv.write_record(row).map_err(io::Error::other)?;
        }
        csv.flush()
    })
}

/// The first `most` rows as an aligned table, with the hyperparameters that differ between trials.
pub fn table(rows: &[Row<'_>], trials: &[Trial], most: usize) -> String {
    let varied = varied(trials.iter().map(|trial| &*trial.hyperparameters));
    let mut lines: Vec<Vec<String>> = vec![["rank", "val accuracy", "final loss"].map(str::to_owned).to_vec()];
    lines[0].extend(varied.iter().map(|name| (*name).to_owned()));
    lines[0].push("trial".to_owned());
    for (place, Row { trial, outcome }) in rows.iter().take(most).enumerate() {
        let accuracy = match outcome.val_accuracy {
            Some(accuracy) if outcome.status == Status::Stopped => format!("{:.2} %, stopped", accuracy * 100.0),
            Some(accuracy) => format!("{:.2} %", accuracy * 100.0),
            None => outcome.status.name().to_owned(),
        };
        let loss = match (outcome.final_loss, outcome.diverged_at) {
            (Some(loss), _) => format!("{loss:.4}"),
            (None, Some(iteration)) => format!("at {iteration}"),
            (None, None) => String::new(),
        };
        let mut line = vec![(place + 1).to_string(), accuracy, loss];
        let entries = trial.hyperparameters.entries();
        line.extend(entries.iter().filter(|entry| varied.contains(&entry.name)).map(|entry| entry.value.plain()));
        line.push(trial.id.clone());
        lines.push(line);
    }
    align(&lines)
}

/// Columns to the right, two spaces between them.
fn align(lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..lines.first().map_or(0, Vec::len)).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}")).collect();
        let _ = writeln!(text, "  {}", cells.join("  "));
    }
    text
}
