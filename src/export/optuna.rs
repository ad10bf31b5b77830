//! A sweep as a study of Optuna, in the journal that its `JournalFileBackend` reads.
//! Source: optuna/storages/journal/_storage.py of Optuna 5.0, operations 0 (study), 2 (its attributes) and 4 (a whole trial).

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value as Json, json};

use crate::model::Trial;
use crate::model::hyperparameters::{OF_REPEATS, varied};
use crate::model::value::Value;
use crate::sweep::journal::{Record, Results};
use crate::train::Status;

/// What an axis of a sweep is to Optuna.
struct Axis {
    name: &'static str,
    /// As JSON, in text.
    distribution: String,
    /// The words of one that is no number.
    words: Vec<&'static str>,
}

/// The journal of all trials that have a result: parameters are the hyperparameters that differ between `trials`, but for the seed; what does not
/// differ is an attribute of the study.
pub fn journal(name: &str, trials: &[Trial], results: &Results) -> Vec<u8> {
    let axes = axes(trials);
    let is_axis = |name: &str| OF_REPEATS.contains(&name) || axes.iter().any(|axis| axis.name == name);
    let constants = trials.first().map(|trial| trial.hyperparameters.entries()).into_iter().flatten();
    let constants = constants.filter(|entry| !is_axis(entry.name)).map(|entry| {
        let attribute = Map::from_iter([(entry.name.to_owned(), entry.value.into())]);
        json!({ "op_code": 2, "worker_id": "mlpgrid", "study_id": 0, "user_attr": attribute })
    });
    let study = json!({ "op_code": 0, "worker_id": "mlpgrid", "study_name": name, "directions": [2] });
    let recorded = trials.iter().filter_map(|trial| Some((trial, results.records.get(&trial.id)?)));
    let lines =
        std::iter::once(study).chain(constants).chain(recorded.map(|(trial, record)| of_trial(&axes, trial, record)));
    lines.flat_map(|line| (line.to_string() + "\n").into_bytes()).collect()
}

/// The hyperparameters that differ between trials, but for the seed.
fn axes(trials: &[Trial]) -> Vec<Axis> {
    let Some(first) = trials.first() else { return vec![] };
    let varied = varied(trials.iter().map(|trial| &*trial.hyperparameters));
    let all: Vec<_> = trials.iter().map(|trial| trial.hyperparameters.entries()).collect();
    let entries = first.hyperparameters.entries();
    let is_axis = |name: &str| !OF_REPEATS.contains(&name) && varied.contains(&name);
    let mut axes = vec![];
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| is_axis(entry.name)) {
        let values = || all.iter().map(|entries| entries[at].value);
        let mut words: Vec<&'static str> = vec![];
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values() {
            match value {
                Value::Whole(number) => (low, high) = (low.min(number as f64), high.max(number as f64)),
                Value::Number(number) => (low, high) = (low.min(number), high.max(number)),
                Value::Word(word) if !words.contains(&word) => words.push(word),
                Value::Word(_) => {}
            }
        }
        // Axes over orders of magnitude are drawn so.
        let log = low > 0.0 && high >= 10.0 * low;
        let distribution = match entry.value {
            Value::Word(_) => json!({ "name": "CategoricalDistribution", "attributes": { "choices": words } }),
            Value::Whole(_) => {
                let (low, high) = (low as u64, high as u64);
                json!({ "name": "IntDistribution", "attributes": { "log": log, "step": 1, "low": low, "high": high } })
            }
            Value::Number(_) => {
                let attributes = json!({ "step": null, "low": low, "high": high, "log": log });
                json!({ "name": "FloatDistribution", "attributes": attributes })
            }
        };
        axes.push(Axis { name: entry.name, distribution: distribution.to_string(), words });
    }
    axes
}

fn of_trial(axes: &[Axis], trial: &Trial, record: &Record) -> Json {
    let outcome = &record.outcome;
    let entries = trial.hyperparameters.entries();
    let (mut distributions, mut parameters) = (Map::new(), Map::new());
    for axis in axes {
        let Some(entry) = entries.iter().find(|entry| entry.name == axis.name) else { continue };
        distributions.insert(axis.name.to_owned(), axis.distribution.as_str().into());
        let internal = match entry.value {
            // Words count by their place in the list.
            Value::Word(word) => axis.words.iter().position(|known| *known == word).into(),
            value => value.into(),
        };
        parameters.insert(axis.name.to_owned(), internal);
    }
    let time = |seconds: f64| {
        let time = UNIX_EPOCH + Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
        humantime::format_rfc3339_micros(time).to_string().replace('Z', "+00:00")
    };
    let ended = record.ended_unix_seconds as f64;
    let point = |point: &crate::train::EpochPoint| (point.epoch.to_string(), point.val_accuracy.into());
    let curve: Map<String, Json> = outcome.curve.iter().map(point).collect();
    json!({
        "op_code": 4,
        "worker_id": "mlpgrid",
        "study_id": 0,
        "datetime_start": time(ended - record.train_seconds),
        "datetime_complete": time(ended),
        "distributions": distributions,
        "params": parameters,
        "user_attrs": {
            "trial": trial.id,
            "seed": trial.hyperparameters.seed,
            "fold": trial.hyperparameters.fold,
            "status": outcome.status.name(),
            "final_loss": outcome.final_loss,
            "iterations_done": outcome.iterations_done,
            "train_seconds": record.train_seconds,
            "host": record.host,
        },
        "system_attrs": {},
        // 1: complete; 2: pruned; 3: failed.
        "state": match outcome.status { Status::Complete => 1, Status::Stopped => 2, _ => 3 },
        "value": outcome.val_accuracy,
        "intermediate_values": curve,
    })
}
