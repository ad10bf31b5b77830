//! The program removes and replaces only what it made, and a directory belongs to one sweep or one training.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use common::{Place, Run, mlpgrid, real_cifar, signal, text, wait_until};
use mlpgrid::model::saved::Provenance;

const SMALL: &str = "[fixed]\nbatch_size = 20\niterations = 25\nhidden = 6\n[grid]\nseed = [0, 1]\n";
/// Two seeds, so two cohorts; long enough to be interrupted.
const LONG: &str = "[fixed]\nbatch_size = 20\niterations = 4000\nhidden = 20\n[grid]\nseed = [0, 1]\n";
const TRAINING: [&str; 6] = ["--hidden", "8", "--batch-size", "20", "--iterations", "25"];
const LONG_TRAINING: [&str; 8] =
    ["--hidden", "20", "--batch-size", "20", "--iterations", "6000", "--checkpoint-every", "0.02"];

fn train_into(place: &Place, out: &str, flags: &[&str]) -> Run {
    place.train(&[flags, &["--out", &text(&place.path(out))]].concat())
}

fn begin_training(place: &Place, out: &str, flags: &[&str]) -> Child {
    let mut command = mlpgrid();
    command.args(["train", "--data", &text(&place.data()), "--out", &text(&place.path(out))]).args(flags);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

fn ended(child: Child) -> Run {
    Run::finish(child.wait_with_output().expect("it ends"))
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder is made");
    fs::write(path, content).expect("the file is written");
}

/// Every file below `directory` with its bytes.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((text(&path), fs::read(&path).expect("a file"))),
        }
    }
    found.sort();
    found
}

#[test]
fn train_leaves_checkpoints_of_others_where_they_are() {
    let place = Place::new();
    write(&place.path("p/checkpoints/net_epoch90.pt"), "weeks");
    write(&place.path("p/checkpoints/run7/last.ckpt"), "x");
    write(&place.path("p/checkpoints/shard-1-of-1/notes.txt"), "mine");
    train_into(&place, "p", &TRAINING).json(0);
    for (name, content) in [("net_epoch90.pt", "weeks"), ("run7/last.ckpt", "x"), ("shard-1-of-1/notes.txt", "mine")] {
        assert_eq!(fs::read_to_string(place.path("p/checkpoints").join(name)).unwrap(), content);
    }
    train_into(&place, "q", &TRAINING).json(0);
    assert!(!place.path("q/checkpoints").exists(), "its own folder goes, with what it wrote there");
}

#[test]
fn sweep_leaves_files_of_others_in_its_folders_where_they_are() {
    let place = Place::new();
    let spec = place.file("s.toml", SMALL);
    place.sweep(&spec, "out", &[]).json(0);
    let of_others =
        ["checkpoints/net.pt", "checkpoints/shard-1-of-1/notes.txt", "results/notes.txt", "locks/notes.txt"];
    of_others.iter().for_each(|name| write(&place.path("out").join(name), "mine"));
    place.sweep(&spec, "out", &["--keep-models"]).json(0);
    place.sweep(&spec, "out", &["--set", "seed=[0,1,2]", "--extend"]).json(0);
    of_others.iter().for_each(|name| assert_eq!(fs::read_to_string(place.path("out").join(name)).unwrap(), "mine"));
}

#[test]
fn files_that_another_program_wrote_are_not_replaced() {
    let place = Place::new();
    let spec = place.file("s.toml", SMALL);
    for name in ["history.csv", "environment.json", "history.png", "weights.png"] {
        let out = format!("train-{name}");
        write(&place.path(&out).join(name), "mine");
        train_into(&place, &out, &TRAINING).refused(2, &[&out, name, "did not write", "--out"]);
        assert_eq!(files(&place.path(&out)).len(), 1, "nothing was written");
        assert_eq!(fs::read_to_string(place.path(&out).join(name)).unwrap(), "mine");
    }
    for name in ["leaderboard.csv", "environment.json", "best.safetensors", "models/net.safetensors"] {
        let out = format!("sweep-{}", name.replace('/', "-"));
        write(&place.path(&out).join(name), "mine");
        let first = name.split('/').next().unwrap();
        place.sweep(&spec, &out, &["--dry-run"]).refused(2, &[&out, first, "did not write"]);
        place.sweep(&spec, &out, &[]).refused(2, &[&out, first, "did not write"]);
        assert_eq!(fs::read_to_string(place.path(&out).join(name)).unwrap(), "mine");
    }
}

#[test]
fn train_and_sweep_refuse_each_others_directories() {
    let place = Place::new();
    let spec = place.file("s.toml", LONG);
    let child = place.begin_sweep(&spec, "sweep", &["--checkpoint-every", "0.02"]);
    wait_until("a checkpoint", || !place.checkpoints("sweep").is_empty());
    signal(&child, "TERM");
    ended(child).refused(75, &[]);
    let before = files(&place.path("sweep"));
    train_into(&place, "sweep", &TRAINING).refused(2, &["sweep.toml", "another command", "--out"]);
    assert_eq!(files(&place.path("sweep")), before, "not a byte of the sweep has changed");

    train_into(&place, "train", &TRAINING).json(0);
    let before = files(&place.path("train"));
    place.sweep(&spec, "train", &[]).refused(2, &["train.toml", "another command"]);
    place.sweep(&spec, "train", &["--dry-run"]).refused(2, &["train.toml", "another command"]);
    assert_eq!(files(&place.path("train")), before);
}

#[test]
fn one_process_at_a_time_trains_into_a_directory_and_a_dead_one_is_succeeded() {
    let place = Place::new();
    let mut child = begin_training(&place, "out", &LONG_TRAINING);
    wait_until("a checkpoint", || !place.checkpoints("out").is_empty());
    train_into(&place, "out", &LONG_TRAINING).refused(1, &["locks/", &format!("process {}", child.id())]);
    train_into(&place, "out", &TRAINING).refused(2, &["iterations was 6000, now 25", "hidden was 20, now 8"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let run = train_into(&place, "out", &LONG_TRAINING);
    assert!(run.stderr.contains("took over"), "{}", run.stderr);
    run.json(0);
    train_into(&place, "calm", &LONG_TRAINING).json(0);
    for name in ["model.safetensors", "history.csv"] {
        let read = |out: &str| fs::read(place.path(out).join(name)).unwrap();
        assert!(read("out") == read("calm"), "{name}: the same bytes as those of an undisturbed training");
    }
}

#[test]
fn other_flags_are_refused_while_there_is_a_checkpoint_and_the_first_command_resumes() {
    let place = Place::new();
    let child = begin_training(&place, "out", &LONG_TRAINING);
    wait_until("a checkpoint", || !place.checkpoints("out").is_empty());
    signal(&child, "INT");
    ended(child).refused(75, &[]);
    let before = files(&place.path("out"));
    let mut mistyped = LONG_TRAINING;
    mistyped[5] = "600";
    train_into(&place, "out", &mistyped).refused(2, &["iterations was 6000, now 600", "--out"]);
    assert_eq!(files(&place.path("out")), before, "the checkpoint is as it was");
    let run = train_into(&place, "out", &LONG_TRAINING);
    assert!(run.stderr.contains("from iteration") || run.stderr.contains("checkpoint"), "{}", run.stderr);
    run.json(0);
}

#[test]
fn a_training_directory_of_an_earlier_program_is_accepted_by_its_model() {
    let place = Place::new();
    train_into(&place, "out", &TRAINING).json(0);
    let model = fs::read(place.path("out/model.safetensors")).unwrap();
    fs::remove_file(place.path("out/train.toml")).unwrap();
    train_into(&place, "out", &["--hidden", "9", "--iterations", "5", "--batch-size", "20"])
        .refused(2, &["model.safetensors"]);
    train_into(&place, "out", &TRAINING).json(0);
    assert_eq!(fs::read(place.path("out/model.safetensors")).unwrap(), model);
}

#[test]
fn an_interruption_is_one_when_trials_are_trained_again() {
    let place = Place::new();
    let spec = place.file("s.toml", LONG);
    place.sweep(&spec, "out", &[]).json(0);
    let fruits = place.fruits("out");
    let again = ["--keep-models", "--workers", "1", "--checkpoint-every", "0.02"];
    let child = place.begin_sweep(&spec, "out", &again);
    wait_until("a checkpoint", || !place.checkpoints("out").is_empty());
    signal(&child, "TERM");
    ended(child).refused(75, &["run the same command again"]);
    assert!(!place.checkpoints("out").is_empty(), "the checkpoint stays");
    let run = place.sweep(&spec, "out", &again);
    assert!(run.stderr.contains("from checkpoints"), "{}", run.stderr);
    assert_eq!(run.json(0)["missing"], 0);
    assert_eq!(fs::read_dir(place.path("out/models")).unwrap().count(), 2);
    assert_eq!(place.checkpoints("out"), [] as [std::path::PathBuf; 0]);
    assert_eq!(place.fruits("out"), fruits);
}

#[test]
fn a_file_that_another_process_is_writing_is_left_alone() {
    let place = Place::new();
    let spec = place.file("s.toml", SMALL);
    place.sweep(&spec, "out", &["--shard", "1/2"]).json(0);
    let fresh = place.path("out/.writing-4711-0");
    let old = place.path("out/.writing-4712-0");
    write(&fresh, "half");
    write(&old, "half");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 86_400);
    fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    place.sweep(&spec, "out", &["--shard", "2/2"]).json(0);
    assert!(fresh.exists(), "its process may be alive");
    assert!(!old.exists(), "nobody writes a file for days");
}

/// Runs with the kernel of another CPU.
fn sweep_with_kernel(place: &Place, spec: &str, out: &str, more: &[&str], kernel: &str) -> Run {
    Run::finish(place.sweep_command(spec, out, more).env("OPENBLAS_CORETYPE", kernel).output().expect("it starts"))
}

#[test]
fn results_of_several_kernels_are_named_in_one_line() {
    if !cfg!(target_arch = "x86_64") {
        common::skipped("the kernels are those of x86-64");
        return;
    }
    let place = Place::new();
    let spec = place.file("s.toml", SMALL);
    let first = sweep_with_kernel(&place, &spec, "out", &["--shard", "1/2"], "Nehalem");
    assert!(!first.stderr.contains("several BLAS kernels"), "{}", first.stderr);
    let second = sweep_with_kernel(&place, &spec, "out", &["--shard", "2/2"], "Prescott");
    let expected = "several BLAS kernels (Nehalem: 1 trials, Prescott: 1 trials)";
    assert_eq!(
        second.stderr.matches(expected).count(),
        2,
        "when it begins, and below the leaderboard: {}",
        second.stderr
    );
    let out = text(&place.path("out"));
    for command in [vec!["report", &out], vec!["status", &out], vec!["status", &out, "--json"]] {
        let run = Run::of(command);
        assert_eq!(run.stderr.matches(expected).count(), 1, "{run:?}");
    }
    assert_eq!(second.json(0)["kernels"], serde_json::json!({"Nehalem": 1, "Prescott": 1}));
}

#[test]
fn a_best_model_made_again_by_another_kernel_carries_its_own_accuracy() {
    if !cfg!(target_arch = "x86_64") {
        common::skipped("the kernels are those of x86-64");
        return;
    }
    // On real images, at a high rate, the last bits of two kernels grow into other accuracies.
    let Some(data) = real_cifar() else { return };
    let place = Place::new();
    let spec = "[data]\ntrain = 2000\nval = 1000\ntest = 200\n[fixed]\nbatch_size = 50\niterations = 1500\nhidden = 20\n\
                learning_rate_decay = 1.0\nlearning_rate = 2e-3\n";
    let (spec, out) = (place.file("s.toml", spec), text(&place.path("out")));
    let run = |arguments: &[&str], kernel: &str| {
        let mut command = mlpgrid();
        command.args(arguments).env("CIFAR10_DIR", &data).env("OPENBLAS_CORETYPE", kernel);
        Run::finish(command.output().unwrap())
    };
    let sweep = ["sweep", &spec, "--out", &out];
    let recorded = run(&sweep, "Nehalem").json(0)["best_val_accuracy"].as_f64();
    fs::remove_file(place.path("out/best.safetensors")).unwrap();
    let again = run(&sweep, "Prescott");
    assert!(again.stderr.contains("warning: ") && again.stderr.contains("Prescott"), "{}", again.stderr);
    again.json(0);
    let labelled = Provenance::read(&place.path("out/best.safetensors")).unwrap().val_accuracy;
    assert_ne!(labelled, recorded, "the two kernels differ, or this test shows nothing");
    assert_eq!(run(&["eval", &out], "Prescott").json(0)["val_accuracy"].as_f64(), labelled);
}
