//! A sweep's best trials as event files of TensorBoard, a folder each, with their hyperparameters for its HParams tab.
//! Source: tensorflow/core/lib/io/record_writer.h, tensorboard/compat/proto/{event,summary}.proto, tensorboard/plugins/hparams/*.proto.

use super::protobuf::Message;
use crate::model::Trial;
use crate::model::hyperparameters::{Entry, OF_REPEATS};
use crate::model::value::Value;
use crate::sweep::journal::Record;
use crate::train::Status;

/// Numbers that are drawn over iterations, and what stands for a trial in the table.
const TAGS: [&str; 4] = ["val_accuracy", "loss", "train_accuracy", "learning_rate"];

/// The event file above all trials: which hyperparameters there are, and what is measured.
pub fn experiment(trials: &[Trial]) -> Vec<u8> {
    let first = trials.first().map(|trial| trial.hyperparameters.entries());
    let info = |entry: &Entry| {
        // 1: text; 3: a number.
        let kind = if matches!(entry.value, Value::Word(_)) { 1 } else { 3 };
        Message::default().text(1, entry.name).number(4, kind)
    };
    let experiment = first.iter().flatten().fold(Message::default(), |all, entry| all.message(4, &info(entry)));
    let metric = |tag: &str| Message::default().message(1, &Message::default().text(2, tag)).text(3, tag);
    let experiment = TAGS[..2].iter().fold(experiment, |all, tag| all.message(5, &metric(tag)));
    let mut file = File::new(0.0);
    file.hyperparameters(0.0, "experiment", 2, &experiment);
    file.0
}

/// The event file of a trial.
pub fn events(trial: &Trial, record: &Record) -> Vec<u8> {
    let outcome = &record.outcome;
    let ended = record.ended_unix_seconds as f64;
    let started = ended - record.train_seconds;
    let entries = trial.hyperparameters.entries();
    let value = |value: Value| match value {
        Value::Whole(number) => Message::default().double(2, number as f64),
        Value::Number(number) => Message::default().double(2, number),
        Value::Word(word) => Message::default().text(3, word),
    };
    let start = entries.iter().fold(Message::default(), |start, entry| {
        start.message(1, &Message::default().text(1, entry.name).message(2, &value(entry.value)))
    });
    // Trials of one configuration are one group.
    let others = entries.iter().filter(|entry| !OF_REPEATS.contains(&entry.name));
    let group = others.map(|entry| format!("{}={}", entry.name, entry.value.plain())).collect::<Vec<_>>().join(",");
    let start = start.text(4, &group).double(5, started);
    let mut file = File::new(started);
    file.hyperparameters(started, "session_start_info", 3, &start);
    let share = record.train_seconds / outcome.iterations_done.max(1) as f64;
    for point in &outcome.curve {
        let numbers = [point.val_accuracy, point.loss, point.train_accuracy, point.learning_rate];
        let time = started + share * point.iteration as f64;
        TAGS.iter().zip(numbers).for_each(|(tag, number)| file.scalar(time, point.iteration, tag, number));
    }
    for (tag, number) in TAGS.iter().zip([outcome.val_accuracy, outcome.final_loss]) {
        number.iter().for_each(|&number| file.scalar(ended, outcome.iterations_done, tag, number));
    }
    // 1: success; 2: failure.
    let status = if outcome.status == Status::Complete { 1 } else { 2 };
    file.hyperparameters(ended, "session_end_info", 4, &Message::default().number(1, status).double(2, ended));
    file.0
}

/// An event file that is being written.
struct File(Vec<u8>);

impl File {
    fn new(time: f64) -> Self {
        let mut file = Self(vec![]);
        file.record(&Message::default().double(1, time).text(3, "brain.Event:2").0);
        file
    }

    /// A record: its length, the length's checksum, the bytes, their checksum.
    fn record(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        let parts: [&[u8]; 4] = [&length, &masked(&length), bytes, &masked(bytes)];
        parts.into_iter().for_each(|part| self.0.extend_from_slice(part));
    }

    fn value(&mut self, time: f64, step: usize, value: &Message) {
        let summary = Message::default().message(1, value);
        self.record(&Message::default().double(1, time).number(2, step as u64).message(5, &summary).0);
    }

    fn scalar(&mut self, time: f64, step: usize, tag: &str, number: f64) {
        self.value(time, step, &Message::default().text(1, tag).float(2, number as f32));
    }

    /// What the HParams plugin reads: a message in the field of that number, in the metadata of a tensor that says nothing.
    fn hyperparameters(&mut self, time: f64, name: &str, field: u64, content: &Message) {
        let content = Message::default().number(1, 0).message(field, content);
        let plugin = Message::default().text(1, "hparams").bytes(2, &content.0);
        let one = Message::default().message(2, &Message::default().number(1, 1));
        let tensor = Message::default().number(1, 1).message(2, &one).bytes(5, &0_f32.to_le_bytes());
        let tag = format!("_hparams_/{name}");
        let metadata = Message::default().message(1, &plugin);
        self.value(time, 0, &Message::default().text(1, &tag).message(8, &tensor).message(9, &metadata));
    }
}

/// CRC-32C, turned and moved, as records have it.
fn masked(bytes: &[u8]) -> [u8; 4] {
    let checksum = crc32c(bytes);
    checksum.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// CRC with the polynomial of Castagnoli.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |checksum: u32| if checksum & 1 == 1 { checksum >> 1 ^ 0x82f6_3b78 } else { checksum >> 1 };
    let byte = |checksum: u32, &byte: &u8| (0..8).fold(checksum ^ u32::from(byte), |checksum, _| step(checksum));
    !bytes.iter().fold(!0, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
