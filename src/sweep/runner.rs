//! Trials onto rayon workers, results into the journal, states into checkpoints, the best model into its file.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::best;
use super::checkpoints::{self, Slots};
use super::job::{CohortJob, Job, Site};
use super::journal::{self, Journal, Record, Results, better_first};
use super::plan;
use super::space::Trial;
use crate::data::Dataset;
use crate::error::{Complaint, Error, Result};
use crate::files;
use crate::model::{CheckedHyperparameters, Hyperparameters};
use crate::real::{Precision, Real};
use crate::train::{self, Detail, Ended, Next, Observer, Outcome, State, Status};
use crate::{blas, version};

/// Told what happens, from every worker at once.
pub trait Watcher: Sync {
    /// So many trials have done one more iteration, which took so many floating-point operations.
    fn iterated(&self, trials: usize, work: f64);

    /// A trial ended and is recorded; `is_best` where it is better than all before it.
    fn ended(&self, trial: &Trial, outcome: &Outcome, is_best: bool);
}

/// Trains every missing trial, and makes sure that the best model is in its file.
///
/// # Errors
/// A result, a checkpoint or a model cannot be written, or the process was asked to stop; trials recorded until then stay recorded.
pub fn run(site: Site<'_>, job: &Job<'_>, watcher: &dyn Watcher) -> Result<()> {
    if site.keep_models {
        files::create_output_directory(&site.directory.join(best::MODELS))?;
    }
    let model = best::path(site.directory, site.shard);
    model.parent().map_or(Ok(()), files::create_output_directory)?;
    if !job.missing.is_empty() {
        checkpoints::prepare(site.directory, site.shard)?;
        train_missing(site, job, watcher)?;
    }
    best::keep(site, &job.trials)
}

/// What the workers share.
struct Shared<'a> {
    site: Site<'a>,
    watcher: &'a dyn Watcher,
    /// Set when something could not be written: everybody leaves off at once.
    broken: AtomicBool,
    writing: Mutex<Writing<'a>>,
}

/// What only one worker at a time may touch.
struct Writing<'a> {
    journal: Journal<'a>,
    best: Option<Outcome>,
    error: Option<Error>,
}

fn train_missing(site: Site<'_>, job: &Job<'_>, watcher: &dyn Watcher) -> Result<()> {
    let before = Results::read(site.directory)?;
    let recorded = job.trials.iter().filter_map(|trial| before.records.get(&trial.id)).map(|record| &record.outcome);
    let best = recorded.filter(|outcome| outcome.status == Status::Complete).min_by(|a, b| better_first(a, b)).cloned();
    let journal = Journal::create(site.disk, site.directory, site.shard)?;
    let writing = Mutex::new(Writing { journal, best, error: None });
    let shared = Shared { site, watcher, broken: AtomicBool::new(false), writing };
    let workers = job.limits.workers;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).thread_name(|worker| format!("worker {worker}"));
    let pool = pool.build().map_err(|error| {
        Error::Content(Complaint::new(
            "workers",
            format!("{workers} threads"),
            error.to_string(),
            "ask for fewer with --workers",
        ))
    })?;
    let next = AtomicUsize::new(0);
    pool.scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|_| {
                blas::set_one_thread();
                while let Some(cohort) =
                    job.cohorts.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !shared.leaves_off())
                {
                    train_cohort(&shared, cohort);
                }
            });
        }
    });
    if let Some(error) = shared.writing.into_inner().unwrap_or_else(PoisonError::into_inner).error {
        return Err(error);
    }
    // Asked to stop after the last trial had ended, there is nothing to come back for.
    let recorded = Results::read(site.directory)?.records;
    if site.is_asked_to_stop() && job.trials.iter().any(|trial| !recorded.contains_key(&trial.id)) {
        return Err(Error::Interrupted);
    }
    Ok(())
}

impl<'a> Shared<'a> {
    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    fn leaves_off(&self) -> bool {
        self.is_broken() || self.site.is_asked_to_stop()
    }

    /// A worker that panicked while writing has not left half a change here: each change is one assignment.
    fn writing(&self) -> MutexGuard<'_, Writing<'a>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something could not be written: the first error is the sweep's.
    fn breaks(&self, error: Error) {
        self.broken.store(true, Ordering::Relaxed);
        self.writing().error.get_or_insert(error);
    }

    /// The best model first, then the records, with one sync for all: a trial that is recorded as best has its model on disk.
    fn record<T: Real>(&self, trials: &[&Trial], ended: Vec<Ended<T>>, error: Option<&str>) {
        let mut guard = self.writing();
        let writing = &mut *guard;
        if writing.error.is_some() {
            return; // after a write that failed nothing is appended
        }
        let candidate =
            ended.iter().filter(|end| end.network.is_some()).min_by(|a, b| better_first(&a.outcome, &b.outcome));
        let is_better =
            |end: &&Ended<T>| writing.best.as_ref().is_none_or(|best| better_first(&end.outcome, best).is_lt());
        let best = candidate.filter(is_better);
        let site = self.site;
        let save = |end: &Ended<T>, path: &Path| -> Result<()> {
            let model = end.network.as_ref().map(|network| best::saved(site, trials[end.trial], network, &end.outcome));
            model.map_or(Ok(()), |model| files::replace_on(site.disk, path, &[&model.to_bytes()]))
        };
        let mut write = || -> Result<()> {
            if site.keep_models {
                ended.iter().try_for_each(|end| save(end, &best::kept(site.directory, &trials[end.trial].id)))?;
            }
            if let Some(best) = best {
                save(best, &best::path(site.directory, site.shard))?;
            }
            let records: Vec<Record> = ended.iter().map(|end| record(site, trials[end.trial], end, error)).collect();
            writing.journal.append(&records)
        };
        if let Err(error) = write() {
            // While this worker still holds the journal: a record that another one appended to half a record would be lost.
            writing.error = Some(error);
            self.broken.store(true, Ordering::Relaxed);
            return;
        }
        if let Some(best) = best {
            writing.best = Some(best.outcome.clone());
        }
        drop(guard);
        for end in &ended {
            self.watcher.ended(trials[end.trial], &end.outcome, best.is_some_and(|best| best.trial == end.trial));
        }
    }
}

/// Tells the shared state what happens to a cohort's trials.
struct Trainees<'a, 'b> {
    shared: &'a Shared<'b>,
    trials: &'a [&'a Trial],
    ended: Vec<bool>,
    /// Floating-point operations of an iteration of one hidden unit.
    work_of_unit: f64,
    slots: Slots,
    last_checkpoint: Instant,
}

impl<T: Real> Observer<T> for Trainees<'_, '_> {
    fn iterated(&mut self, trials: usize, units: usize) {
        self.shared.watcher.iterated(trials, units as f64 * self.work_of_unit);
    }

    fn next(&mut self) -> Next {
        if self.shared.is_broken() {
            Next::Stop
        } else if self.shared.site.is_asked_to_stop() {
            Next::CheckpointAndStop
        } else if self.last_checkpoint.elapsed() >= self.shared.site.checkpoint_every {
            Next::Checkpoint
        } else {
            Next::Iterate
        }
    }

    fn checkpoint(&mut self, state: State<T>) {
        let site = self.shared.site;
        if let Err(error) = self.slots.write(site.disk, &site.made(), self.trials, &state) {
            self.shared.breaks(error);
        }
        self.last_checkpoint = Instant::now();
    }

    fn ended(&mut self, ended: Vec<Ended<T>>) {
        ended.iter().for_each(|end| self.ended[end.trial] = true);
        self.shared.record(self.trials, ended, None);
    }
}

/// Trains a cohort. A panic in it is the failure of its trials, not of the sweep.
fn train_cohort(shared: &Shared<'_>, cohort: &CohortJob<'_>) {
    let trials = &cohort.trials;
    let hyperparameters: Vec<CheckedHyperparameters> =
        trials.iter().map(|trial| trial.hyperparameters.clone()).collect();
    let one_unit = Hyperparameters { hidden: 1, ..(*hyperparameters[0]).clone() };
    let site = shared.site;
    let mut trainees = Trainees {
        shared,
        trials,
        ended: vec![false; trials.len()],
        work_of_unit: plan::work_of_iteration(&one_unit, site.data.inputs()),
        slots: Slots::new(site.directory, site.shard, trials),
        last_checkpoint: Instant::now(),
    };
    let attempt = || match hyperparameters[0].precision {
        Precision::F32 => train_or_resume::<f32>(site.data, &hyperparameters, cohort, &mut trainees),
        Precision::F64 => train_or_resume::<f64>(site.data, &hyperparameters, cohort, &mut trainees),
    };
    match panic::catch_unwind(AssertUnwindSafe(attempt)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => shared.breaks(error),
        Err(payload) => {
            let message = panic_message(payload.as_ref());
            let left = (0..trials.len()).filter(|&trial| !trainees.ended[trial]);
            let failed = |trial| Ended::<f32> { trial, outcome: Outcome::failed(), network: None, train_seconds: 0.0 };
            shared.record(trials, left.map(failed).collect(), Some(&message));
        }
    }
    if !shared.leaves_off() {
        trainees.slots.remove();
    }
}

fn train_or_resume<T: Real>(
    data: &Dataset,
    hyperparameters: &[CheckedHyperparameters],
    cohort: &CohortJob<'_>,
    trainees: &mut Trainees<'_, '_>,
) -> Result<()> {
    match &cohort.resumes {
        Some(from) => train::resume::<T>(from.load()?, data, hyperparameters, Detail::Epochs, trainees),
        None => train::train::<T>(data, hyperparameters, Detail::Epochs, trainees),
    }
    Ok(())
}

/// What a panic said.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|&text| text.to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

fn record<T>(site: Site<'_>, trial: &Trial, end: &Ended<T>, error: Option<&str>) -> Record {
    Record {
        trial: trial.id.clone(),
        outcome: end.outcome.clone(),
        error: error.map(str::to_owned),
        hyperparameters: (*trial.hyperparameters).clone(),
        train_seconds: end.train_seconds,
        ended_unix_seconds: journal::unix_seconds(),
        host: journal::host(),
        program: version::program(),
        results_version: version::RESULTS_VERSION,
        kernel: site.kernel.to_owned(),
        data_fingerprint: site.data.fingerprint.clone(),
    }
}
