//! Repeats: the trials of one configuration, which differ in nothing but the seed and the fold.

use std::collections::HashMap;

use super::space::Trial;
use crate::model::hyperparameters::OF_REPEATS;
use crate::model::value::Value;

/// The trials of a sweep by configuration, in the order in which each first appears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The positions of the trials of each.
    pub members: Vec<Vec<usize>>,
    /// The group of each trial.
    pub of_trial: Vec<usize>,
}

impl Groups {
    /// Of these trials.
    pub fn of<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Self {
        let mut numbers: HashMap<Vec<u64>, usize> = HashMap::new();
        let mut groups = Self { members: vec![], of_trial: vec![] };
        for (position, trial) in trials.into_iter().enumerate() {
            let number = *numbers.entry(configuration(trial)).or_insert(groups.members.len());
            if number == groups.members.len() {
                groups.members.push(vec![]);
            }
            groups.members[number].push(position);
            groups.of_trial.push(number);
        }
        groups
    }

    /// How many configurations there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// Equal for trials of one configuration.
fn configuration(trial: &Trial) -> Vec<u64> {
    let entries = trial.hyperparameters.entries();
    let values = entries.iter().filter(|entry| !OF_REPEATS.contains(&entry.name)).map(|entry| match entry.value {
        Value::Whole(number) => number,
        Value::Number(number) => (number + 0.0).to_bits(),
        Value::Word(word) => word.bytes().fold(0, |hash: u64, byte| hash.wrapping_mul(257) ^ u64::from(byte)),
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Hyperparameters;

    #[test]
    fn trials_that_differ_in_seed_and_fold_alone_are_one_group() {
        let trial = |hidden, seed| {
            let h = Hyperparameters { hidden, seed, ..Hyperparameters::default() };
            Trial::new(h.check(1000).unwrap(), "data")
        };
        let trials = [trial(3, 0), trial(4, 0), trial(3, 1), trial(4, 7), trial(5, 0)];
        let groups = Groups::of(&trials);
        assert_eq!(groups.members, [vec![0, 2], vec![1, 3], vec![4]]);
        assert_eq!(groups.of_trial, [0, 1, 0, 1, 2]);
        let of_fold = |fold| {
            let h = Hyperparameters { folds: 3, fold, ..Hyperparameters::default() };
            Trial::new(h.check(1000).unwrap(), "data")
        };
        assert_eq!(Groups::of(&[of_fold(1), of_fold(2), of_fold(3)]).len(), 1);
    }
}
