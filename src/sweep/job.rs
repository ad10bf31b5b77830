//! What a process has to train, and in which cohorts.

use std::collections::{BTreeMap, HashMap};

use super::journal::Results;
use super::plan::{self, Limits, Stretch};
use super::site::Site;
use super::space::Trial;
use crate::model::Hyperparameters;
use crate::train::checkpoint::{Checkpoints, Resumable};
use crate::train::{Outcome, engine, fit, work_of_iteration};

/// A trial to train, and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg<'a> {
    /// The trial.
    pub trial: &'a Trial,
    /// Iterations after which it stops: its own, or fewer where a search judges it.
    pub until: usize,
}

impl<'a> Leg<'a> {
    /// To the trial's last iteration.
    pub fn whole(trial: &'a Trial) -> Self {
        Self { trial, until: trial.hyperparameters.iterations }
    }

    fn stretch(&self, from: usize) -> Stretch<'a> {
        Stretch { hyperparameters: &self.trial.hyperparameters, from, to: self.until }
    }
}

/// What a process has left to do, and in which cohorts.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The trials of this process's shard.
    pub trials: Vec<&'a Trial>,
    /// Those that have no record yet, or not the model that is to be kept.
    pub missing: Vec<&'a Trial>,
    /// How far each of those missing is to be trained.
    pub legs: Vec<Leg<'a>>,
    /// Those, in cohorts.
    pub cohorts: Vec<CohortJob<'a>>,
    /// What the cohorts were planned for.
    pub limits: Limits,
    /// Bytes of the copy of the rows that cross-validation is made from; 0 without it.
    pub fold_bytes: usize,
    /// How many of those missing train alone, because their neighbours would show in their bits.
    pub alone: usize,
    /// The trials among which the best is: those that are trained to their end.
    pub rivals: Vec<&'a Trial>,
    /// The best result that the shard has already.
    pub best: Option<Outcome>,
}

/// A cohort to train.
#[derive(Clone, Debug)]
pub struct CohortJob<'a> {
    /// Its trials.
    pub legs: Vec<Leg<'a>>,
    /// What they resume from, if they were in training before: they have all done equally much.
    pub resumes: Vec<Resumable<'a>>,
    /// Predicted cost of what is left, in floating-point operations of f32 or what takes as long.
    pub cost: f64,
}

impl<'a> CohortJob<'a> {
    /// Its trials.
    pub fn trials(&self) -> Vec<&'a Trial> {
        self.legs.iter().map(|leg| leg.trial).collect()
    }

    /// Floating-point operations that are left.
    pub fn work(&self, inputs: usize) -> f64 {
        let done = self.resumes.first().map_or(0, |from| from.iteration);
        let work = |leg: &Leg<'_>| {
            work_of_iteration(&leg.trial.hyperparameters, inputs) * leg.until.saturating_sub(done) as f64
        };
        self.legs.iter().map(work).sum()
    }

    /// Bytes that the worker needs that trains it.
    pub fn bytes(&self, inputs: usize) -> usize {
        let Some(shared) = self.legs.first().map(|leg| &leg.trial.hyperparameters) else { return 0 };
        fit(shared, inputs).bytes(self.legs.iter().map(|leg| leg.trial.hyperparameters.hidden).sum())
    }
}

impl<'a> Job<'a> {
    /// Plans cohorts of the `legs` that are missing among the `trials` of a shard, for `workers` on this machine; `rivals` are those among
    /// which the best model is. Trials that have a state resume from it; those that have done equally much and share their minibatches
    /// meet in cohorts, whatever cohorts they were in before. Whether trials may share a cohort is measured for each batch size.
    pub fn new(
        site: Site<'_>,
        trials: Vec<&'a Trial>,
        legs: Vec<Leg<'a>>,
        rivals: Vec<&'a Trial>,
        (results, checkpoints): (&Results, &Checkpoints),
        workers: usize,
    ) -> Self {
        let data = site.data;
        let may_share =
            |h: &Hyperparameters| engine(h.precision).may_share(h.batch_size, h.recipe().outputs(data.inputs()));
        let alone = legs.iter().filter(|leg| !may_share(&leg.trial.hyperparameters)).count();
        let limits = Limits { workers, ground: data.ground(), weight_bytes: plan::weight_bytes_of_this_machine() };

        let wanted: Vec<(&'a Trial, usize)> = legs.iter().map(|leg| (leg.trial, leg.until)).collect();
        let states = checkpoints.resumable(&site.made(), &wanted);
        let of_state =
            states.iter().enumerate().flat_map(|(at, from)| from.trials.iter().map(move |trial| (trial, at)));
        let of_state: HashMap<&str, usize> = of_state.map(|(trial, at)| (trial.id.as_str(), at)).collect();
        let state_of = |leg: &Leg<'_>| of_state.get(leg.trial.id.as_str()).copied();
        let done = |leg: &Leg<'_>| state_of(leg).map_or(0, |at| states[at].iteration);
        let stretches: Vec<Stretch<'_>> = legs.iter().map(|leg| leg.stretch(done(leg))).collect();
        let cohort = |planned: plan::CohortPlan| {
            let members: Vec<Leg<'a>> = planned.trials.iter().map(|&position| legs[position]).collect();
            let mut of_members: BTreeMap<usize, Vec<&'a Trial>> = BTreeMap::new();
            for leg in &members {
                state_of(leg).into_iter().for_each(|at| of_members.entry(at).or_default().push(leg.trial));
            }
            let resume =
                |(at, trials): (usize, Vec<&'a Trial>)| Resumable::new(states[at].path(), states[at].iteration, trials);
            CohortJob { resumes: of_members.into_iter().map(resume).collect(), legs: members, cost: planned.cost }
        };
        let cohorts: Vec<CohortJob<'a>> =
            plan::plan_stretches(&stretches, limits, &may_share).into_iter().map(cohort).collect();
        let best = results.best(rivals.iter().copied()).map(|(_, record)| record.outcome.clone());
        let missing = legs.iter().map(|leg| leg.trial).collect();
        let on_folds = legs.iter().any(|leg| leg.trial.hyperparameters.fold().is_some());
        let fold_bytes = if on_folds { data.fold_bytes() } else { 0 };
        Self { trials, missing, legs, cohorts, limits, fold_bytes, alone, rivals, best }
    }

    /// Floating-point operations that are left.
    pub fn work(&self) -> f64 {
        self.cohorts.iter().map(|cohort| cohort.work(self.limits.ground.inputs)).fold(0.0, |sum, work| sum + work)
    }

    /// Bytes that all workers need together, beside the data, if they train the largest cohorts at the same time.
    pub fn bytes(&self) -> usize {
        self.fold_bytes + self.bytes_of_workers()
    }

    /// Bytes that they need for their cohorts.
    pub fn bytes_of_workers(&self) -> usize {
        let mut bytes: Vec<usize> = self.cohorts.iter().map(|cohort| cohort.bytes(self.limits.ground.inputs)).collect();
        bytes.sort_unstable_by(|a, b| b.cmp(a));
        bytes.into_iter().take(self.limits.workers).sum()
    }

    /// Trials that resume from checkpoints.
    pub fn resumed(&self) -> usize {
        self.cohorts.iter().flat_map(|cohort| &cohort.resumes).map(|from| from.trials.len()).sum()
    }
}
