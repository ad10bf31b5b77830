//! Trials to cohorts: pure, deterministic, and of no consequence for any result.
//!
//! Trials that share their minibatches can train in one cohort. Wide cohorts are efficient, many cohorts keep all workers busy to the
//! end, so the plan tries several widths, predicts when the last worker would be done, and takes the best.

use std::collections::BTreeMap;

use crate::machine;
use crate::model::Hyperparameters;
use crate::model::hyperparameters::CohortKey;

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
    /// D.
    pub inputs: usize,
    /// Bytes of a cohort's first-layer weights.
    pub weight_bytes: usize,
    /// Whether trials may share a cohort: not where the BLAS kernel would let the neighbours show in the bits.
    pub may_share: bool,
}

/// Trials that train in lockstep.
#[derive(Clone, Debug, PartialEq)]
pub struct CohortPlan {
    /// Positions in the list that the plan was made from.
    pub trials: Vec<usize>,
    /// Predicted cost, in floating-point operations or what takes as long.
    pub cost: f64,
}

/// Every trial in exactly one cohort; the costliest cohort first.
pub fn plan(trials: &[&Hyperparameters], limits: Limits) -> Vec<CohortPlan> {
    let groups = groups(trials);
    let total: f64 = trials.iter().map(|trial| work(trial, limits.inputs)).sum();
    let candidates = SHARES.iter().map(|share| total / limits.workers as f64 * share);
    let plans = candidates.map(|target| {
        let cut = |group: &Vec<usize>| cut(trials, group, target, limits);
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

/// Floating-point operations of an iteration of a trial.
pub fn work_of_iteration(trial: &Hyperparameters, inputs: usize) -> f64 {
    4.0 * trial.batch_size as f64 * inputs as f64 * trial.hidden as f64
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
    weight_bytes.min(of_rows) / (inputs * trial.precision.bytes())
}

/// The positions of trials that share their minibatches, each group sorted so that neighbours are alike: long ones first, wide ones first.
pub fn groups(trials: &[&Hyperparameters]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<CohortKey, Vec<usize>> = BTreeMap::new();
    for (position, trial) in trials.iter().enumerate() {
        groups.entry(trial.cohort_key()).or_default().push(position);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by_key(|&position| {
            (std::cmp::Reverse((trials[position].iterations, trials[position].hidden)), position)
        });
    }
    groups
}

/// Cuts a group into cohorts of about `target` work each, none wider than the limits allow.
fn cut(trials: &[&Hyperparameters], group: &[usize], target: f64, limits: Limits) -> Vec<CohortPlan> {
    let work_of = |position: &usize| work(trials[*position], limits.inputs);
    let total: f64 = group.iter().map(work_of).sum();
    let pieces = (total / target).ceil().max(1.0);
    let most_units = most_units(trials[group[0]], limits.inputs, limits.weight_bytes);
    let mut cohorts: Vec<Vec<usize>> = Vec::new();
    let (mut units, mut done) = (0, 0.0);
    for &position in group {
        let hidden = trials[position].hidden;
        // A new piece begins where the work so far has filled the pieces before it.
        let piece_is_full = done >= total / pieces * cohorts.len() as f64 - total * 1e-9;
        if cohorts.is_empty() || piece_is_full || units + hidden > most_units || !limits.may_share {
            cohorts.push(vec![]);
            units = 0;
        }
        cohorts.last_mut().expect("one was pushed").push(position);
        units += hidden;
        done += work(trials[position], limits.inputs);
    }
    cohorts
        .into_iter()
        .map(|members| CohortPlan { cost: cost(trials, &members, limits.inputs), trials: members })
        .collect()
}

fn cost(trials: &[&Hyperparameters], members: &[usize], inputs: usize) -> f64 {
    let units: f64 = members.iter().map(|&position| work(trials[position], inputs)).sum();
    let longest = members.iter().map(|&position| trials[position].iterations).max().unwrap_or(0);
    let batch_size = members.first().map_or(0, |&position| trials[position].batch_size);
    units + longest as f64 * COHORT_OVERHEAD_UNITS * 4.0 * batch_size as f64 * inputs as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(workers: usize) -> Limits {
        Limits { workers, inputs: 3072, weight_bytes: 10_000_000, may_share: true }
    }

    fn widths(count: usize, workers: usize) -> Vec<usize> {
        let trials = vec![Hyperparameters::default(); count];
        let trials: Vec<&Hyperparameters> = trials.iter().collect();
        plan(&trials, limits(workers)).iter().map(|cohort| cohort.trials.len()).collect()
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
        let plan = plan(&trials, Limits { may_share: false, ..limits(1) });
        assert!(plan.iter().all(|cohort| cohort.trials.len() == 1) && plan.len() == 5);
    }

    #[test]
    fn no_trials_need_no_cohorts() {
        assert_eq!(plan(&[], limits(4)), []);
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
            let cohorts = plan(&references, limits);
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
            prop_assert_eq!(cohorts, plan(&references, limits));
        }
    }
}
