//! What is to be trained next: a pure function of the sweep file, its trials and what is recorded. Nothing of it is stored, so every shard
//! and every process that starts again agrees.

mod forecast;
pub mod ladder;

use std::collections::HashSet;

use self::ladder::{Ladder, Stage};
use super::groups::Groups;
use super::job::Leg;
use super::journal::{Record, Results};
use super::plan::Stretch;
use super::shard::Shard;
use super::space::{Budget, Confirm, Resolved, Trial};
use crate::data::images::Ground;
use crate::error::{Complaint, Error, Result};
use crate::model::Hyperparameters;
use crate::train::{Outcome, Status};

pub use self::ladder::{Decision, Judged};

/// How the trials of a sweep follow from its results.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Where trials are dropped, if they are.
    ladder: Option<Ladder>,
    budget: Budget,
    confirm: Option<Confirm>,
    ground: Ground,
    fingerprint: String,
}

/// What is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Due<'a> {
    /// These trials are to be trained by this shard, as far as that.
    Train(Vec<Leg<'a>>),
    /// Other shards owe this many results before more can be trained.
    Wait {
        /// Results that are missing.
        missing: usize,
    },
    /// The search is over, or waits for trials that failed.
    Done,
}

/// What is due of a sweep, and for whom.
#[derive(Clone, Debug)]
pub struct Turn<'a> {
    /// The trials of this shard that take part, in the order of the sweep.
    pub mine: Vec<&'a Trial>,
    /// What is due.
    pub due: Due<'a>,
    /// Whether trials are trained to their end now.
    pub is_last: bool,
    /// What was decided until now.
    pub decisions: Vec<Decision>,
}

impl Search {
    /// The search that a sweep file describes, whose trials these are.
    ///
    /// # Errors
    /// Two cuts are one point of a trial's curve, a cut lies behind its end, or trials cannot be confirmed on so many folds.
    pub fn new(space: &Resolved, trials: &[Trial]) -> Result<Self> {
        let rules = space.rules();
        if let Some(Confirm { folds, .. }) = rules.confirm.filter(|confirm| confirm.folds > 0) {
            let on_fold = |trial: &Trial| Hyperparameters { folds, fold: 1, ..(*trial.hyperparameters).clone() };
            let checked = trials.iter().try_for_each(|trial| on_fold(trial).check(space.ground()).map(drop));
            checked.map_err(|error| match error {
                Error::Usage(complaint) => {
                    Error::Usage(Complaint { place: format!("[confirm]: {}", complaint.place), ..complaint })
                }
                error => error,
            })?;
        }
        let ladder = rules.halving.as_ref().map(|halving| Ladder::new(halving, trials, space.ground()));
        Ok(Self {
            ladder: ladder.transpose()?,
            budget: rules.budget,
            confirm: rules.confirm,
            ground: space.ground(),
            fingerprint: space.fingerprint().to_owned(),
        })
    }

    /// Where trials are dropped, if they are.
    pub fn ladder(&self) -> Option<&Ladder> {
        self.ladder.as_ref()
    }

    /// Whether finalists are trained once more.
    pub fn confirms(&self) -> bool {
        self.confirm.is_some()
    }

    /// How many trials the budget allows: the first ones, in the order of the sweep.
    pub fn allowed(&self, trials: &[Trial]) -> usize {
        let most = self.budget.max_trials.unwrap_or(usize::MAX).min(trials.len());
        let Some(iterations) = self.budget.max_trial_iterations else { return most };
        let all = |count: usize| match &self.ladder {
            Some(ladder) => ladder.most_iterations(&trials[..count]),
            None => trials[..count].iter().map(|trial| trial.hyperparameters.iterations as u64).sum(),
        };
        // More trials take more iterations, so the number is found by halving.
        let (mut fits, mut exceeds) = (0, most + 1);
        while exceeds - fits > 1 {
            let middle = fits.midpoint(exceeds);
            if all(middle) <= iterations { fits = middle } else { exceeds = middle }
        }
        fits
    }

    /// What is due of a sweep with these `trials`, for `shard`; `outcome` is the recorded result of a trial, `is_done` whether that counts: not
    /// where it is to be trained again.
    pub fn turn<'a, 'b>(
        &self,
        trials: &'a [Trial],
        (shard, inputs): (Shard, usize),
        outcome: &dyn Fn(&Trial) -> Option<&'b Outcome>,
        is_done: &dyn Fn(&Trial) -> bool,
    ) -> Turn<'a> {
        let trials = &trials[..self.allowed(trials)];
        let Some(ladder) = &self.ladder else {
            let mine = shard.of(trials, inputs);
            let missing: Vec<Leg<'a>> =
                mine.iter().filter(|trial| !is_done(trial)).map(|trial| Leg::whole(trial)).collect();
            let due = if missing.is_empty() { Due::Done } else { Due::Train(missing) };
            return Turn { mine, due, is_last: true, decisions: vec![] };
        };
        let Judged { stage, decisions, .. } = ladder.judge(trials, self.budget.target_val_accuracy, outcome);
        let Stage { alive, cut } = stage;
        let leg = |&position: &usize| Leg { trial: &trials[position], until: ladder.until(cut, &trials[position]) };
        let legs: Vec<Leg<'a>> = alive.iter().map(leg).collect();
        let stretch = |leg: &Leg<'a>| Stretch {
            hyperparameters: &leg.trial.hyperparameters,
            from: cut.checked_sub(1).map_or(0, |before| ladder.until(before, leg.trial)),
            to: leg.until,
        };
        let stretches: Vec<Stretch<'_>> = legs.iter().map(stretch).collect();
        let mine: Vec<Leg<'a>> =
            shard.of_stretches(&stretches, inputs).into_iter().map(|position| legs[position]).collect();
        // A trial that failed counts as done here, unless it is to be tried again: the cut waits for it.
        let is_missing = |leg: &&Leg<'a>| {
            let reached = outcome(leg.trial).is_some_and(|outcome| match outcome.status {
                Status::Stopped => outcome.iterations_done >= leg.until,
                _ => true,
            });
            !reached || !is_done(leg.trial)
        };
        let missing: Vec<Leg<'a>> = mine.iter().filter(is_missing).copied().collect();
        let owed = legs.iter().filter(is_missing).count();
        let due = match (missing.is_empty(), owed) {
            (false, _) => Due::Train(missing),
            (true, 0) => Due::Done,
            // In the last stage nothing is waited for.
            (true, _) if cut == ladder.cuts() => Due::Done,
            (true, missing) => Due::Wait { missing },
        };
        let mine = mine.iter().map(|leg| leg.trial).collect();
        Turn { mine, due, is_last: cut == ladder.cuts(), decisions }
    }

    /// Shows `results` as the search sees them: a trial that was dropped ends at its cut, whatever was recorded of it, and a trial beyond the
    /// budget was not run. Doing so again changes nothing.
    pub fn settle(&self, trials: &[Trial], results: &mut Results) {
        let allowed = self.allowed(trials);
        trials[allowed..].iter().for_each(|trial| drop(results.records.remove(&trial.id)));
        let Some(ladder) = &self.ladder else {
            // Without cuts a stopped trial is one that is in training.
            results.records.retain(|_, record| record.outcome.status != Status::Stopped);
            return;
        };
        let judged = {
            let outcome = |trial: &Trial| results.records.get(&trial.id).map(|record| &record.outcome);
            ladder.judge(&trials[..allowed], self.budget.target_val_accuracy, &outcome)
        };
        for (trial, dropped) in trials.iter().zip(&judged.dropped) {
            let (Some(rung), Some(record)) = (dropped, results.records.get_mut(&trial.id)) else { continue };
            ladder.stop(*rung, trial, record);
        }
    }

    /// What the cuts decided until now.
    pub fn decisions(&self, trials: &[Trial], results: &Results) -> Vec<Decision> {
        let Some(ladder) = &self.ladder else { return vec![] };
        let outcome = |trial: &Trial| results.records.get(&trial.id).map(|record| &record.outcome);
        ladder.judge(&trials[..self.allowed(trials)], self.budget.target_val_accuracy, &outcome).decisions
    }

    /// Trials of which something is still to be trained before finalists are confirmed; none where nothing is confirmed.
    pub fn before_confirmation(&self, trials: &[Trial], results: &Results) -> usize {
        if self.confirm.is_none() {
            return 0;
        }
        let over = self.over(trials, results);
        trials[..self.allowed(trials)].iter().filter(|trial| !over.contains(trial.id.as_str())).count()
    }

    /// The best configurations once more, with the smallest seeds that no trial of the search has, drawn from what the search has not seen;
    /// where it says so, with each of them on every fold. None until the search is over, or where nothing is confirmed.
    pub fn confirmation(&self, trials: &[Trial], results: &Results) -> Vec<Trial> {
        let Some(confirm) = self.confirm.filter(|_| self.before_confirmation(trials, results) == 0) else {
            return vec![];
        };
        let used: HashSet<u64> = trials.iter().map(|trial| trial.hyperparameters.seed).collect();
        let seeds: Vec<u64> = (0..).filter(|seed| !used.contains(seed)).take(confirm.seeds()).collect();
        let finalists = self.ranked(trials, results).into_iter().take(confirm.finalists);
        let again = |members: Vec<usize>| {
            let of_trial = |&position: &usize| (*trials[position].hyperparameters).clone();
            let same = of_trial(&members[0]);
            let mut parts: Vec<[usize; 2]> = match confirm.folds {
                0 => members.iter().map(of_trial).map(|h| [h.folds, h.fold]).collect(),
                folds => (1..=folds).map(|fold| [folds, fold]).collect(),
            };
            parts.sort_unstable();
            parts.dedup();
            let repeats = seeds.iter().flat_map(|&seed| parts.iter().map(move |&part| (seed, part)));
            let trial =
                |(seed, [folds, fold]): (u64, [usize; 2])| Hyperparameters { seed, folds, fold, ..same.clone() };
            repeats.map(trial).collect::<Vec<_>>()
        };
        let trial = |h: Hyperparameters| {
            // Only seed and fold are others, which are in their range.
            let checked = h.check(self.ground).ok()?;
            Some(Trial::new(checked, &self.fingerprint))
        };
        finalists.flat_map(again).filter_map(trial).collect()
    }

    /// Complete configurations that no cut dropped, best first, as positions of their trials.
    fn ranked(&self, trials: &[Trial], results: &Results) -> Vec<Vec<usize>> {
        let outcome = |trial: &Trial| results.records.get(&trial.id).map(|record| &record.outcome);
        let allowed = self.allowed(trials);
        let dropped = match &self.ladder {
            Some(ladder) => ladder.judge(&trials[..allowed], self.budget.target_val_accuracy, &outcome).dropped,
            None => vec![None; allowed],
        };
        let value = |&position: &usize| {
            let outcome = outcome(&trials[position]).filter(|_| dropped[position].is_none())?;
            let accuracy = outcome.val_accuracy.filter(|_| outcome.status == Status::Complete)?;
            Some([accuracy, outcome.val_loss.unwrap_or(f64::INFINITY)])
        };
        let mean = |members: Vec<usize>| {
            let values = members.iter().map(value).collect::<Option<Vec<[f64; 2]>>>()?;
            let of = |at: usize| values.iter().map(|value| value[at]).sum::<f64>() / values.len() as f64;
            Some((members, [of(0), of(1)]))
        };
        let groups = Groups::of(&trials[..allowed]).members;
        let mut ranked: Vec<(Vec<usize>, [f64; 2])> = groups.into_iter().filter_map(mean).collect();
        ranked.sort_by(|(_, a), (_, b)| b[0].total_cmp(&a[0]).then(a[1].total_cmp(&b[1])));
        ranked.into_iter().map(|(members, _)| members).collect()
    }

    /// The trials among which the best model is: all, or once finalists are confirmed, those of the configuration that confirmation chose.
    pub fn rivals<'a>(&self, trials: &'a [Trial], results: &Results) -> Vec<&'a Trial> {
        let confirming = self.confirmation(trials, results);
        let all = || trials.iter().collect();
        if confirming.is_empty() || confirming.iter().any(|trial| !results.records.contains_key(&trial.id)) {
            return all();
        }
        let confirmed = Self { confirm: None, ladder: None, budget: Budget::default(), ..self.clone() };
        let Some(chosen) = confirmed.ranked(&confirming, results).into_iter().next() else { return all() };
        let both: Vec<&Trial> = trials.iter().chain([&confirming[chosen[0]]]).collect();
        let groups = Groups::of(both.iter().copied());
        let members = groups.of_trial.last().map_or(vec![], |&group| groups.members[group].clone());
        members.into_iter().filter(|&position| position < trials.len()).map(|position| &trials[position]).collect()
    }

    /// Whether nothing more is to be trained of a trial, given what is recorded.
    pub fn over<'a>(&self, trials: &'a [Trial], results: &Results) -> HashSet<&'a str> {
        let outcome = |trial: &Trial| results.records.get(&trial.id).map(|record| &record.outcome);
        let dropped = match &self.ladder {
            Some(ladder) => {
                let allowed = self.allowed(trials);
                ladder.judge(&trials[..allowed], self.budget.target_val_accuracy, &outcome).dropped
            }
            None => vec![],
        };
        let is_over = |(position, trial): &(usize, &Trial)| {
            let is_dropped = dropped.get(*position).is_some_and(Option::is_some);
            is_dropped || outcome(trial).is_some_and(|outcome| outcome.status != Status::Stopped)
        };
        trials.iter().enumerate().filter(is_over).map(|(_, trial)| trial.id.as_str()).collect()
    }
}

/// The record of a trial as one that was stopped; as it is where it never was at that point.
fn stop(record: &mut Record, iterations: usize, rung: usize) {
    if record.outcome.status == Status::Complete || record.outcome.iterations_done > iterations {
        let stopped = Outcome::stopped(iterations, record.outcome.first_loss, &record.outcome.curve);
        record.outcome = stopped.unwrap_or_else(|| record.outcome.clone());
    }
    if record.outcome.status == Status::Stopped {
        record.outcome.rung = Some(rung);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_grid_everything_is_due_that_the_shard_has_and_nobody_recorded() {
        let trial =
            |seed| Trial::new(Hyperparameters { seed, ..Hyperparameters::default() }.check(1000).unwrap(), "data");
        let trials: Vec<Trial> = (0..4).map(trial).collect();
        let shard = Shard { index: 1, count: 2 };
        let mine = shard.of(&trials, 3072);
        let due = |done: &[usize]| {
            let is_done = |trial: &Trial| done.iter().any(|&at| trials[at] == *trial);
            Search::default().turn(&trials, (shard, 3072), &|_| None, &is_done).due
        };
        assert_eq!(due(&[]), Due::Train(mine.iter().map(|trial| Leg::whole(trial)).collect()));
        let at = |trial: &Trial| trials.iter().position(|other| other == trial).unwrap();
        assert_eq!(due(&[at(mine[0])]), Due::Train(mine[1..].iter().map(|trial| Leg::whole(trial)).collect()));
        assert_eq!(
            due(&mine.iter().map(|trial| at(trial)).collect::<Vec<_>>()),
            Due::Done,
            "others are not waited for"
        );
    }

    #[test]
    fn a_budget_allows_the_first_trials() {
        let trial = |seed| {
            let h = Hyperparameters { seed, iterations: 100, ..Hyperparameters::default() };
            Trial::new(h.check(1000).unwrap(), "data")
        };
        let trials: Vec<Trial> = (0..9).map(trial).collect();
        let allowed = |budget| Search { budget, ..Search::default() }.allowed(&trials);
        assert_eq!(allowed(Budget::default()), 9);
        assert_eq!(allowed(Budget { max_trials: Some(4), ..Budget::default() }), 4);
        assert_eq!(allowed(Budget { max_trial_iterations: Some(599), ..Budget::default() }), 5);
        assert_eq!(allowed(Budget { max_trial_iterations: Some(600), ..Budget::default() }), 6);
        assert_eq!(allowed(Budget { max_trial_iterations: Some(99), ..Budget::default() }), 0);
    }
}
