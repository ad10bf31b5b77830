//! Sweeps that are interrupted, shared out and taken up again end with the files of an undisturbed one, byte for byte.

mod common;

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use common::{Place, Run, signal, text, wait_until};

/// Two seeds, so two cohorts at the least; one trial diverges; lengths differ.
const SPEC: &str = "
[fixed]
batch_size = 20
learning_rate_decay = 0.99
[grid]
iterations = [900, 2500]
hidden = [10, 24]
learning_rate = [3e-4, 1e6]
seed = [0, 1]
";

fn ended(child: Child) -> Run {
    Run::finish(child.wait_with_output().expect("it ends"))
}

/// Whether this process, and so what it starts, ignores HUP: signal 1, the lowest bit of the mask.
fn hup_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}

/// Runs the sweep of `SPEC` undisturbed, into `calm`.
fn calm(place: &Place) -> (String, (String, Vec<u8>)) {
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "calm", &[]).json(0);
    let fruits = place.fruits("calm");
    (spec, fruits)
}

#[test]
fn every_signal_ends_a_sweep_with_75_and_it_goes_on_to_the_bit() {
    let place = Place::new();
    let (spec, fruits) = calm(&place);
    for (name, resumes) in [("TERM", false), ("INT", true), ("HUP", true), ("USR1", true), ("USR2", true)] {
        if name == "HUP" && hup_is_ignored() {
            common::skipped("HUP, which this test was itself started to ignore");
            continue;
        }
        let before: Vec<_> =
            place.checkpoints("out").iter().map(|path| fs::metadata(path).unwrap().modified().unwrap()).collect();
        let child = place.begin_sweep(&spec, "out", &["--checkpoint-every", "0.03"]);
        wait_until("a new checkpoint", || {
            let now = place.checkpoints("out");
            now.iter()
                .any(|path| fs::metadata(path).and_then(|file| file.modified()).is_ok_and(|at| !before.contains(&at)))
        });
        signal(&child, name);
        let sent = Instant::now();
        let run = ended(child);
        assert!(sent.elapsed() < Duration::from_secs(5), "{name} took {:?}", sent.elapsed());
        run.refused(75, &["run the same command again"]);
        assert_eq!(run.stderr.contains("from checkpoints"), resumes, "{name}: {}", run.stderr);
        let status = Run::of(["status", &text(&place.path("out")), "--json"]).json(0);
        assert!(
            status["interrupted"].as_u64() > Some(0) && status["running"].as_array().unwrap().is_empty(),
            "{status}"
        );
    }
    let run = place.sweep(&spec, "out", &[]);
    assert!(run.stderr.contains("from checkpoints"), "{}", run.stderr);
    assert_eq!(run.json(0)["missing"], 0);
    assert_eq!(place.fruits("out"), fruits);
    assert_eq!(place.checkpoints("out"), [] as [std::path::PathBuf; 0], "they are over");
}

#[test]
fn a_sweep_under_nohup_survives_hup_and_one_in_the_background_of_a_script_heeds_int() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    let sweep = place.sweep_command(&spec, "out", &["--checkpoint-every", "0.03"]);
    let begin = |trap: &str| {
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", &format!("trap '' {trap}; exec \"$0\" \"$@\"")])
            .arg(sweep.get_program())
            .args(sweep.get_args());
        shell.env_remove("CIFAR10_DIR").env_remove("OPENBLAS_CORETYPE");
        shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let child = begin("INT");
    wait_until("a checkpoint", || !place.checkpoints("out").is_empty());
    signal(&child, "INT");
    ended(child).refused(75, &[]);
    let child = begin("HUP");
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "HUP");
    ended(child).json(0);
}

#[test]
fn a_second_int_stops_at_once_and_harms_nothing() {
    let place = Place::new();
    let (spec, fruits) = calm(&place);
    let child = place.begin_sweep(&spec, "out", &["--checkpoint-every", "0.03"]);
    wait_until("a checkpoint", || !place.checkpoints("out").is_empty());
    signal(&child, "INT");
    signal(&child, "INT");
    let sent = Instant::now();
    assert_eq!(ended(child).code, Some(75));
    assert!(sent.elapsed() < Duration::from_secs(5));
    place.sweep(&spec, "out", &[]).json(0);
    assert_eq!(place.fruits("out"), fruits);
}

#[test]
fn the_other_generation_serves_where_a_checkpoint_is_damaged() {
    let place = Place::new();
    let (spec, fruits) = calm(&place);
    let child = place.begin_sweep(&spec, "out", &["--checkpoint-every", "0.02", "--workers", "1"]);
    wait_until("two generations", || place.checkpoints("out").len() == 2);
    signal(&child, "KILL");
    ended(child);
    let newest = place
        .checkpoints("out")
        .into_iter()
        .max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap())
        .unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let run = place.sweep(&spec, "out", &[]);
    assert!(run.stderr.contains("expected a whole checkpoint, found a checksum that does not fit"), "{}", run.stderr);
    assert!(run.stderr.contains("from checkpoints") && run.stderr.contains("took over"), "{}", run.stderr);
    run.json(0);
    assert_eq!(place.fruits("out"), fruits);
}

#[test]
fn a_checkpoint_of_another_kernel_is_not_gone_on_from() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    let mut first = place.sweep_command(&spec, "out", &["--checkpoint-every", "0.03"]);
    first.env("OPENBLAS_CORETYPE", "Nehalem");
    let child = first.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    wait_until("a checkpoint", || !place.checkpoints("out").is_empty());
    signal(&child, "TERM");
    ended(child).refused(75, &[]);
    let mut second = place.sweep_command(&spec, "out", &["--dry-run"]);
    second.env("OPENBLAS_CORETYPE", "Prescott");
    let dry = Run::finish(second.output().unwrap());
    assert!(!dry.stderr.contains("from checkpoints"), "{}", dry.stderr);
    let mut third = place.sweep_command(&spec, "out", &[]);
    third.env("OPENBLAS_CORETYPE", "Prescott");
    let run = Run::finish(third.output().unwrap());
    assert!(run.stderr.contains("begin anew") && run.stderr.contains("Nehalem"), "{}", run.stderr);
    assert_eq!(run.json(0)["missing"], 0);
}

#[test]
fn a_second_process_is_refused_and_takes_over_when_the_first_is_dead() {
    let place = Place::new();
    let (spec, fruits) = calm(&place);
    let mut child = place.begin_sweep(&spec, "out", &["--set", "iterations=[900,2500]", "--checkpoint-every", "0.05"]);
    wait_until("a checkpoint", || !place.checkpoints("out").is_empty());
    let pid = child.id();
    place
        .sweep(&spec, "out", &[])
        .refused(1, &["locks/shard-1-of-1.1", &format!("process {pid} on "), "wait until it ends"]);
    place.sweep(&spec, "out", &["--shard", "1/2"]).refused(1, &["another division", &format!("process {pid} on ")]);
    let status = Run::of(["status", &text(&place.path("out")), "--json"]).json(0);
    assert_eq!(status["running"][0]["pid"], pid);
    assert_eq!(status["running"][0]["trials"], 16, "{status}");
    child.kill().unwrap();
    child.wait().unwrap();
    let run = place.sweep(&spec, "out", &[]);
    assert!(run.stderr.contains("took over shard 1/1"), "{}", run.stderr);
    run.json(0);
    assert_eq!(place.fruits("out"), fruits);
}

#[test]
fn shards_in_any_order_interrupted_or_not_make_the_files_of_one_process() {
    let place = Place::new();
    let (spec, fruits) = calm(&place);
    for count in [2, 3, 8] {
        let out = format!("out{count}");
        // The last one first, and interrupted.
        let last = format!("{count}/{count}");
        let child = place.begin_sweep(&spec, &out, &["--shard", &last, "--checkpoint-every", "0.02"]);
        wait_until("a checkpoint", || {
            !place.checkpoints(&out).is_empty() || place.path(&out).join("leaderboard.csv").exists()
        });
        signal(&child, "USR1");
        ended(child);
        for index in (1..count).rev() {
            place.sweep(&spec, &out, &["--shard", &format!("{index}/{count}")]).json(0);
        }
        place.sweep(&spec, &out, &["--shard", &last]).json(0);
        assert_eq!(place.fruits(&out), fruits, "{count} shards, as the last one left it");
        fs::remove_file(place.path(&out).join("leaderboard.csv")).unwrap();
        fs::remove_file(place.path(&out).join("best.safetensors")).unwrap();
        let report = Run::of(["report", &text(&place.path(&out))]).json(0);
        assert_eq!((&report["missing"], &report["trials"]), (&0.into(), &16.into()));
        assert_eq!(place.fruits(&out), fruits, "{count} shards, merged");
    }
}

#[test]
fn shards_at_the_same_time_make_the_files_of_one_process() {
    let place = Place::new();
    let (spec, fruits) = calm(&place);
    let begin = |index: usize| place.begin_sweep(&spec, "out", &["--workers", "1", "--shard", &format!("{index}/3")]);
    let children: Vec<Child> = (1..=3).map(begin).collect();
    for child in children {
        ended(child).json(0);
    }
    Run::of(["report", &text(&place.path("out"))]).json(0);
    assert_eq!(place.fruits("out"), fruits);
}

#[test]
fn the_shard_is_found_in_the_environment_of_a_cluster() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    let mut command = place.sweep_command(&spec, "out", &["--shard", "auto", "--dry-run"]);
    for (name, value) in [("ID", "5"), ("MIN", "4"), ("MAX", "7"), ("STEP", "1"), ("COUNT", "4")] {
        command.env(format!("SLURM_ARRAY_TASK_{name}"), value);
    }
    let run = Run::finish(command.env("SLURM_CPUS_PER_TASK", "3").output().unwrap());
    assert!(run.stderr.contains("of shard 2/4") && run.stderr.contains("3 workers"), "{}", run.stderr);
    place.sweep(&spec, "out", &["--shard", "auto"]).refused(2, &["--shard auto", "SLURM_ARRAY_TASK_ID"]);
    place.sweep(&spec, "out", &["--shard", "5/4"]).refused(2, &["--shard", "`5/4`"]);
}

#[test]
fn a_changed_sweep_file_is_refused_by_name_and_extended_where_it_only_adds_trials() {
    let place = Place::new();
    let spec = place.file("s.toml", "[fixed]\nbatch_size = 20\niterations = 20\n[grid]\nhidden = [4, 8]\n");
    place.sweep(&spec, "out", &[]).json(0);
    let more = place
        .file("more.toml", "[fixed]\nbatch_size = 20\niterations = 20\n[grid]\nhidden = [4, 6, 8]\nseed = [0, 1]\n");
    place.sweep(&more, "out", &[]).refused(2, &["hidden", "seed", "--extend"]);
    let run = place.sweep(&more, "out", &["--extend"]);
    assert!(run.stderr.contains("4 trials were added"), "{}", run.stderr);
    assert_eq!(run.json(0)["trained_now"], 4);
    assert_eq!(place.sweep(&more, "out", &[]).json(0)["trained_now"], 0, "the directory is the larger sweep's now");
    place.sweep(&spec, "out", &["--extend"]).refused(2, &["only adds trials", "4 of its 6 trials gone"]);
    place.sweep(&more, "fresh", &[]).json(0);
    assert_eq!(place.fruits("out"), place.fruits("fresh"));
}

#[test]
fn diverged_trials_are_trained_again_where_that_is_asked_for() {
    let place = Place::new();
    let (spec, fruits) = calm(&place);
    assert_eq!(place.sweep(&spec, "calm", &["--retry", "failed"]).json(0)["trained_now"], 0);
    assert_eq!(place.sweep(&spec, "calm", &["--retry", "diverged"]).json(0)["trained_now"], 8);
    assert_eq!(place.fruits("calm"), fruits);
}
