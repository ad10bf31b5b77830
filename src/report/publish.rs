//! What is made of everything that a sweep's directory records: leaderboard, best model, summary.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::leaderboard;
use super::statistics::{self, Best};
use crate::error::Result;
use crate::sweep::best;
use crate::sweep::journal::{Results, several_of_blas};
use crate::sweep::layout::{CONFIRMED, GROUPS, LEADERBOARD};
use crate::sweep::search::Search;
use crate::sweep::space::Trial;
use crate::train::Status;

/// How often the leaderboard is written again because records came meanwhile.
const ATTEMPTS: usize = 10;

/// How the trials of a sweep ended: what `report`, `sweep` and `status` print first.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Of the sweep, all shards together.
    pub trials: usize,
    /// Trained to the end.
    pub complete: usize,
    /// A search dropped them at a cut, or they wait there.
    pub stopped: usize,
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
    /// Beyond the budget.
    pub not_run: usize,
    /// The best configuration, a mean over its seeds, with what that is worth: `best_val_accuracy` is a maximum over many trials.
    pub best_configuration: Option<Best>,
    /// Trials with fresh seeds that confirmation still wants.
    pub confirming: usize,
    /// The configuration that confirmation chose, on seeds that the search had not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Best>,
    /// The BLAS kernels that computed the results, and how many trials each.
    pub kernels: BTreeMap<String, usize>,
}

impl Summary {
    /// Of what is recorded of `trials`.
    pub fn of(trials: &[Trial], results: &Results) -> Self {
        let records: Vec<_> = trials.iter().filter_map(|trial| results.records.get(&trial.id)).collect();
        let count = |status| records.iter().filter(|record| record.outcome.status == status).count();
        let best = results.best(trials).map(|(_, record)| record);
        Self {
            trials: trials.len(),
            complete: count(Status::Complete),
            stopped: count(Status::Stopped),
            diverged: count(Status::Diverged),
            failed: count(Status::Failed),
            missing: trials.len() - records.len(),
            best_val_accuracy: best.and_then(|record| record.outcome.val_accuracy),
            best_trial: best.map(|record| record.trial.clone()),
            not_run: 0,
            confirming: 0,
            confirmed: None,
            best_configuration: Best::of(&statistics::rank(trials, results)),
            kernels: results.kernels(trials.iter().map(|trial| trial.id.as_str())),
        }
    }

    /// Counts those that are beyond the budget of the search as not run, not as missing, and adds what confirmation found: then the best
    /// trial is one of the configuration that it chose.
    #[must_use]
    pub fn within(mut self, search: &Search, trials: &[Trial], results: &Results) -> Self {
        let confirming = search.confirmation(trials, results);
        self.confirming = confirming.iter().filter(|trial| !results.records.contains_key(&trial.id)).count();
        if !confirming.is_empty() && self.confirming == 0 {
            self.confirmed = Best::of(&statistics::rank(&confirming, results));
            let best = results.best(search.rivals(trials, results)).map(|(_, record)| record);
            self.best_val_accuracy = best.and_then(|record| record.outcome.val_accuracy);
            self.best_trial = best.map(|record| record.trial.clone());
        }
        self.not_run = trials.len() - search.allowed(trials);
        self.missing -= self.not_run.min(self.missing);
        self
    }

    /// The exit code of a command that is done: 3 where trials failed.
    pub fn exit_code(&self) -> u8 {
        if self.failed > 0 { 3 } else { 0 }
    }
}

/// A warning where results come from several BLAS kernels: they differ in the last bits, so the ranking is no machine's own.
pub fn kernels_warning(kernels: &BTreeMap<String, usize>) -> Option<String> {
    several_of_blas(kernels).map(|kernels| {
        let counts: Vec<String> = kernels.iter().map(|(kernel, trials)| format!("{kernel}: {trials} trials")).collect();
        format!(
            "the results are from several BLAS kernels ({}), which differ in the last bits, so no single machine gives this \
             leaderboard to the byte; run every shard with the same OPENBLAS_CORETYPE if that matters",
            counts.join(", ")
        )
    })
}

/// Writes the leaderboard and the best model of everything that is recorded: `results`, which get what came since. Returns whether the best
/// model is there.
///
/// # Errors
/// Results cannot be read, or one of the files cannot be written.
pub fn publish(directory: &Path, search: &Search, trials: &[Trial], results: &mut Results) -> Result<bool> {
    let mut best_is_here = true;
    // Of shards that end at the same time, the one that read first may write last: it looks again.
    for _ in 0..ATTEMPTS {
        search.settle(trials, results);
        leaderboard::write_csv(&directory.join(LEADERBOARD), &leaderboard::rank(trials, results))?;
        leaderboard::write_groups(&directory.join(GROUPS), &statistics::rank(trials, results))?;
        let confirming = search.confirmation(trials, results);
        if !confirming.is_empty() {
            leaderboard::write_groups(&directory.join(CONFIRMED), &statistics::rank(&confirming, results))?;
        }
        best_is_here = best::merge(directory, search.rivals(trials, results), results)?;
        if !results.refresh(directory)? {
            break;
        }
    }
    search.settle(trials, results);
    Ok(best_is_here)
}
