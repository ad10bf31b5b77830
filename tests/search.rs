//! What goes with a search: patience, budgets of time, the next sweep file, the replay of rules, rungs on a cluster.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::{Place, Run, text};
use serde_json::Value;

const GRID: &str = "[data]\nval = 30\n[fixed]\nbatch_size = 30\niterations = 60\n[grid]\nhidden = [3, 5, 8]\n\
    learning_rate = [1e-3, 3e-3, 1e-2]\nseed = [0, 1]\n";

fn records(place: &Place, out: &str) -> Vec<Value> {
    let files =
        fs::read_dir(place.path(out).join("results")).expect("results").map(|entry| entry.expect("it is there").path());
    let texts: Vec<String> = files.map(|path| fs::read_to_string(path).expect("it is there")).collect();
    texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn patience_ends_a_trial_where_it_no_longer_gets_better_and_its_record_says_so() {
    let place = Place::with_rows(60);
    let spec = place.file("s.toml", &format!("{GRID}patience = [0, 2]\n"));
    place.sweep(&spec, "out", &["--set", "iterations=150"]).json(0);
    let records = records(&place, "out");
    let mut ended = 0;
    for record in records.iter().filter(|record| record["patience"] == 2) {
        let same = |other: &&Value| {
            let keys = ["hidden", "learning_rate", "seed"];
            other["patience"] == 0 && keys.iter().all(|key| other[key] == record[key])
        };
        let (curve, whole) = (&record["curve"], &records.iter().find(same).unwrap()["curve"]);
        let (curve, whole) = (curve.as_array().unwrap(), whole.as_array().unwrap());
        assert_eq!(curve[..], whole[..curve.len()], "what it is until then is what it is without patience");
        let values: Vec<f64> = curve.iter().map(|point| point["val_accuracy"].as_f64().unwrap()).collect();
        let best = values.iter().position(|value| values.iter().all(|other| other <= value)).unwrap();
        assert_eq!(record["status"], "complete");
        if record["out_of_patience"] == true {
            ended += 1;
            assert_eq!(best + 2, values.len() - 1);
            assert_eq!(record["iterations_done"].as_u64(), Some(9 * best as u64 + 19));
            assert_eq!(record["val_accuracy"].as_f64(), values.last().copied());
        } else {
            assert!(record["iterations_done"] == 150 && best + 2 >= values.len() - 1, "{values:?}");
        }
    }
    assert!(ended > 3, "{ended} ended early");
}

#[test]
fn a_budget_of_time_ends_a_sweep_as_an_interruption_does() {
    let place = Place::with_rows(60);
    let spec = place.file("s.toml", &format!("{GRID}[budget]\nmax_hours = 1e-7\n"));
    let run = place.sweep(&spec, "out", &["--set", "iterations=300000"]);
    assert_eq!(run.code, Some(75), "{run:?}");
    assert!(run.stderr.contains("hours is used up"), "{run:?}");
    let resolved = fs::read_to_string(place.path("out/sweep.toml")).unwrap();
    assert!(!resolved.contains("max_hours"), "another time is the same sweep: {resolved}");
}

#[test]
fn refine_writes_a_sweep_file_around_the_best_that_the_program_takes() {
    let place = Place::with_rows(60);
    let spec = place.file("s.toml", GRID);
    Run::of(["refine", &text(&place.path("out"))]).refused(1, &["the sweep file of a sweep's directory"]);
    let report = place.sweep(&spec, "out", &[]).json(0);
    let next = text(&place.path("next.toml"));
    let run = Run::of(["refine", &text(&place.path("out")), "--samples", "7", "--out", &next]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let file = fs::read_to_string(&next).unwrap();
    assert!(
        file.contains("samples = 7\n") && file.contains("seed = [0, 1]") && file.contains("# the best have"),
        "{file}"
    );
    let best =
        records(&place, "out").into_iter().find(|record| record["trial"] == report["best_configuration"]["trial"]);
    let rate = best.unwrap()["learning_rate"].as_f64().unwrap();
    let listed = place.sweep(&next, "fine", &["--list"]);
    let trials: Vec<Value> = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(trials.len(), 14, "{file}");
    let rates: Vec<f64> = trials.iter().map(|trial| trial["learning_rate"].as_f64().unwrap()).collect();
    assert!(rates.iter().any(|&value| value <= rate * 1.8) && rates.iter().any(|&value| value >= rate / 1.8), "{file}");
    place.sweep(&next, "fine", &[]).json(0);
    let piped = Run::of(["refine", &text(&place.path("out")), "--samples", "7"]);
    assert_eq!(piped.stdout, file);
}

#[test]
fn folds_are_trials_of_one_configuration_and_confirm_finalists_on_all_rows() {
    let place = Place::with_rows(60);
    let folds = "[data]\nval = 30\n[fixed]\nbatch_size = 30\niterations = 60\nfolds = 5\n[grid]\nhidden = [3, 5]\nlearning_rate = [1e-3, 1e-2]\n";
    let spec = place.file("folds.toml", folds);
    // Folds are made from a copy of 300 rows of bytes, twice, with two bytes for a label.
    let bytes =
        |more: &[&str]| place.sweep(&spec, "none", &[&["--dry-run"], more].concat()).json(0)["data_bytes"].clone();
    let alone = ["--set", "folds=0"];
    assert_eq!(bytes(&[]).as_u64().unwrap(), bytes(&alone).as_u64().unwrap() + 2 * 300 * (3072 + 2));
    let report = place.sweep(&spec, "one", &["--workers", "1"]).json(0);
    assert_eq!((&report["trials"], &report["complete"]), (&20.into(), &20.into()));
    // All 300 rows are validated on, each once.
    let best = &report["best_configuration"];
    assert_eq!((&best["seeds"], &best["folds"], &best["images"]), (&5.into(), &5.into(), &300.into()));
    let groups = fs::read_to_string(place.path("one/groups.csv")).unwrap();
    assert_eq!(groups.lines().count(), 5, "{groups}");
    assert!(!groups.lines().next().unwrap().contains("fold"), "{groups}");
    for shard in ["1/2", "2/2"] {
        place.sweep(&spec, "shards", &["--shard", shard, "--workers", "2"]).json(0);
    }
    let board = |out: &str| fs::read_to_string(place.path(out).join("leaderboard.csv")).unwrap();
    assert_eq!(board("one"), board("shards"));
    let next = Run::of(["refine", &text(&place.path("one"))]);
    assert!(next.stdout.contains("\nfolds = 5\n") && !next.stdout.contains("\nfold ="), "{next:?}");
    let page = Run::of(["report", &text(&place.path("one"))]);
    assert_eq!(page.code, Some(0), "{page:?}");
    assert!(fs::read_to_string(place.path("one/report.html")).unwrap().contains("standard deviation of 5 folds"));
    assert!(fs::read_to_string(place.path("one/curves.csv")).unwrap().starts_with("trial,step,epoch,seed,fold,"));

    let spec = place.file("confirm.toml", &format!("{GRID}[confirm]\nfolds = 3\nfinalists = 2\n"));
    let report = place.sweep(&spec, "confirmed", &[]).json(0);
    let confirmed = &report["confirmed"];
    assert_eq!((&confirmed["folds"], &confirmed["seeds"], &confirmed["images"]), (&3.into(), &3.into(), &300.into()));
    let fresh: Vec<Value> = records(&place, "confirmed").into_iter().filter(|record| record["folds"] == 3).collect();
    assert_eq!(fresh.len(), 6, "two finalists");
    assert!(fresh.iter().all(|record| record["seed"] == 2), "a seed that the search has not used");
    let wrong = place.file("wrong.toml", &format!("{GRID}[confirm]\nfolds = 301\n"));
    place.sweep(&wrong, "none", &[]).refused(2, &["[confirm]: `folds`", "from 2 to 300", "found 301"]);
}

#[test]
fn rules_are_replayed_on_a_sweep_that_is_there() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3");
        return;
    }
    let place = Place::with_rows(60);
    place.sweep(&place.file("s.toml", GRID), "out", &[]).json(0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/replay-search");
    let replay = |directory: &str| {
        let mut command = Command::new("python3");
        command.arg(&script).args(["--sizes", "6,9", "--draws", "20"]).arg(place.path(directory));
        Run::finish(command.output().unwrap())
    };
    let run = replay("out");
    assert_eq!(run.code, Some(0), "{run:?}");
    let rows: Vec<Vec<&str>> = run.stdout.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert!(rows.len() >= 10 && rows[0][2] == "full grid" && rows[0][3] == "1.000", "{run:?}");
    assert!(replay("nothing").stderr.contains("expected a sweep with complete trials"));
}

/// A command of Slurm's that answers as a cluster would, and writes down what it was asked.
fn pretend(place: &Place, name: &str, script: &str) {
    let path = place.file(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is there");
}

#[test]
fn a_search_is_submitted_as_an_array_for_each_rung_each_after_the_one_before() {
    let place = Place::with_rows(60);
    fs::create_dir(place.path("bin")).unwrap();
    pretend(&place, "scontrol", "echo 'MaxArraySize = 1001'");
    pretend(&place, "squeue", "true");
    pretend(&place, "sbatch", "echo \"$@\" >> \"$ASKED\"; wc -l < \"$ASKED\"");
    let spec =
        place.file("s.toml", &format!("{GRID}[halving]\ncuts = [[0.15, 0.5], [0.5, 0.2]]\n[confirm]\nseeds = 2\n"));
    let submit = |more: &[&str]| {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/slurm/submit"));
        let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("ASKED", place.path("asked")).env("MLPGRID", env!("CARGO_BIN_EXE_mlpgrid"));
        command.args([&spec, "--data", &text(&place.data()), "--out", &text(&place.path("out")), "--shards", "4"]);
        Run::finish(command.args(more).env_remove("CIFAR10_DIR").output().unwrap())
    };
    let run = submit(&[]);
    assert_eq!((run.code, run.stdout.trim()), (Some(0), "1"), "{run:?}");
    let asked = fs::read_to_string(place.path("asked")).unwrap();
    let lines: Vec<&str> = asked.lines().collect();
    assert_eq!(lines.len(), 6, "three rungs, two of confirmation, the report: {asked}");
    assert!(lines[0].contains("--array=0-3 ") && !lines[0].contains("--dependency"), "{asked}");
    for (number, line) in lines.iter().enumerate().skip(1).take(4) {
        assert!(line.contains(&format!("--dependency=afterok:{number} --kill-on-invalid-dep=yes")), "{asked}");
    }
    assert!(!lines[2].contains("--array=0-3 "), "fewer survivors need fewer tasks: {asked}");
    assert!(lines[5].contains("--dependency=afterany:5"), "{asked}");
    fs::remove_file(place.path("asked")).unwrap();
    submit(&["--only", "2"]);
    assert_eq!(fs::read_to_string(place.path("asked")).unwrap().lines().count(), 2, "one task again, and the report");
}
