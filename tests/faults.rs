//! A disk that fails under results, checkpoints and models: at every write, sync and rename in turn. Whatever was acknowledged is
//! there afterwards, and the sweep goes on to the files of an undisturbed one, byte for byte.
//!
//! `MLPGRID_CHAOS_MINUTES` makes it a long test: random faults, with two workers, for so many minutes.

mod common;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use common::{Place, chaos_minutes};
use mlpgrid::blas;
use mlpgrid::data::{DataConfig, Dataset};
use mlpgrid::files::{Disk, RealDisk};
use mlpgrid::report::leaderboard;
use mlpgrid::sweep::events::Events;
use mlpgrid::sweep::journal::Results;
use mlpgrid::sweep::search::Search;
use mlpgrid::sweep::session::{Options, Session};
use mlpgrid::sweep::shard::Shard;
use mlpgrid::sweep::site::Site;
use mlpgrid::sweep::space::{Resolved, Space, Trial};
use mlpgrid::train::Outcome;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Two cohorts; a trial that diverges; trials that end one after another.
const SPEC: &str = "
[fixed]
batch_size = 8
[grid]
iterations = [2, 5]
learning_rate = [1e-3, 1e7]
hidden = [3]
seed = [0, 1]
";

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// It does nothing and says so.
    Fails,
    /// It does half and says that it failed.
    IsCutShort,
    /// It does half, and then the power is gone: nothing works any more, and what was not synced is lost.
    LosesPower,
}

const KINDS: [Kind; 3] = [Kind::Fails, Kind::IsCutShort, Kind::LosesPower];

/// A disk on which operation number `at` goes wrong. It remembers what was not synced.
struct FaultyDisk {
    at: usize,
    kind: Kind,
    state: Mutex<DiskState>,
}

#[derive(Default)]
struct DiskState {
    operations: usize,
    is_dead: bool,
    /// For each file with unsynced bytes: how many are synced.
    unsynced: HashMap<PathBuf, u64>,
    /// Renames whose directory was not synced: the name, and what stood there before.
    renames: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl FaultyDisk {
    fn new(at: usize, kind: Kind) -> Self {
        Self { at, kind, state: Mutex::default() }
    }

    /// Counts an operation: does `work` with 1.0, or with the part of it that is done before it goes wrong.
    fn operate(&self, work: impl FnOnce(&mut DiskState, f64) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let number = state.operations;
        state.operations += 1;
        if state.is_dead {
            return Err(io::Error::other("there is no power"));
        }
        if number != self.at {
            return work(&mut state, 1.0);
        }
        // Others that want to write meanwhile come to wait for the one that fails.
        std::thread::sleep(Duration::from_millis(2));
        match self.kind {
            Kind::Fails => Err(io::Error::other("an injected fault")),
            Kind::IsCutShort => {
                work(&mut state, 0.5)?;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            Kind::LosesPower => {
                work(&mut state, 0.5)?;
                state.is_dead = true;
                Err(io::Error::other("the power is gone"))
            }
        }
    }

    /// What the disk holds when the power is back: half of the unsynced bytes of each file, old files where renames were not synced.
    fn after_power_loss(&self) {
        let state = self.state.lock().expect("no test thread panicked");
        if !state.is_dead {
            return;
        }
        for (path, synced) in &state.unsynced {
            if let Ok(metadata) = fs::metadata(path) {
                let file = File::options().write(true).open(path).expect("it can be opened");
                file.set_len(synced + (metadata.len() - synced) / 2).expect("it can be cut");
            }
        }
        for (path, before) in state.renames.iter().rev() {
            match before {
                Some(bytes) => fs::write(path, bytes).expect("it can be written"),
                None => fs::remove_file(path).expect("it is there"),
            }
        }
    }
}

impl Disk for FaultyDisk {
    fn append(&self, file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.operate(|state, part| {
            let length = file.metadata()?.len();
            state.unsynced.entry(path.to_owned()).or_insert(length);
            file.write_all(&bytes[..(bytes.len() as f64 * part) as usize])
        })
    }

    fn sync(&self, _file: &File, path: &Path) -> io::Result<()> {
        self.operate(|state, part| {
            if part == 1.0 {
                state.unsynced.remove(path);
            }
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(|state, _| {
            state.renames.push((to.to_owned(), fs::read(to).ok()));
            fs::rename(from, to)
        })
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.operate(|state, part| {
            if part == 1.0 {
                state.renames.retain(|(path, _)| path.parent() != Some(directory));
            }
            Ok(())
        })
    }
}

/// Remembers what was acknowledged.
#[derive(Default)]
struct Acknowledged(Mutex<Vec<(String, Outcome)>>);

impl Events for Acknowledged {
    fn warn(&self, warning: &str) {
        panic!("nothing but a last line is ever torn, and that is mended: {warning}");
    }

    fn ended(&self, trial: &Trial, outcome: &Outcome) {
        self.0.lock().expect("no thread panicked").push((trial.id.clone(), outcome.clone()));
    }
}

struct Sweep {
    data: Dataset,
    space: Resolved,
    trials: Vec<Trial>,
    workers: usize,
}

impl Sweep {
    fn new(workers: usize) -> (Place, Self) {
        Self::of(SPEC, workers)
    }

    fn of(spec: &str, workers: usize) -> (Place, Self) {
        blas::initialise().expect("OpenBLAS takes one thread");
        let place = Place::with_rows(12);
        let config = DataConfig { val: Some(10), ..DataConfig::default() };
        let data = Dataset::load(&place.data(), &config).expect("the data are there");
        let space = Space::parse(spec, "s.toml").expect("a sweep file").resolved(&data);
        let trials = space.trials().expect("a sweep");
        (place, Self { data, space, trials, workers })
    }

    /// What `mlpgrid sweep` does, on `disk`. Returns how it ended, and what was acknowledged.
    fn attempt(&self, directory: &Path, disk: &dyn Disk) -> (mlpgrid::Result<()>, Vec<(String, Outcome)>) {
        let acknowledged = Acknowledged::default();
        let stop = AtomicBool::new(false);
        let site = Site {
            data: &self.data,
            directory,
            kernel: "the kernel",
            shard: Shard::WHOLE,
            keep_models: false,
            checkpoint_every: Duration::ZERO,
            stop: &stop,
            disk,
            program: None,
            process: None,
        };
        let (workers, takeover_after) = (self.workers, Duration::from_secs(1));
        let options = Options { workers, retried: vec![], may_extend: false, takeover_after };
        let mut session = Session::open(site, &self.space, options, &acknowledged).expect("the directory is ours");
        let ending = session.run().map(drop);
        drop(session);
        (ending, acknowledged.0.into_inner().expect("no thread panicked"))
    }

    fn fruits(&self, directory: &Path) -> (Vec<u8>, Vec<u8>) {
        let mut results = Results::read(directory).expect("results can be read");
        Search::new(&self.space, &self.trials).expect("cuts").settle(&self.trials, &mut results);
        let path = directory.join("leaderboard.csv");
        leaderboard::write_csv(&path, &leaderboard::rank(&self.trials, &results)).expect("written");
        (fs::read(path).expect("a leaderboard"), fs::read(directory.join("best.safetensors")).expect("a model"))
    }

    /// Runs on a disk that fails, then on a good one: returns the records that were acknowledged before the fault, and whether it
    /// struck.
    fn survives(&self, at: usize, kind: Kind, fruits: &(Vec<u8>, Vec<u8>)) -> (usize, bool) {
        let directory = tempfile::tempdir().expect("a folder");
        let disk = FaultyDisk::new(at, kind);
        let (ending, acknowledged) = self.attempt(directory.path(), &disk);
        disk.after_power_loss();
        let place = format!("operation {at} {kind:?}");
        let struck = disk.state.lock().expect("no thread panicked").operations > at;
        assert_eq!(ending.is_err(), struck, "{place}: a fault is an error, no fault is none: {ending:?}");
        let results = Results::read(directory.path()).expect("results can be read");
        for (trial, outcome) in &acknowledged {
            let record = results.records.get(trial).unwrap_or_else(|| panic!("{place}: {trial} is lost"));
            // A trial that was stopped at a cut may have got further since.
            let is_later = record.outcome.iterations_done > outcome.iterations_done;
            assert!(record.outcome == *outcome || is_later, "{place}: {record:?} for {outcome:?}");
        }
        let (ending, _) = self.attempt(directory.path(), &RealDisk);
        assert!(ending.is_ok(), "{place}: {ending:?}");
        assert!(self.fruits(directory.path()) == *fruits, "{place}: other files than undisturbed");
        (acknowledged.len(), struck)
    }
}

#[test]
fn what_was_acknowledged_survives_a_fault_at_every_operation() {
    let (_place, sweep) = Sweep::new(1);
    let calm = tempfile::tempdir().unwrap();
    let never = FaultyDisk::new(usize::MAX, Kind::Fails);
    sweep.attempt(calm.path(), &never).0.unwrap();
    let fruits = sweep.fruits(calm.path());
    let operations = never.state.lock().unwrap().operations;
    assert!(operations > 40, "{operations}");
    let mut acknowledged = 0;
    for kind in KINDS {
        for at in 0..operations {
            let (records, struck) = sweep.survives(at, kind, &fruits);
            assert!(struck, "operation {at} {kind:?} was never reached");
            acknowledged += records;
        }
    }
    println!(
        "faults: {} injected, {acknowledged} records acknowledged, 0 lost, 0 bytes differ",
        operations * KINDS.len()
    );
}

/// Two cohorts that meet at a cut, from which one goes on: states are written there, and what was decided.
const CUTS: &str = "
[fixed]
batch_size = 8
iterations = 14
hidden = 3
[grid]
learning_rate = [1e-3, 2e-2, 1e7]
seed = [0, 1]
[halving]
cuts = [[0.4, 0.3]]
";

#[test]
fn nor_does_a_search_with_cuts_lose_anything_or_decide_otherwise() {
    let (_place, sweep) = Sweep::of(CUTS, 1);
    let calm = tempfile::tempdir().unwrap();
    let never = FaultyDisk::new(usize::MAX, Kind::Fails);
    sweep.attempt(calm.path(), &never).0.unwrap();
    assert!(calm.path().join("rungs/1.json").exists());
    let fruits = sweep.fruits(calm.path());
    let operations = never.state.lock().unwrap().operations;
    for (number, at) in (0..operations).step_by(3).enumerate() {
        let (_, struck) = sweep.survives(at, KINDS[number % 3], &fruits);
        assert!(struck, "operation {at} was never reached");
    }
}

#[test]
fn random_faults_with_two_workers_lose_nothing() {
    let (_place, sweep) = Sweep::new(2);
    let calm = tempfile::tempdir().unwrap();
    sweep.attempt(calm.path(), &RealDisk).0.unwrap();
    let fruits = sweep.fruits(calm.path());
    let until = Instant::now() + chaos_minutes().map_or(Duration::from_secs(2), |minutes| minutes / 2);
    let mut stream = ChaCha8Rng::seed_from_u64(0);
    let (mut faults, mut acknowledged) = (0, 0);
    while Instant::now() < until {
        let kind = KINDS[(stream.next_u32() % 3) as usize];
        let (records, struck) = sweep.survives(stream.random_range(0..90), kind, &fruits);
        faults += usize::from(struck);
        acknowledged += records;
    }
    println!("random faults: {faults} injected, {acknowledged} records acknowledged, 0 lost, 0 bytes differ");
    assert!(faults > 0);
}
