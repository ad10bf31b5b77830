//! `history.csv`: one row an iteration, accuracies and the validation loss where an epoch begins.

use std::io;
use std::path::Path;

use crate::error::Result;
use crate::files;
use crate::numbers::or_empty;
use crate::train::{EpochPoint, LossPoint};

/// Writes `iteration,epoch,loss,learning_rate,train_accuracy,val_accuracy,val_loss`; the last three are empty except where an epoch begins.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, losses: &[LossPoint], epochs: &[EpochPoint]) -> Result<()> {
    files::replace(path, |file| {
        let mut csv = csv::Writer::from_writer(file);
        let header = ["iteration", "epoch", "loss", "learning_rate", "train_accuracy", "val_accuracy", "val_loss"];
        csv.write_record(header).map_err(io::Error::other)?;
        let mut epochs = epochs.iter().peekable();
        let mut epoch = 0;
        for point in losses {
            let begins = epochs.next_if(|epoch| epoch.iteration == point.iteration);
            epoch = begins.map_or(epoch, |begins| begins.epoch);
            csv.write_record([
                point.iteration.to_string(),
                epoch.to_string(),
                point.loss().to_string(),
                point.learning_rate.to_string(),
                or_empty(begins.map(|begins| begins.train_accuracy)),
                or_empty(begins.map(|begins| begins.val_accuracy)),
                or_empty(begins.and_then(|begins| begins.val_loss)),
            ])
            .map_err(io::Error::other)?;
        }
        csv.flush()
    })
}

/// The losses of a file that [`write()`] wrote; none where it cannot be read as one. The file holds the sum of loss and penalty: it is read
/// back as data loss.
pub fn read_losses(path: &Path) -> Option<Vec<LossPoint>> {
    let mut csv = csv::Reader::from_path(path).ok()?;
    let point = |row: csv::Result<csv::StringRecord>| {
        let row = row.ok()?;
        Some(LossPoint {
            iteration: row.get(0)?.parse().ok()?,
            data_loss: row.get(2)?.parse().ok()?,
            penalty: 0.0,
            learning_rate: row.get(3)?.parse().ok()?,
        })
    };
    csv.records().map(point).collect()
}
