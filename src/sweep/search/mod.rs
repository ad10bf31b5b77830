//! What is to be trained next: a pure function of the trials and of what is recorded. Nothing of it is stored, so every shard and every
//! process that starts again agrees.

use super::space::Trial;

/// How the trials of a sweep follow from its results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// All trials of the space, each to its last iteration.
    #[default]
    Grid,
}

/// What is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Due<'a> {
    /// These trials are to be trained by this shard.
    Train(Vec<&'a Trial>),
    /// Other shards owe this many results before more can be trained.
    Wait {
        /// Results that are missing.
        missing: usize,
    },
    /// The search is over.
    Done,
}

impl Search {
    /// What is due of a sweep with these `trials`, for the shard that has `mine`; `is_done` is which trials have the results that they
    /// are to have.
    pub fn due<'a>(self, _trials: &'a [Trial], mine: &[&'a Trial], is_done: &dyn Fn(&Trial) -> bool) -> Due<'a> {
        match self {
            Self::Grid => {
                let missing: Vec<&Trial> = mine.iter().copied().filter(|trial| !is_done(trial)).collect();
                if missing.is_empty() { Due::Done } else { Due::Train(missing) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Hyperparameters;

    #[test]
    fn of_a_grid_everything_is_due_that_the_shard_has_and_nobody_recorded() {
        let trial =
            |seed| Trial::new(Hyperparameters { seed, ..Hyperparameters::default() }.check(1000).unwrap(), "data");
        let trials: Vec<Trial> = (0..4).map(trial).collect();
        let mine = [&trials[1], &trials[3]];
        let due =
            |done: &[usize]| Search::Grid.due(&trials, &mine, &|trial| done.iter().any(|&at| trials[at] == *trial));
        assert_eq!(due(&[]), Due::Train(mine.to_vec()));
        assert_eq!(due(&[0, 1, 2]), Due::Train(vec![&trials[3]]));
        assert_eq!(due(&[1, 3]), Due::Done, "what other shards owe is not waited for");
    }
}
