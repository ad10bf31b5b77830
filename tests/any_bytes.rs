//! Whatever bytes a file holds, reading it gives an error or a value, and never a panic.

mod common;

use std::fs;
use std::path::Path;

use common::{Place, signal, wait_until};
use mlpgrid::data::sets::synthetic::{MANIFEST, Manifest};
use mlpgrid::model::saved::{Provenance, SavedModel};
use mlpgrid::sweep::journal::Results;
use mlpgrid::sweep::space::{Resolved, Space};
use mlpgrid::train::checkpoint::Checkpoints;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

/// A change to a file.
#[derive(Clone, Debug)]
enum Change {
    /// Another byte at a place.
    Byte(Index, u8),
    /// Nothing from a place on.
    Cut(Index),
    /// These bytes in between.
    Insert(Index, Vec<u8>),
    /// A run of bytes left out.
    Remove(Index, usize),
    /// Other bytes altogether.
    Replace(Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        4 => (any::<Index>(), proptest::sample::select(b"0123456789\"[]{}=,.-\n".to_vec())).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => (any::<Index>(), bytes()).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => (any::<Index>(), 0_usize..200).prop_map(|(at, length)| Change::Remove(at, length)),
        1 => bytes().prop_map(Change::Replace),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match change {
            Change::Byte(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Change::Byte(..) => {}
            Change::Cut(at) => bytes.truncate(place(at)),
            Change::Insert(at, more) => {
                let at = place(at);
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Remove(at, length) => {
                let at = place(at);
                bytes.drain(at..bytes.len().min(at + length));
            }
            Change::Replace(other) => bytes.clone_from(other),
        }
    }
    bytes
}

/// Reads many changed forms of the file at `path`. `read` returns whether there was an error; some forms must give one.
fn every_form(path: &Path, cases: u32, mend: fn(Vec<u8>) -> Vec<u8>, read: impl Fn(&[u8]) -> bool) {
    let whole = fs::read(path).expect("the file is there");
    assert!(!read(&whole), "{}: as it was written it can be read", path.display());
    let (errors, folder) = (std::cell::Cell::new(0), path.parent().expect("a folder"));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&proptest::collection::vec(change(), 1..4), |changes| {
        let bytes = mend(changed(whole.clone(), &changes));
        fs::write(path, &bytes).expect("the file is written");
        errors.set(errors.get() + u32::from(read(&bytes)));
        Ok(())
    });
    fs::write(path, &whole).expect("the file is written");
    outcome.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    assert!(errors.get() > cases / 4, "{}: {} errors in {cases} forms", path.display(), errors.get());
}

fn as_it_is(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// A first line whose checksum fits, so that what is behind the checksum is read.
fn with_checksum(bytes: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().unwrap_or_default();
    let body = line.rsplit_once(",\"checksum\"").map_or(line, |(body, _)| body);
    format!("{body},\"checksum\":\"{:08x}\"}}\n", crc32fast::hash(body.as_bytes())).into_bytes()
}

const SPEC: &str = "[fixed]\nhidden = 7\nbatch_size = 10\niterations = 30\nl2 = 0.5\n[grid]\nlearning_rate = [1e-4, 2e-4]\nseed = [1, 2]\n";

#[test]
fn any_bytes_in_a_file_that_the_program_reads_are_an_error_or_a_value() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);

    let model = place.path("out/best.safetensors");
    every_form(&model, 1500, as_it_is, |_| SavedModel::read(&model).is_err());
    every_form(&model, 500, as_it_is, |_| Provenance::read(&model).is_err());

    every_form(Path::new(&spec), 1500, as_it_is, |bytes| {
        Space::parse(&String::from_utf8_lossy(bytes), "s.toml").is_err()
    });
    let resolved = place.path("out/sweep.toml");
    every_form(&resolved, 1500, as_it_is, |_| Resolved::read(&resolved).and_then(|space| space.trials()).is_err());

    let results = place.path("out/results");
    let lines = fs::read_dir(&results).expect("a folder").next().expect("a file").expect("an entry").path();
    let first = fs::read_to_string(&lines).expect("text").lines().next().expect("a line").to_owned() + "\n";
    fs::write(&lines, first).expect("the file is written");
    let out = place.path("out");
    let is_lost = |_: &[u8]| Results::read(&out).expect("damage is no error").records.is_empty();
    every_form(&lines, 1500, as_it_is, is_lost);
    every_form(&lines, 1500, with_checksum, is_lost);

    let manifest = place.data().join(MANIFEST);
    every_form(&manifest, 500, as_it_is, |_| Manifest::read(&place.data()).is_err());
}

#[test]
fn any_bytes_in_a_checkpoint_are_no_checkpoint_or_one() {
    let place = Place::new();
    let spec = place.file("s.toml", &SPEC.replace("iterations = 30", "iterations = 300000"));
    let mut child = place.begin_sweep(&spec, "out", &["--checkpoint-every", "0.05", "--workers", "1"]);
    wait_until("a checkpoint", || !place.checkpoints("out").is_empty());
    signal(&child, "TERM");
    child.wait().expect("it ends");
    let root = place.path("out/checkpoints");
    let checkpoints = place.checkpoints("out");
    for other in &checkpoints[1..] {
        fs::remove_file(other).expect("it was there");
    }
    let found = |bytes: &[u8]| {
        let is_whole = Checkpoints::find_whole(&root).is_ok_and(|found| !found.trials().is_empty());
        let has_head = Checkpoints::find(&root).is_ok_and(|found| !found.trials().is_empty());
        assert!(has_head || !is_whole, "{} bytes: what is whole has a header", bytes.len());
        !is_whole
    };
    every_form(&checkpoints[0], 1000, as_it_is, found);
}
