//! `mlpgrid sweep --dry-run`: what would be trained, and how long it would take.

use std::time::Duration;

use serde::Serialize;

use super::setup::this_program;
use super::terminal::{log, print_json, warn};
use crate::bench::gemm;
use crate::bench::measure::Measurer;
use crate::data::Dataset;
use crate::error::Result;
use crate::machine::{available_cores, available_memory_bytes};
use crate::model::Hyperparameters;
use crate::sweep::groups::Groups;
use crate::sweep::job::Job;
use crate::sweep::plan::{self, Stretch};
use crate::sweep::search::Search;
use crate::sweep::search::ladder::Ladder;
use crate::sweep::space::Trial;

/// What `sweep --dry-run` prints.
#[derive(Debug, Serialize)]
struct DryRun {
    trials: usize,
    /// Of all shards.
    trials_of_sweep: usize,
    configurations: usize,
    missing: usize,
    cohorts: usize,
    widest_cohort: usize,
    workers: usize,
    trials_may_share_cohorts: bool,
    floating_point_operations: f64,
    data_bytes: usize,
    bytes_per_worker: usize,
    gemm_gflops: f64,
    predicted_seconds: f64,
    /// Of a search with cuts: with the cheapest survivors at every cut, and with the costliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted_seconds_range: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cuts: Vec<Cut>,
    /// Trials whose learning rate falls over their whole length, and of which the first cut asks before a third of that.
    judged_early: usize,
    /// Of stopped trials, on disk, at the first cut.
    state_bytes: usize,
    /// Whether finalists are trained once more behind that.
    confirms: bool,
}

/// A cut, as it is planned.
#[derive(Debug, Serialize)]
struct Cut {
    at: f64,
    /// Where that is: the fewest and the most iterations of a trial.
    iterations: [usize; 2],
    configurations: usize,
    kept: usize,
}

/// Prints the plan, for people and for programs. The rate that the prediction rests on is measured here and now.
///
/// # Errors
/// It cannot be printed.
pub fn run(data: &Dataset, search: &Search, trials: &[Trial], job: &Job<'_>) -> Result<u8> {
    let workers = job.limits.workers;
    let gemm_gflops = large_gflops(workers)?;
    let rate_of_worker = gemm_gflops / workers as f64 * 1e9 * plan::SHARE_OF_GEMM;
    let configurations = Groups::of(trials).len();
    let ladder = search.ladder();
    let reach = |cut: usize, ladder: &Ladder| {
        cut.checked_sub(1).map_or(configurations, |before| ladder.keeps(before, configurations))
    };
    let cut = |ladder: &Ladder, cut: usize| Cut {
        at: ladder.share(cut),
        iterations: ladder.points(cut, trials),
        configurations: reach(cut, ladder),
        kept: ladder.keeps(cut, configurations),
    };
    let cuts: Vec<Cut> =
        ladder.iter().flat_map(|ladder| (0..ladder.cuts()).map(|number| cut(ladder, number))).collect();
    let range = ladder.map(|ladder| {
        let may_share = |_: &Hyperparameters| job.alone == 0;
        ladder.stages_of_extremes(trials, data.inputs()).map(|stages| {
            let span = |stage: &Vec<Stretch<'_>>| {
                let cohorts = plan::plan_stretches(stage, job.limits, &may_share);
                plan::makespan(cohorts.iter().map(|cohort| cohort.cost), workers)
            };
            stages.iter().map(span).sum::<f64>() / rate_of_worker
        })
    });
    let report = DryRun {
        trials: job.trials.len(),
        trials_of_sweep: trials.len(),
        configurations,
        missing: job.missing.len(),
        cohorts: job.cohorts.len(),
        widest_cohort: job.cohorts.iter().map(|cohort| cohort.legs.len()).max().unwrap_or(0),
        workers,
        trials_may_share_cohorts: job.alone == 0,
        floating_point_operations: job.work() + 0.0, // a sum of nothing is -0
        data_bytes: data.bytes() + job.fold_bytes,
        bytes_per_worker: job.cohorts.iter().map(|cohort| cohort.bytes(data.inputs())).max().unwrap_or(0),
        gemm_gflops,
        predicted_seconds: plan::makespan(job.cohorts.iter().map(|cohort| cohort.cost), workers) / rate_of_worker,
        predicted_seconds_range: range,
        cuts,
        judged_early: ladder.map_or(0, |ladder| ladder.judged_early(trials)),
        state_bytes: ladder.map_or(0, |ladder| ladder.state_bytes(trials, data.inputs())),
        confirms: search.confirms(),
    };
    let predicted = humantime::format_duration(Duration::from_secs(report.predicted_seconds.ceil() as u64));
    log(&format!(
        "dry run: {} cohorts of up to {} trials, {:.3e} floating-point operations, {:.0} MB of data and {:.0} MB a worker",
        report.cohorts,
        report.widest_cohort,
        report.floating_point_operations,
        report.data_bytes as f64 / 1e6,
        report.bytes_per_worker as f64 / 1e6
    ));
    for (number, Cut { at, iterations: [fewest, most], configurations, kept }) in report.cuts.iter().enumerate() {
        let after = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
        let at = at * 100.0;
        log(&format!(
            "dry run: cut {} at {at:.1} % of the iterations, where an epoch begins, after {after}: {configurations} configurations, {kept} go on",
            number + 1
        ));
    }
    if report.judged_early > 0 {
        warn(&format!(
            "the first cut lies before a third of the schedule of {} trials (cosine or linear): it ranks networks whose learning rate is still \
             large, and which win at the end may be dropped; cut later, or take learning_rate_decay or an average of the weights (average)",
            report.judged_early
        ));
    }
    if let Some(range) = report.predicted_seconds_range {
        let [low, high] =
            range.map(|seconds| humantime::format_duration(Duration::from_secs(seconds.ceil() as u64)).to_string());
        let time = if low == high { format!("about {low}") } else { format!("{low} to {high}") };
        log(&format!(
            "dry run: all rungs from the beginning take {time}, with the cheapest and with the costliest survivors at every cut; states of \
             stopped trials take up to {:.0} MB on disk",
            report.state_bytes as f64 / 1e6
        ));
    }
    let until = if report.cuts.is_empty() { "" } else { " to the next cut" };
    log(&format!(
        "dry run: about {predicted}{until} at the {gemm_gflops:.0} GFLOP/s that {workers} workers reach in large products now"
    ));
    print_json(&report)?;
    Ok(0)
}

/// What `workers` reach in large products at the same time. On a machine that leaves less memory or fewer threads, such as one from which
/// jobs are submitted, products are smaller, or one worker stands for all.
fn large_gflops(workers: usize) -> Result<f64> {
    let duration = Duration::from_millis(500);
    // More workers than cores are no faster together, and would take memory.
    let busy = workers.min(available_cores());
    let bytes = |size| (busy * gemm::bytes(size)) as u64;
    let fits = |&size: &usize| available_memory_bytes().is_none_or(|there| 2 * bytes(size) <= there);
    let size = [gemm::SIZE, gemm::SIZE / 2].into_iter().find(fits).unwrap_or(gemm::SIZE / 4);
    let program = this_program()?;
    let measure = |workers| Measurer::new(&program, workers)?.gemm(size, workers, duration);
    measure(busy).or_else(|_| {
        log(
            "dry run: the limits of this machine do not leave room for so many workers: one is measured and stands for all",
        );
        Ok(measure(1)? * busy as f64)
    })
}
