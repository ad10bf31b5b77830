//! Sweeps that nobody trained: records with the results of a formula, for what has to be seen at ten thousand trials.

use std::fs;
use std::path::Path;

use mlpgrid::files::RealDisk;
use mlpgrid::sweep::journal::{Journal, Record};
use mlpgrid::sweep::shard::Shard;
use mlpgrid::sweep::space::{Resolved, Trial};
use mlpgrid::train::{EpochPoint, Outcome, SoFar};
use mlpgrid::version;

/// A number from 0 to 1 that looks drawn, by the trial and a number of one's own.
pub fn drawn(trial: &Trial, number: u64) -> f64 {
    let mut state =
        trial.id.bytes().fold(number + 1, |state, byte| state.wrapping_mul(1_099_511_628_211) ^ u64::from(byte));
    state ^= state >> 33;
    state = state.wrapping_mul(0xff51_afd7_ed55_8ccd);
    state ^= state >> 33;
    (state >> 11) as f64 / (1_u64 << 53) as f64
}

/// What a trial ends with: none where it diverges.
pub fn accuracy(trial: &Trial) -> Option<f64> {
    let it = &trial.hyperparameters;
    if it.learning_rate > 3e-3 && drawn(trial, 7) < 0.7 {
        return None;
    }
    let rate = (it.learning_rate / 1e-3).log10();
    let value =
        0.52 - 0.09 * rate * rate + 0.02 * (it.hidden as f64 / 50.0).log2().min(3.0) - 0.02 * it.l2 - 0.01 * it.dropout;
    let noisy = value + 0.012 * (drawn(trial, 1) + drawn(trial, 2) - 1.0) + 0.004 * (it.seed % 5) as f64;
    Some((noisy.clamp(0.05, 0.99) * 1000.0).round() / 1000.0)
}

/// The record of a trial, with a curve of so many epochs.
pub fn record(trial: &Trial, place: usize, epochs: usize, outcome_of: &dyn Fn(&Trial) -> Option<f64>) -> Record {
    let end = outcome_of(trial);
    let top = end.unwrap_or(0.1);
    let point = |epoch: usize| {
        let share = 1.0 - (-3.0 * epoch as f64 / epochs as f64).exp();
        let val_accuracy =
            ((0.1 + (top - 0.1) * share + 0.01 * (drawn(trial, 10 + epoch as u64) - 0.5)).max(0.0) * 1000.0).round()
                / 1000.0;
        EpochPoint {
            epoch,
            iteration: epoch * 245,
            loss: 2.3 - 1.2 * share + 0.05 * drawn(trial, 50 + epoch as u64),
            learning_rate: trial.hyperparameters.learning_rate,
            train_accuracy: (val_accuracy + 0.02).min(1.0),
            val_accuracy,
            val_loss: Some(2.3 - 1.1 * share),
        }
    };
    let curve = (0..epochs).map(point).collect();
    let so_far = SoFar { first_loss: Some(2.3), curve, seconds: 1.0 };
    let outcome = match end {
        Some(accuracy) => Outcome::complete(trial.hyperparameters.iterations, 1.5 - accuracy, accuracy, so_far),
        None => Outcome::diverged(100, so_far),
    };
    Record {
        trial: trial.id.clone(),
        outcome,
        error: None,
        hyperparameters: (*trial.hyperparameters).clone(),
        train_seconds: 0.02 * trial.hyperparameters.hidden as f64,
        ended_unix_seconds: 1_790_000_000 + 3 * place as u64,
        host: format!("node{}", place % 3),
        program: version::program(),
        results_version: version::RESULTS_VERSION,
        kernel: "Zen".to_owned(),
        data_fingerprint: "0123".to_owned(),
    }
}

/// A directory of a sweep with this grid; all but every `missing`th trial have a record.
pub fn sweep(directory: &Path, grid: &str, epochs: usize, missing: usize) -> Vec<Trial> {
    fs::create_dir_all(directory).expect("a folder");
    let text = format!(
        "[data]\ntrain = 49000\nval = 1000\ntest = 10000\nfingerprint = \"0123\"\n[fixed]\niterations = 4900\n[grid]\n{grid}\n"
    );
    fs::write(directory.join("sweep.toml"), text).expect("the sweep file");
    let trials = Resolved::read(&directory.join("sweep.toml")).and_then(|space| space.trials()).expect("a sweep");
    let records: Vec<Record> = trials
        .iter()
        .enumerate()
        .filter(|(place, _)| missing == 0 || place % missing != missing - 1)
        .map(|(place, trial)| record(trial, place, epochs, &accuracy))
        .collect();
    write(directory, &records);
    trials
}

/// Appends records to a sweep's results.
pub fn write(directory: &Path, records: &[Record]) {
    let mut journal = Journal::create(&RealDisk, directory, Shard::WHOLE).expect("a results file");
    journal.append(records).expect("records are written");
}
