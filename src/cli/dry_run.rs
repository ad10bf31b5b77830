//! `mlpgrid sweep --dry-run`: what would be trained, and how long it would take.

use std::time::Duration;

use serde::Serialize;

use super::{print_json, say, this_program};
use crate::bench::measure::Measurer;
use crate::data::Dataset;
use crate::error::Result;
use crate::report::environment::available_cores;
use crate::sweep::job::Job;
use crate::sweep::plan;

/// What `sweep --dry-run` prints.
#[derive(Debug, Serialize)]
struct DryRun {
    trials: usize,
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
}

/// Prints the plan, for people and for programs. The rate that the prediction rests on is measured here and now.
///
/// # Errors
/// It cannot be printed.
pub fn run(data: &Dataset, job: &Job<'_>) -> Result<u8> {
    let workers = job.limits.workers;
    // More workers than cores are no faster together, and would take memory.
    let busy = workers.min(available_cores());
    let gemm_gflops = Measurer::new(&this_program()?, busy)?.gemm(busy, Duration::from_millis(500))?;
    let rate_of_worker = gemm_gflops / workers as f64 * 1e9 * plan::SHARE_OF_GEMM;
    let report = DryRun {
        trials: job.trials.len(),
        missing: job.missing.len(),
        cohorts: job.cohorts.len(),
        widest_cohort: job.cohorts.iter().map(|cohort| cohort.trials.len()).max().unwrap_or(0),
        workers,
        trials_may_share_cohorts: job.limits.may_share,
        floating_point_operations: job.work(),
        data_bytes: data.bytes(),
        bytes_per_worker: job.cohorts.iter().map(|cohort| cohort.bytes(data.inputs())).max().unwrap_or(0),
        gemm_gflops,
        predicted_seconds: plan::makespan(job.cohorts.iter().map(|cohort| cohort.cost), workers) / rate_of_worker,
    };
    let predicted = humantime::format_duration(Duration::from_secs(report.predicted_seconds.ceil() as u64));
    say(&format!(
        "dry run: {} cohorts of up to {} trials, {:.3e} floating-point operations, {:.0} MB of data and {:.0} MB a worker",
        report.cohorts,
        report.widest_cohort,
        report.floating_point_operations,
        report.data_bytes as f64 / 1e6,
        report.bytes_per_worker as f64 / 1e6
    ));
    say(&format!(
        "dry run: about {predicted} at the {gemm_gflops:.0} GFLOP/s that {workers} workers reach in large products now"
    ));
    print_json(&report)?;
    Ok(0)
}
