//! A sweep by several processes: this one gives out the cohorts, [further ones](crate::processes) train them.
//!
//! The process that gives out cohorts holds the lock and the plan. Each further process has a library of its own, its own results file,
//! and its own file for the best model of the trials that it ended; a worker of it asks for a cohort when it is free.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::events::Events;
use super::job::{CohortJob, Job, Leg};
use super::shard::Shard;
use super::site::Site;
use super::space::Trial;
use super::workers::{Keep, Need, Workers};
use crate::blas;
use crate::data::{DataConfig, Dataset};
use crate::error::{Error, Result};
use crate::files::RealDisk;
use crate::model::Hyperparameters;
use crate::processes::{self, Process, Reports};
use crate::signals;
use crate::train::Outcome;
use crate::train::checkpoint::Resumable;

/// The task of a further process.
pub const TASK: &str = "sweep";
/// Time between two reports of how many iterations were done.
const REPORT_EVERY: Duration = Duration::from_millis(200);
/// Time between two looks at whether training is to leave off.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a further process begins with.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// First: where it trains, and how.
    Begin(Box<Assignment>),
    /// The cohort that a worker asked for.
    Train(Cohort),
    /// There is none left for it.
    NoMore,
}

/// A [`Site`], as a further process gets it.
#[derive(Debug, Serialize, Deserialize)]
struct Assignment {
    process: usize,
    workers: usize,
    /// Bytes of the cohorts that they train at the same time, at the most.
    bytes: u64,
    data_directory: PathBuf,
    data: DataConfig,
    directory: PathBuf,
    kernel: String,
    shard: (usize, usize),
    keep_models: bool,
    checkpoint_every: Duration,
    best: Option<Outcome>,
}

/// A [`CohortJob`], as a further process gets it.
#[derive(Debug, Serialize, Deserialize)]
struct Cohort {
    trials: Vec<Hyperparameters>,
    /// How far each is to be trained.
    until: Vec<usize>,
    /// The checkpoints that it resumes from: the iterations that were done, and the trials that resume from it.
    resumes: Vec<(PathBuf, usize, Vec<String>)>,
}

/// What a further process reports.
#[derive(Debug, Serialize, Deserialize)]
enum Event {
    /// A worker is free.
    IsFree,
    /// So many trial-iterations were done, which took so many floating-point operations.
    Iterated(usize, f64),
    /// A trial ended and is recorded.
    Ended(String, Box<Outcome>),
    /// It cannot go on.
    Failed(String, u8),
}

/// Trains the cohorts of `job` by further processes of so many workers each.
///
/// # Errors
/// A process cannot be started, dies, or reports an error; what the others recorded stays recorded.
pub fn train(site: Site<'_>, job: &Job<'_>, parts: &[usize], listener: &dyn Events) -> Result<()> {
    let Some(program) = site.program else {
        let (found, most) = (parts.iter().sum::<usize>(), blas::most_callers());
        let expected = format!("at most {most} workers in one process, as this OpenBLAS was built for");
        return Err(Error::usage("workers", expected, found.to_string(), "take fewer"));
    };
    let mut started = Vec::new();
    for (process, &workers) in parts.iter().enumerate() {
        let (helper, events) = Process::start::<Event>(program, TASK)?;
        helper.order(&Order::Begin(Box::new(Assignment::of(site, job, process, workers))));
        started.push((helper, events));
    }
    let broken = AtomicBool::new(false);
    let trials = job.missing.iter().map(|trial| (trial.id.as_str(), *trial)).collect();
    let source = Source { job, trials, next: AtomicUsize::new(0), site, broken: &broken };
    let (helpers, events): (Vec<Process>, Vec<_>) = started.into_iter().unzip();
    let ends = thread::scope(|scope| {
        let (ended, ends) = mpsc::channel();
        for (helper, events) in helpers.iter().zip(events) {
            let (source, ended) = (&source, ended.clone());
            scope.spawn(move || {
                let outcome = source.follow(helper, events, listener);
                source.broken.fetch_or(outcome.is_err(), Ordering::Relaxed);
                drop(ended.send(outcome)); // the receiver outlives every sender
            });
        }
        drop(ended);
        collect(&ends, &helpers, || source.leaves_off())
    });
    let reported = ends.into_iter().collect::<Result<Vec<()>>>();
    // What a process reported of its end is worth more than that it ended.
    let ended = helpers.into_iter().map(Process::end).collect::<Vec<_>>();
    reported.and_then(|_| ended.into_iter().collect())
}

/// Waits until every process has ended, and stops them once training is to leave off.
fn collect(ends: &Receiver<Result<()>>, helpers: &[Process], leaves_off: impl Fn() -> bool) -> Vec<Result<()>> {
    let (mut outcomes, mut is_stopped) = (Vec::new(), false);
    loop {
        match ends.recv_timeout(LOOK_EVERY) {
            Ok(outcome) => outcomes.push(outcome),
            Err(RecvTimeoutError::Disconnected) => return outcomes,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if !is_stopped && leaves_off() {
            is_stopped = true;
            helpers.iter().for_each(Process::stop);
        }
    }
}

/// Gives out the cohorts of a job.
struct Source<'a> {
    job: &'a Job<'a>,
    trials: HashMap<&'a str, &'a Trial>,
    next: AtomicUsize,
    site: Site<'a>,
    broken: &'a AtomicBool,
}

impl Source<'_> {
    fn leaves_off(&self) -> bool {
        self.broken.load(Ordering::Relaxed) || self.site.is_asked_to_stop()
    }

    fn next(&self) -> Order {
        let next = || self.job.cohorts.get(self.next.fetch_add(1, Ordering::Relaxed));
        let resume = |from: &Resumable<'_>| {
            (from.path().to_owned(), from.iteration, from.trials.iter().map(|trial| trial.id.clone()).collect())
        };
        let cohort = if self.leaves_off() { None } else { next() };
        cohort.map_or(Order::NoMore, |cohort| {
            Order::Train(Cohort {
                trials: cohort.legs.iter().map(|leg| (*leg.trial.hyperparameters).clone()).collect(),
                until: cohort.legs.iter().map(|leg| leg.until).collect(),
                resumes: cohort.resumes.iter().map(resume).collect(),
            })
        })
    }

    /// Answers a process, and hands on what it reports, until it ends.
    fn follow(&self, helper: &Process, events: Reports<Event>, listener: &dyn Events) -> Result<()> {
        for event in events {
            match event {
                Event::IsFree => helper.order(&self.next()),
                Event::Iterated(trials, work) => listener.iterated(trials, work),
                Event::Ended(id, outcome) => {
                    if let Some(trial) = self.trials.get(id.as_str()) {
                        listener.ended(trial, &outcome);
                    }
                }
                Event::Failed(message, exit_code) => return Err(Error::Reported { message, exit_code }),
            }
        }
        Ok(())
    }
}

impl Assignment {
    fn of(site: Site<'_>, job: &Job<'_>, process: usize, workers: usize) -> Self {
        Self {
            process,
            workers,
            bytes: (job.fold_bytes + job.bytes_of_workers() / job.limits.workers.max(1) * workers) as u64,
            data_directory: site.data.directory.clone(),
            data: DataConfig { fingerprint: Some(site.data.fingerprint.clone()), ..site.data.config.clone() },
            directory: site.directory.to_owned(),
            kernel: site.kernel.to_owned(),
            shard: (site.shard.index, site.shard.count),
            keep_models: site.keep_models,
            checkpoint_every: site.checkpoint_every,
            best: job.best.clone(),
        }
    }
}

/// A further process from its first order to its last.
///
/// # Errors
/// There are no orders: somebody started this by hand.
pub fn serve() -> Result<()> {
    let orders = processes::orders()?;
    let Ok(Order::Begin(assignment)) = orders.recv() else {
        return Err(Error::usage(processes::COMMAND, "orders of another process", "none", "use `mlpgrid sweep`"));
    };
    if let Err(error) = follow(*assignment, orders) {
        processes::report(&Event::Failed(error.to_string(), error.exit_code()));
    }
    Ok(())
}

fn follow(assignment: Assignment, orders: Receiver<Order>) -> Result<()> {
    let stop = signals::listen()?;
    let kernel = blas::initialise()?.kernel;
    if kernel != assignment.kernel {
        let expected = format!("the {} kernels of the process that gives the orders", assignment.kernel);
        return Err(Error::usage("OpenBLAS", expected, kernel, "give all processes the same environment"));
    }
    let Assignment {
        process,
        workers,
        bytes,
        data_directory,
        data,
        directory,
        shard,
        keep_models,
        checkpoint_every,
        best,
        ..
    } = assignment;
    let data = Dataset::load(&data_directory, &data)?;
    let site = Site {
        data: &data,
        directory: &directory,
        kernel: &kernel,
        shard: Shard { index: shard.0, count: shard.1 },
        keep_models,
        checkpoint_every,
        stop: &stop,
        disk: &RealDisk,
        program: None,
        process: Some(process),
    };
    let reporter = Reporter::default();
    let orders = Mutex::new(orders);
    // One answer comes for each question, and any worker may take it.
    let next = || {
        processes::report(&Event::IsFree);
        orders.lock().unwrap_or_else(PoisonError::into_inner).recv()
    };
    Workers::run(site, Need { workers, bytes }, Keep::Records { best }, &reporter, &|workers| {
        while let Some(Ok(Order::Train(cohort))) = (!workers.is_stopping()).then(next) {
            let trials = cohort.trials(&data);
            workers.train(&cohort.job(&trials.iter().collect::<Vec<_>>()));
        }
    })?;
    reporter.flush();
    Ok(())
}

impl Cohort {
    fn trials(&self, data: &Dataset) -> Vec<Trial> {
        let ground = data.ground();
        let trial = |h: &Hyperparameters| h.clone().check(ground).map(|h| Trial::new(h, &data.fingerprint));
        self.trials.iter().map(trial).collect::<Result<_>>().expect("they were checked where they come from")
    }

    fn job<'a>(&self, trials: &[&'a Trial]) -> CohortJob<'a> {
        let resume = |(path, iteration, ids): &(PathBuf, usize, Vec<String>)| {
            Resumable::new(path, *iteration, trials.iter().copied().filter(|trial| ids.contains(&trial.id)).collect())
        };
        let legs = trials.iter().zip(&self.until).map(|(&trial, &until)| Leg { trial, until }).collect();
        CohortJob { resumes: self.resumes.iter().map(resume).collect(), legs, cost: 0.0 }
    }
}

/// Reports what happens in this process, iterations not one by one.
struct Reporter {
    iterated: Mutex<(usize, f64, Instant)>,
}

impl Default for Reporter {
    fn default() -> Self {
        Self { iterated: Mutex::new((0, 0.0, Instant::now())) }
    }
}

impl Reporter {
    fn flush(&self) {
        let mut iterated = self.iterated.lock().unwrap_or_else(PoisonError::into_inner);
        processes::report(&Event::Iterated(iterated.0, iterated.1));
        *iterated = (0, 0.0, Instant::now());
    }
}

impl Events for Reporter {
    fn iterated(&self, trials: usize, work: f64) {
        let mut iterated = self.iterated.lock().unwrap_or_else(PoisonError::into_inner);
        iterated.0 += trials;
        iterated.1 += work;
        let is_due = iterated.2.elapsed() >= REPORT_EVERY;
        drop(iterated);
        if is_due {
            self.flush();
        }
    }

    fn ended(&self, trial: &Trial, outcome: &Outcome) {
        processes::report(&Event::Ended(trial.id.clone(), Box::new(outcome.clone())));
    }
}
