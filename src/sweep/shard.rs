//! Shards: which part of a sweep this process trains.
//!
//! The parts are a function of the sweep and of their number alone, so that processes which never speak to each other train every
//! trial once. Trials are lined up so that those that share their minibatches are neighbours (they can train in one cohort), and the
//! line is cut into pieces of equal predicted cost.

use std::fmt;
use std::str::FromStr;

use super::plan::{self, Stretch};
use super::space::Trial;

/// Part `index` of `count`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard {
    /// Which, from 1.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

impl Shard {
    /// The whole sweep.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// As part of a file name.
    pub fn file_name(self) -> String {
        format!("shard-{}-of-{}", self.index, self.count)
    }

    /// The shard that a [file name](Self::file_name) names.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let (index, count) = name.strip_prefix("shard-")?.split_once("-of-")?;
        format!("{index}/{count}").parse().ok()
    }

    /// The trials of this shard, in the order of the sweep. Trials that share their minibatches stay together where that keeps the
    /// shards equal.
    pub fn of(self, trials: &[Trial], inputs: usize) -> Vec<&Trial> {
        let stretches: Vec<Stretch<'_>> = trials.iter().map(|trial| Stretch::whole(&trial.hyperparameters)).collect();
        self.of_stretches(&stretches, inputs).into_iter().map(|position| &trials[position]).collect()
    }

    /// The positions of the stretches of this shard, as [`Shard::of`].
    pub fn of_stretches(self, stretches: &[Stretch<'_>], inputs: usize) -> Vec<usize> {
        if self == Self::WHOLE {
            return (0..stretches.len()).collect();
        }
        let line: Vec<usize> = plan::groups(stretches).into_iter().flatten().collect();
        let cost = |position: usize| stretches[position].cost(inputs);
        let total: f64 = line.iter().map(|&position| cost(position)).sum();
        let mut before = 0.0;
        let mut mine: Vec<usize> = Vec::new();
        for position in line {
            // A trial belongs to the piece that its middle falls into.
            let middle = before + cost(position) / 2.0;
            before += cost(position);
            if ((middle / total * self.count as f64) as usize).min(self.count - 1) == self.index - 1 {
                mine.push(position);
            }
        }
        mine.sort_unstable();
        mine
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = ();

    /// Reads `I/N`, 1 ≤ I ≤ N.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (index, count) = text.split_once('/').ok_or(())?;
        let number = |text: &str| text.parse::<usize>().map_err(|_| ());
        let shard = Self { index: number(index)?, count: number(count)? };
        if (1..=shard.count).contains(&shard.index) { Ok(shard) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Hyperparameters;
    use proptest::prelude::*;

    #[test]
    fn a_shard_is_read_as_it_is_written_and_must_be_within_its_number() {
        assert_eq!("2/8".parse(), Ok(Shard { index: 2, count: 8 }));
        let shard = Shard { index: 3, count: 12 };
        assert_eq!(shard.to_string().parse(), Ok(shard));
        assert_eq!(Shard::from_file_name(&shard.file_name()), Some(shard));
        for wrong in ["0/3", "4/3", "1", "1/", "a/b", "-1/2", "1/0"] {
            assert_eq!(wrong.parse::<Shard>(), Err(()), "{wrong}");
        }
    }

    fn trials() -> impl Strategy<Value = Vec<Trial>> {
        let trial = (1_usize..400, 1_usize..300, 0_u64..4).prop_map(|(hidden, iterations, seed)| {
            let h = Hyperparameters { hidden, iterations, seed, ..Hyperparameters::default() };
            Trial::new(h.check(49_000).expect("in range"), "data")
        });
        prop::collection::vec(trial, 1..150)
    }

    proptest! {
        #[test]
        fn every_trial_is_in_exactly_one_shard_and_shards_are_equal_but_for_a_trial(trials in trials(), count in 1_usize..20) {
            let shards: Vec<Vec<&Trial>> = (1..=count).map(|index| Shard { index, count }.of(&trials, 3072)).collect();
            prop_assert_eq!(shards.iter().map(Vec::len).sum::<usize>(), trials.len());
            for trial in &trials {
                let holders = shards.iter().filter(|shard| shard.iter().any(|other| std::ptr::eq(*other, trial))).count();
                prop_assert_eq!(holders, 1);
            }
            let work = |trial: &Trial| plan::work(&trial.hyperparameters, 3072);
            let largest = trials.iter().map(work).fold(0.0, f64::max);
            let fair = trials.iter().map(work).sum::<f64>() / count as f64;
            for shard in &shards {
                let work: f64 = shard.iter().map(|trial| work(trial)).sum();
                prop_assert!((work - fair).abs() <= largest * (1.0 + 1e-9), "{work} for {fair}, a trial is {largest}");
            }
        }
    }
}
