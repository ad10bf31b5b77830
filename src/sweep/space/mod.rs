//! A sweep file to resolved trials.
//!
//! A sweep file has up to these tables: `[data]` (which data, split sizes), `[fixed]` (one value a hyperparameter), `[grid]` (a list or a
//! range a hyperparameter, or lists of several that go together; the trials are the product of all, the last varying fastest) and
//! `[random]` (distributions, of which so many points are drawn, each combined with every point of the grid). `trials = "FILE.csv"` names
//! configurations one by one, combined with the grid too. `[[space]]`s have tables of their own over these. What is not named has its
//! default. `[halving]`, `[confirm]` and `[budget]` are [`Rules`]. Every error names the file, the line and the key.
//!
//! Two spaces are **equal** where they have the same trials: equal numbers are one value however they are written (`1e3` and `1000`,
//! `0.0` and `-0.0`), and neither the order of tables, axes and values matters nor whether a single value is fixed or an axis of its
//! own. The order of a file does decide two things: how a leaderboard ranks equals, and which trials a shard has. So a sweep's
//! directory has one order, that of the file it was made with, and every process that comes with an equal space takes that
//! ([`directory::claim`](super::directory::claim)).

mod axis;
mod block;
mod candidates;
mod data;
mod draw;
mod lines;
mod parse;
mod range;
mod rules;
mod text;
mod values;

use std::collections::HashSet;
use std::path::Path;

use rayon::prelude::*;

use self::axis::{Axis, Place};
use self::block::Block;
pub use self::rules::{Budget, Confirm, Cuts, Halving, Rules};
use crate::data::images::Ground;
use crate::data::{DataConfig, Dataset};
use crate::error::{Complaint, Error, Result};
use crate::model::Hyperparameters;
pub use crate::model::Trial;
use crate::model::value::Value;

/// More trials than this are a mistake in the sweep file.
const MOST_TRIALS: usize = 10_000_000;

/// A search space, as a sweep file describes it.
#[derive(Clone, Debug, Default)]
pub struct Space {
    /// The file, for messages.
    name: String,
    /// Data set and splits.
    pub data: DataConfig,
    /// Where the keys of `[data]` stand.
    data_places: Vec<Place>,
    /// What stands outside of every `[[space]]`.
    common: Block,
    /// The `[[space]]`s; where there are none, `common` is the space.
    blocks: Vec<Block>,
    /// `[halving]`, `[confirm]` and `[budget]`.
    rules: Rules,
}

impl Space {
    /// The space on these data, with everything spelled out: all defaults, the sizes of the splits, the fingerprint of the data.
    pub fn resolved(&self, data: &Dataset) -> Resolved {
        // A file that names a fingerprint is a resolved one. It spelled out every default there was: what it lacks came later.
        let is_resolved = self.data.fingerprint.is_some();
        let base = if is_resolved { Hyperparameters::neutral() } else { Hyperparameters::default() };
        let config = DataConfig { fingerprint: Some(data.fingerprint.clone()), ..data.config.clone() };
        Resolved {
            ground: data.ground(),
            fingerprint: data.fingerprint.clone(),
            base: fixed_in(&self.common, base),
            space: Self { data: config, ..self.clone() },
        }
    }

    /// Names file and line in an error about a key of this space: a hyperparameter out of its range, or a split that is too large.
    pub fn located(&self, error: Error) -> Error {
        self.located_in(&self.common, error)
    }

    fn located_in(&self, block: &Block, error: Error) -> Error {
        let Error::Usage(mut complaint) = error else { return error };
        let (places, quoted): (Vec<(&str, &Place)>, _) = match complaint.place.strip_prefix("data split ") {
            Some(key) => (self.data_places.iter().map(|place| (place.key.as_str(), place)).collect(), key),
            None => (block.places().collect(), complaint.place.as_str()),
        };
        let Some(key) = quoted.strip_prefix('`').and_then(|key| key.strip_suffix('`')) else {
            return Error::Usage(complaint);
        };
        match places.into_iter().find(|(name, _)| *name == key) {
            Some((_, place)) => complaint.place = place.to_string(),
            None => {
                complaint.place = format!("{}: `{key}`", self.name);
                complaint.found += ", the default";
            }
        }
        Error::Usage(complaint)
    }
}

/// A space with everything spelled out, which alone has trials.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// With the sizes of the splits and the fingerprint.
    space: Space,
    /// Every hyperparameter that is not in the grid.
    base: Hyperparameters,
    ground: Ground,
    fingerprint: String,
}

impl Resolved {
    /// The space of a single trial.
    pub fn of_trial(trial: &Trial, data: &Dataset) -> Self {
        let config = DataConfig { fingerprint: Some(data.fingerprint.clone()), ..data.config.clone() };
        Self {
            ground: data.ground(),
            fingerprint: data.fingerprint.clone(),
            base: (*trial.hyperparameters).clone(),
            space: Space { data: config, ..Space::default() },
        }
    }

    /// Reads the file that `sweep` wrote into its directory. A hyperparameter that it lacks came later, and is neutral.
    ///
    /// # Errors
    /// It cannot be read, or is not one that `sweep` wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let expected = "the resolved sweep file that `sweep` wrote";
        let remedy = "this name in a sweep's directory is the program's: restore the file, or, if it is yours, move it elsewhere";
        let space = Space::read(path).map_err(|error| match error {
            Error::Usage(Complaint { place, expected: right, found, .. }) => {
                let found = format!("{found} where there should be {right}");
                Error::Content(Complaint::new(place, expected, found, remedy))
            }
            other => other,
        })?;
        match space.data.clone() {
            DataConfig {
                train: Some(rows),
                val: Some(validation_rows),
                test: Some(_),
                fingerprint: Some(fingerprint),
                ..
            } => Ok(Self {
                ground: Ground { validation_rows, ..rows.into() },
                fingerprint,
                base: fixed_in(&space.common, Hyperparameters::neutral()),
                space,
            }),
            _ => Err(Error::content(path, expected, "one without sizes of splits or fingerprint of data", remedy)),
        }
    }

    /// Data set and splits.
    pub fn data(&self) -> &DataConfig {
        &self.space.data
    }

    /// As [`Space::located`].
    pub fn located(&self, error: Error) -> Error {
        self.space.located(error)
    }

    /// What the sweep does with its trials beside training each to its end.
    pub fn rules(&self) -> &Rules {
        &self.space.rules
    }

    /// What the training rows are.
    pub fn ground(&self) -> Ground {
        self.ground
    }

    /// Fingerprint of the data.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Every trial, space after space; in each its draws in turn, with every point of the grid, the last list varying fastest, and with
    /// cross-validation every fold of each. Equal trials are one, where the first of them stands.
    ///
    /// # Errors
    /// A value is out of its range or does not fit the data, or there are too many trials.
    pub fn trials(&self) -> Result<Vec<Trial>> {
        let common = &self.space.common;
        let blocks = match &self.space.blocks[..] {
            [] => vec![common.clone()],
            blocks => blocks.iter().map(|block| block.over(common)).collect::<Result<Vec<_>>>()?,
        };
        let mut trials: Vec<Trial> = vec![];
        for block in &blocks {
            let draws = block.random.points(&block.name)?;
            let grid = block.grid.iter().try_fold(draws.len(), |count, axis| count.checked_mul(axis.points.len()));
            let count = grid.filter(|&count| count.saturating_add(trials.len()) <= MOST_TRIALS);
            let count = count.ok_or_else(|| self.too_many(block, draws.len()))?;
            let base = fixed_in(block, self.base.clone());
            let trials_of = |number| self.trials_of(block, &draws, base.clone(), number);
            // Of several mistakes, the first is reported.
            // Threads are worth their start where there are many.
            let of_block: Result<Vec<Vec<Trial>>> = match count > 10_000 {
                true => (0..count).into_par_iter().map(trials_of).collect(),
                false => (0..count).map(trials_of).collect(),
            };
            let of_block = of_block.or_else(|_| (0..count).map(trials_of).collect::<Result<Vec<_>>>())?;
            let of_block: Vec<Trial> = of_block.into_iter().flatten().collect();
            if trials.is_empty() { trials = of_block } else { trials.extend(of_block) }
        }
        let mut ids = HashSet::with_capacity(trials.len());
        let is_first: Vec<bool> = trials.iter().map(|trial| ids.insert(trial.id.as_str())).collect();
        if ids.len() < trials.len() {
            let mut is_first = is_first.into_iter();
            trials.retain(|_| is_first.next() == Some(true));
        }
        Ok(trials)
    }

    /// The trial of this number in a space; with cross-validation and no fold in particular, that of each fold.
    fn trials_of(
        &self,
        block: &Block,
        draws: &[Vec<Value>],
        mut base: Hyperparameters,
        number: usize,
    ) -> Result<Vec<Trial>> {
        let mut rest = number;
        for Axis { names, points, .. } in block.grid.iter().rev() {
            names.iter().zip(&points[rest % points.len()]).for_each(|(name, &value)| assign(&mut base, name, value));
            rest /= points.len();
        }
        block.random.axes.iter().zip(&draws[rest]).for_each(|(axis, &value)| assign(&mut base, axis.name, value));
        let trial = |fold| {
            let checked = Hyperparameters { fold, ..base.clone() }.check(self.ground);
            Ok(Trial::new(checked.map_err(|error| self.space.located_in(block, error))?, &self.fingerprint))
        };
        match (base.folds, base.fold) {
            (0 | 1, fold) | (_, fold @ 1..) => Ok(vec![trial(fold)?]),
            (folds, 0) => {
                // Checked before there are as many.
                trial(1)?;
                (1..=folds).map(trial).collect()
            }
        }
    }

    /// Names the longest list, which is the one to shorten.
    fn too_many(&self, block: &Block, draws: usize) -> Error {
        let lengths = |axis: &Axis| format!("{} ({})", axis.points.len(), axis.names.join(", "));
        let drawn = (!block.random.axes.is_empty()).then(|| format!("{draws} (samples)"));
        let found = drawn.into_iter().chain(block.grid.iter().map(lengths)).collect::<Vec<_>>().join(" × ");
        let longest = block.grid.iter().max_by_key(|axis| axis.points.len());
        let place = longest.map_or(self.space.name.clone(), |axis| axis.place.to_string());
        let expected = format!("at most {MOST_TRIALS} trials in [grid]");
        Error::usage(place, expected, found, "make the lists shorter, or split the sweep")
    }
}

fn fixed_in(block: &Block, mut base: Hyperparameters) -> Hyperparameters {
    for axis in &block.fixed {
        axis.names.iter().zip(axis.values()).for_each(|(name, value)| assign(&mut base, name, value));
    }
    base
}

/// Gives a hyperparameter a value that was read for it.
fn assign(hyperparameters: &mut Hyperparameters, name: &str, value: Value) {
    assert!(hyperparameters.set(name, value), "`{name}` was read as a value of its kind");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a resolved file, with these lines in its tables.
    fn resolved(data: &str, fixed: &str, grid: &str) -> Resolved {
        let data = format!("[data]\ntrain = 100\nval = 20\ntest = 40\n{data}\nfingerprint = \"0123\"\n");
        let text = format!("{data}[fixed]\nbatch_size = 10\n{fixed}\n[grid]\n{grid}\n");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Resolved::read(file.path()).unwrap()
    }

    fn ids(space: &Resolved) -> Vec<String> {
        space.trials().unwrap().into_iter().map(|trial| trial.id).collect()
    }

    #[test]
    fn the_last_list_varies_fastest() {
        let trials = resolved("", "", "seed = [5, 3]\nhidden = [1, 2]").trials().unwrap();
        let order: Vec<_> =
            trials.iter().map(|trial| (trial.hyperparameters.seed, trial.hyperparameters.hidden)).collect();
        assert_eq!(order, [(5, 1), (5, 2), (3, 1), (3, 2)]);
    }

    #[test]
    fn equal_spaces_have_no_differences_and_the_same_trials() {
        let one = resolved("", "l2 = 0.0\nhidden = 3", "seed = [0, 1]\nlearning_rate = [0.001, 2.0]");
        let other = resolved("", "l2 = -0.0", "learning_rate = [2, 1e-3]\nhidden = [3e0]\nseed = [1.0, 0]");
        assert_eq!(one.differences(&other), [] as [String; 0]);
        assert!(!other.has_order_of(&one) && one.has_order_of(&one.clone()));
        let (mut ids_of_one, mut ids_of_other) = (ids(&one), ids(&other));
        assert_ne!(ids_of_one, ids_of_other);
        ids_of_one.sort();
        ids_of_other.sort();
        assert_eq!(ids_of_one, ids_of_other);
        // A list of one value orders nothing.
        assert!(resolved("", "", "l2 = [0]\nseed = [0, 1]").has_order_of(&resolved("", "l2 = 0", "seed = [0, 1]")));
    }

    #[test]
    fn every_difference_is_named_with_both_values() {
        let old = resolved("", "", "seed = [0, 1]");
        let new = resolved("dataset = \"cifar100\"", "random = \"numpy\"\nl2 = 0", "seed = [1, 2]\nhidden = [3, 4]");
        let differences = [
            "data.dataset was \"cifar10\", now \"cifar100\"",
            "hidden was 50, now [3,4]",
            "l2 was 0.25, now 0.0",
            "random was \"chacha8\", now \"numpy\"",
            "seed was [0,1], now [1,2]",
        ];
        assert_eq!(old.differences(&new), differences);
    }

    #[test]
    fn a_resolved_space_reads_back_from_its_text() {
        let space = resolved(
            "dataset = \"cifar100-coarse\"",
            "learning_rate = 1e-7",
            "sampling = [\"shuffle\"]\nl2 = [1, 1e20]",
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), space.to_toml()).unwrap();
        let again = Resolved::read(file.path()).unwrap();
        assert_eq!(again.to_toml(), space.to_toml());
        assert_eq!(ids(&again), ids(&space));
        assert!(
            space.to_toml().contains("\nlearning_rate = 1e-7\n") && space.to_toml().contains("\nl2 = [1.0, 1e+20]\n")
        );
    }

    #[test]
    fn an_override_that_changes_nothing_leaves_the_order() {
        let parse = || Space::parse("[grid]\nseed = [0, 1]\nhidden = [3, 4]\nl2 = [0, 1]\n", "s.toml").unwrap();
        let names = |space: &Space| space.common.grid.iter().filter_map(Axis::name).collect::<Vec<_>>();
        let (mut same, mut other) = (parse(), parse());
        same.set("seed=[0.0,1]").unwrap();
        assert_eq!(names(&same), names(&parse()));
        other.set("seed=[0,2]").unwrap();
        assert_eq!(names(&other), ["l2", "hidden", "seed"], "as it always was");
    }
}
