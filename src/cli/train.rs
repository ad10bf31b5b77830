//! `mlpgrid train`: one network.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{DataDirectory, initialise_blas, percent, print_json, say};
use crate::blas::Blas;
use crate::data::{DataConfig, Dataset, Split};
use crate::error::{Error, Result};
use crate::files;
use crate::model::checkpoint::{Provenance, SavedModel};
use crate::model::{Hyperparameters, TwoLayerNet};
use crate::real::{Precision, Real};
use crate::report::environment::Environment;
use crate::report::history::{self, LossPoint};
use crate::report::progress::Progress;
use crate::report::{plots, weights};
use crate::sweep::space::Trial;
use crate::train::{self, Detail, Ended, EpochPoint, Observer, Outcome, Status};
use crate::version;

/// File name of the model in the output directory.
pub const MODEL: &str = "model.safetensors";

/// File name of the picture of loss and accuracy.
pub const HISTORY_PICTURE: &str = "history.png";
/// File name of the picture of the first layer.
pub const WEIGHTS_PICTURE: &str = "weights.png";

/// Flags of `train`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataDirectory,
    #[command(flatten)]
    config: DataConfig,
    /// Directory for history.csv, model.safetensors, environment.json and the pictures history.png (loss and accuracy) and
    /// weights.png (what each hidden unit looks for); without it nothing is kept
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Measure on the test split too, once, at the end
    #[arg(long)]
    test: bool,
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
/// A hyperparameter is out of its range, the data cannot be read, or the output directory cannot be written or holds another
/// model.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let blas = initialise_blas()?;
    let data = arguments.data.load(&arguments.config)?;
    let train_rows = data.rows(Split::Train).len();
    let trial = Trial::new(arguments.hyperparameters.clone().check(train_rows)?, &data.fingerprint);
    if let Some(directory) = &arguments.out {
        claim(directory, &trial)?;
    }
    let site = Site { data: &data, blas: &blas, trial: &trial };
    match trial.hyperparameters.precision {
        Precision::F32 => site.train::<f32>(arguments),
        Precision::F64 => site.train::<f64>(arguments),
    }
}

/// What one training needs.
struct Site<'a> {
    data: &'a Dataset,
    blas: &'a Blas,
    trial: &'a Trial,
}

impl Site<'_> {
    fn train<T: Real>(&self, arguments: &Arguments) -> Result<u8> {
        let Self { data, trial, .. } = self;
        let mut recorder = Recorder::<T>::new(trial.hyperparameters.iterations);
        train::train(data, std::slice::from_ref(&trial.hyperparameters), Detail::EveryIteration, &mut recorder);
        recorder.progress.finish();
        let Some(ending) = recorder.ending else { return Err(Error::Interrupted) };

        let batch_size = trial.hyperparameters.batch_size;
        let test = |network: &TwoLayerNet<T>| train::accuracy(network, batch_size, data.rows(Split::Test), &data.mean);
        let test_accuracy = ending.network.as_ref().filter(|_| arguments.test).map(test);
        if let Some(directory) = &arguments.out {
            self.keep(directory, &recorder.losses, &ending)?;
        }
        tell(&ending, test_accuracy, arguments.out.as_deref());
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

    /// Writes what the output directory is for.
    fn keep<T: Real>(&self, directory: &Path, losses: &[LossPoint], ending: &Ended<T>) -> Result<()> {
        let Self { data, blas, trial } = self;
        let curve = &ending.outcome.curve;
        history::write(&directory.join("history.csv"), losses, curve)?;
        let headline = headline(&trial.hyperparameters, &ending.outcome);
        plots::history(&headline, losses, curve).write(&directory.join(HISTORY_PICTURE))?;
        Environment::of(blas).with(data, 1).write(&directory.join("environment.json"))?;
        let Some(network) = &ending.network else { return Ok(()) };
        weights::grid(network.w1.view()).write(&directory.join(WEIGHTS_PICTURE))?;
        let provenance = Provenance {
            trial: trial.id.clone(),
            hyperparameters: (*trial.hyperparameters).clone(),
            data: data.config.clone(),
            data_fingerprint: data.fingerprint.clone(),
            val_accuracy: ending.outcome.val_accuracy,
            program: version::program(),
            kernel: blas.kernel.clone(),
        };
        SavedModel { network: network.clone(), mean: data.mean.clone(), provenance }.write(&directory.join(MODEL))
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

/// Makes the output directory, unless it holds the model of another trial.
fn claim(directory: &Path, trial: &Trial) -> Result<()> {
    files::create_output_directory(directory)?;
    let file = directory.join(MODEL);
    if !file.exists() {
        return Ok(());
    }
    let held = SavedModel::<f32>::read(&file)?.provenance.trial;
    if held == trial.id {
        return Ok(());
    }
    let found = format!("the model of another trial ({held}; this one is {})", trial.id);
    Err(Error::usage(
        directory.display(),
        "an empty directory, or this trial's own",
        found,
        "choose another --out, or remove what is there",
    ))
}

fn tell<T>(ending: &Ended<T>, test_accuracy: Option<f64>, directory: Option<&Path>) {
    let outcome = &ending.outcome;
    match (outcome.val_accuracy, outcome.diverged_at) {
        (Some(accuracy), _) => {
            let test = test_accuracy.map_or(String::new(), |accuracy| format!(", test accuracy {}", percent(accuracy)));
            say(&format!(
                "train: validation accuracy {}{test} after {} iterations in {:.1} s",
                percent(accuracy),
                outcome.iterations_done,
                ending.train_seconds
            ));
        }
        (None, at) => say(&format!(
            "train: diverged at iteration {}: the loss is no longer a finite number; try a smaller learning rate",
            at.unwrap_or_default()
        )),
    }
    match directory {
        Some(directory) => say(&format!("train: wrote {}", directory.display())),
        None => say("train: nothing was kept; --out DIR keeps history, model and pictures"),
    }
}

/// Keeps losses and the end, and shows progress.
struct Recorder<T> {
    progress: Progress,
    losses: Vec<LossPoint>,
    ending: Option<Ended<T>>,
}

impl<T> Recorder<T> {
    fn new(iterations: usize) -> Self {
        let progress = Progress::new("train", "iterations", iterations as f64);
        Self { progress, losses: Vec::with_capacity(iterations.min(1 << 20)), ending: None }
    }
}

impl<T> Observer<T> for Recorder<T> {
    fn iterated(&mut self, _trials: usize, _units: usize) {
        self.progress.add(1, 1.0);
    }

    fn loss(&mut self, _trial: usize, iteration: usize, loss: f64, learning_rate: f64) {
        self.losses.push(LossPoint { iteration, loss, learning_rate });
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
        self.progress.say(&line);
        self.progress.note(format!("loss {:.4}, val accuracy {}", point.loss, percent(point.val_accuracy)));
    }

    fn ended(&mut self, ended: Vec<Ended<T>>) {
        self.ending = ended.into_iter().next();
    }
}
