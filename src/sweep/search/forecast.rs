//! What a search with cuts will take, before anything of it is trained.

use super::ladder::Ladder;
use crate::model::schedule::ScheduleName;
use crate::sweep::groups::Groups;
use crate::sweep::plan::Stretch;
use crate::sweep::space::Trial;

impl Ladder {
    /// Trials whose learning rate falls over their whole length, and which the first cut judges before a third of that by weights of the
    /// moment: their rate is still large there. An average of weights does not depend on it so much.
    pub fn judged_early(&self, trials: &[Trial]) -> usize {
        let is_early = |trial: &&Trial| {
            let hyperparameters = &trial.hyperparameters;
            let knows_its_length = matches!(hyperparameters.schedule, ScheduleName::Cosine | ScheduleName::Linear);
            knows_its_length && hyperparameters.average == 0.0 && 3 * self.until(0, trial) < hyperparameters.iterations
        };
        trials.iter().filter(is_early).count()
    }

    /// The fewest and the most iterations that a trial has done at a cut, from 0.
    pub fn points(&self, cut: usize, trials: &[Trial]) -> [usize; 2] {
        let points = || trials.iter().map(|trial| self.until(cut, trial));
        [points().min().unwrap_or(0), points().max().unwrap_or(0)]
    }

    /// Bytes of the first-layer weights, with what the update rule keeps beside them, of all trials at the first cut: what their states take.
    pub fn state_bytes(&self, trials: &[Trial], inputs: usize) -> usize {
        let of_trial = |trial: &Trial| {
            let layout = trial.hyperparameters.method().layout();
            let matrices = 1 + layout.slots() + usize::from(layout.averages);
            let numbers = trial.hyperparameters.hidden * trial.hyperparameters.recipe().outputs(inputs);
            matrices * numbers * trial.hyperparameters.precision.bytes()
        };
        trials.iter().map(of_trial).sum()
    }

    /// Iterations of all these trials, if every cut keeps the longest.
    pub fn most_iterations(&self, trials: &[Trial]) -> u64 {
        let groups = Groups::of(trials);
        let mut alive: Vec<&Vec<usize>> = groups.members.iter().collect();
        let length = |group: &&Vec<usize>| {
            let of_trial = |&position: &usize| trials[position].hyperparameters.iterations;
            std::cmp::Reverse(group.iter().map(of_trial).sum::<usize>())
        };
        alive.sort_by_key(length);
        let mut iterations = 0;
        for cut in 0..=self.cuts() {
            for &position in alive.iter().copied().flatten() {
                let before = cut.checked_sub(1).map_or(0, |before| self.until(before, &trials[position]));
                iterations += (self.until(cut, &trials[position]) - before) as u64;
            }
            alive.truncate(self.keeps(cut, groups.len()));
        }
        iterations
    }

    /// What is trained from the beginning to the end, stage after stage, if every cut keeps the configurations that cost least, and if it
    /// keeps those that cost most: the bounds of any prediction.
    pub fn stages_of_extremes<'a>(&self, trials: &'a [Trial], inputs: usize) -> [Vec<Vec<Stretch<'a>>>; 2] {
        let groups = Groups::of(trials);
        let whole = |position: usize| Stretch::whole(&trials[position].hyperparameters).cost(inputs);
        let cost = |group: usize| groups.members[group].iter().map(|&position| whole(position)).sum::<f64>();
        let mut cheapest: Vec<(f64, usize)> = (0..groups.len()).map(|group| (cost(group), group)).collect();
        cheapest.sort_by(|a, b| a.0.total_cmp(&b.0));
        let costliest: Vec<(f64, usize)> = cheapest.iter().rev().copied().collect();
        [cheapest, costliest].map(|order| {
            let stage = |cut: usize| {
                let reach = cut.checked_sub(1).map_or(groups.len(), |before| self.keeps(before, groups.len()));
                let positions = order[..reach].iter().flat_map(|(_, group)| groups.members[*group].iter().copied());
                let stretch = |position: usize| Stretch {
                    hyperparameters: &trials[position].hyperparameters,
                    from: cut.checked_sub(1).map_or(0, |before| self.until(before, &trials[position])),
                    to: self.until(cut, &trials[position]),
                };
                positions.map(stretch).collect::<Vec<_>>()
            };
            (0..=self.cuts()).map(stage).collect()
        })
    }
}
