//! `mlpgrid sweep` and `mlpgrid status`, as their users run them.

mod common;

use std::fs;
use std::path::Path;

use common::{Place, Run, text};
use mlpgrid::model::tally;

const SPEC: &str = "
[fixed]
batch_size = 20
iterations = 30
[grid]
hidden = [4, 12]
learning_rate = [1e-4, 3e-4, 1e6]
seed = [0, 1]
";

fn leaderboard(place: &Place, out: &str) -> String {
    fs::read_to_string(place.path(out).join("leaderboard.csv")).expect("a leaderboard")
}

#[test]
fn a_sweep_ends_with_a_leaderboard_a_best_model_and_a_report() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    let run = place.sweep(&spec, "out", &[]);
    let report = run.json(0);
    assert_eq!(report["trials"], 12);
    assert_eq!(report["complete"], 8);
    assert_eq!(report["diverged"], 4, "a diverging trial is a row and stops nothing");
    assert_eq!(report["trained_now"], 12);
    assert!(report["gflops"].as_f64().unwrap() > 0.0);

    let board = leaderboard(&place, "out");
    let lines: Vec<&str> = board.lines().collect();
    assert!(lines[0].starts_with("rank,trial,status,val_accuracy,final_loss,hidden,learning_rate,"), "{}", lines[0]);
    assert_eq!(lines.len(), 13);
    assert!(lines[1].contains(report["best_trial"].as_str().unwrap()));
    assert!(lines[1..9].iter().all(|line| line.contains(",complete,")));
    let column = lines[0].split(',').position(|name| name == "diverged_at").unwrap();
    let at = |line: &&str| line.split(',').nth(column).unwrap().parse::<usize>().is_ok();
    assert!(lines[9..].iter().all(|line| line.contains(",diverged,,,") && at(line)), "with its iteration");

    let best = Run::of(["eval", &text(&place.path("out")), "--data", &text(&place.data())]).json(0);
    assert_eq!(best["trial"], report["best_trial"]);
    assert_eq!(best["val_accuracy"], report["best_val_accuracy"]);
    assert!(place.path("out/sweep.toml").exists() && place.path("out/environment.json").exists());
}

#[test]
fn running_again_trains_nothing_and_changes_nothing() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let (board, best) = (leaderboard(&place, "out"), fs::read(place.path("out/best.safetensors")).unwrap());
    let report = place.sweep(&spec, "out", &[]).json(0);
    assert_eq!(report["trained_now"], 0);
    assert_eq!(report["complete"], 8);
    assert_eq!(leaderboard(&place, "out"), board);
    assert_eq!(fs::read(place.path("out/best.safetensors")).unwrap(), best);
}

#[test]
fn one_worker_and_two_give_the_same_leaderboard_and_the_same_best_model() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "one", &["--workers", "1"]).json(0);
    place.sweep(&spec, "two", &["--workers", "2"]).json(0);
    assert_eq!(leaderboard(&place, "one"), leaderboard(&place, "two"));
    let best = |out: &str| fs::read(place.path(out).join("best.safetensors")).unwrap();
    assert_eq!(best("one"), best("two"));
}

#[test]
fn a_torn_record_is_reported_and_only_its_trial_is_trained_again() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let board = leaderboard(&place, "out");
    let results = fs::read_dir(place.path("out/results")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read_to_string(&results).unwrap();
    fs::write(&results, &whole[..whole.len() - 100]).unwrap();

    let status = Run::of(["status", &text(&place.path("out")), "--json"]);
    assert_eq!(status.json(0)["missing"], 1);
    assert!(status.stderr.contains(":12: expected a whole record"), "{}", status.stderr);
    let run = place.sweep(&spec, "out", &[]);
    assert_eq!(run.json(0)["trained_now"], 1);
    assert!(
        run.stderr.contains("repaired: ") && run.stderr.contains(".jsonl:12: cut off half a record"),
        "{}",
        run.stderr
    );
    assert_eq!(leaderboard(&place, "out"), board);
    assert!(!place.sweep(&spec, "out", &[]).stderr.contains("repaired"), "once is enough");
}

#[test]
fn a_damaged_record_in_the_middle_is_reported_by_line_and_only_its_trial_is_trained_again() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let board = leaderboard(&place, "out");
    let results = fs::read_dir(place.path("out/results")).unwrap().next().unwrap().unwrap().path();
    let mut lines: Vec<String> = fs::read_to_string(&results).unwrap().lines().map(str::to_owned).collect();
    lines[4] = lines[4].replacen("\"seed\":", "\"sEed\":", 1);
    fs::write(&results, lines.join("\n") + "\n").unwrap();
    let run = place.sweep(&spec, "out", &[]);
    assert_eq!(run.json(0)["trained_now"], 1);
    assert!(
        run.stderr.contains(".jsonl:5: expected a whole record, found a checksum that does not fit"),
        "{}",
        run.stderr
    );
    assert_eq!(leaderboard(&place, "out"), board);
}

#[test]
fn a_lost_or_damaged_best_model_is_made_again_to_the_bit() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let path = place.path("out/best.safetensors");
    let best = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    place.sweep(&spec, "out", &[]).json(0);
    assert_eq!(fs::read(&path).unwrap(), best);
    fs::write(&path, "no model").unwrap();
    place.sweep(&spec, "out", &[]).json(0);
    assert_eq!(fs::read(&path).unwrap(), best);
}

#[test]
fn set_overrides_the_sweep_file() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    let more =
        ["--set", "hidden=6", "--set", "learning_rate=[1e-4]", "--set", "data.val=10", "--set", "sampling=shuffle"];
    assert_eq!(place.sweep(&spec, "out", &more).json(0)["trials"], 2);
    let resolved = fs::read_to_string(place.path("out/sweep.toml")).unwrap();
    for line in ["hidden = 6", "learning_rate = [0.0001]", "val = 10", "sampling = \"shuffle\""] {
        assert!(resolved.lines().any(|found| found == line), "{line} in {resolved}");
    }
}

#[test]
fn the_resolved_sweep_file_is_itself_a_sweep_file_of_the_same_sweep() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let resolved = text(&place.path("out/sweep.toml"));
    assert_eq!(place.sweep(&resolved, "out", &[]).json(0)["trained_now"], 0);
}

#[test]
fn status_counts_the_trials_for_people_and_for_programs() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let out = text(&place.path("out"));
    let report = Run::of(["status", &out, "--json"]).json(0);
    assert_eq!((&report["complete"], &report["diverged"], &report["missing"]), (&8.into(), &4.into(), &0.into()));
    let run = Run::of(["status", &out]);
    assert!(run.stdout.contains("complete  8\n") && run.stdout.contains("missing   0\n"), "{run:?}");
}

#[test]
fn every_model_is_kept_where_that_is_asked_for() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &["--set", "seed=0"]).json(0);
    assert!(!place.path("out/models").exists());
    let kept = place.sweep(&spec, "out", &["--set", "seed=0", "--keep-models"]).json(0);
    assert_eq!(kept["trained_now"], 4, "trials without a model are trained again; those that diverged have none");
    let best = fs::read(place.path("out/best.safetensors")).unwrap();
    let same = format!("out/models/{}.safetensors", kept["best_trial"].as_str().unwrap());
    assert_eq!(fs::read(place.path(&same)).unwrap(), best);
    assert_eq!(place.sweep(&spec, "out", &["--set", "seed=0", "--keep-models"]).json(0)["trained_now"], 0);
}

/// A sweep's directory as results version 1 wrote it is read for as long as that version is known.
#[test]
fn results_of_version_1_are_read() {
    let place = Place::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sweep-1");
    fs::create_dir_all(place.path("old/results")).unwrap();
    for file in ["sweep.toml", "results/000001-shard-1-of-1-node-1.jsonl"] {
        fs::copy(fixture.join(file), place.path("old").join(file)).unwrap();
    }
    let run = Run::of(["report", &text(&place.path("old"))]);
    let report = run.json(0);
    assert_eq!((&report["complete"], &report["diverged"], &report["missing"]), (&10.into(), &2.into(), &0.into()));
    assert!(run.stderr.contains("the model of the best trial is not here"), "{}", run.stderr);
    assert_eq!(leaderboard(&place, "old"), fs::read_to_string(fixture.join("leaderboard.csv")).unwrap());
}

/// All records of a sweep's directory.
fn records(place: &Place, out: &str) -> Vec<serde_json::Value> {
    let files =
        fs::read_dir(place.path(out).join("results")).expect("results").map(|entry| entry.expect("it is there").path());
    let texts: Vec<String> = files.map(|path| fs::read_to_string(path).expect("it is there")).collect();
    texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_record_has_the_validation_loss_of_every_point_and_the_images_that_were_right() {
    let place = Place::new();
    let spec = place.file("s.toml", &format!("{SPEC}average = [0.0, 0.9]\n"));
    place.sweep(&spec, "out", &[]).json(0);
    for record in records(&place, "out") {
        let points = record["curve"].as_array().unwrap();
        let is_diverged = record["status"] == "diverged";
        assert!(is_diverged || points.iter().all(|point| point["val_loss"].as_f64().is_some_and(|loss| loss > 0.0)));
        let first_loss = points[0]["val_loss"].as_f64();
        assert!(is_diverged || (first_loss.unwrap() - 10_f64.ln()).abs() < 0.2, "{record}");
        let right = record["val_right"].as_str().map(|bits| tally::unpack(bits, 20).expect("20 validation images"));
        let share = right.map(|right| right.iter().filter(|&&right| right).count() as f64 / 20.0);
        assert_eq!(share, record["val_accuracy"].as_f64(), "{record}");
        assert_eq!(record["val_loss"].is_f64(), !is_diverged);
    }
}
