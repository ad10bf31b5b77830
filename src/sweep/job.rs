//! What a process has to train, and in which cohorts.

use std::collections::HashSet;

use super::journal::Results;
use super::plan::{self, Limits};
use super::site::Site;
use super::space::Trial;
use crate::model::Hyperparameters;
use crate::train::checkpoint::{Checkpoints, Resumable};
use crate::train::{Outcome, engine, fit, work_of_iteration};

/// What a process has left to do, and in which cohorts.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The trials of this process's shard.
    pub trials: Vec<&'a Trial>,
    /// Those that have no record yet, or not the model that is to be kept.
    pub missing: Vec<&'a Trial>,
    /// Those, in cohorts.
    pub cohorts: Vec<CohortJob<'a>>,
    /// What the cohorts were planned for.
    pub limits: Limits,
    /// How many of those missing train alone, because their neighbours would show in their bits.
    pub alone: usize,
    /// The best result that the shard has already.
    pub best: Option<Outcome>,
}

/// A cohort to train.
#[derive(Clone, Debug)]
pub struct CohortJob<'a> {
    /// Its trials.
    pub trials: Vec<&'a Trial>,
    /// What they resume from, if they were in training before.
    pub resumes: Option<Resumable<'a>>,
    /// Predicted cost of what is left, in floating-point operations of f32 or what takes as long.
    pub cost: f64,
}

impl CohortJob<'_> {
    /// Floating-point operations that are left.
    pub fn work(&self, inputs: usize) -> f64 {
        let done = self.resumes.as_ref().map_or(0, |from| from.iteration);
        self.trials.iter().map(|trial| work_left(trial, done, inputs)).sum()
    }

    /// Bytes that the worker needs that trains it.
    pub fn bytes(&self, inputs: usize) -> usize {
        let Some(shared) = self.trials.first().map(|trial| &trial.hyperparameters) else { return 0 };
        fit(shared, inputs).bytes(self.trials.iter().map(|trial| trial.hyperparameters.hidden).sum())
    }
}

impl<'a> Job<'a> {
    /// Plans cohorts of the `missing` ones among the `trials` of a shard, for `workers` on this machine. Trials that have a checkpoint resume
    /// in the cohort that it is of. Whether trials may share a cohort is measured for each batch size.
    pub fn new(
        site: Site<'_>,
        trials: Vec<&'a Trial>,
        missing: Vec<&'a Trial>,
        results: &Results,
        checkpoints: &Checkpoints,
        workers: usize,
    ) -> Self {
        let data = site.data;
        let may_share =
            |h: &Hyperparameters| engine(h.precision).may_share(h.batch_size, h.recipe().outputs(data.inputs()));
        let alone = missing.iter().filter(|trial| !may_share(&trial.hyperparameters)).count();
        let limits = Limits { workers, inputs: data.inputs(), weight_bytes: plan::weight_bytes_of_this_machine() };

        let resumed = checkpoints.resumable(&site.made(), &missing).into_iter().map(|from| CohortJob {
            cost: from.trials.iter().map(|trial| cost_left(trial, from.iteration, data.inputs())).sum(),
            trials: from.trials.clone(),
            resumes: Some(from),
        });
        let resumed: Vec<CohortJob<'a>> = resumed.collect();
        let in_resumed: HashSet<&str> =
            resumed.iter().flat_map(|cohort| &cohort.trials).map(|trial| trial.id.as_str()).collect();
        let fresh: Vec<&'a Trial> =
            missing.iter().copied().filter(|trial| !in_resumed.contains(trial.id.as_str())).collect();
        let hyperparameters: Vec<&Hyperparameters> = fresh.iter().map(|trial| &*trial.hyperparameters).collect();
        let planned = plan::plan(&hyperparameters, limits, &may_share).into_iter().map(|cohort| CohortJob {
            trials: cohort.trials.iter().map(|&position| fresh[position]).collect(),
            resumes: None,
            cost: cohort.cost,
        });
        let mut cohorts: Vec<CohortJob<'a>> = resumed.iter().cloned().chain(planned).collect();
        cohorts.sort_by(|a, b| b.cost.total_cmp(&a.cost));
        let best = results.best(trials.iter().copied()).map(|(_, record)| record.outcome.clone());
        Self { trials, missing, cohorts, limits, alone, best }
    }

    /// Floating-point operations that are left.
    pub fn work(&self) -> f64 {
        self.cohorts.iter().map(|cohort| cohort.work(self.limits.inputs)).fold(0.0, |sum, work| sum + work)
    }

    /// Bytes that all workers need together, if they train the largest cohorts at the same time.
    pub fn bytes(&self) -> usize {
        let mut bytes: Vec<usize> = self.cohorts.iter().map(|cohort| cohort.bytes(self.limits.inputs)).collect();
        bytes.sort_unstable_by(|a, b| b.cmp(a));
        bytes.into_iter().take(self.limits.workers).sum()
    }

    /// Trials that resume from checkpoints.
    pub fn resumed(&self) -> usize {
        self.cohorts.iter().filter(|cohort| cohort.resumes.is_some()).map(|cohort| cohort.trials.len()).sum()
    }
}

/// Floating-point operations of a trial after so many iterations.
fn work_left(trial: &Trial, done: usize, inputs: usize) -> f64 {
    work_of_iteration(&trial.hyperparameters, inputs) * trial.hyperparameters.iterations.saturating_sub(done) as f64
}

/// What a trial costs after so many iterations, in the unit of [`plan::cost`].
fn cost_left(trial: &Trial, done: usize, inputs: usize) -> f64 {
    let Hyperparameters { hidden, iterations, .. } = *trial.hyperparameters;
    fit(&trial.hyperparameters, inputs).cost_of_unit * hidden as f64 * iterations.saturating_sub(done) as f64
}
