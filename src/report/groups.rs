//! A sweep as configurations: trials that differ in nothing but seed and fold are one group, with mean, standard deviation and interval.
//!
//! All of it is a pure function of trials and records: no time, no host, no order in which trials ended.

use super::statistics::{Estimate, NORMAL, mean, reach};
use crate::model::hyperparameters::{Entry, OF_REPEATS, Repeat, columns};
use crate::model::tally;
use crate::model::value::Value;
use crate::sweep::groups::Groups as Repeats;
use crate::sweep::journal::{Record, Results};
use crate::sweep::space::Trial;
use crate::train::Status;

/// An axis with more different values than this is drawn over its numbers, not as a list of its values.
const MOST_LISTED: usize = 24;

/// A hyperparameter, other than those of repeats, that takes several values in a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Its name.
    pub name: &'static str,
    /// Its values: numbers ascending, words in the order of the sweep.
    pub values: Vec<Value>,
}

impl Axis {
    /// Whether its values are few enough to stand side by side.
    pub fn is_listed(&self) -> bool {
        self.values.len() <= MOST_LISTED
    }

    /// The name of a value, short: `1000` rather than `1000.0`.
    pub fn label(&self, value: usize) -> String {
        label(self.values[value])
    }

    /// Its values as numbers; words count from 0.
    pub fn numbers(&self) -> Vec<f64> {
        let number = |(at, value): (usize, &Value)| number(*value).unwrap_or(at as f64);
        self.values.iter().enumerate().map(number).collect()
    }

    /// Whether it spans so much that a logarithmic scale shows it better.
    pub fn is_logarithmic(&self) -> bool {
        let numbers = self.numbers();
        let (low, high) = (numbers.first().copied().unwrap_or(0.0), numbers.last().copied().unwrap_or(0.0));
        low > 0.0 && high / low >= 20.0
    }
}

/// A value as people write it.
pub fn label(value: Value) -> String {
    let plain = value.plain();
    plain.strip_suffix(".0").map_or(plain.clone(), str::to_owned)
}

fn number(value: Value) -> Option<f64> {
    match value {
        Value::Whole(number) => Some(number as f64),
        Value::Number(number) => Some(number),
        Value::Word(_) => None,
    }
}

/// One trial of a group.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The trial.
    pub trial: &'a Trial,
    /// Its place in the sweep.
    pub place: usize,
    /// Its record, if it has one.
    pub record: Option<&'a Record>,
}

impl Member<'_> {
    /// Its status; none where it has no record.
    pub fn status(&self) -> Option<Status> {
        self.record.map(|record| record.outcome.status)
    }

    /// Validation accuracy of a complete trial.
    pub fn accuracy(&self) -> Option<f64> {
        let record = self.record.filter(|record| record.outcome.status == Status::Complete);
        record.and_then(|record| record.outcome.val_accuracy)
    }

    /// The cut at which it was dropped, and its validation accuracy there.
    pub fn dropped(&self) -> Option<(usize, f64)> {
        let outcome = &self.record.filter(|record| record.outcome.status == Status::Stopped)?.outcome;
        outcome.rung.zip(outcome.val_accuracy)
    }

    /// What it is worth: its accuracy, or guessing (1/classes) where it diverged.
    pub fn worth(&self, chance: f64) -> Option<f64> {
        match self.status() {
            Some(Status::Diverged) => Some(chance),
            _ => self.accuracy(),
        }
    }
}

/// A configuration with all its seeds and folds.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The values that it has, one number of a value an axis.
    pub at: Vec<usize>,
    /// Its trials, in the order of the sweep.
    pub members: Vec<Member<'a>>,
    /// How many are complete.
    pub complete: usize,
    /// How many diverged.
    pub diverged: usize,
    /// Of a configuration that was dropped: at which cut, from 1, and its mean validation accuracy there.
    pub dropped: Option<(usize, f64)>,
    /// Mean validation accuracy of the complete ones.
    pub mean: Option<f64>,
    /// Their standard deviation, with n − 1; none for fewer than two.
    pub deviation: Option<f64>,
    /// 95 % interval of the mean: by Student's t over seeds; for a single seed by Wilson's formula over the validation images.
    pub interval: Option<(f64, f64)>,
    /// As the mean, with guessing in place of those that diverged: what groups are ranked by.
    pub worth: Option<f64>,
    /// Mean seconds of training.
    pub seconds: Option<f64>,
}

impl<'a> Group<'a> {
    fn of(at: Vec<usize>, members: Vec<Member<'a>>, chance: f64, images: Option<usize>) -> Self {
        let accuracies: Vec<f64> = members.iter().filter_map(Member::accuracy).collect();
        let worths: Vec<f64> = members.iter().filter_map(|member| member.worth(chance)).collect();
        let seconds: Vec<f64> =
            members.iter().filter_map(|member| member.record).map(|record| record.train_seconds).collect();
        let dropped: Vec<(usize, f64)> = members.iter().filter_map(Member::dropped).collect();
        let at_cut = mean(&dropped.iter().map(|(_, accuracy)| *accuracy).collect::<Vec<f64>>());
        let estimate = (!accuracies.is_empty()).then(|| Estimate::of(&accuracies, images));
        Self {
            at,
            complete: accuracies.len(),
            diverged: members.iter().filter(|member| member.status() == Some(Status::Diverged)).count(),
            mean: estimate.map(|estimate| estimate.val_mean),
            deviation: estimate.and_then(|estimate| estimate.val_sd),
            interval: estimate.and_then(|estimate| estimate.val_low.zip(estimate.val_high)),
            dropped: dropped.first().map(|(cut, _)| *cut).zip(at_cut).filter(|_| worths.is_empty()),
            worth: mean(&worths),
            seconds: mean(&seconds),
            members,
        }
    }

    /// The trial that stands for it: its best complete one, else its first.
    pub fn best(&self) -> &Member<'a> {
        let better = |a: &&Member<'a>, b: &&Member<'a>| {
            let order = |member: &Member<'_>| member.accuracy().unwrap_or(-1.0);
            // Of equals the first.
            order(a).total_cmp(&order(b)).then(b.place.cmp(&a.place))
        };
        self.members.iter().max_by(better).expect("a group has a trial")
    }
}

/// A sweep as configurations.
#[derive(Clone, Debug)]
pub struct Groups<'a> {
    /// What varies, in the order of the columns.
    pub axes: Vec<Axis>,
    /// Seeds and folds, ascending.
    pub repeats: Vec<Repeat>,
    /// What does not vary, as far as files name it.
    pub fixed: Vec<Entry>,
    /// The configurations, best first: by [`Group::worth`]; then those that were dropped, at a late cut and with a high accuracy first; then
    /// those that diverged; those without a result last. Of equals, by the order of the sweep.
    pub groups: Vec<Group<'a>>,
    /// What guessing reaches: one in so many classes.
    pub chance: f64,
}

impl<'a> Groups<'a> {
    /// Of the trials of a sweep, with data of so many classes and `images` in the validation split.
    pub fn of(trials: &'a [Trial], results: &'a Results, classes: usize, images: Option<usize>) -> Self {
        let chance = 1.0 / classes as f64;
        let names = columns(trials.iter().map(|trial| trial.hyperparameters.entries()));
        let mut axes: Vec<Axis> = names.iter().map(|name| Axis { name, values: vec![] }).collect();
        let mut known: Vec<std::collections::HashMap<String, usize>> = vec![Default::default(); axes.len()];
        let mut rows: Vec<Vec<usize>> = Vec::with_capacity(trials.len());
        for trial in trials {
            let entries = trial.hyperparameters.entries();
            let listed = entries.iter().filter(|entry| names.contains(&entry.name));
            let row = listed.zip(axes.iter_mut().zip(&mut known)).map(|(entry, (axis, known))| {
                *known.entry(entry.value.to_string()).or_insert_with(|| {
                    axis.values.push(entry.value);
                    axis.values.len() - 1
                })
            });
            rows.push(row.collect());
        }
        // Numbers ascend, whatever the order of the file.
        for (column, axis) in axes.iter_mut().enumerate() {
            if axis.values.iter().all(|value| number(*value).is_some()) {
                let mut order: Vec<usize> = (0..axis.values.len()).collect();
                let of = |at: usize| number(axis.values[at]).unwrap_or(0.0);
                order.sort_by(|&a, &b| of(a).total_cmp(&of(b)));
                let mut place = vec![0; order.len()];
                order.iter().enumerate().for_each(|(to, &from)| place[from] = to);
                axis.values = order.iter().map(|&from| axis.values[from]).collect();
                rows.iter_mut().for_each(|row| row[column] = place[row[column]]);
            }
        }
        let mut repeats: Vec<Repeat> = trials.iter().map(|trial| trial.hyperparameters.repeat()).collect();
        repeats.sort_unstable();
        repeats.dedup();
        let varies: Vec<bool> =
            axes.iter().map(|axis| axis.values.len() > 1 && !OF_REPEATS.contains(&axis.name)).collect();
        let fixed = trials.first().map_or(vec![], |trial| {
            let entries = trial.hyperparameters.entries().into_iter().filter(|entry| names.contains(&entry.name));
            entries
                .zip(&varies)
                .filter(|(e, varies)| !**varies && !OF_REPEATS.contains(&e.name))
                .map(|(entry, _)| entry)
                .collect()
        });
        let member = |&place: &usize| {
            let trial = &trials[place];
            Member { trial, place, record: results.records.get(&trial.id) }
        };
        let group = |places: &Vec<usize>| {
            let row = rows[places[0]].iter().zip(&varies).filter(|(_, varies)| **varies);
            Group::of(row.map(|(at, _)| *at).collect(), places.iter().map(member).collect(), chance, images)
        };
        let mut groups: Vec<Group<'a>> = Repeats::of(trials).members.iter().map(group).collect();
        groups.sort_by(|a, b| {
            let worth = |group: &Group<'_>| group.worth.filter(|_| group.mean.is_some()).unwrap_or(-1.0);
            let cut = |group: &Group<'_>| group.dropped.map_or((0, -1.0), |dropped| dropped);
            let ((late, high), (other_late, other_high)) = (cut(a), cut(b));
            let by_cut = other_late.cmp(&late).then(other_high.total_cmp(&high));
            worth(b).total_cmp(&worth(a)).then(by_cut).then(b.worth.is_some().cmp(&a.worth.is_some()))
        });
        let axes = axes.into_iter().zip(&varies).filter(|(_, varies)| **varies).map(|(axis, _)| axis).collect();
        Self { axes, repeats, fixed, groups, chance }
    }

    /// The best group that has a complete trial.
    pub fn best(&self) -> Option<&Group<'a>> {
        self.groups.first().filter(|group| group.mean.is_some())
    }

    /// How many other groups cannot be distinguished from the best with 95 % confidence. Where both have two repeats or more in common, by the
    /// differences repeat by repeat (a seed gives all configurations the same minibatches, a fold the same rows); else image by image, or, where it is not recorded
    /// which were right, by two shares of so many images.
    pub fn ties(&self, images: Option<usize>) -> usize {
        let Some(best) = self.best() else { return 0 };
        self.groups[1..].iter().filter(|other| is_tie(best, other, images)).count()
    }

    /// Whether trials are repeated.
    pub fn has_repeats(&self) -> bool {
        self.repeats.len() > 1
    }

    /// A repeat as people name it.
    pub fn name(&self, [seed, _, fold]: Repeat) -> String {
        match self.noun() {
            "seed" => format!("seed {seed}"),
            "fold" => format!("fold {fold}"),
            _ => format!("seed {seed} of fold {fold}"),
        }
    }

    /// What a number of repeats is a number of.
    pub fn noun(&self) -> &'static str {
        let differ = |at: usize| self.repeats.iter().any(|repeat| repeat[at] != self.repeats[0][at]);
        match (differ(0), differ(2)) {
            (_, false) => "seed",
            (false, true) => "fold",
            (true, true) => "seed and fold",
        }
    }
}

/// Whether the means of two groups could be one.
fn is_tie(best: &Group<'_>, other: &Group<'_>, images: Option<usize>) -> bool {
    let (Some(a), Some(b)) = (best.mean, other.mean) else { return false };
    let of_repeat = |repeat: Repeat| {
        let same = other.members.iter().find(|member| member.trial.hyperparameters.repeat() == repeat);
        same.and_then(Member::accuracy)
    };
    let pairs = best.members.iter().filter_map(|member| {
        let other = of_repeat(member.trial.hyperparameters.repeat())?;
        Some(member.accuracy()? - other)
    });
    let differences: Vec<f64> = pairs.collect();
    match mean(&differences).zip(reach(&differences)) {
        Some((mean, reach)) => mean <= reach,
        None => match of_images(best, other) {
            // McNemar: of the images that one has right and the other wrong, who has more?
            Some((ours, theirs)) => ours - theirs <= NORMAL * (ours + theirs).sqrt(),
            None => images.is_some_and(|images| {
                let variance = (a * (1.0 - a) + b * (1.0 - b)) / images as f64;
                a - b <= NORMAL * variance.sqrt()
            }),
        },
    }
}

/// How many validation images only the one has right, and how many only the other, by their first trials; none where that is not recorded.
fn of_images(one: &Group<'_>, other: &Group<'_>) -> Option<(f64, f64)> {
    let right = |group: &Group<'_>| {
        let record = group.members.iter().filter(|member| member.accuracy().is_some()).find_map(|member| member.record);
        tally::unpack_bytes(record?.outcome.val_right.as_ref()?)
    };
    let (a, b) = (right(one)?, right(other)?);
    let only = |a: &[u8], b: &[u8]| f64::from(a.iter().zip(b).map(|(a, b)| (a & !b).count_ones()).sum::<u32>());
    (a.len() == b.len()).then(|| (only(&a, &b), only(&b, &a)))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::model::Hyperparameters;
    use crate::train::Outcome;

    fn trial(hidden: usize, rate: f64, seed: u64) -> Trial {
        let hyperparameters = Hyperparameters { hidden, learning_rate: rate, seed, ..Hyperparameters::neutral() };
        Trial::new(hyperparameters.check(49_000).unwrap(), "data")
    }

    fn with(trials: &[Trial], accuracies: &[Option<f64>]) -> Results {
        let mut results = Results::default();
        for (trial, accuracy) in trials.iter().zip(accuracies) {
            let so_far = crate::train::SoFar::default();
            let outcome = match accuracy {
                Some(accuracy) => Outcome::complete(10, 1.0, *accuracy, so_far),
                None => Outcome::diverged(3, so_far),
            };
            let record = Record {
                trial: trial.id.clone(),
                outcome,
                error: None,
                hyperparameters: (*trial.hyperparameters).clone(),
                train_seconds: 1.0,
                ended_unix_seconds: 1,
                host: "host".to_owned(),
                program: crate::version::program(),
                results_version: crate::version::RESULTS_VERSION,
                kernel: "Zen".to_owned(),
                data_fingerprint: "data".to_owned(),
            };
            results.records.insert(trial.id.clone(), record);
        }
        results
    }

    #[test]
    fn trials_that_differ_in_their_seed_alone_are_one_group_with_mean_deviation_and_interval() {
        let trials: Vec<Trial> =
            [(50, 1), (100, 1), (50, 2), (100, 2), (50, 3), (100, 3)].map(|(h, s)| trial(h, 1e-3, s)).to_vec();
        let results = with(&trials, &[0.48, 0.50, 0.50, 0.52, 0.52, 0.54].map(Some));
        let groups = Groups::of(&trials, &results, 10, Some(1000));
        assert_eq!(groups.repeats, [1, 2, 3].map(|seed| [seed, 0, 0]));
        assert_eq!(groups.axes.iter().map(|axis| axis.name).collect::<Vec<_>>(), ["hidden"]);
        assert!(groups.fixed.iter().any(|entry| entry.name == "learning_rate"));
        let best = groups.best().unwrap();
        assert_eq!((best.at.as_slice(), best.complete, best.diverged), (&[1][..], 3, 0));
        assert!((best.mean.unwrap() - 0.52).abs() < 1e-12 && (best.deviation.unwrap() - 0.02).abs() < 1e-12);
        // t(2) = 4.303; 4.303 · 0.02 / √3 = 0.04969
        let (low, high) = best.interval.unwrap();
        assert!((low - (0.52 - 0.04969)).abs() < 1e-4 && (high - (0.52 + 0.04969)).abs() < 1e-4);
        // Seed by seed the better one is better by exactly 0.02.
        assert_eq!(groups.ties(Some(1000)), 0);
    }

    #[test]
    fn what_diverged_is_worth_a_guess_and_is_in_no_mean() {
        let trials: Vec<Trial> = [(1e-3, 1), (1e-3, 2), (1e-1, 1), (1e-1, 2)].map(|(r, s)| trial(50, r, s)).to_vec();
        let results = with(&trials, &[Some(0.4), Some(0.4), Some(0.6), None]);
        let groups = Groups::of(&trials, &results, 10, Some(1000));
        let (first, second) = (&groups.groups[0], &groups.groups[1]);
        assert_eq!(groups.axes[0].label(first.at[0]), "0.001", "0.4 twice is worth more than 0.6 and a guess");
        assert_eq!((second.mean, second.complete, second.diverged), (Some(0.6), 1, 1));
        assert!((second.worth.unwrap() - 0.35).abs() < 1e-12);
    }

    #[test]
    fn without_repeats_the_images_give_the_interval_and_the_ties() {
        let trials: Vec<Trial> = [20, 50, 100].map(|hidden| trial(hidden, 1e-3, 0)).to_vec();
        let results = with(&trials, &[0.50, 0.49, 0.30].map(Some));
        let groups = Groups::of(&trials, &results, 10, Some(1000));
        let (low, high) = groups.best().unwrap().interval.unwrap();
        assert!((low - 0.469).abs() < 1e-3 && (high - 0.531).abs() < 1e-3, "{low} {high}");
        assert_eq!((groups.ties(Some(1000)), groups.has_repeats()), (1, false));
    }

    #[test]
    fn images_that_only_one_has_right_are_compared_where_they_are_recorded() {
        let trials: Vec<Trial> = [20, 50].map(|hidden| trial(hidden, 1e-3, 0)).to_vec();
        let mut results = with(&trials, &[0.50, 0.49].map(Some));
        let mut record = |trial: usize, right: [u8; 4]| {
            let record = results.records.get_mut(&trials[trial].id).unwrap();
            record.outcome.val_right = Some(STANDARD.encode(right));
        };
        record(0, [0xff, 0x0f, 0, 0]);
        record(1, [0, 0, 0, 0]);
        // Twelve to none is more than 1.96 · √12.
        assert_eq!(Groups::of(&trials, &results, 10, Some(1000)).ties(Some(1000)), 0);
        let record = results.records.get_mut(&trials[1].id).unwrap();
        record.outcome.val_right = Some(STANDARD.encode([0, 0, 0xff, 0xff]));
        assert_eq!(Groups::of(&trials, &results, 10, Some(1000)).ties(Some(1000)), 1);
    }

    #[test]
    fn numbers_ascend_whatever_the_order_of_the_sweep_and_trials_without_a_record_come_last() {
        let trials: Vec<Trial> = [100, 20, 50].map(|hidden| trial(hidden, 1e-3, 0)).to_vec();
        let results = with(&trials[..2], &[Some(0.3), Some(0.2)]);
        let groups = Groups::of(&trials, &results, 10, None);
        let labels: Vec<String> = (0..3).map(|value| groups.axes[0].label(value)).collect();
        assert_eq!(labels, ["20", "50", "100"]);
        assert_eq!(groups.groups.iter().map(|group| group.at[0]).collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(groups.groups[2].worth, None);
    }
}
