//! The workers of a process: cohorts into training, results into the journal, states into checkpoints, the best model into its file.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::best;
use super::events::Events;
use super::job::{CohortJob, Leg};
use super::journal::{Journal, Record, better_first};
use super::layout::checkpoints_of;
use super::site::Site;
use super::space::Trial;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::files;
use crate::model::saved::SavedModel;
use crate::team::{self, Pool};
use crate::train::checkpoint::{self, Slots};
use crate::train::pace::Pace;
use crate::train::{Detail, Ended, EpochPoint, Next, Observer, Origin, Outcome, State, Task, engine};
use crate::{limits, machine, version};

/// What is kept of the trials that end.
pub enum Keep<'a> {
    /// Their records, and the model of the best of them, if it is better than what was recorded before.
    Records {
        /// The best result before.
        best: Option<Outcome>,
    },
    /// The model, as that of the best trial, which has a record already; and how this training ended.
    Model(&'a Mutex<Option<Outcome>>),
}

/// What the workers of a process need.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Their number.
    pub workers: usize,
    /// Bytes of the cohorts that they train at the same time, at the most.
    pub bytes: u64,
}

/// The workers of a process, and what they share.
pub struct Workers<'a> {
    site: Site<'a>,
    events: &'a dyn Events,
    /// Set when something could not be written: everybody leaves off at once.
    broken: AtomicBool,
    writing: Mutex<Writing<'a>>,
    /// Bytes of states of stopped trials that were written.
    state_bytes: AtomicUsize,
}

/// Bytes of states of stopped trials that a process keeps at most.
const MOST_STATE_BYTES: usize = 16_000_000_000;

/// What only one worker at a time may touch.
struct Writing<'a> {
    journal: Option<Journal<'a>>,
    keep: Keep<'a>,
    error: Option<Error>,
}

impl<'a> Workers<'a> {
    /// Runs `worker` on as many threads as `need` asks for.
    ///
    /// # Errors
    /// A limit of the machine leaves less than they need, threads cannot be started, or something could not be written.
    pub fn run(
        site: Site<'a>,
        need: Need,
        keep: Keep<'a>,
        events: &'a dyn Events,
        worker: &(dyn Fn(&Self) + Sync),
    ) -> Result<()> {
        limits::foresee_workers(need.workers, need.bytes)?;
        best::file(site).parent().map_or(Ok(()), files::create_output_directory)?;
        let journal = match keep {
            Keep::Records { .. } => Some(Journal::create(site.disk, site.directory, site.shard)?),
            Keep::Model(_) => None,
        };
        let writing = Mutex::new(Writing { journal, keep, error: None });
        let workers = Self { site, events, broken: AtomicBool::new(false), writing, state_bytes: AtomicUsize::new(0) };
        let count = need.workers;
        Pool::new(count, count)?.broadcast(|_| {
            worker(&workers);
            // From now on this thread takes a part of what others compute.
            team::leave();
        });
        workers.writing.into_inner().unwrap_or_else(PoisonError::into_inner).error.map_or(Ok(()), Err)
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Whether no more cohorts are to be trained.
    pub fn is_stopping(&self) -> bool {
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

    /// Keeps what is to be kept of trials that ended, and reports them.
    fn keep(&self, trials: &[&Trial], ended: Vec<Ended>, error: Option<&str>) {
        let mut guard = self.writing();
        if guard.error.is_some() {
            return; // after a write that failed nothing is appended
        }
        let written = match guard.keep {
            Keep::Records { .. } => {
                self.keep_states(trials, &ended).and_then(|()| self.write_records(&mut guard, trials, &ended, error))
            }
            Keep::Model(outcome) => self.write_model(outcome, trials, &ended),
        };
        if let Err(error) = written {
            // While this worker still holds the journal: a record that another one appended to half a record would be lost.
            guard.error = Some(error);
            self.broken.store(true, Ordering::Relaxed);
            return;
        }
        let is_recorded = guard.journal.is_some();
        drop(guard);
        ended.iter().filter(|_| is_recorded).for_each(|end| self.events.ended(trials[end.trial], &end.outcome));
    }

    /// The best model first, then the records, with one sync for all: a trial that is recorded as best has its model on disk.
    fn write_records(
        &self,
        writing: &mut Writing<'_>,
        trials: &[&Trial],
        ended: &[Ended],
        error: Option<&str>,
    ) -> Result<()> {
        let site = self.site;
        if site.keep_models {
            ended
                .iter()
                .try_for_each(|end| self.save(trials, end, &best::kept(site.directory, &trials[end.trial].id)))?;
        }
        let (Keep::Records { best }, Some(journal)) = (&mut writing.keep, &mut writing.journal) else { return Ok(()) };
        let candidate =
            ended.iter().filter(|end| end.network.is_some()).min_by(|a, b| better_first(&a.outcome, &b.outcome));
        let is_better = |end: &&Ended| best.as_ref().is_none_or(|best| better_first(&end.outcome, best).is_lt());
        let better = candidate.filter(is_better);
        better.map_or(Ok(()), |end| self.save(trials, end, &best::file(site)))?;
        let records: Vec<Record> = ended.iter().map(|end| record(site, trials[end.trial], end, error)).collect();
        journal.append(&records)?;
        if let Some(end) = better {
            *best = Some(end.outcome.clone());
        }
        Ok(())
    }

    /// Where stopped trials stand, before they are recorded as stopped. It is a cache: a trial without its state is trained from the
    /// beginning, so what would take too much room is left out.
    fn keep_states(&self, trials: &[&Trial], ended: &[Ended]) -> Result<()> {
        let site = self.site;
        let folder = checkpoints_of(site.directory, site.shard);
        for state in ended.iter().filter_map(|end| end.state.as_ref()) {
            let bytes: usize = state.members.iter().map(|member| member.parts.bytes()).sum();
            if self.state_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= MOST_STATE_BYTES {
                checkpoint::keep(site.disk, &folder, &site.made(), trials, state)?;
            }
        }
        Ok(())
    }

    fn write_model(&self, outcome: &Mutex<Option<Outcome>>, trials: &[&Trial], ended: &[Ended]) -> Result<()> {
        for end in ended {
            self.save(trials, end, &best::file(self.site))?;
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.outcome.clone());
        }
        Ok(())
    }

    /// Writes the network of a trial that ended with one.
    fn save(&self, trials: &[&Trial], end: &Ended, path: &Path) -> Result<()> {
        let (site, Some(network)) = (self.site, &end.network) else { return Ok(()) };
        let model = SavedModel::new(
            trials[end.trial],
            site.data,
            kernel_of(site, trials[end.trial]),
            network,
            end.outcome.val_accuracy,
        );
        files::replace_on(site.disk, path, &[&model.to_bytes()])
    }

    /// Trains a cohort. A panic in it is the failure of its trials, not of the sweep.
    pub fn train(&self, cohort: &CohortJob<'_>) {
        let trials = &cohort.trials();
        let site = self.site;
        let mut trainees = Trainees {
            workers: self,
            trials,
            ended: vec![false; trials.len()],
            slots: Slots::new(&checkpoints_of(site.directory, site.shard), trials),
            pace: Pace::new(site.stop, site.checkpoint_every),
        };
        self.events.began(trials);
        let attempt = || train_or_resume(site.data, cohort, &mut trainees);
        match panic::catch_unwind(AssertUnwindSafe(attempt)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.breaks(error),
            Err(payload) => {
                let message = panic_message(payload.as_ref());
                let left = (0..trials.len()).filter(|&trial| !trainees.ended[trial]);
                let failed =
                    |trial| Ended { trial, outcome: Outcome::failed(), network: None, state: None, train_seconds: 0.0 };
                self.keep(trials, left.map(failed).collect(), Some(&message));
            }
        }
        self.events.left();
        if !self.is_stopping() {
            trainees.slots.remove();
        }
    }
}

/// A cohort's trials in training.
struct Trainees<'a, 'b> {
    workers: &'a Workers<'b>,
    trials: &'a [&'a Trial],
    ended: Vec<bool>,
    slots: Slots,
    pace: Pace<'a>,
}

impl Observer for Trainees<'_, '_> {
    fn iterated(&mut self, trials: usize, work: f64) {
        self.workers.events.iterated(trials, work);
    }

    fn epoch(&mut self, trial: usize, point: &EpochPoint) {
        self.workers.events.epoch(self.trials[trial], point);
    }

    fn next(&mut self) -> Next {
        if self.workers.is_broken() { Next::Stop } else { self.pace.next() }
    }

    fn checkpoint(&mut self, state: State) {
        let site = self.workers.site;
        let made = site.made_in(self.trials[0].hyperparameters.precision);
        if let Err(error) = self.slots.write(site.disk, &made, self.trials, &state) {
            self.workers.breaks(error);
        }
        self.pace.checkpoint_written();
    }

    fn ended(&mut self, ended: Vec<Ended>) {
        ended.iter().for_each(|end| self.ended[end.trial] = true);
        self.workers.keep(self.trials, ended, None);
    }
}

fn train_or_resume<'a>(data: &Dataset, cohort: &CohortJob<'a>, trainees: &mut Trainees<'_, '_>) -> Result<()> {
    let task = |leg: &Leg<'a>| Task { hyperparameters: &leg.trial.hyperparameters, until: leg.until };
    let tasks: Vec<Task<'_>> = cohort.legs.iter().map(task).collect();
    let trials = cohort.trials();
    let states = cohort.resumes.iter().map(|from| from.load(&trials)).collect::<Result<Vec<State>>>()?;
    // Members of several files have done equally much: they were planned so.
    let merged = states.into_iter().reduce(|mut all, state| {
        all.members.extend(state.members);
        all
    });
    let origin = merged.map_or(Origin::Seed, Origin::Resumed);
    let engine = engine(tasks[0].hyperparameters.precision);
    let trained = engine.train(origin, data, &tasks, Detail::Epochs, trainees);
    trained.map_err(|found| match cohort.resumes.first() {
        Some(from) => from.refused(found),
        None => unreachable!("networks that are drawn for their trials fit them: {found}"),
    })
}

/// The message of a panic.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|&text| text.to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

/// What computes a trial.
fn kernel_of<'a>(site: Site<'a>, trial: &Trial) -> &'a str {
    trial.hyperparameters.precision.kernel(site.kernel)
}

fn record(site: Site<'_>, trial: &Trial, end: &Ended, error: Option<&str>) -> Record {
    Record {
        trial: trial.id.clone(),
        outcome: end.outcome.clone(),
        error: error.map(str::to_owned),
        hyperparameters: (*trial.hyperparameters).clone(),
        train_seconds: end.train_seconds,
        ended_unix_seconds: machine::unix_seconds(),
        host: machine::host(),
        program: version::program(),
        results_version: version::RESULTS_VERSION,
        kernel: kernel_of(site, trial).to_owned(),
        data_fingerprint: site.data.fingerprint.clone(),
    }
}
