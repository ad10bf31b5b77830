//! Cuts: synchronous halving. A cut lies at a share of each trial's own iterations, rounded up to a point of its curve, so that everything is
//! measured there and a complete record holds all of it. What a cut keeps is a function of the sweep file and of the records of *all* trials
//! that reached it:
//!
//! - configurations are ranked by the mean over their seeds of validation accuracy, then of validation loss, then by the order of the sweep;
//! - so many are kept as the cut's share of all configurations, rounded up, never fewer than `finalists`;
//! - a configuration with a diverged trial is never kept; all seeds of one stand or fall together;
//! - a trial that failed blocks the cut: that says something about the machine, not about the trial.

use serde::Serialize;

use super::stop;
use crate::data::images::Ground;
use crate::error::{Error, Result};
use crate::sweep::groups::Groups;
use crate::sweep::journal::Record;
use crate::sweep::space::{Cuts, Halving, Trial};
use crate::train::{Outcome, Status};

/// The cuts of a sweep.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// At which share of a trial's iterations each lies, and which share of all it keeps.
    shares: Vec<[f64; 2]>,
    finalists: usize,
    ground: Ground,
}

/// What a cut kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// Which cut, from 1.
    pub cut: usize,
    /// At which share of each trial's iterations.
    pub at: f64,
    /// Configurations that reached it, and that it kept.
    pub configurations: [usize; 2],
    /// Every trial that reached it, the best configuration first.
    pub trials: Vec<Standing>,
}

/// A trial at a cut.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// The trial.
    pub trial: String,
    /// Iterations done there.
    pub iterations: usize,
    /// None if it diverged before.
    pub val_accuracy: Option<f64>,
    /// None if it diverged before, or an earlier program recorded it.
    pub val_loss: Option<f64>,
    /// Whether it goes on.
    pub kept: bool,
}

/// The trials that are in training now, by position, on their way to a cut, from 0; behind the last cut to their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The trials.
    pub alive: Vec<usize>,
    /// The cut.
    pub cut: usize,
}

/// What follows from the records.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What is trained now.
    pub stage: Stage,
    /// What was decided until now.
    pub decisions: Vec<Decision>,
    /// The cut at which each trial was dropped, from 1.
    pub dropped: Vec<Option<usize>>,
}

/// A trial's value at a cut.
#[derive(Clone, Copy, Debug)]
enum Value {
    Missing,
    Diverged,
    Measured(f64, Option<f64>),
}

impl Ladder {
    /// The cuts of `halving` for these trials.
    ///
    /// # Errors
    /// There is no cut; two of them are one point of a trial's curve, or one lies behind a trial's end.
    pub(super) fn new(halving: &Halving, trials: &[Trial], ground: Ground) -> Result<Self> {
        let cuts = halving.cuts();
        let shares = match &cuts {
            Cuts::Listed(cuts) => cuts.clone(),
            Cuts::Geometric { eta, min_iterations } => {
                let longest = trials.iter().map(|trial| trial.hyperparameters.iterations).max().unwrap_or(1);
                let first = *min_iterations as f64 / longest as f64;
                let at = (0..64).map(|rung| [first * eta.powi(rung), eta.powi(-rung - 1)]);
                at.take_while(|[at, _]| *at < 0.999_999).collect()
            }
        };
        let mut ladder = Self { shares, finalists: halving.finalists(), ground };
        if matches!(cuts, Cuts::Geometric { .. }) {
            // A last cut that rounds to the end is none.
            let is_late = |ladder: &Self, trial: &Trial| {
                ladder.until(ladder.cuts().saturating_sub(1), trial) >= trial.hyperparameters.iterations
            };
            while !ladder.shares.is_empty() && trials.iter().any(|trial| is_late(&ladder, trial)) {
                ladder.shares.pop();
            }
        }
        if halving.are_of_the_study() {
            // Nobody chose them for these trainings: those that have no room are left out, and the first comes after an epoch.
            let mut kept = Self { shares: vec![], ..ladder.clone() };
            for share in ladder.shares {
                kept.shares.push(share);
                let last = kept.cuts() - 1;
                let has_room = |trial: &Trial| {
                    let before = last.checked_sub(1).map_or(1, |before| kept.until(before, trial));
                    (before + 1..trial.hyperparameters.iterations).contains(&kept.until(last, trial))
                };
                if !trials.iter().all(has_room) {
                    kept.shares.pop();
                }
            }
            ladder = kept;
        }
        let remedy = "move the cuts, or train for more iterations";
        if ladder.shares.is_empty() {
            let expected = "a cut before the end of the longest trial";
            return Err(Error::usage(&halving.place, expected, "none", remedy));
        }
        for trial in trials {
            let points: Vec<usize> = (0..ladder.cuts()).map(|cut| ladder.until(cut, trial)).collect();
            let iterations = trial.hyperparameters.iterations;
            if let Some(at) = (1..points.len()).find(|&at| points[at] <= points[at - 1]) {
                let [before, after] = [at - 1, at].map(|cut| ladder.shares[cut][0]);
                let found = format!(
                    "the cuts at {before} and {after} both after {} of the {iterations} iterations of a trial with batch_size {}",
                    points[at], trial.hyperparameters.batch_size
                );
                return Err(Error::usage(&halving.place, "cuts in different epochs", found, remedy));
            }
            if let Some(&last) = points.last().filter(|&&last| last >= iterations) {
                let found = format!("one after {last} of the {iterations} iterations of a trial");
                return Err(Error::usage(&halving.place, "cuts before the end of every trial", found, remedy));
            }
        }
        Ok(ladder)
    }

    /// How many cuts there are.
    pub fn cuts(&self) -> usize {
        self.shares.len()
    }

    /// Iterations that a trial has done at a cut, from 0; behind the last cut, all of its own.
    pub fn until(&self, cut: usize, trial: &Trial) -> usize {
        let iterations = trial.hyperparameters.iterations;
        let Some([at, _]) = self.shares.get(cut) else { return iterations };
        let train_rows = self.ground.train_rows(trial.hyperparameters.fold());
        let per_epoch = trial.hyperparameters.iterations_per_epoch(train_rows);
        // A share of a decimal number of iterations is that number, whatever a float makes of it.
        let wanted = (iterations as f64 * at - 1e-6).ceil().max(1.0) as usize;
        (wanted - 1).div_ceil(per_epoch) * per_epoch + 1
    }

    /// Configurations that a cut, from 0, keeps of so many in the sweep.
    pub fn keeps(&self, cut: usize, configurations: usize) -> usize {
        let share = self.shares.get(cut).map_or(1.0, |[_, keep]| *keep);
        ((configurations as f64 * share - 1e-6).ceil() as usize)
            .clamp(self.finalists.min(configurations), configurations)
    }

    /// At which share of a trial's iterations a cut lies.
    pub fn share(&self, cut: usize) -> f64 {
        self.shares.get(cut).map_or(1.0, |[at, _]| *at)
    }

    /// What follows from what is recorded of `trials`. Where configurations reach `target` at a cut, only they go on.
    pub fn judge<'b>(
        &self,
        trials: &[Trial],
        target: Option<f64>,
        outcome: &dyn Fn(&Trial) -> Option<&'b Outcome>,
    ) -> Judged {
        let groups = Groups::of(trials);
        let mut alive: Vec<usize> = (0..groups.len()).collect();
        let mut judged = Judged {
            stage: Stage { alive: vec![], cut: self.cuts() },
            decisions: vec![],
            dropped: vec![None; trials.len()],
        };
        let positions = |alive: &[usize]| {
            let mut positions: Vec<usize> = alive.iter().flat_map(|&group| groups.members[group].clone()).collect();
            positions.sort_unstable();
            positions
        };
        for cut in 0..self.cuts() {
            let value = |&position: &usize| self.value(cut, &trials[position], outcome(&trials[position]));
            let of_group = |&group: &usize| groups.members[group].iter().map(value).collect::<Vec<Value>>();
            let values: Vec<Vec<Value>> = alive.iter().map(of_group).collect();
            if values.iter().flatten().any(|value| matches!(value, Value::Missing)) {
                judged.stage = Stage { alive: positions(&alive), cut };
                return judged;
            }
            let mut ranked: Vec<(usize, Option<[f64; 2]>)> =
                alive.iter().zip(&values).map(|(&group, values)| (group, mean(values))).collect();
            ranked.sort_by(|(group, a), (other, b)| {
                let key =
                    |value: &Option<[f64; 2]>| value.map_or([f64::INFINITY; 2], |[accuracy, loss]| [-accuracy, loss]);
                let (a, b) = (key(a), key(b));
                a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])).then(group.cmp(other))
            });
            // Those that reached the target are all that is trained on.
            let reached = |(_, value): &&(usize, Option<[f64; 2]>)| {
                target.is_some_and(|target| value.is_some_and(|[accuracy, _]| accuracy >= target))
            };
            let most = match ranked.iter().filter(reached).count() {
                0 => self.keeps(cut, groups.len()),
                reached => self.keeps(cut, groups.len()).min(reached),
            };
            let kept = ranked.iter().take_while(|(_, value)| value.is_some()).count().min(most);
            let standing = |at: usize, position: usize| {
                let (accuracy, loss) = match value(&position) {
                    Value::Measured(accuracy, loss) => (Some(accuracy), loss),
                    _ => (None, None),
                };
                Standing {
                    trial: trials[position].id.clone(),
                    iterations: self.until(cut, &trials[position]),
                    val_accuracy: accuracy,
                    val_loss: loss,
                    kept: at < kept,
                }
            };
            let of_group = |(at, (group, _)): (usize, &(usize, _))| {
                groups.members[*group].iter().map(|&position| standing(at, position)).collect::<Vec<_>>()
            };
            judged.decisions.push(Decision {
                cut: cut + 1,
                at: self.share(cut),
                configurations: [alive.len(), kept],
                trials: ranked.iter().enumerate().flat_map(of_group).collect(),
            });
            for (group, _) in &ranked[kept..] {
                groups.members[*group].iter().for_each(|&position| judged.dropped[position] = Some(cut + 1));
            }
            alive = ranked[..kept].iter().map(|(group, _)| *group).collect();
        }
        judged.stage.alive = positions(&alive);
        judged
    }

    /// What is known of a trial at a cut.
    fn value(&self, cut: usize, trial: &Trial, outcome: Option<&Outcome>) -> Value {
        let Some(outcome) = outcome.filter(|outcome| outcome.status != Status::Failed) else { return Value::Missing };
        let until = self.until(cut, trial);
        match outcome.curve.iter().find(|point| point.iteration + 1 == until) {
            Some(point) => Value::Measured(point.val_accuracy, point.val_loss),
            None if outcome.status == Status::Diverged => Value::Diverged,
            // One that ended of itself before the cut is judged by its end.
            None => match (outcome.status, outcome.val_accuracy) {
                (Status::Complete, Some(accuracy)) => Value::Measured(accuracy, outcome.val_loss),
                _ => Value::Missing,
            },
        }
    }

    /// Shows the record of a trial as one that was dropped at a cut, from 1.
    pub(super) fn stop(&self, cut: usize, trial: &Trial, record: &mut Record) {
        stop(record, self.until(cut - 1, trial), cut);
    }
}

/// Means of accuracy and loss; none where a trial diverged. A loss that nobody recorded is the largest.
fn mean(values: &[Value]) -> Option<[f64; 2]> {
    let mut sums = [0.0; 2];
    for value in values {
        let Value::Measured(accuracy, loss) = value else { return None };
        sums[0] += accuracy;
        sums[1] += loss.unwrap_or(f64::INFINITY);
    }
    Some(sums.map(|sum| sum / values.len() as f64))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::model::Hyperparameters;
    use crate::train::EpochPoint;

    /// Six configurations of two seeds, 10 iterations an epoch, 100 iterations; cuts after 11 and 41, keeping three and one.
    fn trials() -> Vec<Trial> {
        let trial = |(hidden, seed)| {
            let h = Hyperparameters { hidden, seed, iterations: 100, batch_size: 10, ..Hyperparameters::default() };
            Trial::new(h.check(100).unwrap(), "data")
        };
        (1..7).flat_map(|hidden| [(hidden, 0), (hidden, 1)]).map(trial).collect()
    }

    fn ladder_of(cuts: Cuts, finalists: usize, trials: &[Trial]) -> Ladder {
        let halving = Halving { cuts: Some(cuts), finalists: Some(finalists), place: "s.toml:1: `cuts`".to_owned() };
        Ladder::new(&halving, trials, Ground::from(100)).unwrap()
    }

    fn ladder(trials: &[Trial], finalists: usize) -> Ladder {
        ladder_of(Cuts::Listed(vec![[0.105, 0.5], [0.41, 0.1]]), finalists, trials)
    }

    fn point(updates: usize, val_accuracy: f64, val_loss: Option<f64>) -> EpochPoint {
        let iteration = updates - 1;
        EpochPoint { epoch: 0, iteration, loss: 1.0, learning_rate: 1.0, train_accuracy: 0.5, val_accuracy, val_loss }
    }

    type Outcomes = HashMap<String, Outcome>;

    /// Every trial stopped at the first cut, with the accuracy that `of` gives to its position, and one loss.
    fn stopped(trials: &[Trial], of: impl Fn(usize) -> (f64, f64)) -> Outcomes {
        let outcome = |(position, trial): (usize, &Trial)| {
            let (accuracy, loss) = of(position);
            (trial.id.clone(), Outcome::stopped(11, None, &[point(11, accuracy, Some(loss))]).unwrap())
        };
        trials.iter().enumerate().map(outcome).collect()
    }

    fn judge(ladder: &Ladder, trials: &[Trial], outcomes: &Outcomes) -> Judged {
        ladder.judge(trials, None, &|trial| outcomes.get(&trial.id))
    }

    #[test]
    fn a_cut_lies_at_the_first_point_of_the_curve_from_its_share_on() {
        let trials = trials();
        let ladder = ladder(&trials, 1);
        assert_eq!([0, 1, 2].map(|cut| ladder.until(cut, &trials[0])), [11, 41, 100]);
        assert_eq!([0, 1].map(|cut| ladder.keeps(cut, 6)), [3, 1]);
        assert_eq!([0, 1].map(|cut| ladder.keeps(cut, 81)), [41, 9], "rounded up");
    }

    #[test]
    fn a_cut_is_made_when_every_trial_has_reached_it_and_seeds_stand_or_fall_together() {
        let trials = trials();
        let ladder = ladder(&trials, 1);
        // The second seed of the first configuration is the worst of all, its first the best.
        let of = |position: usize| (if position == 1 { 0.0 } else { 0.9 - 0.05 * position as f64 }, 1.0);
        let mut outcomes = stopped(&trials, of);
        let judged = judge(&ladder, &trials, &outcomes);
        assert_eq!(judged.stage, Stage { alive: vec![2, 3, 4, 5, 6, 7], cut: 1 }, "by the mean of the seeds");
        assert_eq!(judged.dropped[..2], [Some(1), Some(1)]);
        assert_eq!(judged.decisions[0].configurations, [6, 3]);
        outcomes.remove(&trials[11].id);
        let judged = judge(&ladder, &trials, &outcomes);
        assert_eq!((judged.stage.cut, judged.stage.alive.len(), judged.decisions.len()), (0, 12, 0));
    }

    #[test]
    fn equal_accuracies_are_ranked_by_loss_and_then_by_the_order_of_the_sweep() {
        let trials = trials();
        let ladder = ladder(&trials, 1);
        let alive = |of: fn(usize) -> f64| judge(&ladder, &trials, &stopped(&trials, |at| (0.5, of(at)))).stage.alive;
        assert_eq!(alive(|_| 1.0), [0, 1, 2, 3, 4, 5]);
        assert_eq!(alive(|position| -(position as f64)), [6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn a_diverged_configuration_is_never_kept_and_a_failed_trial_blocks_the_cut() {
        let trials = trials();
        let ladder = ladder(&trials, 6);
        let mut outcomes = stopped(&trials, |_| (0.5, 1.0));
        outcomes.insert(trials[3].id.clone(), Outcome::diverged(4, Default::default()));
        let judged = judge(&ladder, &trials, &outcomes);
        assert_eq!(judged.stage.alive, [0, 1, 4, 5, 6, 7, 8, 9, 10, 11], "though six are to be kept");
        outcomes.insert(trials[5].id.clone(), Outcome::failed());
        assert_eq!(judge(&ladder, &trials, &outcomes).decisions.len(), 0);
    }

    #[test]
    fn a_trial_that_diverged_behind_the_cut_is_judged_by_what_it_was_there() {
        let trials = trials();
        let ladder = ladder(&trials, 1);
        let mut outcomes = stopped(&trials, |position| (position as f64 / 100.0, 1.0));
        let so_far = crate::train::SoFar { curve: vec![point(11, 0.9, Some(1.0))], ..Default::default() };
        outcomes.insert(trials[0].id.clone(), Outcome::diverged(50, so_far.clone()));
        outcomes.insert(trials[1].id.clone(), Outcome::diverged(50, so_far));
        let judged = judge(&ladder, &trials, &outcomes);
        assert!(judged.stage.alive.starts_with(&[0, 1]) && judged.dropped[0].is_none());
    }

    #[test]
    fn never_fewer_than_the_finalists_are_kept() {
        let trials = trials();
        let outcomes = stopped(&trials, |_| (0.5, 1.0));
        assert_eq!(judge(&ladder(&trials, 5), &trials, &outcomes).stage.alive.len(), 10);
    }

    #[test]
    fn those_that_reach_the_target_are_all_that_goes_on() {
        let trials = trials();
        let outcomes = stopped(&trials, |position| (0.1 * (position / 2) as f64, 1.0));
        let judged = ladder(&trials, 3).judge(&trials, Some(0.5), &|trial| outcomes.get(&trial.id));
        assert_eq!(judged.stage.alive, [10, 11]);
    }

    #[test]
    fn eta_is_short_for_cuts() {
        let trials = trials();
        let ladder = ladder_of(Cuts::Geometric { eta: 3.0, min_iterations: 11 }, 1, &trials);
        assert_eq!((0..ladder.cuts()).map(|cut| ladder.until(cut, &trials[0])).collect::<Vec<_>>(), [11, 41]);
        assert_eq!([0, 1].map(|cut| ladder.keeps(cut, 81)), [27, 9]);
    }
}
