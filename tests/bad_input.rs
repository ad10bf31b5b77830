//! What users get wrong: each mistake is one clear line that names the place, and the right exit code.

mod common;

use std::fs::{self, File};

use common::{Place, Run, text};
use mlpgrid::data::prepare::Fitted;
use mlpgrid::machine::available_memory_bytes;
use mlpgrid::model::saved::SavedModel;

const TRAIN: [&str; 4] = ["--iterations", "2", "--batch-size", "10"];
const SPEC: &str = "[fixed]\niterations = 2\nbatch_size = 10\n[grid]\nhidden = [2, 3]\n";

#[test]
fn a_missing_data_directory() {
    Run::of(["train", "--data", "/no/such/place"])
        .refused(1, &["/no/such/place", "no such directory", "mlpgrid fetch", "--data"]);
}

#[test]
fn a_data_directory_that_is_a_file() {
    let place = Place::new();
    let file = place.file("f", "x");
    Run::of(["train", "--data", &file]).refused(1, &[&file, "a file"]);
}

#[test]
fn a_missing_data_file() {
    let place = Place::new();
    fs::remove_file(place.data().join("data_batch_3.bin")).unwrap();
    place.train(&TRAIN).refused(1, &["data_batch_3.bin", "no such file"]);
}

#[test]
fn a_truncated_data_file() {
    let place = Place::new();
    File::options().write(true).open(place.data().join("data_batch_2.bin")).unwrap().set_len(40 * 3073 - 1).unwrap();
    place.train(&TRAIN).refused(
        1,
        &["data_batch_2.bin", "122920 bytes (40 records of 3073)", "122919 bytes (39 records and 3072 bytes)"],
    );
}

#[test]
fn a_data_file_of_whole_records_but_of_the_wrong_size() {
    let place = Place::new();
    File::options().write(true).open(place.data().join("test_batch.bin")).unwrap().set_len(41 * 3073).unwrap();
    place.train(&TRAIN).refused(1, &["test_batch.bin", "(41 records)"]);
    // Without the manifest the files pass for CIFAR-10, whose size they do not have.
    fs::remove_file(place.data().join("synthetic.json")).unwrap();
    place.train(&TRAIN).refused(1, &["30730000 bytes (10000 records of 3073)"]);
}

#[test]
fn an_empty_data_file() {
    let place = Place::new();
    File::create(place.data().join("data_batch_1.bin")).unwrap();
    place.train(&TRAIN).refused(1, &["data_batch_1.bin", "an empty file"]);
}

#[test]
fn a_directory_where_a_data_file_should_be() {
    let place = Place::new();
    fs::remove_file(place.data().join("data_batch_1.bin")).unwrap();
    fs::create_dir(place.data().join("data_batch_1.bin")).unwrap();
    place.train(&TRAIN).refused(1, &["data_batch_1.bin", "a directory"]);
}

#[test]
fn a_label_that_the_format_does_not_have() {
    let place = Place::new();
    let path = place.data().join("data_batch_4.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[17 * 3073] = 10;
    fs::write(&path, bytes).unwrap();
    place.train(&TRAIN).refused(1, &["data_batch_4.bin: record 17 (byte 52241)", "a label from 0 to 9, found 10"]);
}

#[cfg(unix)]
#[test]
fn an_unreadable_data_file_and_an_output_directory_that_cannot_be_written() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    let place = Place::new();
    let lock = |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    lock(&place.path(""), 0o755);
    fs::create_dir(place.path("locked")).unwrap();
    lock(&place.path("locked"), 0o555);
    // Root reads and writes everything, so the test steps down to a user who does not, with a program that this user may run.
    let program = place.path("program");
    fs::copy(env!("CARGO_BIN_EXE_mlpgrid"), &program).unwrap();
    lock(&program, 0o755);
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        if is_root {
            command.uid(65_534).gid(65_534);
        }
        Run::finish(command.env_remove("CIFAR10_DIR").args(arguments).output().unwrap())
    };
    let (data, out) = (text(&place.data()), text(&place.path("locked/out")));
    let spec = place.file("s.toml", SPEC);
    run(&["sweep", &spec, "--data", &data, "--out", &out]).refused(1, &["locked/out", "permissions"]);
    run(&["train", "--data", &data, "--out", &out, "--iterations", "2", "--batch-size", "10"])
        .refused(1, &["locked/out"]);
    run(&["synth", "--dir", &out]).refused(1, &["locked/out"]);
    lock(&place.data().join("data_batch_5.bin"), 0o000);
    run(&["train", "--data", &data]).refused(1, &["data_batch_5.bin", "cannot open it", "permissions"]);
}

#[test]
fn an_output_directory_below_a_file() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.file("f", "x");
    place.sweep(&spec, "f/out", &[]).refused(1, &["f/out", "create the directory"]);
}

#[test]
fn a_sweep_file_that_is_missing_or_not_toml_or_not_text() {
    let place = Place::new();
    place.sweep("/no/such.toml", "out", &[]).refused(1, &["/no/such.toml", "read the sweep file"]);
    let broken = place.file("broken.toml", "[fixed]\nhidden = 3\nl2 = = 4\n");
    place.sweep(&broken, "out", &[]).refused(2, &["broken.toml:3: expected TOML"]);
    fs::write(place.path("bytes.toml"), [0xff, 0xfe, 0x00]).unwrap();
    place.sweep(&text(&place.path("bytes.toml")), "out", &[]).refused(2, &["bytes.toml", "not UTF-8"]);
    assert!(!place.path("out").exists(), "nothing is written for a sweep file that cannot be read");
}

/// A sweep file with `line` as line 2 of [fixed], refused with these words.
fn fixed_line_is_refused(line: &str, parts: &[&str]) {
    let place = Place::new();
    let spec = place.file("s.toml", &format!("[fixed]\n{line}\niterations = 2\n[grid]\nbatch_size = [10]\n"));
    place.sweep(&spec, "out", &[]).refused(2, parts);
    assert!(!place.path("out/results").exists());
}

#[test]
fn an_unknown_key_gets_the_nearest_known_one() {
    fixed_line_is_refused(
        "learning_rte = 1e-3",
        &["s.toml:2: expected a hyperparameter, found `learning_rte`; did you mean `learning_rate`?"],
    );
    fixed_line_is_refused("zzz = 1", &["s.toml:2", "known are hidden, learning_rate"]);
    let place = Place::new();
    let spec = place.file("s.toml", "[grids]\nhidden = [1]\n");
    place.sweep(&spec, "out", &[]).refused(2, &["s.toml:1", "`grids`", "did you mean `grid`?"]);
    let spec = place.file("s.toml", "[data]\ntrian = 10\n");
    place.sweep(&spec, "out", &[]).refused(2, &["s.toml:2", "`trian`", "did you mean `train`?"]);
}

#[test]
fn a_value_of_the_wrong_type() {
    fixed_line_is_refused(
        "hidden = \"many\"",
        &["s.toml:2: `hidden`: expected a whole number, 0 or more, found \"many\""],
    );
    fixed_line_is_refused("hidden = 2.5", &["`hidden`", "found 2.5"]);
    fixed_line_is_refused("learning_rate = true", &["`learning_rate`: expected a number, found true"]);
    fixed_line_is_refused(
        "sampling = \"random\"",
        &["`sampling`: expected", "\"replacement\" or \"shuffle\"", "found \"random\""],
    );
    fixed_line_is_refused(
        "hidden = [1, 2]",
        &["`hidden`: expected a single value, found a list; move the line to [grid]"],
    );
    fixed_line_is_refused("hidden = 1979-05-27", &["s.toml:2", "found a date"]);
}

#[test]
fn zero_negative_and_infinite_numbers() {
    fixed_line_is_refused("hidden = 0", &["s.toml:2: `hidden`: expected a whole number from 1"]);
    fixed_line_is_refused("batch_size = -5", &["s.toml:2: `batch_size`", "found -5"]);
    fixed_line_is_refused("learning_rate = nan", &["s.toml:2: `learning_rate`: expected a finite number, found nan"]);
    fixed_line_is_refused("l2 = inf", &["s.toml:2: `l2`: expected a finite number, found inf"]);
    fixed_line_is_refused("l2 = -1", &["s.toml:2: `l2`", "found -1"]);
    let place = Place::new();
    place.train(&["--hidden", "0"]).refused(2, &["`hidden`", "found 0"]);
    place.train(&["--hidden", "-3"]).refused(2, &["--hidden"]);
    place.train(&["--learning-rate", "nan"]).refused(2, &["`learning_rate`", "found NaN"]);
    place.train(&["--l2", "inf"]).refused(2, &["`l2`", "found inf"]);
    place.train(&["--iterations", "many"]).refused(2, &["--iterations", "many"]);
}

#[test]
fn a_batch_or_a_split_larger_than_the_data() {
    let place = Place::new();
    place.train(&["--batch-size", "181"]).refused(2, &["`batch_size`: expected at most 180 rows", "found 181"]);
    place.train(&["--train", "181"]).refused(2, &["`train`: expected 1 to 180 rows"]);
    place.train(&["--val", "0"]).refused(2, &["`val`", "found 0"]);
    place.train(&["--test-rows", "41"]).refused(2, &["`test`: expected 1 to 40 rows"]);
    let spec = place.file("s.toml", "[data]\ntrain = 100\n[grid]\nbatch_size = [10, 101]\n");
    place.sweep(&spec, "out", &[]).refused(2, &["s.toml:4: `batch_size`: expected at most 100 rows", "found 101"]);
    assert!(!place.path("out").exists());
}

#[test]
fn lists_that_make_no_grid() {
    let place = Place::new();
    let refused = |grid: &str, parts: &[&str]| {
        let spec = place.file("s.toml", grid);
        place.sweep(&spec, "out", &[]).refused(2, parts);
    };
    refused("[grid]\nhidden = []\n", &["s.toml:2: `hidden`", "an empty list"]);
    refused("[grid]\nhidden = [5, 7, 5]\n", &["s.toml:2: `hidden`", "5 twice"]);
    refused("[grid]\nhidden = 5\n", &["s.toml:2: `hidden`: expected a list of values, found 5"]);
    refused("[fixed]\nl2 = 1\n[grid]\nl2 = [1, 2]\n", &["s.toml:4: `l2`", "each hyperparameter once", "s.toml:2"]);
    let long = (0..4000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    refused(&format!("[grid]\nseed = [{long}]\nhidden = [{long}]\n"), &["[grid]", "at most 10000000 trials"]);
}

#[test]
fn flags_that_are_not_understood() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &["--workers", "0"]).refused(2, &["--workers"]);
    place.sweep(&spec, "out", &["--set", "hidden"]).refused(2, &["--set hidden", "no `=`"]);
    place.sweep(&spec, "out", &["--set", "hiden=3"]).refused(2, &["--set hiden=3", "did you mean `hidden`?"]);
    place.train(&["--no-such-flag"]).refused(2, &["--no-such-flag"]);
    Run::of(["no-such-command"]).refused(2, &["no-such-command"]);
    Run::of(["synth", "--dir", &text(&place.path("s")), "--rows-per-file", "0"]).refused(2, &["--rows-per-file"]);
}

#[test]
fn an_output_directory_that_holds_another_sweep() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let board = fs::read(place.path("out/leaderboard.csv")).unwrap();
    place
        .sweep(&spec, "out", &["--set", "iterations=3", "--set", "hidden=[2,4]"])
        .refused(2, &["out", "iterations was 2, now 3", "hidden was [2,3], now [2,4]"]);
    assert_eq!(fs::read(place.path("out/leaderboard.csv")).unwrap(), board, "what was there stays");
    fs::remove_file(place.path("out/sweep.toml")).unwrap();
    place.sweep(&spec, "out", &[]).refused(1, &["sweep.toml", "no such file"]);
}

#[test]
fn an_output_directory_of_another_training() {
    let place = Place::new();
    let out = text(&place.path("out"));
    place.train(&[&TRAIN[..], &["--out", &out]].concat()).json(0);
    place
        .train(&[&TRAIN[..], &["--out", &out, "--seed", "9"]].concat())
        .refused(2, &["out", "the same training", "seed was 0, now 9"]);
    place.train(&[&TRAIN[..], &["--out", &out]].concat()).json(0);
}

#[test]
fn data_other_than_those_a_sweep_began_with() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let other = Place::new();
    let path = other.data().join("data_batch_1.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let run = Run::of(["sweep", &spec, "--data", &text(&other.data()), "--out", &text(&place.path("out"))]);
    run.refused(2, &["data.fingerprint was"]);
}

#[test]
fn a_model_file_that_is_not_one_or_has_other_shapes() {
    let place = Place::new();
    let (data, out) = (text(&place.data()), text(&place.path("out")));
    let eval = |model: &str| Run::of(["eval", model, "--data", &data]);
    eval("/no/such.safetensors").refused(1, &["/no/such.safetensors", "cannot read the model"]);
    eval(&place.file("text", "not a model at all")).refused(1, &["text: expected a safetensors file"]);
    eval(&place.file("empty", "")).refused(1, &["empty: expected a safetensors file"]);
    eval(&data).refused(1, &["data: expected model.safetensors or best.safetensors in it"]);

    place.train(&[&TRAIN[..], &["--out", &out]].concat()).json(0);
    let whole = fs::read(place.path("out/model.safetensors")).unwrap();
    fs::write(place.path("cut"), &whole[..whole.len() - 8]).unwrap();
    eval(&text(&place.path("cut"))).refused(1, &["cut: expected a safetensors file", "damaged"]);
    let at = whole.windows(4).position(|bytes| bytes == b"\"W1\"").unwrap();
    let mut renamed = whole;
    renamed[at + 1] = b'X';
    fs::write(place.path("renamed"), renamed).unwrap();
    eval(&text(&place.path("renamed"))).refused(1, &["no tensor `W1`"]);

    let mut small = SavedModel::read(&place.path("out/model.safetensors")).unwrap();
    let hidden = small.network.tensor("b1").unwrap().shape()[0];
    small.network.put("W1", &[7, hidden], vec![0.0_f32; 7 * hidden]);
    small.fitted = Fitted::of_mean(vec![0.0; 7]);
    small.write(&place.path("small")).unwrap();
    eval(&text(&place.path("small")))
        .refused(1, &["a model of 3072 inputs and 10 classes", "one of 7 inputs and 10 classes"]);
}

#[test]
fn synth_does_not_write_over_files_that_it_did_not_make() {
    let place = Place::new();
    fs::remove_file(place.data().join("synthetic.json")).unwrap();
    let before = fs::read(place.data().join("test_batch.bin")).unwrap();
    Run::of(["synth", "--dir", &text(&place.data()), "--rows-per-file", "20"])
        .refused(2, &["data", "choose another --dir"]);
    assert_eq!(fs::read(place.data().join("test_batch.bin")).unwrap(), before);
}

#[test]
fn status_of_a_directory_that_is_no_sweeps() {
    let place = Place::new();
    Run::of(["status", "/no/such/place"]).refused(1, &["/no/such/place", "no such directory"]);
    Run::of(["status", &text(&place.data())]).refused(1, &["none in this directory"]);
}

#[test]
fn a_sweep_larger_than_the_memory_is_warned_of_beforehand() {
    let needed = 2 * 3 * 1_000_000 * 3072 * 8; // two workers, three times the weights, f64
    let there = available_memory_bytes();
    if there.is_none_or(|there| there > needed) {
        common::skipped(&format!("this machine has {there:?} bytes of memory for {needed}, or does not tell"));
        return;
    }
    let place = Place::new();
    let spec =
        place.file("s.toml", "[fixed]\nprecision = \"f64\"\nbatch_size = 10\n[grid]\nhidden = [999999, 1000000]\n");
    let run = place.sweep(&spec, "out", &["--workers", "2", "--dry-run"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stderr.contains("warning: memory: this takes about 151.") && run.stderr.contains("--workers"),
        "{run:?}"
    );
    let small = place.file("small.toml", SPEC);
    assert!(!place.sweep(&small, "out", &["--dry-run"]).stderr.contains("memory:"));
}
