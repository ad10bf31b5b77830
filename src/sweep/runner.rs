//! Trials onto rayon workers, results into the journal, the best model into its file.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::journal::{self, Journal, Record, Results, better_first};
use super::plan::{self, CohortPlan, Limits};
use super::space::Trial;
use crate::data::Dataset;
use crate::error::{Complaint, Error, Result};
use crate::model::checkpoint::{Provenance, SavedModel};
use crate::model::{CheckedHyperparameters, Hyperparameters, TwoLayerNet};
use crate::real::{Precision, Real};
use crate::train::{self, Detail, Ended, Observer, Outcome, Status};
use crate::{blas, files, version};

/// File name of the best model.
pub const BEST_MODEL: &str = "best.safetensors";
/// Folder of every trial's model, if all are kept.
pub const MODELS: &str = "models";

/// Told what happens, from every worker at once.
pub trait Watcher: Sync {
    /// So many trials have done one more iteration, which took so many floating-point operations.
    fn iterated(&self, trials: usize, work: f64);

    /// A trial ended and is recorded; `is_best` where it is better than all before it.
    fn ended(&self, trial: &Trial, outcome: &Outcome, is_best: bool);
}

/// Where a sweep runs.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The data.
    pub data: &'a Dataset,
    /// The sweep's directory.
    pub directory: &'a Path,
    /// The BLAS kernel.
    pub kernel: &'a str,
    /// Whether every trial's network is kept, beside the best one.
    pub keep_models: bool,
}

/// What a sweep has left to do, and in which cohorts.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// Every trial of the sweep.
    pub trials: &'a [Trial],
    /// Those that have no record yet, or not the model that is to be kept.
    pub missing: Vec<&'a Trial>,
    /// Those, in cohorts.
    pub cohorts: Vec<CohortPlan>,
    /// What the cohorts were planned for.
    pub limits: Limits,
}

impl<'a> Job<'a> {
    /// Plans what `results` lack, for `workers` on this machine. Whether trials may share a cohort is measured for each batch size.
    pub fn new(site: Site<'_>, trials: &'a [Trial], results: &Results, workers: usize) -> Self {
        let data = site.data;
        let is_done = |trial: &&Trial| match results.records.get(&trial.id) {
            Some(record) if record.outcome.status == Status::Complete && site.keep_models => {
                kept_model(site.directory, &trial.id).exists()
            }
            record => record.is_some(),
        };
        let missing: Vec<&Trial> = trials.iter().filter(|trial| !is_done(trial)).collect();
        let lanes = |&(batch_size, precision): &(usize, Precision)| match precision {
            Precision::F32 => train::lanes::<f32>(data.inputs(), batch_size).is_some(),
            Precision::F64 => train::lanes::<f64>(data.inputs(), batch_size).is_some(),
        };
        let products = |trial: &&Trial| (trial.hyperparameters.batch_size, trial.hyperparameters.precision);
        let mut products: Vec<(usize, Precision)> = missing.iter().map(products).collect();
        products.sort_unstable();
        products.dedup();
        let may_share = products.iter().all(lanes);
        let limits =
            Limits { workers, inputs: data.inputs(), weight_bytes: plan::weight_bytes_of_this_machine(), may_share };
        let hyperparameters: Vec<&Hyperparameters> = missing.iter().map(|trial| &*trial.hyperparameters).collect();
        let cohorts = plan::plan(&hyperparameters, limits);
        Self { trials, missing, cohorts, limits }
    }

    /// Floating-point operations of the missing trials.
    pub fn work(&self) -> f64 {
        self.missing.iter().map(|trial| plan::work(&trial.hyperparameters, self.limits.inputs)).sum()
    }
}

/// Trains every missing trial, and makes sure that the best model is in its file.
///
/// # Errors
/// A result or the best model cannot be written; trials recorded until then stay recorded.
pub fn run(site: Site<'_>, job: &Job<'_>, watcher: &dyn Watcher) -> Result<()> {
    if site.keep_models {
        files::create_output_directory(&site.directory.join(MODELS))?;
    }
    if !job.missing.is_empty() {
        train_missing(site, job, watcher)?;
    }
    keep_best_model(site, job.trials)
}

/// What the workers share.
struct Shared<'a> {
    site: Site<'a>,
    watcher: &'a dyn Watcher,
    stop: AtomicBool,
    writing: Mutex<Writing>,
}

/// What only one worker at a time may touch.
struct Writing {
    journal: Journal,
    best: Option<Outcome>,
    error: Option<Error>,
}

fn train_missing(site: Site<'_>, job: &Job<'_>, watcher: &dyn Watcher) -> Result<()> {
    let before = Results::read(site.directory)?;
    let recorded = job.trials.iter().filter_map(|trial| before.records.get(&trial.id)).map(|record| &record.outcome);
    let best = recorded.filter(|outcome| outcome.status == Status::Complete).min_by(|a, b| better_first(a, b)).cloned();
    let writing = Mutex::new(Writing { journal: Journal::create(site.directory)?, best, error: None });
    let shared = Shared { site, watcher, stop: AtomicBool::new(false), writing };
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
                    job.cohorts.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !shared.stops())
                {
                    let trials: Vec<&Trial> = cohort.trials.iter().map(|&position| job.missing[position]).collect();
                    train_cohort(&shared, &trials);
                }
            });
        }
    });
    match shared.writing.into_inner().unwrap_or_else(PoisonError::into_inner).error {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

impl Shared<'_> {
    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A worker that panicked while writing has not left half a change here: each change is one assignment.
    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The best model first, then the records, with one sync for all: a trial that is recorded as best has its model on disk.
    fn record<T: Real>(&self, trials: &[&Trial], ended: Vec<Ended<T>>, error: Option<&str>) {
        let mut guard = self.writing();
        let writing = &mut *guard;
        let candidate =
            ended.iter().filter(|end| end.network.is_some()).min_by(|a, b| better_first(&a.outcome, &b.outcome));
        let is_better =
            |end: &&Ended<T>| writing.best.as_ref().is_none_or(|best| better_first(&end.outcome, best).is_lt());
        let best = candidate.filter(is_better);
        let mut write = || -> Result<()> {
            if self.site.keep_models {
                for Ended { trial, outcome, network, .. } in &ended {
                    let path = kept_model(self.site.directory, &trials[*trial].id);
                    network
                        .iter()
                        .try_for_each(|network| saved(self.site, trials[*trial], network, outcome).write(&path))?;
                }
            }
            if let Some(Ended { trial, outcome, network: Some(network), .. }) = best {
                saved(self.site, trials[*trial], network, outcome).write(&best_model(self.site.directory))?;
            }
            let records: Vec<Record> =
                ended.iter().map(|end| record(self.site, trials[end.trial], end, error)).collect();
            writing.journal.append(&records)
        };
        if let Err(error) = write() {
            self.stop.store(true, Ordering::Relaxed);
            writing.error.get_or_insert(error);
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
struct Trainees<'a> {
    shared: &'a Shared<'a>,
    trials: &'a [&'a Trial],
    ended: Vec<bool>,
    /// Floating-point operations of an iteration of one hidden unit.
    work_of_unit: f64,
}

impl<T: Real> Observer<T> for Trainees<'_> {
    fn iterated(&mut self, trials: usize, units: usize) {
        self.shared.watcher.iterated(trials, units as f64 * self.work_of_unit);
    }

    fn stops(&self) -> bool {
        self.shared.stops()
    }

    fn ended(&mut self, ended: Vec<Ended<T>>) {
        ended.iter().for_each(|end| self.ended[end.trial] = true);
        self.shared.record(self.trials, ended, None);
    }
}

/// Trains a cohort. A panic in it is the failure of its trials, not of the sweep.
fn train_cohort(shared: &Shared<'_>, trials: &[&Trial]) {
    let hyperparameters: Vec<CheckedHyperparameters> =
        trials.iter().map(|trial| trial.hyperparameters.clone()).collect();
    let one_unit = Hyperparameters { hidden: 1, ..(*hyperparameters[0]).clone() };
    let data = shared.site.data;
    let work_of_unit = plan::work_of_iteration(&one_unit, data.inputs());
    let mut trainees = Trainees { shared, trials, ended: vec![false; trials.len()], work_of_unit };
    let attempt = || match hyperparameters[0].precision {
        Precision::F32 => train::train::<f32>(data, &hyperparameters, Detail::Epochs, &mut trainees),
        Precision::F64 => train::train::<f64>(data, &hyperparameters, Detail::Epochs, &mut trainees),
    };
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(attempt)) {
        let message = panic_message(payload.as_ref());
        let left = (0..trials.len()).filter(|&trial| !trainees.ended[trial]);
        let failed = |trial| Ended::<f32> { trial, outcome: Outcome::failed(), network: None, train_seconds: 0.0 };
        shared.record(trials, left.map(failed).collect(), Some(&message));
    }
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

fn saved<T: Real>(site: Site<'_>, trial: &Trial, network: &TwoLayerNet<T>, outcome: &Outcome) -> SavedModel<T> {
    let provenance = Provenance {
        trial: trial.id.clone(),
        hyperparameters: (*trial.hyperparameters).clone(),
        data: site.data.config.clone(),
        data_fingerprint: site.data.fingerprint.clone(),
        val_accuracy: outcome.val_accuracy,
        program: version::program(),
        kernel: site.kernel.to_owned(),
    };
    SavedModel { network: network.clone(), mean: site.data.mean.clone(), provenance }
}

/// Where the best model of a sweep's directory is.
pub fn best_model(directory: &Path) -> PathBuf {
    directory.join(BEST_MODEL)
}

/// Where the model of a trial is, if every model is kept.
pub fn kept_model(directory: &Path, trial: &str) -> PathBuf {
    directory.join(MODELS).join(format!("{trial}.safetensors"))
}

/// Where the file of the best model is missing, damaged or of another trial (a process died between two writes), the best
/// trial is trained once more: it gives the same model to the bit.
fn keep_best_model(site: Site<'_>, trials: &[Trial]) -> Result<()> {
    let results = Results::read(site.directory)?;
    let recorded = trials.iter().filter_map(|trial| Some((trial, &results.records.get(&trial.id)?.outcome)));
    let complete = recorded.filter(|(_, outcome)| outcome.status == Status::Complete);
    let Some((best, outcome)) = complete.min_by(|a, b| better_first(a.1, b.1)) else { return Ok(()) };
    let saved = SavedModel::<f32>::read(&best_model(site.directory));
    if saved.is_ok_and(|model| model.provenance.trial == best.id) {
        return Ok(());
    }
    match best.hyperparameters.precision {
        Precision::F32 => make_again::<f32>(site, best, outcome),
        Precision::F64 => make_again::<f64>(site, best, outcome),
    }
}

fn make_again<T: Real>(site: Site<'_>, best: &Trial, outcome: &Outcome) -> Result<()> {
    let mut keeper = Keeper::<T> { network: None };
    train::train(site.data, std::slice::from_ref(&best.hyperparameters), Detail::Epochs, &mut keeper);
    let model = keeper.network.map(|network| saved(site, best, &network, outcome));
    model.map_or(Ok(()), |model| model.write(&best_model(site.directory)))
}

/// Keeps the network that training ends with.
struct Keeper<T> {
    network: Option<TwoLayerNet<T>>,
}

impl<T> Observer<T> for Keeper<T> {
    fn ended(&mut self, ended: Vec<Ended<T>>) {
        self.network = ended.into_iter().find_map(|end| end.network);
    }
}
