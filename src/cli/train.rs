//! `mlpgrid train`: one network.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Serialize;

use super::setup::{DataDirectory, duration, initialise_blas, require_test_rows, warn_of_memory, workers_of};
use super::terminal::{log, percent, print_json, warn};
use crate::blas::Blas;
use crate::data::dataset::Splits;
use crate::data::prepare::Fitted;
use crate::data::{DataConfig, Dataset, Split};
use crate::error::{Error, Result};
use crate::files::RealDisk;
use crate::limits;
use crate::model::Hyperparameters;
use crate::model::saved::SavedModel;
use crate::report::environment::Environment;
use crate::report::history;
use crate::report::progress::Progress;
use crate::report::{plots, weights};
use crate::signals;
use crate::sweep::directory;
use crate::sweep::layout::{ENVIRONMENT, HISTORY, HISTORY_PICTURE, MODEL, WEIGHTS_PICTURE, checkpoints_of};
use crate::sweep::lock::{Advance, DEAD_AFTER, Lock};
use crate::sweep::shard::Shard;
use crate::sweep::space::{Resolved, Trial};
use crate::team::Pool;
use crate::tensors::Parts;
use crate::train::checkpoint::{self, Checkpoints, Made, Resumable, Slots};
use crate::train::pace::Pace;
use crate::train::{
    Detail, Ended, EpochPoint, LossPoint, Next, Observer, Origin, Outcome, State, Status, Task, engine, fit,
};

/// Flags of `train`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataDirectory,
    #[command(flatten)]
    config: DataConfig,
    /// Directory for train.toml (the configuration), history.csv, model.safetensors, environment.json and the pictures history.png (loss and accuracy) and
    /// weights.png (of images: what each hidden unit looks for); without it nothing is kept
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads that share the work; their number shows in no result [default: SLURM_CPUS_PER_TASK, else the cores that affinity and
    /// control groups allow]
    #[arg(long, value_name = "COUNT")]
    workers: Option<usize>,
    /// Measure on the test split too, once, at the end
    #[arg(long)]
    test: bool,
    /// With --out: seconds between two checkpoints, from which the same command resumes
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    checkpoint_every: f64,
    #[command(flatten)]
    hyperparameters: Hyperparameters,
}

/// What `train` prints.
#[derive(Debug, Serialize)]
struct Report {
    trial: String,
    status: Status,
    val_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_accuracy: Option<f64>,
    first_loss: Option<f64>,
    final_loss: Option<f64>,
    iterations: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    diverged_at: Option<usize>,
    train_seconds: f64,
}

/// Trains, writes the output directory and prints one JSON object. The code is 3 where training diverged.
///
/// # Errors
/// A hyperparameter is out of its range, the data cannot be read, the output directory cannot be written or holds another
/// model, or a signal asked to stop.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let checkpoint_every = duration("--checkpoint-every", arguments.checkpoint_every)?;
    // Without a place for a checkpoint there is nothing to do about a signal.
    let stop = arguments.out.as_ref().map(|_| signals::listen()).transpose()?;
    let blas = initialise_blas()?;
    let data = arguments.data.load(&arguments.config)?;
    if arguments.test {
        require_test_rows(&data)?;
    }
    let trial = Trial::new(arguments.hyperparameters.clone().check(data.ground())?, &data.fingerprint);
    if let Some(fold) = trial.hyperparameters.fold() {
        let Splits { train, val, .. } = data.fold(Some(fold)).splits;
        log(&format!("train: fold {} of {}: {train} training rows, {val} validation rows", fold.index + 1, fold.count));
    }
    let site = Site { data: &data, blas: &blas, trial: &trial };
    let (Some(directory), Some(stop)) = (&arguments.out, stop) else { return site.train(arguments, None) };
    directory::claim_training(directory, &Resolved::of_trial(&trial, &data), &trial)?;
    let lock = Lock::take(directory, Shard::WHOLE, DEAD_AFTER, &stop, &|line| log(&format!("train: {line}")))?;
    let keeper = Keeper::new(&site, directory, checkpoint_every, &stop)?;
    let advance = || Advance { trials: 1, ..Advance::default() };
    let mut code = 0;
    lock.while_held(DEAD_AFTER, &stop, &advance, || {
        code = site.train(arguments, Some(keeper))?;
        Ok(())
    })?;
    Ok(code)
}

/// What one training needs.
struct Site<'a> {
    data: &'a Dataset,
    blas: &'a Blas,
    trial: &'a Trial,
}

impl Site<'_> {
    fn train(&self, arguments: &Arguments, keeper: Option<Keeper<'_>>) -> Result<u8> {
        let Self { data, blas, trial } = self;
        let Hyperparameters { hidden, batch_size, precision, .. } = *trial.hyperparameters;
        let bytes = fit(&trial.hyperparameters, data.inputs()).bytes(hidden);
        warn_of_memory(bytes as u64, "choose fewer hidden units, or ask for more memory");
        limits::foresee_workers(1, bytes as u64)?;
        if trial.hyperparameters.preparation.projects() {
            let name = trial.hyperparameters.preparation.key();
            log(&format!("train: fitting preparation {name} to the training images"));
        }
        data.fold(trial.hyperparameters.fold()).prepare(trial.hyperparameters.recipe())?;
        let resumed = keeper.as_ref().map(Keeper::resume).transpose()?.flatten();
        let done = resumed.as_ref().map_or(0, |(from, _)| from.iteration);
        let mut recorder = Recorder::new(trial.hyperparameters.iterations - done, keeper);
        let origin = match &resumed {
            Some((from, losses)) => {
                log(&format!("train: resumes from a checkpoint after {done} iterations"));
                recorder.losses.clone_from(losses);
                Origin::Resumed(from.load(&[trial])?)
            }
            None => Origin::Seed,
        };
        let tasks = [Task::whole(&trial.hyperparameters)];
        // One OpenBLAS has room for so many callers.
        let workers = workers_of(arguments.workers)?.min(blas.most_callers);
        let train = || engine(precision).train(origin, data, &tasks, Detail::EveryIteration, &mut recorder);
        let trained = Pool::new(workers, 1)?.install(train);
        trained.map_err(|found| match &resumed {
            Some((from, _)) => from.refused(found),
            None => unreachable!("a network that is drawn for its trial fits it: {found}"),
        })?;
        recorder.progress.finish();
        if let Some(error) = recorder.error {
            return Err(error);
        }
        let Some(ending) = recorder.ending else { return Err(Error::Interrupted) };

        let test = |network: &Parts| {
            let fitted = self.fitted();
            let accuracy = engine(precision).accuracy(network, &fitted, batch_size, data.rows(Split::Test));
            accuracy.expect("a network that was trained is whole")
        };
        let test_accuracy = ending.network.as_ref().filter(|_| arguments.test).map(test);
        if let Some(directory) = &arguments.out {
            self.keep(directory, &recorder.losses, &ending, workers)?;
            recorder.keeper.iter().for_each(Keeper::remove);
        }
        print_ending(&ending, test_accuracy, arguments.out.as_deref());
        let outcome = ending.outcome;
        print_json(&Report {
            trial: trial.id.clone(),
            status: outcome.status,
            val_accuracy: outcome.val_accuracy,
            test_accuracy,
            first_loss: outcome.first_loss,
            final_loss: outcome.final_loss,
            iterations: outcome.iterations_done,
            diverged_at: outcome.diverged_at,
            train_seconds: ending.train_seconds,
        })?;
        Ok(if outcome.status == Status::Complete { 0 } else { 3 })
    }

    /// What was done to the images.
    fn fitted(&self) -> Arc<Fitted> {
        let data = self.data.fold(self.trial.hyperparameters.fold());
        data.fitted(self.trial.hyperparameters.recipe()).expect("it was fitted for the training")
    }

    /// Writes what the output directory is for.
    fn keep(&self, directory: &Path, losses: &[LossPoint], ending: &Ended, workers: usize) -> Result<()> {
        let Self { data, blas, trial } = self;
        let curve = &ending.outcome.curve;
        history::write(&directory.join(HISTORY), losses, curve)?;
        let headline = headline(&trial.hyperparameters, &ending.outcome);
        plots::history(&headline, losses, curve).write(&directory.join(HISTORY_PICTURE))?;
        Environment::of(blas).with(data, workers).write(&directory.join(ENVIRONMENT))?;
        let Some(network) = &ending.network else { return Ok(()) };
        let w1 = network.tensor("W1").expect("a network has it");
        let precision = trial.hyperparameters.precision;
        let fitted = self.fitted();
        if let Some(shape) = data.image().filter(|shape| weights::can_draw(*shape, trial.hyperparameters.hidden)) {
            weights::grid(&fitted.in_pixels(w1), shape).write(&directory.join(WEIGHTS_PICTURE))?;
        }
        let model = SavedModel::new(trial, data, precision.kernel(&blas.kernel), network, ending.outcome.val_accuracy);
        model.write(&directory.join(MODEL))
    }
}

/// What was trained, and what became of it: the line above a history.
pub fn headline(hyperparameters: &Hyperparameters, outcome: &Outcome) -> String {
    let Hyperparameters { hidden, learning_rate, l2, .. } = hyperparameters;
    let end = match (outcome.val_accuracy, outcome.diverged_at) {
        (Some(accuracy), _) => format!("validation accuracy {}", percent(accuracy)),
        (None, at) => format!("diverged at iteration {}", at.unwrap_or_default()),
    };
    format!("{hidden} hidden units, learning rate {learning_rate}, l2 {l2}: {end}")
}

fn print_ending(ending: &Ended, test_accuracy: Option<f64>, directory: Option<&Path>) {
    let outcome = &ending.outcome;
    match (outcome.val_accuracy, outcome.diverged_at) {
        (Some(accuracy), _) => {
            let test = test_accuracy.map_or(String::new(), |accuracy| format!(", test accuracy {}", percent(accuracy)));
            log(&format!(
                "train: validation accuracy {}{test} after {} iterations in {:.1} s",
                percent(accuracy),
                outcome.iterations_done,
                ending.train_seconds
            ));
        }
        (None, at) => log(&format!(
            "train: diverged at iteration {}: the loss is no longer a finite number; try a smaller learning rate",
            at.unwrap_or_default()
        )),
    }
    match directory {
        Some(directory) => log(&format!("train: wrote {}", directory.display())),
        None => log("train: nothing was kept; --out DIR keeps history, model and pictures"),
    }
}

/// Keeps a training that is under way: its state, and its losses until then.
struct Keeper<'a> {
    trial: &'a Trial,
    /// Where it keeps them.
    folder: PathBuf,
    made: Made,
    slots: Slots,
    pace: Pace<'a>,
}

impl<'a> Keeper<'a> {
    fn new(site: &Site<'a>, directory: &Path, every: Duration, stop: &'a AtomicBool) -> Result<Self> {
        let folder = checkpoints_of(directory, Shard::WHOLE);
        checkpoint::prepare(&folder)?;
        Ok(Self {
            trial: site.trial,
            made: Made::with(site.trial.hyperparameters.precision.kernel(&site.blas.kernel), &site.data.fingerprint),
            slots: Slots::new(&folder, &[site.trial]),
            pace: Pace::new(stop, every),
            folder,
        })
    }

    fn losses_file(&self) -> PathBuf {
        self.folder.join(HISTORY)
    }

    /// The checkpoint and the losses before it, if they are there.
    fn resume(&self) -> Result<Option<(Resumable<'a>, Vec<LossPoint>)>> {
        let root = self.folder.parent().unwrap_or(&self.folder);
        let found = Checkpoints::find_whole(root)?;
        found.damage.iter().for_each(|damage| warn(damage));
        let wanted = [(self.trial, self.trial.hyperparameters.iterations)];
        let from = found.resumable(&self.made, &wanted).into_iter().next();
        let unusable = found.unusable_warning(&self.made, &wanted);
        unusable.iter().for_each(|line| warn(line));
        let (Some(from), Some(mut losses)) = (from, history::read_losses(&self.losses_file())) else { return Ok(None) };
        losses.truncate(from.iteration);
        // The losses are written first, so there are as many, unless somebody changed them.
        Ok((losses.len() == from.iteration).then_some((from, losses)))
    }

    /// Removes what it kept: the training is over.
    fn remove(&self) {
        self.slots.remove();
        let _ = fs::remove_file(self.losses_file());
        checkpoint::remove_folder(&self.folder);
    }

    fn write(&mut self, state: &State, losses: &[LossPoint]) -> Result<()> {
        history::write(&self.losses_file(), losses, &[])?;
        self.slots.write(&RealDisk, &self.made, &[self.trial], state)?;
        self.pace.checkpoint_written();
        Ok(())
    }
}

/// Keeps losses and the end, and shows progress.
struct Recorder<'a> {
    progress: Progress,
    losses: Vec<LossPoint>,
    ending: Option<Ended>,
    keeper: Option<Keeper<'a>>,
    /// Why a checkpoint could not be written.
    error: Option<Error>,
}

impl<'a> Recorder<'a> {
    fn new(iterations: usize, keeper: Option<Keeper<'a>>) -> Self {
        let progress = Progress::new("train", "iterations", iterations as f64);
        Self { progress, losses: Vec::with_capacity(iterations.min(1 << 20)), ending: None, keeper, error: None }
    }
}

impl Observer for Recorder<'_> {
    fn next(&mut self) -> Next {
        match &self.keeper {
            _ if self.error.is_some() => Next::Stop,
            Some(keeper) => keeper.pace.next(),
            None => Next::Iterate,
        }
    }

    fn checkpoint(&mut self, state: State) {
        let written = self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.write(&state, &self.losses));
        self.error = written.err();
    }

    fn iterated(&mut self, _trials: usize, _work: f64) {
        self.progress.add(1, 1.0);
    }

    fn loss(&mut self, _trial: usize, point: &LossPoint) {
        self.losses.push(*point);
    }

    fn epoch(&mut self, _trial: usize, point: &EpochPoint) {
        let line = format!(
            "epoch {:>3}  iteration {:>6}  loss {:<9.6}  train accuracy {:>7}  val accuracy {:>7}",
            point.epoch,
            point.iteration,
            point.loss,
            percent(point.train_accuracy),
            percent(point.val_accuracy)
        );
        self.progress.log(&line);
        self.progress.note(format!("loss {:.4}, val accuracy {}", point.loss, percent(point.val_accuracy)));
    }

    fn ended(&mut self, ended: Vec<Ended>) {
        self.ending = ended.into_iter().next();
    }
}
