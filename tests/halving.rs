//! Searches with cuts: what they keep, and that they end with the same bytes whatever happens on the way.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Place, Run, text};
use mlpgrid::blas;
use mlpgrid::data::{DataConfig, Dataset};
use mlpgrid::error::Error;
use mlpgrid::files::RealDisk;
use mlpgrid::report::publish::publish;
use mlpgrid::sweep::directory;
use mlpgrid::sweep::events::Events;
use mlpgrid::sweep::journal::Results;
use mlpgrid::sweep::search::Search;
use mlpgrid::sweep::session::{Options, Session};
use mlpgrid::sweep::shard::Shard;
use mlpgrid::sweep::site::Site;
use mlpgrid::sweep::space::{Resolved, Space};
use proptest::prelude::*;
use serde_json::Value;

/// 270 training rows: an epoch is 9 iterations, and the cuts lie after 10 and 37 of 60. Twelve configurations, of which three diverge.
const GRID: &str = "[data]\nval = 30\n[fixed]\nbatch_size = 30\niterations = 60\n[grid]\nhidden = [3, 5, 8]\n\
    learning_rate = [1e-3, 3e-3, 1e-2, 1e6]\nseed = [0, 1]\n";
const CUTS: &str = "[halving]\ncuts = [[0.15, 0.5], [0.5, 0.2]]\n";

fn spec(place: &Place, name: &str, more: &str) -> String {
    place.file(name, &format!("{GRID}{more}"))
}

/// The last record of each trial, by identity.
fn records(place: &Place, out: &str) -> BTreeMap<String, Value> {
    let mut files: Vec<_> = fs::read_dir(place.path(out).join("results"))
        .expect("results")
        .map(|entry| entry.expect("it is there").path())
        .collect();
    files.sort();
    let lines = files
        .iter()
        .flat_map(|path| fs::read_to_string(path).expect("it is there").lines().map(str::to_owned).collect::<Vec<_>>());
    let record = |line: String| serde_json::from_str::<Value>(&line).expect("JSON");
    lines.map(record).map(|record| (record["trial"].as_str().expect("it is there").to_owned(), record)).collect()
}

fn leaderboard(place: &Place, out: &str) -> String {
    fs::read_to_string(place.path(out).join("leaderboard.csv")).expect("a leaderboard")
}

/// What differs between two runs of one trial.
fn without_time(mut record: Value) -> Value {
    for key in ["train_seconds", "ended_unix_seconds", "host", "checksum"] {
        record.as_object_mut().expect("it is there").remove(key);
    }
    record
}

/// A configuration's seeds: mean accuracy and loss at a point of their curves; none where one diverged.
fn at(records: &[&Value], updates: u64) -> Option<(f64, f64)> {
    let point = |record: &&Value| {
        let points = record["curve"].as_array().expect("it is there");
        let point = points.iter().find(|point| point["iteration"].as_u64().expect("it is there") + 1 == updates)?;
        Some((point["val_accuracy"].as_f64().expect("it is there"), point["val_loss"].as_f64().expect("it is there")))
    };
    let points = records.iter().map(point).collect::<Option<Vec<_>>>()?;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    Some((mean(|point| point.0), mean(|point| point.1)))
}

#[test]
fn a_search_keeps_the_best_of_the_whole_rung_and_its_finalists_are_those_of_the_grid_to_the_byte() {
    let place = Place::with_rows(60);
    place.sweep(&spec(&place, "grid.toml", ""), "grid", &["--workers", "2"]).json(0);
    let run = place.sweep(&spec(&place, "cuts.toml", CUTS), "cuts", &["--workers", "2"]);
    let report = run.json(0);
    assert_eq!((&report["trials"], &report["missing"]), (&24.into(), &0.into()), "{run:?}");
    assert_eq!(report["complete"], 6, "three configurations of two seeds");
    let (grid, cuts) = (records(&place, "grid"), records(&place, "cuts"));

    // The decisions once more, from the grid's records alone.
    let order: Vec<Value> = place
        .sweep(&spec(&place, "grid.toml", ""), "no", &["--list"])
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let key = |trial: &Value| (trial["hidden"].as_u64().unwrap(), trial["learning_rate"].to_string());
    let mut alive: Vec<(u64, String)> = vec![];
    order.iter().map(key).for_each(|key| {
        if !alive.contains(&key) {
            alive.push(key)
        }
    });
    assert_eq!(alive.len(), 12);
    let of = |configuration: &(u64, String)| {
        let trials = order.iter().filter(|trial| key(trial) == *configuration);
        trials.map(|trial| &grid[trial["trial"].as_str().unwrap()]).collect::<Vec<_>>()
    };
    for (updates, keep, file) in [(10, 6, "1.json"), (37, 3, "2.json")] {
        let before = alive.clone();
        alive.retain(|configuration| at(&of(configuration), updates).is_some());
        alive.sort_by(|a, b| {
            let [a, b] = [a, b].map(|configuration| at(&of(configuration), updates).unwrap());
            b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1))
        });
        alive.truncate(keep);
        let rung: Value =
            serde_json::from_str(&fs::read_to_string(place.path("cuts/rungs").join(file)).unwrap()).unwrap();
        assert_eq!(rung["configurations"], serde_json::json!([before.len(), keep]));
        let kept = rung["trials"].as_array().unwrap().iter().filter(|trial| trial["kept"] == true);
        let mut kept: Vec<&str> = kept.map(|trial| trial["trial"].as_str().unwrap()).collect();
        let mut expected: Vec<&str> =
            alive.iter().flat_map(&of).map(|record| record["trial"].as_str().unwrap()).collect();
        kept.sort_unstable();
        expected.sort_unstable();
        assert_eq!(kept, expected, "{file}");
    }
    for (trial, record) in &cuts {
        if record["status"] == "complete" {
            assert_eq!(without_time(record.clone()), without_time(grid[trial].clone()));
        }
    }
    let board = leaderboard(&place, "cuts");
    let statuses: Vec<&str> = board.lines().skip(1).map(|line| line.split(',').nth(2).unwrap()).collect();
    assert!(
        statuses[..6].iter().all(|status| *status == "complete") && statuses[6..18].iter().all(|s| *s == "stopped")
    );
    assert!(statuses[18..].iter().all(|status| *status == "diverged"), "{board}");
    assert!(
        !place.path("cuts/checkpoints/shard-1-of-1").exists() || place.checkpoints("cuts").is_empty(),
        "no states are left"
    );

    // The best model is the winner's.
    let best = Run::of(["eval", &text(&place.path("cuts")), "--data", &text(&place.data())]).json(0);
    assert_eq!(best["trial"], report["best_trial"]);
}

#[test]
fn a_grid_that_was_trained_is_a_search_for_nothing_and_a_search_extended_to_the_grid_trains_the_rest() {
    let place = Place::with_rows(60);
    let (grid, cuts) = (spec(&place, "grid.toml", ""), spec(&place, "cuts.toml", CUTS));
    place.sweep(&grid, "there", &[]).json(0);
    place.sweep(&cuts, "there", &[]).refused(2, &["halving.cuts was nothing", "--extend"]);
    assert_eq!(place.sweep(&cuts, "there", &["--extend"]).json(0)["trained_now"], 0);
    place.sweep(&cuts, "scratch", &[]).json(0);
    assert_eq!(leaderboard(&place, "there"), leaderboard(&place, "scratch"));
    place.sweep(&grid, "scratch", &["--extend"]).json(0);
    place.sweep(&grid, "grid", &[]).json(0);
    assert_eq!(leaderboard(&place, "scratch"), leaderboard(&place, "grid"));
}

#[test]
fn an_extended_search_ends_with_the_bytes_of_the_larger_one_from_scratch() {
    let place = Place::with_rows(60);
    let cuts = spec(&place, "cuts.toml", CUTS);
    place.sweep(&cuts, "grown", &["--set", "hidden=[3,8]"]).json(0);
    place.sweep(&cuts, "grown", &["--extend"]).json(0);
    place.sweep(&cuts, "scratch", &[]).json(0);
    assert_eq!(leaderboard(&place, "grown"), leaderboard(&place, "scratch"));
    for rung in ["rungs/1.json", "rungs/2.json"] {
        let read = |out: &str| fs::read_to_string(place.path(out).join(rung)).unwrap();
        assert_eq!(read("grown"), read("scratch"));
    }
}

#[test]
fn a_shard_waits_for_the_others_at_a_cut_and_says_so() {
    let place = Place::with_rows(60);
    let cuts = spec(&place, "cuts.toml", CUTS);
    let first = place.sweep(&cuts, "out", &["--shard", "1/2"]);
    assert_eq!(first.json(0)["complete"], 0);
    assert!(first.stderr.contains("results of other shards are missing before this one can go on"), "{first:?}");
    assert!(!place.path("out/rungs").exists());
    for shard in ["2/2", "1/2", "2/2", "1/2", "2/2", "1/2"] {
        place.sweep(&cuts, "out", &["--shard", shard]).json(0);
    }
    place.sweep(&cuts, "whole", &[]).json(0);
    assert_eq!(leaderboard(&place, "out"), leaderboard(&place, "whole"));
}

#[test]
fn cuts_that_meet_or_lie_behind_the_end_are_refused_by_file_line_and_both_cuts() {
    let place = Place::with_rows(60);
    let refused = |cuts: &str, parts: &[&str]| {
        let file = spec(&place, "s.toml", &format!("[halving]\ncuts = {cuts}\n"));
        place.sweep(&file, "out", &["--dry-run"]).refused(2, parts);
        place.sweep(&file, "out", &[]).refused(2, parts);
        assert!(!place.path("out").exists());
    };
    refused("[[0.2, 0.5], [0.25, 0.2]]", &["s.toml:11: `cuts`", "0.2 and 0.25", "after 19 of the 60 iterations"]);
    refused("[[0.99, 0.5]]", &["s.toml:11: `cuts`", "before the end", "after 64 of the 60"]);
}

#[test]
fn a_budget_runs_the_first_trials_and_a_target_ends_the_search_at_a_cut() {
    let place = Place::with_rows(60);
    let file = spec(&place, "s.toml", "[budget]\nmax_trials = 5\n");
    let report = place.sweep(&file, "few", &[]).json(0);
    assert_eq!((&report["trials"], &report["trained_now"], &report["not_run"]), (&24.into(), &5.into(), &19.into()));
    let target = format!("{CUTS}[budget]\ntarget_val_accuracy = 0.01\n");
    let report = place.sweep(&spec(&place, "t.toml", &target), "target", &[]).json(0);
    assert!(report["complete"].as_u64().unwrap() > 0 && place.path("target/rungs/1.json").exists());
}

#[test]
fn finalists_are_confirmed_with_seeds_that_the_search_has_not_seen_and_the_model_is_the_confirmed_one() {
    let place = Place::with_rows(60);
    let file = spec(&place, "s.toml", &format!("{CUTS}[confirm]\nseeds = 2\nfinalists = 2\n"));
    let run = place.sweep(&file, "out", &["--workers", "2"]);
    let report = run.json(0);
    assert!(run.stderr.contains("confirming finalists: 4 trials with fresh seeds"), "{run:?}");
    let confirmed = fs::read_to_string(place.path("out/confirmed.csv")).unwrap();
    assert_eq!(confirmed.lines().count(), 3, "{confirmed}");
    assert_eq!((&report["confirming"], &report["confirmed"]["seeds"]), (&0.into(), &2.into()));
    let records = records(&place, "out");
    let seeds = records.values().filter(|record| record["seed"].as_u64().unwrap() > 1);
    assert_eq!(seeds.count(), 4, "seeds 2 and 3");
    let chosen = &records[report["confirmed"]["trial"].as_str().unwrap()];
    let best = &records[report["best_trial"].as_str().unwrap()];
    for key in ["hidden", "learning_rate"] {
        assert_eq!(chosen[key], best[key], "the model is one of the confirmed configuration");
    }
    let model = Run::of(["eval", &text(&place.path("out")), "--data", &text(&place.data())]).json(0);
    assert_eq!(model["trial"], report["best_trial"]);
    let again = place.sweep(&file, "out", &[]).json(0);
    assert_eq!((&again["trained_now"], &again["confirmed"]), (&0.into(), &report["confirmed"]));
}

#[test]
fn the_best_of_many_is_reported_with_its_interval_and_what_it_is_worth() {
    let place = Place::with_rows(60);
    let run = place.sweep(&spec(&place, "grid.toml", ""), "out", &[]);
    let best = &run.json(0)["best_configuration"];
    assert_eq!((&best["seeds"], &best["images"], &best["of"]), (&2.into(), &30.into(), &12.into()));
    let [low, mean, high] = ["val_low", "val_mean", "val_high"].map(|key| best[key].as_f64().unwrap());
    assert!(low <= mean && mean <= high && best["corrected_val_accuracy"].as_f64().unwrap() <= mean + 0.05, "{best}");
    assert!(run.stderr.contains("the best of 12, so optimistic: corrected "), "{run:?}");
    let groups = fs::read_to_string(place.path("out/groups.csv")).unwrap();
    assert_eq!(groups.lines().count(), 13, "twelve configurations");
    assert!(
        groups.starts_with("rank,trial,status,seeds,val_mean,val_sd,val_low,val_high,val_loss,rung,hidden,"),
        "{groups}"
    );
    let status = Run::of(["status", &text(&place.path("out"))]);
    assert!(status.stdout.contains("so optimistic: corrected"), "{status:?}");
}

/// Stops a session after so many iterations.
struct Stops<'a> {
    left: AtomicUsize,
    stop: &'a AtomicBool,
}

impl Events for Stops<'_> {
    fn iterated(&self, _trials: usize, _work: f64) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

struct Sweep {
    _place: Place,
    data: Dataset,
    space: Resolved,
}

impl Sweep {
    fn new() -> Self {
        blas::initialise().expect("OpenBLAS takes one thread");
        let place = Place::with_rows(60);
        let data = Dataset::load(&place.data(), &DataConfig { val: Some(30), ..DataConfig::default() }).expect("data");
        let space = Space::parse(&format!("{GRID}{CUTS}"), "s.toml").expect("a sweep file").resolved(&data);
        Self { _place: place, data, space }
    }

    /// One process; returns whether it was interrupted.
    fn process(&self, directory: &Path, shard: Shard, workers: usize, iterations: usize) -> bool {
        let stop = AtomicBool::new(false);
        let events = Stops { left: AtomicUsize::new(iterations), stop: &stop };
        let site = Site {
            data: &self.data,
            directory,
            kernel: "the kernel",
            shard,
            keep_models: false,
            checkpoint_every: Duration::ZERO,
            stop: &stop,
            disk: &RealDisk,
            program: None,
            process: None,
        };
        let options = Options { workers, retried: vec![], may_extend: false, takeover_after: Duration::from_secs(1) };
        let mut session = Session::open(site, &self.space, options, &events).expect("the directory is ours");
        match session.run() {
            Ok(_) => false,
            Err(Error::Interrupted) => true,
            Err(other) => panic!("{other}"),
        }
    }

    /// Leaderboard, best model and decisions.
    fn fruits(&self, directory: &Path) -> Vec<Vec<u8>> {
        let space = directory::read(directory).expect("a sweep");
        let trials = space.trials().expect("trials");
        let search = Search::new(&space, &trials).expect("cuts");
        let mut results = Results::read(directory).expect("results");
        assert!(publish(directory, &search, &trials, &mut results).expect("published"), "the best model is there");
        let files = ["leaderboard.csv", "best.safetensors", "rungs/1.json", "rungs/2.json"];
        files.map(|file| fs::read(directory.join(file)).expect(file)).to_vec()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    /// Shards in any order, of any number, with any workers, interrupted anywhere, with states lost on the way.
    #[test]
    fn any_shards_workers_order_and_interruptions_end_with_the_same_bytes(
        count in 1_usize..4,
        turns in prop::collection::vec((0_usize..4, 1_usize..3, 1_usize..120, any::<bool>()), 1..8),
    ) {
        let sweep = Sweep::new();
        static CALM: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
        let expected = CALM.get_or_init(|| {
            let calm = tempfile::tempdir().unwrap();
            sweep.process(calm.path(), Shard::WHOLE, 1, usize::MAX);
            sweep.fruits(calm.path())
        });
        let wild = tempfile::tempdir().unwrap();
        for (index, workers, iterations, loses_states) in turns {
            let shard = Shard { index: index % count + 1, count };
            sweep.process(wild.path(), shard, workers, iterations);
            if loses_states {
                drop(fs::remove_dir_all(wild.path().join("checkpoints")));
            }
        }
        for index in (1..=count).cycle().take(4 * count) {
            sweep.process(wild.path(), Shard { index, count }, 2, usize::MAX);
        }
        prop_assert!(sweep.fruits(wild.path()) == *expected);
    }
}

#[test]
fn a_dry_run_explains_every_cut_with_its_counts_and_they_are_what_happens() {
    let place = Place::with_rows(60);
    let cuts = spec(&place, "cuts.toml", CUTS);
    let run = place.sweep(&cuts, "out", &["--dry-run"]);
    let plan = run.json(0);
    place.sweep(&cuts, "out", &[]).json(0);
    for (number, cut) in plan["cuts"].as_array().unwrap().iter().enumerate() {
        let file = place.path("out/rungs").join(format!("{}.json", number + 1));
        let rung: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(rung["configurations"], serde_json::json!([cut["configurations"], cut["kept"]]));
        let iterations = rung["trials"][0]["iterations"].clone();
        assert_eq!(cut["iterations"], serde_json::json!([iterations, iterations]));
    }
    assert!(
        run.stderr
            .contains("cut 2 at 50.0 % of the iterations, where an epoch begins, after 37: 6 configurations, 3 go on"),
        "{run:?}"
    );
    let [low, high] = [0, 1].map(|at| plan["predicted_seconds_range"][at].as_f64().unwrap());
    assert!(low <= high && plan["state_bytes"].as_u64().unwrap() > 0, "{plan}");
}

#[test]
fn a_dry_run_warns_where_a_cut_judges_networks_early_on_a_schedule_of_their_length() {
    let place = Place::with_rows(60);
    let cuts = spec(&place, "cuts.toml", CUTS);
    let early = |more: &[&str]| {
        let run = place.sweep(&cuts, "out", &[&["--dry-run"], more].concat());
        let early = run.json(0)["judged_early"].as_u64().expect("a number");
        assert_eq!(run.stderr.contains("before a third of the schedule"), early > 0, "{run:?}");
        early
    };
    let cosine = ["--set", "schedule=cosine"];
    assert_eq!(early(&cosine), 24);
    assert_eq!(early(&["--set", "schedule=['decay', 'linear']"]), 24);
    assert_eq!(early(&[]), 0);
    assert_eq!(early(&[&cosine[..], &["--set", "average=0.9"]].concat()), 0);
    assert_eq!(early(&[&cosine[..], &["--set", "halving.cuts=[[0.5, 0.2]]"]].concat()), 0);
}

#[test]
fn the_rule_of_the_study_leaves_out_cuts_that_short_trainings_have_no_room_for() {
    let place = Place::with_rows(60);
    let spec = spec(&place, "cuts.toml", "[halving]\n");
    let cuts = |iterations: &str| {
        let plan = place.sweep(&spec, "out", &["--dry-run", "--set", iterations]).json(0);
        let cuts = plan["cuts"].as_array().expect("a list").clone();
        cuts.iter().map(|cut| cut["iterations"][0].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    // An epoch is 9 iterations: of 60 the first two cuts would both lie after the first epoch, of 9 all behind the end.
    let six_epochs = ["--set", "iterations=60"];
    place.sweep(&spec, "six", &six_epochs).json(0);
    assert_eq!(place.sweep(&spec, "six", &six_epochs).json(0)["trained_now"], 0, "the directory's own file is read");
    assert_eq!(Run::of(["report", &text(&place.path("six"))]).code, Some(0));
    assert_eq!(cuts("iterations=300"), [19, 37, 100]);
    assert_eq!(cuts("iterations=60"), [10, 28]);
    assert_eq!(cuts("iterations=[60,300]"), [10, 28]);
    let none = place.sweep(&spec, "out", &["--dry-run", "--set", "iterations=9"]);
    none.refused(
        2,
        &["cuts.toml:10", "expected a cut before the end of the longest trial", "train for more iterations"],
    );
}

#[test]
fn the_report_shows_where_a_configuration_was_dropped_and_with_which_accuracy() {
    let place = Place::with_rows(60);
    let cuts = spec(&place, "cuts.toml", &CUTS.replace("[halving]\n", "[halving]\nfinalists = 1\n"));
    place.sweep(&cuts, "out", &[]).json(0);
    assert_eq!(Run::of(["report", &text(&place.path("out"))]).code, Some(0));
    // Three reached the end, three were dropped at the second cut, and what did not diverge of the other six at the first.
    let rows = fs::read_to_string(place.path("out/configurations.csv")).expect("it is there");
    let mut rows = rows.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = rows.next().expect("a head");
    let column = |name: &str| head.iter().position(|column| *column == name).expect("a column");
    let (cut, there) = (column("cut"), column("accuracy_at_cut"));
    let of_cuts: Vec<(String, f64)> =
        rows.map(|row| (row[cut].to_owned(), row[there].parse().unwrap_or(0.0))).collect();
    let at: Vec<&str> = of_cuts.iter().map(|(cut, _)| &**cut).collect();
    assert_eq!(at, ["", "", "", "2", "2", "2", "1", "1", "1", "", "", ""], "complete, dropped, diverged: {of_cuts:?}");
    assert!(of_cuts.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].1 >= pair[1].1), "{of_cuts:?}");
    let page = fs::read_to_string(place.path("out/report.html")).expect("it is there");
    assert!(page.contains(&format!("<td>{:.2} at cut 2</td>", 100.0 * of_cuts[3].1)), "{of_cuts:?}");
    assert!(!page.contains("no result yet</td>"));
}

#[test]
fn the_report_counts_what_is_beyond_the_budget_as_neither_stopped_nor_missing() {
    let place = Place::with_rows(60);
    let few = ["--set", "budget.max_trials=3", "--set", "learning_rate=[1e-3,3e-3]"];
    place.sweep(&spec(&place, "grid.toml", ""), "out", &few).json(0);
    assert_eq!(Run::of(["report", &text(&place.path("out"))]).code, Some(0));
    let page = fs::read_to_string(place.path("out/report.html")).expect("it is there");
    assert!(page.contains("3 of 12 trials, 6 configurations with 2 seeds: 3 complete, 0 diverged, 0 failed, 0 missing, 9 beyond the budget."));
    assert!(page.contains("<p>None: 3 trials are complete.</p>"));
}
