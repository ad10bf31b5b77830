//! Where a sweep stands while it runs: what its workers train, what ended, and the best so far, also among trials that are still in training.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use super::groups::label;
use super::shown;
use crate::model::hyperparameters::varied;
use crate::sweep::space::Trial;
use crate::train::{EpochPoint, Outcome, Status};

/// More workers than this are one line.
const WORKERS: usize = 8;
/// Steps of a small curve.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Letters of a small curve.
const CURVE: usize = 12;

/// A sweep under way. Workers share it.
#[derive(Debug, Default)]
pub struct Standing {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Hyperparameters that differ between trials.
    varied: Vec<&'static str>,
    trials: usize,
    recorded: usize,
    diverged: usize,
    failed: usize,
    workers: BTreeMap<usize, Cohort>,
    best: Option<Best>,
}

/// The best validation accuracy so far.
#[derive(Clone, Debug)]
struct Best {
    trial: String,
    configuration: String,
    accuracy: f64,
    /// Accuracies by epoch.
    curve: Vec<f64>,
    /// Whether the trial is at its end.
    has_ended: bool,
    since: Instant,
}

/// What a worker trains.
#[derive(Clone, Debug, Default)]
struct Cohort {
    trials: usize,
    hidden: (usize, usize),
    epoch: usize,
    epochs: usize,
    /// The latest accuracies by epoch.
    accuracies: BTreeMap<String, Vec<f64>>,
}

impl Standing {
    /// Of a sweep of `trials`, of which so many are recorded.
    pub fn planned(&self, trials: &[Trial], recorded: impl Iterator<Item = Status>) {
        let mut state = self.state();
        state.varied = varied(trials.iter().map(|trial| &*trial.hyperparameters));
        state.trials = trials.len();
        (state.recorded, state.diverged, state.failed) = (0, 0, 0);
        for status in recorded {
            state.count(status);
        }
    }

    /// A worker began to train a cohort.
    pub fn began(&self, worker: usize, trials: &[&Trial]) {
        let hidden = || trials.iter().map(|trial| trial.hyperparameters.hidden);
        let cohort = Cohort {
            trials: trials.len(),
            hidden: (hidden().min().unwrap_or(0), hidden().max().unwrap_or(0)),
            ..Cohort::default()
        };
        self.state().workers.insert(worker, cohort);
    }

    /// It left it.
    pub fn left(&self, worker: usize) {
        self.state().workers.remove(&worker);
    }

    /// A trial began an epoch, of so many. Returns whether it is better than all before, whether they ended or not.
    pub fn epoch(&self, worker: usize, trial: &Trial, point: &EpochPoint, epochs: usize) -> bool {
        let mut state = self.state();
        let cohort = state.workers.entry(worker).or_default();
        cohort.epoch = point.epoch;
        cohort.epochs = epochs;
        let curve = cohort.accuracies.entry(trial.id.clone()).or_default();
        curve.push(point.val_accuracy);
        let curve = curve.clone();
        state.offer(trial, point.val_accuracy, curve, false)
    }

    /// A trial was recorded before this process began.
    pub fn offered(&self, trial: &Trial, outcome: &Outcome) {
        let curve = outcome.curve.iter().map(|point| point.val_accuracy).collect();
        if let Some(accuracy) = outcome.val_accuracy {
            self.state().offer(trial, accuracy, curve, true);
        }
    }

    /// A trial is recorded. Returns whether it is better than all that ended before.
    pub fn ended(&self, trial: &Trial, outcome: &Outcome) -> bool {
        let mut state = self.state();
        state.count(outcome.status);
        state.workers.values_mut().for_each(|cohort| {
            if cohort.accuracies.remove(&trial.id).is_some() {
                cohort.trials = cohort.trials.saturating_sub(1);
            }
        });
        let curve: Vec<f64> =
            outcome.curve.iter().map(|point| point.val_accuracy).chain(outcome.val_accuracy).collect();
        match outcome.val_accuracy {
            Some(accuracy) if outcome.status == Status::Complete => state.offer(trial, accuracy, curve, true),
            _ => false,
        }
    }

    /// The best so far in a few words; empty before there is one.
    pub fn best(&self) -> String {
        let state = self.state();
        state.best.as_ref().map_or(String::new(), |best| {
            let end = if best.has_ended { "" } else { ", in training" };
            format!("best val accuracy {:.2} % ({}{end})", 100.0 * best.accuracy, best.trial)
        })
    }

    /// As fields of an event.
    pub fn fields(&self) -> Value {
        let state = self.state();
        let best = state.best.as_ref().map(|best| {
            json!({ "trial": best.trial, "val_accuracy": best.accuracy, "ended": best.has_ended, "configuration": best.configuration })
        });
        json!({
            "trials": state.trials,
            "recorded": state.recorded,
            "diverged": state.diverged,
            "failed": state.failed,
            "in_training": state.in_training(),
            "best": best,
        })
    }

    /// As lines for a terminal of so many columns: at most so many.
    pub fn lines(&self, columns: usize, most: usize) -> Vec<String> {
        let state = self.state();
        let mut lines = vec![];
        if let Some(best) = &state.best {
            let accuracy = shown::coloured(&format!("{:.2} %", 100.0 * best.accuracy), 32);
            let end = if best.has_ended { "" } else { "  in training" };
            let room = columns.saturating_sub(18 + CURVE + end.len());
            lines.push(format!("  best {accuracy}  {}  {}{end}", cut(&best.configuration, room), curve(&best.curve)));
        }
        let mut counts = vec![format!("{} of {} done", state.recorded, state.trials)];
        for (count, what) in
            [(state.diverged, "diverged"), (state.failed, "failed"), (state.in_training(), "in training")]
        {
            if count > 0 {
                counts.push(format!("{count} {what}"));
            }
        }
        if let Some(best) = state.best.as_ref().filter(|best| best.since.elapsed().as_secs() >= 60) {
            counts.push(format!("no new best for {}", shown::duration(best.since.elapsed().as_secs_f64())));
        }
        lines.push(cut(&format!("  {}", counts.join("   ")), columns));
        let room = most.saturating_sub(lines.len());
        if state.workers.len() <= WORKERS.min(room) {
            lines.extend(
                state
                    .workers
                    .iter()
                    .map(|(worker, cohort)| cut(&cohort.line(&format!("worker {}", worker + 1)), columns)),
            );
        } else if room > 0 {
            let slowest = state.workers.values().min_by_key(|cohort| cohort.epoch * 1000 / cohort.epochs.max(1));
            lines
                .extend(slowest.map(|cohort| {
                    cut(&cohort.line(&format!("{} workers, the slowest", state.workers.len())), columns)
                }));
        }
        lines
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, status: Status) {
        self.recorded += 1;
        match status {
            Status::Diverged => self.diverged += 1,
            Status::Failed => self.failed += 1,
            _ => {}
        }
    }

    fn in_training(&self) -> usize {
        self.workers.values().map(|cohort| cohort.trials).sum()
    }

    /// Takes the best so far over. What ended is compared with what ended as well: an epoch on the way may have been luckier than any end.
    fn offer(&mut self, trial: &Trial, accuracy: f64, curve: Vec<f64>, has_ended: bool) -> bool {
        let is_better = match &self.best {
            None => true,
            Some(best) if has_ended && !best.has_ended => true,
            Some(best) if !has_ended && best.has_ended => false,
            Some(best) => accuracy > best.accuracy,
        };
        if is_better {
            let entries = trial.hyperparameters.entries();
            let varied = entries.iter().filter(|entry| self.varied.contains(&entry.name));
            let configuration: Vec<String> =
                varied.map(|entry| format!("{} {}", entry.name, label(entry.value))).collect();
            let configuration = configuration.join("  ");
            self.best = Some(Best {
                trial: trial.id.clone(),
                configuration,
                accuracy,
                curve,
                has_ended,
                since: Instant::now(),
            });
        } else if let Some(best) = self.best.as_mut().filter(|best| best.trial == trial.id) {
            best.curve = curve;
        }
        is_better
    }
}

impl Cohort {
    fn line(&self, who: &str) -> String {
        let hidden = match self.hidden {
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("{low}–{high}"),
        };
        let trials = if self.trials == 1 { "1 trial".to_owned() } else { format!("{} trials", self.trials) };
        let latest = || self.accuracies.values().filter_map(|curve| curve.last().copied());
        let range = latest().reduce(f64::min).zip(latest().reduce(f64::max));
        let range = range.map_or(String::new(), |(low, high)| match self.accuracies.len() {
            1 => format!("   {:.1} %", 100.0 * high),
            _ => format!("   {:.1}–{:.1} %", 100.0 * low, 100.0 * high),
        });
        let best = self.accuracies.values().max_by(|a, b| a.last().unwrap_or(&0.0).total_cmp(b.last().unwrap_or(&0.0)));
        let drawn = best.map_or(String::new(), |best| format!("   {}", curve(best)));
        let epoch = if self.epochs > 0 { format!(", epoch {} of {}", self.epoch, self.epochs) } else { String::new() };
        format!("  {who}: {trials}, hidden {hidden}{epoch}{drawn}{range}")
    }
}

/// Values as a small curve of at most [`CURVE`] letters, from the lowest to the highest of them.
fn curve(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let letter = |value: f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        STEPS[(share * (STEPS.len() - 1) as f64).round() as usize]
    };
    let every = values.len().div_ceil(CURVE).max(1);
    // From the end, so that the latest is always there.
    let mut shown: Vec<char> = values.iter().rev().step_by(every).map(|value| letter(*value)).collect();
    shown.reverse();
    shown.into_iter().collect()
}

/// A line of at most so many letters.
fn cut(text: &str, columns: usize) -> String {
    match text.chars().count() > columns {
        true => text.chars().take(columns.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Hyperparameters;
    use crate::train::SoFar;

    fn trial(hidden: usize) -> Trial {
        Trial::new(Hyperparameters { hidden, ..Hyperparameters::neutral() }.check(49_000).unwrap(), "data")
    }

    fn point(epoch: usize, val_accuracy: f64) -> EpochPoint {
        EpochPoint {
            epoch,
            iteration: epoch,
            loss: 1.0,
            learning_rate: 1.0,
            train_accuracy: 0.0,
            val_accuracy,
            val_loss: None,
        }
    }

    #[test]
    fn the_best_comes_from_trials_in_training_until_one_has_ended() {
        let (standing, trials) = (Standing::default(), [trial(50), trial(100)]);
        standing.planned(&trials, [].into_iter());
        standing.began(0, &[&trials[0], &trials[1]]);
        assert_eq!(standing.best(), "");
        assert!(standing.epoch(0, &trials[0], &point(0, 0.1), 4));
        assert!(standing.epoch(0, &trials[1], &point(0, 0.2), 4));
        assert_eq!(standing.best(), format!("best val accuracy 20.00 % ({}, in training)", trials[1].id));
        let lines = standing.lines(100, 10);
        assert!(
            lines[0].contains("20.00 %") && lines[0].contains("hidden 100") && !lines[0].contains("l2"),
            "{lines:?}"
        );
        assert_eq!(lines[1], "  0 of 2 done   2 in training");
        assert_eq!(lines[2], "  worker 1: 2 trials, hidden 50–100, epoch 0 of 4   ▅   10.0–20.0 %");
        // What ended counts, even if an epoch on the way was better.
        assert!(standing.ended(&trials[0], &Outcome::complete(10, 1.0, 0.15, SoFar::default())));
        assert_eq!(standing.best(), format!("best val accuracy 15.00 % ({})", trials[0].id));
        assert!(!standing.ended(&trials[1], &Outcome::diverged(3, SoFar::default())));
        standing.left(0);
        assert_eq!(standing.lines(100, 10)[1..], ["  2 of 2 done   1 diverged"]);
        let fields = standing.fields();
        assert_eq!(
            (&fields["recorded"], &fields["diverged"], &fields["best"]["ended"]),
            (&json!(2), &json!(1), &json!(true))
        );
    }

    #[test]
    fn lines_keep_to_the_terminal() {
        let (standing, trials) = (Standing::default(), [trial(50), trial(100)]);
        standing.planned(&trials, [].into_iter());
        (0..20).for_each(|worker| standing.began(worker, &[&trials[0]]));
        standing.epoch(3, &trials[0], &point(2, 0.3), 40);
        let lines = standing.lines(40, 5);
        assert_eq!(lines.len(), 3, "best, counts, one line for twenty workers: {lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 44), "{lines:?}");
    }

    #[test]
    fn a_small_curve_goes_from_its_lowest_to_its_highest() {
        assert_eq!(curve(&[0.1, 0.2, 0.3, 0.45]), "▁▃▅█");
        assert_eq!(curve(&(0..100).map(f64::from).collect::<Vec<_>>()).chars().count(), 12);
    }
}
