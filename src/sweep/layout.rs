//! The names in a directory that `sweep` or `train` writes, all of them.

use std::path::{Path, PathBuf};

use super::shard::Shard;

/// The resolved sweep file: whose directory of a sweep it is.
pub const SWEEP_FILE: &str = "sweep.toml";
/// The configuration of a training: whose directory of `train` it is.
pub const TRAINING_FILE: &str = "train.toml";
/// Folder of the locks.
pub const LOCKS: &str = "locks";
/// Folder of the checkpoints, with one a shard in it.
pub const CHECKPOINTS: &str = "checkpoints";
/// Program, machine, data, command.
pub const ENVIRONMENT: &str = "environment.json";

/// Folder of the results.
pub const RESULTS: &str = "results";
/// Folder of what a search decided at its cuts.
pub const RUNGS: &str = "rungs";
/// Every trial that has a result.
pub const LEADERBOARD: &str = "leaderboard.csv";
/// Every configuration that has results, a mean over its seeds.
pub const GROUPS: &str = "groups.csv";
/// The configurations that were confirmed with fresh seeds.
pub const CONFIRMED: &str = "confirmed.csv";
/// The report for people.
pub const REPORT: &str = "report.html";
/// The figures of the report, for programs.
pub const SUMMARY: &str = "summary.json";
/// Every trial's curve, a row a point.
pub const CURVES: &str = "curves.csv";
/// Every configuration with its mean over seeds.
pub const CONFIGURATIONS: &str = "configurations.csv";
/// The best model.
pub const BEST_MODEL: &str = "best.safetensors";
/// Folder of the best models of shards and of further processes.
pub const BEST_OF_SHARDS: &str = "best";
/// Folder of every trial's model, if all are kept.
pub const MODELS: &str = "models";

/// The model of a training.
pub const MODEL: &str = "model.safetensors";
/// Loss and accuracy, iteration by iteration.
pub const HISTORY: &str = "history.csv";
/// Loss and accuracy, drawn.
pub const HISTORY_PICTURE: &str = "history.png";
/// The first layer, drawn.
pub const WEIGHTS_PICTURE: &str = "weights.png";

/// What `sweep` writes and would replace.
pub const OF_SWEEP: [&str; 9] =
    [RESULTS, RUNGS, LEADERBOARD, GROUPS, CONFIRMED, BEST_MODEL, MODELS, ENVIRONMENT, LOCKS];
/// What `train` writes and would replace.
pub const OF_TRAINING: [&str; 6] = [MODEL, HISTORY, HISTORY_PICTURE, WEIGHTS_PICTURE, ENVIRONMENT, LOCKS];

/// Folder of the checkpoints of the process that has `shard`.
pub fn checkpoints_of(directory: &Path, shard: Shard) -> PathBuf {
    directory.join(CHECKPOINTS).join(shard.file_name())
}
