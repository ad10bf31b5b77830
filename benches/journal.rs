//! Reading the results of a large sweep: `cargo bench --bench journal`.

use divan::Bencher;
use mlpgrid::files::RealDisk;
use mlpgrid::model::Hyperparameters;
use mlpgrid::sweep::journal::{Journal, Record, Results};
use mlpgrid::sweep::shard::Shard;
use mlpgrid::train::{EpochPoint, Outcome, Status};
use mlpgrid::version;

const RECORDS: usize = 100_000;

fn main() {
    divan::main();
}

/// A record as a trial of five epochs leaves it.
fn record(number: usize) -> Record {
    let point = |epoch: usize| EpochPoint {
        epoch,
        iteration: epoch * 245,
        loss: 2.302_954 / (epoch + 1) as f64,
        learning_rate: 1e-3 * 0.95_f64.powi(epoch as i32),
        train_accuracy: 0.235,
        val_accuracy: 0.247,
        val_loss: Some(2.1),
    };
    let outcome = Outcome {
        status: Status::Complete,
        val_accuracy: Some(0.287),
        raw_val_accuracy: None,
        val_loss: Some(1.9),
        first_loss: Some(2.302_954_1),
        final_loss: Some(1.951_473_2 + number as f64 * 1e-9),
        train_accuracy: Some(0.27),
        iterations_done: 1000,
        diverged_at: None,
        curve: (0..5).map(point).collect(),
        val_right: None,
    };
    Record {
        trial: format!("{number:016}"),
        outcome,
        error: None,
        hyperparameters: Hyperparameters::default(),
        train_seconds: 0.3,
        ended_unix_seconds: 1_700_000_000,
        host: "node".to_owned(),
        program: version::program(),
        results_version: version::RESULTS_VERSION,
        kernel: "SkylakeX".to_owned(),
        data_fingerprint: "4977fe20646adb9f".to_owned(),
    }
}

#[divan::bench(sample_count = 10)]
fn read_100_000_records(bencher: Bencher) {
    let directory = tempfile::tempdir().expect("a folder");
    let records: Vec<Record> = (0..RECORDS).map(record).collect();
    let mut journal = Journal::create(&RealDisk, directory.path(), Shard::WHOLE).expect("a journal");
    journal.append(&records).expect("written");
    bencher.bench_local(|| {
        let results = Results::read(directory.path()).expect("read");
        assert_eq!((results.records.len(), results.damage_warnings(false).count()), (RECORDS, 0));
    });
}
