//! Trials to cohorts: pure, deterministic, and of no consequence for any result.
//!
//! Trials that share their minibatches can train in one cohort. Wide cohorts are efficient, many cohorts keep all workers busy to the
//! end, so the plan tries several widths, predicts when the last worker would be done, and takes the best.

use std::collections::BTreeMap;

use crate::data::images::Ground;
use crate::machine;
use crate::model::Hyperparameters;
use crate::model::hyperparameters::CohortKey;
use crate::train::{fit, work_of_iteration};

/// What a cohort costs in an iteration beside its hidden units, as a number of hidden units: the gather (6), the packing of X and
/// places left empty (16). Measured at B = 200 with cohorts of 1, 4 and 8 trials of 50 units.
const COHORT_OVERHEAD_UNITS: f64 = 22.0;
/// What a sweep reaches of the rate of large products, overhead counted apart: for predictions.
pub const SHARE_OF_GEMM: f64 = 0.95;
/// Widths tried: the work of a cohort as a share of a worker's.
const SHARES: [f64; 10] = [1.0, 0.5, 0.33, 0.25, 0.16, 0.12, 0.08, 0.06, 0.04, 0.02];
/// First-layer weights of a cohort, in bytes, at the least and at the most. The rate is flat from some 400 units on (5 MB in f32), and a
/// worker's memory is to stay below 48 MB with everything.
const WEIGHT_BYTES: [usize; 2] = [2_500_000, 10_000_000];
/// Bytes of weights for each row of a minibatch, and always so many: few rows do little with a weight once it has been brought, so it had
/// better not come from far. Measured with 50 hidden units, 1 MB of second-level and 16 MB of third-level cache a core: with 10 to 50 rows
/// cohorts of 5 MB are 6 to 30 % faster than those of 10 MB, with 100 rows 2 to 5 %, with 200 rows 1 % slower.
const WEIGHT_BYTES_OF_ROW: usize = 50_000;
const WEIGHT_BYTES_OF_FEW_ROWS: usize = 5_000_000;

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Rayon workers.
    pub workers: usize,
    /// The rows that are trained on and validated with.
    pub ground: Ground,
    /// Bytes of a cohort's first-layer weights.
    pub weight_bytes: usize,
}

/// Trials that train in lockstep.
#[derive(Clone, Debug, PartialEq)]
pub struct CohortPlan {
    /// Positions in the list that the plan was made from.
    pub trials: Vec<usize>,
    /// Predicted cost, in floating-point operations of f32 or what takes as long.
    pub cost: f64,
}

/// A part of a trial's way: what is to be trained next of it.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// Its configuration.
    pub hyperparameters: &'a Hyperparameters,
    /// Iterations that are done.
    pub from: usize,
    /// Iterations after which it stops.
    pub to: usize,
}

impl<'a> Stretch<'a> {
    /// From the first iteration to the last.
    pub fn whole(hyperparameters: &'a Hyperparameters) -> Self {
        Self { hyperparameters, from: 0, to: hyperparameters.iterations }
    }

    /// Iterations that are left.
    pub fn iterations(&self) -> usize {
        self.to.saturating_sub(self.from)
    }

    /// What it costs, in floating-point operations of f32 or what takes as long.
    pub fn cost(&self, inputs: usize) -> f64 {
        fit(self.hyperparameters, inputs).cost_of_unit * self.hyperparameters.hidden as f64 * self.iterations() as f64
    }
}

/// Cohorts of whole trials, as [`plan_stretches`].
pub fn plan(
    trials: &[&Hyperparameters],
    limits: Limits,
    may_share: &dyn Fn(&Hyperparameters) -> bool,
) -> Vec<CohortPlan> {
    plan_stretches(&trials.iter().map(|trial| Stretch::whole(trial)).collect::<Vec<_>>(), limits, may_share)
}

/// Every trial in exactly one cohort; the costliest cohort first. Members of a cohort have done equally much. Trials of a cohort key that may
/// not share train alone: with the BLAS kernel in use their neighbours would show in their bits.
pub fn plan_stretches(
    trials: &[Stretch<'_>],
    limits: Limits,
    may_share: &dyn Fn(&Hyperparameters) -> bool,
) -> Vec<CohortPlan> {
    let groups: Vec<(Vec<usize>, bool)> = groups(trials)
        .into_iter()
        .map(|group| {
            let may_share = may_share(trials[group[0]].hyperparameters);
            (group, may_share)
        })
        .collect();
    let total: f64 = trials.iter().map(|trial| trial.cost(limits.ground.inputs)).sum();
    let candidates = SHARES.iter().map(|share| total / limits.workers as f64 * share);
    let plans = candidates.map(|target| {
        let cut = |(group, may_share): &(Vec<usize>, bool)| cut(trials, group, *may_share, target, limits);
        let mut cohorts: Vec<CohortPlan> = groups.iter().flat_map(cut).collect();
        cohorts.sort_by(|a, b| b.cost.total_cmp(&a.cost).then_with(|| a.trials.cmp(&b.trials)));
        cohorts
    });
    let best = plans
        .map(|plan| (makespan(plan.iter().map(|cohort| cohort.cost), limits.workers), plan))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, plan)| plan).unwrap_or_default()
}

/// Floating-point operations of a trial: 4·B·D·H an iteration, the two products with D.
pub fn work(trial: &Hyperparameters, inputs: usize) -> f64 {
    work_of_iteration(trial, inputs) * trial.iterations as f64
}

/// What a trial costs, in floating-point operations of f32 or what takes as long: those of f64 take twice as long.
pub fn cost(trial: &Hyperparameters, inputs: usize) -> f64 {
    Stretch::whole(trial).cost(inputs)
}

/// When the last of `workers` is done if each takes the next cohort when it is free, in units of cost, given those of the cohorts.
pub fn makespan(costs: impl Iterator<Item = f64>, workers: usize) -> f64 {
    let mut busy_until = vec![0.0_f64; workers.max(1)];
    for cost in costs {
        let next = busy_until.iter_mut().min_by(|a, b| a.total_cmp(b));
        *next.expect("there is a worker") += cost;
    }
    busy_until.into_iter().fold(0.0, f64::max)
}

/// Bytes of first-layer weights that stay in the caches of one core of this machine.
pub fn weight_bytes_of_this_machine() -> usize {
    machine::cache_bytes_of_a_core().clamp(WEIGHT_BYTES[0], WEIGHT_BYTES[1])
}

/// Hidden units of the widest cohort of trials with the minibatches of `trial`, where weights may take up to `weight_bytes`.
pub fn most_units(trial: &Hyperparameters, inputs: usize, weight_bytes: usize) -> usize {
    let of_rows = (trial.batch_size * WEIGHT_BYTES_OF_ROW).max(WEIGHT_BYTES_OF_FEW_ROWS);
    weight_bytes.min(of_rows) / fit(trial, inputs).weight_bytes_of_unit
}

/// The positions of trials that share their minibatches and have done equally much, each group sorted so that neighbours are alike: long
/// ones first, wide ones first.
pub fn groups(trials: &[Stretch<'_>]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<(CohortKey, usize), Vec<usize>> = BTreeMap::new();
    for (position, trial) in trials.iter().enumerate() {
        groups.entry((trial.hyperparameters.cohort_key(), trial.from)).or_default().push(position);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by_key(|&position| {
            (std::cmp::Reverse((trials[position].iterations(), trials[position].hyperparameters.hidden)), position)
        });
    }
    groups
}

/// Cuts a group into cohorts of about `target` cost each, none wider than the limits allow.
fn cut(trials: &[Stretch<'_>], group: &[usize], may_share: bool, target: f64, limits: Limits) -> Vec<CohortPlan> {
    let cost_of = |position: usize| trials[position].cost(limits.ground.inputs);
    let total: f64 = group.iter().map(|&position| cost_of(position)).sum();
    let pieces = (total / target).ceil().max(1.0);
    let most_units = most_units(trials[group[0]].hyperparameters, limits.ground.inputs, limits.weight_bytes);
    let mut cohorts: Vec<Vec<usize>> = Vec::new();
    let (mut units, mut done) = (0, 0.0);
    for &position in group {
        let hidden = trials[position].hyperparameters.hidden;
        // A new piece begins where the cost so far has filled the pieces before it.
        let piece_is_full = done >= total / pieces * cohorts.len() as f64 - total * 1e-9;
        if cohorts.is_empty() || piece_is_full || units + hidden > most_units || !may_share {
            cohorts.push(vec![]);
            units = 0;
        }
        cohorts.last_mut().expect("one was pushed").push(position);
        units += hidden;
        done += cost_of(position);
    }
    cohorts
        .into_iter()
        .map(|members| CohortPlan { cost: cost_of_cohort(trials, &members, limits.ground), trials: members })
        .collect()
}

fn cost_of_cohort(trials: &[Stretch<'_>], members: &[usize], ground: Ground) -> f64 {
    let Some(&first) = members.first() else { return 0.0 };
    let shared = trials[first].hyperparameters;
    let fit = fit(shared, ground.inputs);
    let units: f64 = members.iter().map(|&position| trials[position].cost(ground.inputs)).sum();
    let longest = members.iter().map(|&position| trials[position].iterations()).max().unwrap_or(0);
    // Every epoch begins with the validation rows.
    let per_epoch = shared.iterations_per_epoch(ground.train_rows(shared.fold())) as f64;
    let epochs = |&position: &usize| trials[position].iterations() as f64 / per_epoch;
    let unit_epochs = |position: &usize| trials[*position].hyperparameters.hidden as f64 * epochs(position);
    let evaluated = members.iter().map(unit_epochs).sum::<f64>() * ground.validation_rows_of(shared.fold()) as f64;
    units + longest as f64 * COHORT_OVERHEAD_UNITS * fit.cost_of_unit + evaluated * fit.cost_of_evaluation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::Precision;
    use proptest::prelude::*;

    fn limits(workers: usize) -> Limits {
        let ground = Ground { validation_rows: 1000, inputs: 3072, ..Ground::from(49_000) };
        Limits { workers, ground, weight_bytes: 10_000_000 }
    }

    fn widths(count: usize, workers: usize) -> Vec<usize> {
        let trials = vec![Hyperparameters::default(); count];
        let trials: Vec<&Hyperparameters> = trials.iter().collect();
        plan(&trials, limits(workers), &|_| true).iter().map(|cohort| cohort.trials.len()).collect()
    }

    #[test]
    fn as_many_trials_as_workers_use_every_worker() {
        assert_eq!(widths(64, 64), [1; 64]);
        assert_eq!(widths(2, 2), [1; 2]);
    }

    #[test]
    fn few_workers_get_wide_cohorts_of_one_size() {
        assert_eq!(widths(32, 2), [16; 2]);
        assert_eq!(widths(12, 2), [6; 2]);
        assert_eq!(widths(8, 1), [8]);
    }

    #[test]
    fn no_cohort_is_wider_than_its_weights_may_be() {
        assert!(widths(1000, 2).into_iter().all(|width| width <= 16));
    }

    #[test]
    fn few_rows_in_a_minibatch_make_narrower_cohorts() {
        let width = |batch_size| {
            let trial = Hyperparameters { batch_size, ..Hyperparameters::default() };
            most_units(&trial, 3072, 10_000_000) / trial.hidden
        };
        assert_eq!([10, 100, 150, 200, 500].map(width), [8, 8, 12, 16, 16]);
    }

    #[test]
    fn trials_that_may_not_share_train_alone() {
        let trial = Hyperparameters::default();
        let trials = [&trial; 5];
        let plan = plan(&trials, limits(1), &|_| false);
        assert!(plan.iter().all(|cohort| cohort.trials.len() == 1) && plan.len() == 5);
    }

    #[test]
    fn one_batch_size_whose_trials_train_alone_leaves_the_others_their_cohorts() {
        let trial = |batch_size| Hyperparameters { batch_size, ..Hyperparameters::default() };
        let (odd, even) = (trial(77), trial(200));
        let plan = plan(&[&odd, &even, &odd, &even, &even], limits(1), &|trial| trial.batch_size != 77);
        let mut widths: Vec<usize> = plan.iter().map(|cohort| cohort.trials.len()).collect();
        widths.sort_unstable();
        assert_eq!(widths, [1, 1, 3]);
    }

    #[test]
    fn a_trial_in_f64_costs_twice_as_much_as_one_in_f32() {
        let narrow = Hyperparameters::default();
        let wide = Hyperparameters { precision: Precision::F64, ..narrow.clone() };
        assert_eq!(cost(&wide, 3072), 2.0 * cost(&narrow, 3072));
        let costs = |trial: &Hyperparameters| plan(&[trial], limits(1), &|_| true)[0].cost;
        assert_eq!(costs(&wide), 2.0 * costs(&narrow));
    }

    #[test]
    fn validation_rows_of_every_epoch_cost_half_of_what_training_rows_cost() {
        let cost = |validation_rows| {
            let limits = limits(1);
            let ground = Ground { validation_rows, ..limits.ground };
            plan(&[&Hyperparameters::default()], Limits { ground, ..limits }, &|_| true)[0].cost
        };
        let (none, many) = (cost(0), cost(49_000));
        let of_units = many - none;
        assert!((of_units / (none * 50.0 / (50.0 + COHORT_OVERHEAD_UNITS)) - 0.5).abs() < 1e-9, "{none} {many}");
    }

    #[test]
    fn no_trials_need_no_cohorts() {
        assert_eq!(plan(&[], limits(4), &|_| true), []);
    }

    fn trial() -> impl Strategy<Value = Hyperparameters> {
        (1_usize..600, 1_usize..400, 0_u64..3, prop::sample::select(vec![50, 200])).prop_map(
            |(hidden, iterations, seed, batch_size)| Hyperparameters {
                hidden,
                iterations,
                seed,
                batch_size,
                ..Hyperparameters::default()
            },
        )
    }

    proptest! {
        #[test]
        fn every_trial_is_in_exactly_one_cohort_with_trials_of_its_minibatches(
            trials in prop::collection::vec(trial(), 0..120), workers in 1_usize..70, weight_bytes in 1_000_000_usize..20_000_000,
        ) {
            let references: Vec<&Hyperparameters> = trials.iter().collect();
            let limits = Limits { weight_bytes, ..limits(workers) };
            let cohorts = plan(&references, limits, &|_| true);
            let mut all: Vec<usize> = cohorts.iter().flat_map(|cohort| cohort.trials.clone()).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..trials.len()).collect::<Vec<_>>());
            for cohort in &cohorts {
                let shared = |position: &usize| (trials[*position].seed, trials[*position].batch_size);
                prop_assert!(cohort.trials.iter().all(|position| shared(position) == shared(&cohort.trials[0])));
                let units: usize = cohort.trials.iter().map(|&position| trials[position].hidden).sum();
                prop_assert!(cohort.trials.len() == 1 || units * 3072 * 4 <= weight_bytes);
            }
            prop_assert!(cohorts.is_sorted_by(|a, b| a.cost >= b.cost));
            prop_assert_eq!(cohorts, plan(&references, limits, &|_| true));
        }
    }
}
