//! A sweep that is killed again and again ends with the files of an undisturbed one, byte for byte; so does one whose disk was full, or
//! whose data went away.
//!
//! `MLPGRID_CHAOS_MINUTES` makes it a long test.

mod common;

use std::collections::HashSet;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::{Place, Run, chaos_minutes, signal, text, wait_until};
use mlpgrid::sweep::journal::Results;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SPEC: &str = "
[fixed]
precision = \"PRECISION\"
batch_size = 20
learning_rate_decay = 0.99
[grid]
iterations = [300, 1000, 3000]
hidden = [10, 24]
learning_rate = [3e-4, 1e6]
seed = [0, 1]
";

/// A sweep in f32, or in the precision that is asked for.
fn spec(place: &Place) -> String {
    let precision = std::env::var("MLPGRID_CHAOS_PRECISION").unwrap_or_else(|_| "f32".to_owned());
    place.file("s.toml", &SPEC.replace("PRECISION", &precision))
}

/// How often a sweep is killed before it is left alone.
const KILLS: usize = 25;

/// What a storm was.
#[derive(Debug, Default)]
struct Storm {
    kills: usize,
    runs: usize,
    /// Records that could be read after a kill.
    acknowledged: usize,
}

/// Kills a sweep at 25 random moments; between two of them it goes on where it was.
fn storm(place: &Place, spec: &str, out: &str, stream: &mut ChaCha8Rng) -> Storm {
    let mut storm = Storm::default();
    let mut seen = HashSet::new();
    while storm.kills < KILLS {
        let workers = stream.random_range(1..=2).to_string();
        let mut child = place.begin_sweep(spec, out, &["--checkpoint-every", "0.02", "--workers", &workers]);
        storm.runs += 1;
        thread::sleep(Duration::from_millis(stream.random_range(20..300)));
        if child.try_wait().expect("it can be asked").is_none() {
            let name = if stream.random_range(0..5) == 0 { "TERM" } else { "KILL" };
            signal(&child, name);
            storm.kills += 1;
        }
        let run = Run::finish(child.wait_with_output().expect("it ends"));
        assert!(matches!(run.code, None | Some(0 | 75)), "{run:?}");
        let records = Results::read(&place.path(out)).expect("results can be read").records;
        for trial in &seen {
            assert!(records.contains_key(trial), "the record of {trial} is lost");
        }
        seen.extend(records.into_keys());
        storm.acknowledged = seen.len();
        if run.code == Some(0) && storm.kills < KILLS {
            // It was done before all kills: another one, from the beginning.
            let folder = place.path(out);
            let fruits = place.fruits(out);
            fs::remove_dir_all(&folder).expect("it can be removed");
            assert!(place.fruits("calm") == fruits, "after {} kills: other files than undisturbed", storm.kills);
            seen.clear();
        }
    }
    place.sweep(spec, out, &[]).json(0);
    storm
}

#[test]
fn a_sweep_that_is_killed_at_25_random_moments_ends_as_if_nothing_had_happened() {
    let place = Place::new();
    let spec = spec(&place);
    place.sweep(&spec, "calm", &[]).json(0);
    let fruits = place.fruits("calm");
    let until = Instant::now() + chaos_minutes().map_or(Duration::ZERO, |minutes| minutes / 2);
    let (mut seed, mut total) = (0, Storm::default());
    loop {
        let out = format!("storm{seed}");
        let storm = storm(&place, &spec, &out, &mut ChaCha8Rng::seed_from_u64(seed));
        assert!(place.fruits(&out) == fruits, "seed {seed}: other files than undisturbed");
        total.kills += storm.kills;
        total.runs += storm.runs;
        total.acknowledged += storm.acknowledged;
        seed += 1;
        fs::remove_dir_all(place.path(&out)).unwrap();
        if Instant::now() >= until {
            break;
        }
    }
    println!(
        "kills: {} in {} runs of {seed} sweeps, {} records acknowledged, 0 lost, 0 bytes differ",
        total.kills, total.runs, total.acknowledged
    );
}

#[test]
fn a_full_disk_is_an_error_and_the_sweep_goes_on_when_there_is_room() {
    let place = Place::new();
    let spec = spec(&place);
    place.sweep(&spec, "calm", &[]).json(0);
    // Files of at most 200 KB: results fit, a model or a checkpoint of 24 hidden units does not.
    let sweep = place.sweep_command(&spec, "out", &[]);
    let mut limited = Command::new("bash");
    limited.args(["-c", "ulimit -f 200; exec \"$0\" \"$@\""]).arg(sweep.get_program()).args(sweep.get_args());
    limited.env_remove("CIFAR10_DIR").env_remove("OPENBLAS_CORETYPE");
    let run = Run::finish(limited.output().unwrap());
    run.refused(1, &["best.safetensors", "make room", "it continues"]);
    place.sweep(&spec, "out", &[]).json(0);
    assert!(place.fruits("out") == place.fruits("calm"));
}

#[test]
fn data_that_shrink_and_vanish_do_not_disturb_a_sweep_that_has_begun() {
    let place = Place::new();
    let spec = spec(&place);
    place.sweep(&spec, "calm", &[]).json(0);
    let child = place.begin_sweep(&spec, "out", &["--checkpoint-every", "0.02"]);
    wait_until("a checkpoint", || !place.checkpoints("out").is_empty());
    fs::File::options().write(true).open(place.data().join("data_batch_1.bin")).unwrap().set_len(1000).unwrap();
    fs::remove_file(place.data().join("data_batch_2.bin")).unwrap();
    thread::sleep(Duration::from_millis(50));
    signal(&child, "TERM");
    Run::finish(child.wait_with_output().unwrap()).refused(75, &[]);
    place.sweep(&spec, "out", &[]).refused(1, &["data_batch_1.bin", "expected", "found"]);
    fs::remove_dir_all(place.data()).unwrap();
    place.sweep(&spec, "out", &[]).refused(1, &[&text(&place.data())]);
    mlpgrid::data::sets::synthetic::write(
        &place.data(),
        &mlpgrid::data::sets::synthetic::Manifest { rows_per_file: 40, seed: 1 },
    )
    .unwrap();
    place.sweep(&spec, "out", &[]).json(0);
    assert!(place.fruits("out") == place.fruits("calm"));
}
