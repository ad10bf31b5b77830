//! Search spaces of every kind: which trials they have, in which order, and what is said of mistakes in them.

mod common;

use std::collections::HashSet;
use std::fs;

use common::{Place, Run, text};
use mlpgrid::data::{DataConfig, Dataset};
use mlpgrid::model::Hyperparameters;
use mlpgrid::sweep::shard::Shard;
use mlpgrid::sweep::space::{Resolved, Space, Trial};
use proptest::prelude::*;

/// A space with everything spelled out, on a small data set.
fn resolved(text: &str) -> Resolved {
    thread_local! {
        static DATA: Dataset = Dataset::load(&Place::with_rows(60).data(), &DataConfig::default()).expect("the data are there");
    }
    DATA.with(|data| Space::parse(text, "s.toml").unwrap_or_else(|error| panic!("{error}")).resolved(data))
}

fn trials(text: &str) -> Vec<Trial> {
    resolved(text).trials().unwrap_or_else(|error| panic!("{error}"))
}

fn column<T>(text: &str, of: impl Fn(&Hyperparameters) -> T) -> Vec<T> {
    trials(text).iter().map(|trial| of(&trial.hyperparameters)).collect()
}

fn ids(trials: &[Trial]) -> Vec<&str> {
    trials.iter().map(|trial| trial.id.as_str()).collect()
}

#[test]
fn ranges_of_a_grid_are_the_lists_that_they_stand_for() {
    let range = |key: &str, range: &str| trials(&format!("[grid]\n{key} = {range}\n"));
    let is_list = |key: &str, written: &str, list: &str| {
        assert_eq!(ids(&range(key, written)), ids(&range(key, list)), "{written}");
    };
    is_list("hidden", "{ from = 50, to = 400, times = 2 }", "[50, 100, 200, 400]");
    is_list("hidden", "{ from = 10, to = 35, step = 10 }", "[10, 20, 30]");
    is_list("l2", "{ from = 0.1, to = 0.5, step = 0.1 }", "[0.1, 0.2, 0.3, 0.4, 0.5]");
    is_list("l2", "{ log = [1e-3, 1], count = 4, or = 0 }", "[0.001, 0.01, 0.1, 1, 0]");
    is_list("learning_rate", "{ log = [1e-4, 3e-3], count = 3 }", "[1e-4, 5.477e-4, 3e-3]");
}

#[test]
fn hyperparameters_that_go_together_make_no_product() {
    let text = "[grid]\nhidden = [3, 4]\n\"batch_size, learning_rate_decay\" = [[10, 0.95], [20, 0.9]]\n";
    let points = column(text, |h| (h.hidden, h.batch_size, h.learning_rate_decay));
    assert_eq!(points, [(3, 10, 0.95), (3, 20, 0.9), (4, 10, 0.95), (4, 20, 0.9)]);
}

#[test]
fn each_draw_is_combined_with_every_point_of_the_grid_and_more_samples_keep_the_first() {
    let text = |samples: usize| {
        format!(
            "[random]\nsamples = {samples}\nlearning_rate = {{ log_uniform = [1e-4, 1e-2] }}\n[grid]\nseed = [0, 1]\n"
        )
    };
    let few = column(&text(5), |h| (h.learning_rate, h.seed));
    assert_eq!(few.len(), 10);
    assert!(few.chunks(2).all(|pair| pair[0].0 == pair[1].0 && (pair[0].1, pair[1].1) == (0, 1)));
    assert_eq!(ids(&trials(&text(40)))[..10], ids(&trials(&text(5)))[..]);
}

#[test]
fn every_hyperparameter_can_be_drawn() {
    for entry in Hyperparameters::neutral().entries() {
        let text = format!("[random]\nsamples = 1\n{} = {{ choice = [{}] }}\n", entry.name, entry.value);
        assert_eq!(trials(&text).len(), 1, "{text}");
    }
}

#[test]
fn spaces_have_what_they_name_over_what_stands_outside_and_equal_trials_are_one() {
    let text = "[fixed]\nhidden = 7\nbatch_size = 10\n[grid]\nseed = [0, 1]\n\
        [[space]]\nname = \"narrow\"\nfixed.hidden = 5\n\
        [[space]]\nname = \"both\"\ngrid.hidden = [5, 6]\n\
        [[space]]\nfixed.seed = 9\nrandom.samples = 2\nrandom.l2 = { choice = [0.5, 0.25] }\n";
    let points = column(text, |h| (h.hidden, h.seed, h.batch_size));
    assert_eq!(points[..4], [(5, 0, 10), (5, 1, 10), (6, 0, 10), (6, 1, 10)], "hidden 5 once");
    assert_eq!(points[4..], [(7, 9, 10), (7, 9, 10)]);
    let own = "[random]\nsamples = 3\nl2 = { uniform = [0, 1] }\n[[space]]\nname = \"a\"\n[[space]]\nname = \"b\"\n";
    assert_eq!(trials(own).len(), 6, "each space draws its own points");
}

#[test]
fn candidates_of_a_file_are_trials_with_every_point_of_the_grid() {
    let place = Place::with_rows(60);
    place.file("candidates.csv", "hidden, learning_rate, sampling\n3, 1e-3, shuffle\n4, 1e-4, replacement\n");
    let spec = place.file("s.toml", "trials = \"candidates.csv\"\n[fixed]\nbatch_size = 10\n[grid]\nseed = [0, 1]\n");
    let listed = place.sweep(&spec, "out", &["--list"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let lines: Vec<serde_json::Value> = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let point = |line: &serde_json::Value| (line["hidden"].as_u64().unwrap(), line["seed"].as_u64().unwrap());
    assert_eq!(lines.iter().map(point).collect::<Vec<_>>(), [(3, 0), (3, 1), (4, 0), (4, 1)]);
    assert!(lines[0]["sampling"] == "shuffle" && lines[0]["trial"].as_str().unwrap().len() == 16);
    assert!(!place.path("out").exists(), "nothing is written");
    for (file, parts) in [
        ("hiden\n3\n", &["candidates.csv:1", "`hiden`", "did you mean `hidden`?"][..]),
        ("hidden,l2\n3,0\n4,x\n", &["candidates.csv:3: `l2`", "a number", "`x`"]),
        ("hidden\n3\n3\n", &["3 twice"]),
        ("hidden\n", &["none in"]),
    ] {
        place.file("candidates.csv", file);
        place.sweep(&spec, "out", &["--dry-run"]).refused(2, parts);
    }
    fs::remove_file(place.path("candidates.csv")).unwrap();
    place.sweep(&spec, "out", &["--dry-run"]).refused(2, &["s.toml:1: `trials`", "candidates.csv"]);
}

#[test]
fn every_mistake_in_a_space_names_file_line_and_key_and_the_nearest_key() {
    let place = Place::with_rows(60);
    let cases: &[(&str, &[&str])] = &[
        ("[grid]\n\nhidden = { form = 3 }\n", &["s.toml:3: `hidden`", "`form`", "did you mean `from`?"]),
        ("[grid]\nhidden = { from = 3, to = 9 }\n", &["s.toml:2: `hidden`", "`times` and `step`"]),
        ("[grid]\nl2 = { log = [-3, 0], count = 4 }\n", &["s.toml:2: `l2`", "values rather than exponents"]),
        ("[grid]\n\"hidden, l2\" = [[1, 0], [2]]\n", &["s.toml:2: `hidden, l2`", "lists of 2 values", "a list of 1"]),
        ("[grid]\n\"hiden, l2\" = [[1, 0]]\n", &["s.toml:2: ", "`hiden`", "did you mean `hidden`?"]),
        ("[grid]\n\"hidden, l2\" = [[1, 0], [1, 0]]\n", &["s.toml:2: ", "1, 0.0 twice"]),
        (
            "[random]\nsamples = 3\nlerning_rate = { uniform = [0, 1] }\n",
            &["s.toml:3: ", "did you mean `learning_rate`?"],
        ),
        ("[random]\nsmaples = 3\n", &["s.toml:2: ", "did you mean `samples`?"]),
        ("[random]\nl2 = { uniform = [0, 1] }\n", &["s.toml:2: `l2`", "`samples` beside it"]),
        ("[random]\nsamples = 3\n", &["s.toml:2: `samples`", "something to draw"]),
        (
            "[random]\nsamples = 3\nl2 = { log_uniform = [-4, -1] }\n",
            &["s.toml:3: `l2`", "bounds are values, not exponents"],
        ),
        ("[random]\nsamples = 3\nl2 = { unifrom = [0, 1] }\n", &["s.toml:3: `l2`", "did you mean `uniform`?"]),
        ("[random]\nsamples = 3\nsampling = { uniform = [0, 1] }\n", &["s.toml:3: `sampling`", "use `choice`"]),
        (
            "[random]\nsamples = 3\nsampler = \"tpe\"\nl2 = { uniform = [0, 1] }\n",
            &["s.toml:3: `sampler`", "\"sobol\" or \"random\""],
        ),
        ("[random]\nsamples = 70000\nl2 = { uniform = [0, 1] }\n", &["s.toml:2: `samples`", "at most 65536"]),
        ("[fixed]\nl2 = 1\n[random]\nsamples = 3\nl2 = { uniform = [0, 1] }\n", &["s.toml:5: `l2`", "s.toml:2 too"]),
        ("[random]\nsamples = 3\ndropout = { uniform = [0, 4] }\n", &["s.toml:3: `dropout`", "from 0 to below 1"]),
        ("[[space]]\nfixd.hidden = 3\n", &["s.toml:2: ", "`fixd`", "did you mean `fixed`?"]),
        ("[[space]]\nfixed.hiden = 3\n", &["s.toml:2: ", "did you mean `hidden`?"]),
        ("[space]\nname = \"a\"\n", &["s.toml:1: ", "[[space]]"]),
        ("[grid]\n\"hidden, l2\" = [[1, 0]]\n[[space]]\nfixed.l2 = 1\n", &["s.toml:4: `l2`", "`hidden` only at "]),
        ("[halving]\ncut = 3\n", &["s.toml:2: ", "did you mean `cuts`?"]),
        ("[halving]\ncuts = [[0.3, 0.3], [0.2, 0.1]]\n", &["s.toml:2: `cuts`", "each cut later"]),
        ("[halving]\ncuts = [[0.3, 1.3]]\n", &["s.toml:2: `cuts`", "a share between 0 and 1"]),
        ("[budget]\nmax_trial = 3\n", &["s.toml:2: ", "did you mean `max_trials`?"]),
        ("[budgte]\nmax_trial = 3\n", &["s.toml:1: ", "did you mean `budget`?"]),
    ];
    for (file, parts) in cases {
        fs::write(place.path("s.toml"), file).unwrap();
        place.sweep(&text(&place.path("s.toml")), "out", &["--dry-run"]).refused(2, parts);
    }
}

#[test]
fn any_key_can_be_set_from_the_command_line() {
    let place = Place::with_rows(60);
    let spec = place.file("s.toml", "[random]\nsamples = 3\nl2 = { uniform = [0, 1] }\n[[space]]\nfixed.hidden = 3\n");
    let count = |set: &[&str]| {
        let flags: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).chain(["--list"]).collect();
        let run = place.sweep(&spec, "out", &flags);
        assert_eq!(run.code, Some(0), "{run:?}");
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    assert_eq!(count(&[]).len(), 3);
    assert_eq!(count(&["random.samples=5"]).len(), 5);
    assert_eq!(count(&["random.samples=5", "random.sampler=random", "random.sampler_seed=4"]).len(), 5);
    assert_eq!(count(&["hidden=[4,5]"]).len(), 6);
    assert!(count(&["hidden=9"]).iter().all(|trial| trial["hidden"] == 9), "in the space that fixes it, too");
    assert!(count(&["l2={uniform=[2,3]}"]).iter().all(|trial| trial["l2"].as_f64().unwrap() >= 2.0));
    assert_eq!(count(&["hidden={from=10,to=40,times=2}"]).len(), 9);
    place.sweep(&spec, "out", &["--set", "random.sampels=5"]).refused(2, &["--set random.sampels=5", "did you mean"]);
}

#[test]
fn a_resolved_space_of_any_kind_is_read_back_with_the_same_trials_in_the_same_order() {
    let place = Place::with_rows(60);
    let spec = "[fixed]\nbatch_size = 10\n[grid]\nseed = [1, 0]\n\"hidden, l2\" = [[3, 0.5], [4, 0]]\n\
        [random]\nsamples = 4\nsampler = \"random\"\nlearning_rate = { log_uniform = [1e-4, 1e-2], round = 2 }\n\
        [[space]]\nname = \"a \\\"b\\\"\"\nfixed.momentum = 0.5\nfixed.optimizer = \"momentum\"\n[[space]]\nname = \"c\"\nrandom.sampler_seed = 5\n\
        [halving]\neta = 3\nmin_iterations = 20\n[confirm]\nseeds = 2\n[budget]\nmax_trials = 7\n";
    let space = resolved(spec);
    fs::write(place.path("r.toml"), space.to_toml()).unwrap();
    let again = Resolved::read(&place.path("r.toml")).unwrap();
    assert_eq!(again.to_toml(), space.to_toml());
    assert_eq!(ids(&again.trials().unwrap()), ids(&space.trials().unwrap()));
    assert_eq!(again.differences(&space), [] as [String; 0]);
    assert_eq!((again.rules().confirm, again.rules().budget), (space.rules().confirm, space.rules().budget));
    let other = resolved(&spec.replace("samples = 4", "samples = 5").replace("seeds = 2", "seeds = 3"));
    assert_eq!(space.differences(&other), ["random.samples was 4, now 5", "confirm.seeds was 2, now 3"]);
}

#[test]
fn a_table_without_keys_is_the_rule_of_the_study_and_a_said_cut_is_kept_to_the_number() {
    let text = |rules: &str| resolved(&format!("[grid]\nhidden = [3, 4]\n{rules}")).to_toml();
    let rule = "[halving]\ncuts = [[0.037, 0.333], [0.111, 0.111], [0.333, 0.037]]\nfinalists = 8\n";
    assert!(text("[halving]\n").contains(rule));
    assert!(text("[halving]\nfinalists = 5\n").contains(&rule.replace('8', "5")));
    assert!(text("[halving]\ncuts = [[0.5, 0.2]]\n").contains("[halving]\ncuts = [[0.5, 0.2]]\nfinalists = 1\n"));
    assert!(text("[confirm]\n").contains("[confirm]\nseeds = 3\nfinalists = 8\n"));
    assert!(!text("[budget]\n").contains("[budget]"));
}

#[test]
fn a_space_written_in_another_way_is_equal_if_its_trials_are() {
    let one = resolved("[grid]\nhidden = [3, 4]\nseed = [0, 1]\n");
    let other =
        resolved("[[space]]\nfixed.seed = 1\ngrid.hidden = [4, 3]\n[[space]]\nfixed.seed = 0\ngrid.hidden = [4, 3]\n");
    assert_eq!(one.differences(&other), [] as [String; 0]);
    assert!(!one.has_order_of(&other));
}

#[test]
fn an_extended_random_sweep_trains_only_what_is_new() {
    let place = Place::with_rows(60);
    let spec = place.file(
        "s.toml",
        "[fixed]\niterations = 10\nbatch_size = 10\nhidden = 3\n[random]\nsamples = 3\nlearning_rate = { log_uniform = [1e-4, 1e-2] }\n",
    );
    assert_eq!(place.sweep(&spec, "out", &[]).json(0)["trained_now"], 3);
    let more = ["--set", "random.samples=5"];
    place.sweep(&spec, "out", &more).refused(2, &["random.samples was 3, now 5", "--extend"]);
    assert_eq!(place.sweep(&spec, "out", &[&more[..], &["--extend"]].concat()).json(0)["trained_now"], 2);
    place.sweep(&spec, "whole", &more).json(0);
    let board = |out: &str| fs::read_to_string(place.path(out).join("leaderboard.csv")).unwrap();
    assert_eq!(board("out"), board("whole"), "what it would have been from the start");
}

#[test]
fn hundreds_of_thousands_of_trials_are_listed_and_cut_into_shards() {
    let spec = "[grid]\nlearning_rate = { log = [1e-5, 1e-2], count = 1000 }\nhidden = { from = 1, to = 20, step = 1 }\nseed = { from = 0, to = 9, step = 1 }\n";
    let trials = trials(spec);
    assert_eq!(trials.len(), 200_000);
    let shards: usize = (1..=3).map(|index| Shard { index, count: 3 }.of(&trials, 3072).len()).sum();
    assert_eq!(shards, 200_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn shards_of_any_space_have_each_trial_once(
        samples in 1_usize..40, seeds in 1_usize..4, sampler in prop::sample::select(vec!["sobol", "random"]), count in 1_usize..6,
    ) {
        let seeds: Vec<usize> = (0..seeds).collect();
        let spec = format!(
            "[grid]\nseed = {seeds:?}\n[random]\nsamples = {samples}\nsampler = \"{sampler}\"\nhidden = {{ integer = [2, 9] }}\n\
            l2 = {{ uniform = [0, 1] }}\n[[space]]\n[[space]]\nfixed.hidden = 4\n"
        );
        let trials = trials(&spec);
        let parts: Vec<Vec<&Trial>> = (1..=count).map(|index| Shard { index, count }.of(&trials, 3072)).collect();
        let in_shards: HashSet<&str> = parts.iter().flatten().map(|trial| trial.id.as_str()).collect();
        prop_assert_eq!(in_shards.len(), trials.len());
        prop_assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), trials.len());
    }
}

#[test]
fn a_plan_of_a_random_space_is_explained() {
    let place = Place::with_rows(60);
    let spec = place.file("s.toml", "[random]\nsamples = 6\nhidden = { integer = [2, 9] }\n[grid]\nseed = [0, 1]\n");
    let run: Run = place.sweep(&spec, "out", &["--dry-run"]);
    let report = run.json(0);
    assert_eq!((&report["trials"], &report["configurations"]), (&12.into(), &6.into()), "{run:?}");
}
