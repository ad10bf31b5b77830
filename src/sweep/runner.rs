//! A job from its first cohort to its last: by the workers of this process, or of further ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::best::{self, Lost};
use super::events::{Counting, Events};
use super::helpers;
use super::job::{CohortJob, Job, Leg};
use super::journal::Results;
use super::layout::{CHECKPOINTS, MODELS, checkpoints_of};
use super::site::Site;
use super::workers::{Keep, Need, Workers};
use crate::error::{Error, Result};
use crate::train::Outcome;
use crate::train::checkpoint::{self, Checkpoints};
use crate::{blas, files, machine, processes};

/// Trains every missing trial, and makes sure that the best model is in its file.
///
/// # Errors
/// A result, a checkpoint or a model cannot be written, or the process was asked to stop; trials recorded until then stay recorded.
pub fn run(site: Site<'_>, job: &Job<'_>, results: &mut Results, events: &Counting<'_>) -> Result<()> {
    if site.keep_models {
        files::create_output_directory(&site.directory.join(MODELS))?;
    }
    if !job.missing.is_empty() {
        checkpoint::prepare(&checkpoints_of(site.directory, site.shard))?;
        train_missing(site, job, events)?;
        results.refresh(site.directory)?;
    }
    let Some(lost) = best::lost(site, &job.rivals, results)? else { return best::remove_of_processes(site) };
    checkpoint::prepare(&checkpoints_of(site.directory, site.shard))?;
    train_again(site, job, &lost, events)?;
    best::remove_of_processes(site)
}

fn train_missing(site: Site<'_>, job: &Job<'_>, events: &Counting<'_>) -> Result<()> {
    let workers = job.limits.workers.min(job.cohorts.len());
    let parts = processes::parts(workers);
    if parts.len() > 1 {
        helpers::train(site, job, &parts, events)?;
    } else {
        let need = Need { workers: with_helpers(workers, job), bytes: job.bytes() as u64 };
        train_cohorts(site, &job.cohorts, need, Keep::Records { best: job.best.clone() }, events)?;
    }
    // Asked to stop after the last trial had ended, there is nothing to come back for.
    let is_done = events.count() == job.missing.len();
    if site.is_asked_to_stop() && !is_done { Err(Error::Interrupted) } else { Ok(()) }
}

/// Workers without a cohort help those that have one; more than there are cores help nobody.
fn with_helpers(workers: usize, job: &Job<'_>) -> usize {
    workers.max(job.limits.workers.min(machine::available_cores())).min(blas::most_callers())
}

/// Trains cohorts, the first ones first, by the workers of this process.
fn train_cohorts(
    site: Site<'_>,
    cohorts: &[CohortJob<'_>],
    need: Need,
    keep: Keep<'_>,
    events: &dyn Events,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let next = || cohorts.get(next.fetch_add(1, Ordering::Relaxed));
    Workers::run(site, need, keep, events, &|workers| {
        while let Some(cohort) = next().filter(|_| !workers.is_stopping()) {
            workers.train(cohort);
        }
    })
}

/// Trains the best trial once more, whose model is lost.
fn train_again(site: Site<'_>, job: &Job<'_>, lost: &Lost<'_>, events: &dyn Events) -> Result<()> {
    let (trial, record) = (lost.trial, &lost.record);
    let checkpoints = Checkpoints::find_whole(&site.directory.join(CHECKPOINTS))?;
    let leg = Leg::whole(trial);
    let resumes = checkpoints.resumable(&site.made(), &[(trial, leg.until)]);
    let cohort = CohortJob { legs: vec![leg], resumes, cost: 0.0 };
    let work = cohort.work(site.data.inputs());
    events.more_work(work, &format!("the model of the best trial, {}, is not here: training it once more", trial.id));
    let trained = Mutex::new(None);
    let need = Need { workers: with_helpers(1, job), bytes: cohort.bytes(site.data.inputs()) as u64 };
    train_cohorts(site, &[cohort], need, Keep::Model(&trained), events)?;
    let trained = trained.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Some(outcome) = trained else { return if site.is_asked_to_stop() { Err(Error::Interrupted) } else { Ok(()) } };
    if outcome.val_accuracy != record.outcome.val_accuracy || outcome.final_loss != record.outcome.final_loss {
        let accuracy = |outcome: &Outcome| outcome.val_accuracy.map_or("none".to_owned(), |value| value.to_string());
        events.warn(&format!(
            "{}: trained again with {} kernels, validation accuracy {}; recorded with {} kernels, {}: the model is labelled with its own",
            best::file(site).display(),
            site.kernel,
            accuracy(&outcome),
            record.kernel,
            accuracy(&record.outcome)
        ));
    }
    Ok(())
}
