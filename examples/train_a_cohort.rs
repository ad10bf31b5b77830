//! Trains four learning rates side by side through the library, and prints how each did:
//! `cargo run --release --example train_a_cohort`.
//!
//! The images are the real CIFAR-10 where `CIFAR10_DIR` names its directory, synthetic ones elsewhere.

use std::env;
use std::error::Error;
use std::path::PathBuf;

use mlpgrid::blas;
use mlpgrid::data::sets::synthetic::{self, Manifest};
use mlpgrid::data::{DataConfig, Dataset, Split};
use mlpgrid::model::Hyperparameters;
use mlpgrid::train::observer::Collect;
use mlpgrid::train::{Detail, Origin, Task, engine};

fn main() -> Result<(), Box<dyn Error>> {
    blas::initialise()?; // one BLAS thread a caller: the program's own threads train
    let folder = tempfile::tempdir()?;
    let directory = match env::var_os("CIFAR10_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => {
            synthetic::write(folder.path(), &Manifest { rows_per_file: 500, seed: 1 })?;
            folder.path().to_owned()
        }
    };
    let data = Dataset::load(&directory, &DataConfig::default())?;
    let train_rows = data.rows(Split::Train).len();

    // The same seed, batch size and sampling: one cohort. Only checked hyperparameters can train.
    let rates = [1e-4, 3e-4, 1e-3, 3e-3];
    let trial = |learning_rate| {
        let trial = Hyperparameters { hidden: 50, learning_rate, iterations: 500, ..Hyperparameters::default() };
        trial.check(train_rows)
    };
    let trials = rates.into_iter().map(trial).collect::<Result<Vec<_>, _>>()?;
    let tasks: Vec<Task<'_>> = trials.iter().map(Task::whole).collect();

    let mut ends = Collect::default();
    let arithmetic = engine(trials[0].precision);
    let may_share = arithmetic.may_share(trials[0].batch_size, data.inputs());
    let cohorts = if may_share { vec![&tasks[..]] } else { tasks.chunks(1).collect() };
    for cohort in cohorts {
        arithmetic.train(Origin::Seed, &data, cohort, Detail::Epochs, &mut ends)?;
    }
    for (trial, ended) in trials.iter().zip(ends.0) {
        let accuracy =
            ended.outcome.val_accuracy.map_or("diverged".to_owned(), |value| format!("{:.1} %", 100.0 * value));
        println!("learning rate {:e}: validation accuracy {accuracy}", trial.learning_rate);
    }
    Ok(())
}
