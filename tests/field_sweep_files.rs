//! Sweep files, the directories that they make, and what is said of mistakes before anything is trained.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Place, Run, text, wait_until};

/// Short enough for a test; the two diverging trials are equals, which only their order ranks.
const SPEC: &str = "[data]\nval = 20\n\n[fixed]\niterations = 20\nbatch_size = 10\nl2 = 0.5\n\n[grid]\n\
    learning_rate = [1e-3, 1e6]\nhidden = [3, 4]\nseed = [0, 1]\n";
/// An equal space: tables, axes, values in another order, numbers in another form, a single value as an axis.
const REORDERED: &str = "[grid]\nseed = [1.0, 0]\nhidden = [4e0, 3]\nlearning_rate = [1000000, 0.001]\nl2 = [5e-1]\n\n\
    [fixed]\nbatch_size = 1e1\niterations = 0x14\n\n[data]\nval = 2e1\n";

/// Every file below a directory, with its content.
fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.insert(text(&path), vec![]);
            files.extend(content(&path));
        } else {
            files.insert(text(&path), fs::read(&path).expect("it can be read"));
        }
    }
    files
}

/// The run refuses this, the dry run in the same words, and neither writes anything.
fn both_refuse(place: &Place, spec: &str, out: &str, more: &[&str], code: i32, parts: &[&str]) {
    let before = content(&place.path(""));
    let (run, dry) = (place.sweep(spec, out, more), place.sweep(spec, out, &[more, &["--dry-run"]].concat()));
    run.refused(code, parts);
    dry.refused(code, parts);
    assert_eq!(run.stderr.lines().last(), dry.stderr.lines().last());
    assert_eq!(content(&place.path("")), before, "nothing is written");
}

#[test]
fn a_dry_run_refuses_what_the_run_will_refuse() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let changed = ["--set", "iterations=30"];
    both_refuse(&place, &spec, "out", &changed, 2, &["the same sweep as before", "iterations was 20, now 30"]);
    both_refuse(&place, &spec, "out", &["--set", "seed=[0,2]", "--extend"], 2, &["4 of its 8 trials gone"]);
    both_refuse(&place, &spec, "out", &["--shard", "1/2", "--set", "data.val=10"], 2, &["data.val was 20, now 10"]);
    both_refuse(&place, &spec, "s.toml/out", &[], 1, &["s.toml/out: cannot create the directory"]);
    both_refuse(&place, &spec, "s.toml", &[], 1, &["s.toml: cannot create the directory"]);
    fs::remove_file(place.path("out/sweep.toml")).unwrap();
    both_refuse(&place, &spec, "out", &[], 1, &["the sweep file that the results belong to"]);
}

#[test]
fn a_dry_run_refuses_a_directory_that_cannot_be_written() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    let set = |path: &str, mode| fs::set_permissions(place.path(path), fs::Permissions::from_mode(mode)).unwrap();
    // Root writes everywhere, so the test steps down to a user who does not.
    fs::copy(env!("CARGO_BIN_EXE_mlpgrid"), place.path("program")).unwrap();
    fs::create_dir(place.path("locked")).unwrap();
    for (path, mode) in [("", 0o755), ("program", 0o755), ("locked", 0o555)] {
        set(path, mode);
    }
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    for (out, action) in [("locked", "write files into it"), ("locked/a/b", "create the directory")] {
        for more in [&["--dry-run"][..], &[]] {
            let mut command = Command::new(place.path("program"));
            if is_root {
                command.uid(65_534).gid(65_534);
            }
            let (data, out) = (text(&place.data()), text(&place.path(out)));
            let command = command.env_remove("CIFAR10_DIR").args(["sweep", &spec, "--data", &data, "--out", &out]);
            Run::finish(command.args(more).output().unwrap()).refused(1, &[&out, action, "permissions"]);
        }
    }
}

#[test]
fn a_dry_run_that_is_accepted_writes_nothing_and_plans_what_is_missing() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    let fresh = place.sweep(&spec, "out", &["--dry-run"]);
    assert_eq!(fresh.json(0)["missing"], 8);
    assert!(!place.path("out").exists());
    place.sweep(&spec, "out", &[]).json(0);
    let before = content(&place.path("out"));
    let whole = place.sweep(&spec, "out", &["--dry-run", "--shard", "1/2"]);
    assert_eq!(whole.json(0)["missing"], 0);
    assert!(whole.stderr.contains(" 0.000e0 floating-point operations"), "{whole:?}");
    assert!(!whole.stdout.contains("-0") && whole.json(0)["floating_point_operations"] == 0.0, "{whole:?}");
    let extended = place.sweep(&spec, "out", &["--dry-run", "--extend", "--set", "seed=[0,1,2]"]);
    assert_eq!(extended.json(0)["missing"], 4);
    assert!(extended.stderr.contains("dry run: 4 trials would be added"), "{extended:?}");
    assert_eq!(content(&place.path("out")), before);
}

#[test]
fn a_process_that_trains_is_no_reason_to_refuse_a_dry_run_and_is_named() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    let long = ["--set", "iterations=3000000", "--set", "learning_rate=1e-3"];
    let mut child = place.begin_sweep(&spec, "out", &[&long[..], &["--shard", "1/2"]].concat());
    wait_until("its lock", || place.path("out/locks/shard-1-of-2.1").exists());
    let dry = |more: &[&str]| place.sweep(&spec, "out", &[&long[..], &["--dry-run"], more].concat());
    let (whole, same, other) = (dry(&[]), dry(&["--shard", "1/2"]), dry(&["--shard", "2/2"]));
    child.kill().unwrap();
    child.wait().unwrap();
    for run in [whole, same] {
        run.json(0);
        let named = format!("dry run: process {} on ", child.id());
        assert!(run.stderr.contains(&named) && run.stderr.contains("trains shard 1/2 here now"), "{run:?}");
    }
    other.json(0);
    assert!(!other.stderr.contains("here now"), "{other:?}");
}

/// A sweep file, and the parts of the line by which it is refused.
fn refused(place: &Place, file: impl AsRef<[u8]>, parts: &[&str]) {
    fs::write(place.path("s.toml"), file).expect("the file is written");
    place.sweep(&text(&place.path("s.toml")), "out", &["--dry-run"]).refused(2, parts);
}

#[test]
fn every_mistake_in_a_sweep_file_names_file_line_and_key_in_the_words_of_toml() {
    let place = Place::new();
    let cases: &[(&str, &[&str])] = &[
        // [data]
        ("[data]\ntrain = 100\nval = 20\n\ntrian = 5\n", &["s.toml:5: ", "found `trian`; did you mean `train`?"]),
        ("[data]\nval = 20\ntrain = 60000\n", &["s.toml:3: `train`: expected 1 to 180 rows", "found 60000"]),
        ("[data]\nval = 1e5\n", &["s.toml:2: `val`: expected 1 to 199 rows", "found 100000"]),
        ("[data]\n\ntest = 41\n", &["s.toml:3: `test`: expected 1 to 40 rows"]),
        ("[data]\ntrain = \"many\"\n", &["s.toml:2: `train`: expected a whole number, 0 or more, found \"many\""]),
        ("[data]\ntrain = \"100\"\n", &["s.toml:2: `train`", "found \"100\"; leave the quotes out"]),
        ("[data]\ntrain = -5\n", &["s.toml:2: `train`: expected a whole number, 0 or more, found -5"]),
        ("[data]\ntrain = 1.5\n", &["s.toml:2: `train`: expected a whole number, 0 or more, found 1.5"]),
        ("[data]\ntrain = [100]\n", &["s.toml:2: `train`: expected a whole number, 0 or more, found a list"]),
        (
            "[data]\ndataset = \"cifar11\"\n",
            &["s.toml:2: `dataset`: expected \"cifar10\", \"cifar100\", \"cifar100-coarse\" or \"npy\""],
        ),
        ("[data]\ndataset = true\n", &["s.toml:2: `dataset`", "found true"]),
        ("[data]\nfingerprint = 12\n", &["s.toml:2: `fingerprint`: expected a string, found 12"]),
        (
            "[data]\nval = 10\nhidden = 3\n",
            &["s.toml:3", "`hidden` is a hyperparameter: write it under [fixed] or [grid]"],
        ),
        ("[data]\ntrain = 100\n", &["s.toml: `batch_size`: expected at most 100 rows", "found 200, the default"]),
        // Keys and tables
        ("[fixed]\nl2 = 1\ntrain = 3\n", &["s.toml:3", "`train` is a key of [data]"]),
        ("\nhidden = 3\n", &["s.toml:2", "one of the tables", "`hidden` is a hyperparameter"]),
        ("[[grid]]\nhidden = [3]\n", &["s.toml:1: expected a table for `grid`, found a list"]),
        ("[fixed.hidden]\nx = 3\n", &["s.toml:1: `hidden`", "found a table"]),
        ("[fixed]\nhidden = 3\n\n[fixed]\nl2 = 1\n", &["s.toml:4: expected TOML, found `[fixed]` (duplicate key)"]),
        ("[fixed]\nhidden = 3\nhidden = 4\n", &["s.toml:3: expected TOML, found `hidden = 4` (duplicate key)"]),
        ("[fixed]\n\"h\\u00efdden\" = 3\n", &["s.toml:2", "found `hïdden`; did you mean `hidden`?"]),
        ("[fixed]\n\"a\\nb\" = 3\n", &["s.toml:2: expected a hyperparameter, found `a\\nb`"]),
        ("fixed.hidden = 3\nfixed.l2 = \"x\"\n", &["s.toml:2: `l2`: expected a number, found \"x\""]),
        ("grid = { l2 = [1], hidden = 3 }\n", &["s.toml:1: `hidden`: expected a list of values, found 3"]),
        ("[fixed]\r\nhidden = 3\r\n\r\nl2 = \"x\"\r\n", &["s.toml:4: `l2`: expected a number"]),
        ("\u{feff}[fixed]\nl2 = \"x\"\n", &["s.toml:2: `l2`: expected a number"]),
        ("[fixed]\nl2 = .1\n", &["s.toml:2: expected TOML, found `l2 = .1` ("]),
        ("[fixed]\nhidden = 3\n[grid\n", &["s.toml:3: expected TOML, found `[grid` ("]),
        // Values
        (
            "[fixed]\nseed = 18446744073709551616\n",
            &["`seed`: expected a whole number from 0 to 18446744073709551615, found 18446744073709551616"],
        ),
        ("[fixed]\nseed = -1\n", &["s.toml:2: `seed`: expected a whole number, 0 or more, found -1"]),
        (
            "[fixed]\nlearning_rate = 1e400\n",
            &["s.toml:2: `learning_rate`: expected a number that 64 bits can hold", "found 1e400"],
        ),
        ("[fixed]\nl2 = 1e-400\n", &["s.toml:2: `l2`: expected a number that 64 bits can hold", "found 1e-400"]),
        ("[grid]\nl2 = [0, nan]\n", &["s.toml:2: `l2`: expected a finite number, found nan"]),
        ("[fixed]\nsampling = true\n", &["s.toml:2: `sampling`: expected \"replacement\" or \"shuffle\", found true"]),
        ("[grid]\nhidden = [[1, 2], [3]]\n", &["s.toml:2: `hidden`: expected a whole number, 0 or more, found a list"]),
        ("[grid]\nl2 = [\n  1e-3,\n  0.001,\n]\n", &["s.toml:2: `l2`: expected different values, found 0.001 twice"]),
        ("[grid]\nl2 = [0.0, -0.0]\n", &["s.toml:2: `l2`: expected different values, found 0.0 twice"]),
        ("[grid]\nhidden = [1e3, 7, 1000]\n", &["s.toml:2: `hidden`: expected different values, found 1000 twice"]),
        // Nothing at all
        ("", &["s.toml: expected a hyperparameter, or a key of [data], found an empty file"]),
        (" \n\n", &["s.toml: ", "found an empty file"]),
        (
            "# later\n[fixed]\n[grid]\n",
            &["s.toml: expected a hyperparameter, or a key of [data], found a file without any"],
        ),
    ];
    for (file, parts) in cases {
        refused(&place, file, parts);
    }
    for rust in ["usize", "u64", "f64", "invalid type", "sequence", "map", "floating point", "variant"] {
        for (file, _) in cases {
            fs::write(place.path("s.toml"), file).unwrap();
            let run = place.sweep(&text(&place.path("s.toml")), "out", &["--dry-run"]);
            assert!(!run.stderr.contains(rust), "{rust}: {run:?}");
        }
    }
    place.sweep(&text(&place.data()), "out", &[]).refused(2, &["data: expected a sweep file, found a directory"]);
    refused(&place, b"\xff\xfe[\0f\0", &["s.toml", "not UTF-8"]);
    assert!(!place.path("out").exists());
}

#[test]
fn too_many_trials_name_file_and_line() {
    let place = Place::new();
    let list = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let file = format!("[grid]\nhidden = [{}]\nseed = [{}]\n", list(3000), list(4000));
    refused(&place, file, &["s.toml:3: `seed`: expected at most 10000000 trials", "found 3000 (hidden) × 4000 (seed)"]);
}

#[test]
fn a_mistake_of_set_names_the_flag() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    let cases: &[(&str, &[&str])] = &[
        ("data.train=60000", &["--set data.train=60000: `train`: expected 1 to 180 rows"]),
        ("data.train=many", &["--set data.train=many: `train`: expected a whole number", "found \"many\""]),
        ("data.trian=2", &["--set data.trian=2", "did you mean `train`?"]),
        ("data.hidden=2", &["--set data.hidden=2", "--set hidden=…"]),
        ("train=2", &["--set train=2", "--set data.train=…"]),
        ("grid.hiden=[2]", &["--set grid.hiden=[2]", "did you mean `hidden`?"]),
        ("hidden=", &["--set hidden=: `hidden`: expected a value in TOML, found nothing"]),
        ("hidden=[1,", &["--set hidden=[1,: `hidden`: expected a value in TOML, found unclosed array"]),
        ("hidden=0", &["--set hidden=0: `hidden`: expected a whole number from 1"]),
        ("hidden=[5,5.0]", &["--set hidden=[5,5.0]: `hidden`", "5 twice"]),
        ("hidden=1\n2", &["--set hidden=1\\n2"]),
        ("batch_size=1e3", &["--set batch_size=1e3: `batch_size`: expected at most 180 rows", "found 1000"]),
        ("=3", &["--set =3", "no key"]),
    ];
    for (assignment, parts) in cases {
        place.sweep(&spec, "out", &["--set", assignment]).refused(2, parts);
    }
    assert!(!place.path("out").exists());
}

#[test]
fn equal_numbers_are_one_value_however_they_are_written() {
    let place = Place::new();
    let (one, other) =
        ("hidden = 20\nl2 = 0.0\nlearning_rate = 0.001\n", "hidden = 2e1\nl2 = -0.0\nlearning_rate = 1e-3\n");
    let spec = |name, fixed| {
        place.file(name, &format!("[data]\nval = 2e1\n[fixed]\niterations = 0x14\nbatch_size = 1_0\n{fixed}"))
    };
    place.sweep(&spec("one.toml", one), "one", &[]).json(0);
    place.sweep(&spec("other.toml", other), "other", &[]).json(0);
    assert_eq!(place.sweep(&spec("other.toml", other), "one", &[]).json(0)["trained_now"], 0);
    for file in ["leaderboard.csv", "sweep.toml", "best.safetensors"] {
        let read = |out: &str| fs::read(place.path(out).join(file)).unwrap();
        assert!(read("one") == read("other"), "{file}");
    }
    assert!(!fs::read_to_string(place.path("one/sweep.toml")).unwrap().contains("-0"));

    let train = |more: &[&str]| place.train(&[&["--batch-size", "10"], more].concat()).json(0)["trial"].clone();
    let plain = train(&["--iterations", "20", "--train", "100", "--hidden", "3", "--l2", "0", "--seed", "7"]);
    let odd = train(&["--iterations", "2e1", "--train", "1e2", "--hidden", "3.0", "--l2", "-0.0", "--seed", "70e-1"]);
    assert_eq!(plain, odd);
    place.train(&["--iterations", "1.5"]).refused(2, &["--iterations", "1.5", "expected a whole number, 0 or more"]);
    place.train(&["--seed", "18446744073709551616"]).refused(2, &["--seed", "expected a whole number"]);
    place.train(&["--learning-rate", "1e400"]).refused(2, &["--learning-rate", "64 bits can hold"]);
    place.train(&["--val", "many"]).refused(2, &["--val", "expected a whole number, 0 or more"]);
    let (out, data) = (text(&place.path("one")), text(&place.data()));
    Run::of(["eval", &out, "--data", &data, "--val", "2e1"]).json(0);
}

#[test]
fn a_large_seed_loses_no_bit_whatever_its_form() {
    let place = Place::new();
    let trial =
        |seed: &str| place.train(&["--iterations", "1", "--batch-size", "10", "--seed", seed]).json(0)["trial"].clone();
    assert_eq!(trial("9007199254740993"), trial("9007199254740993.0"));
    assert_ne!(trial("9007199254740993"), trial("9007199254740992"));
}

#[test]
fn an_equal_space_written_in_another_order_is_the_same_sweep_to_the_byte() {
    let place = Place::new();
    let (spec, reordered) = (place.file("s.toml", SPEC), place.file("r.toml", REORDERED));
    place.sweep(&spec, "out", &[]).json(0);
    let written = |place: &Place| {
        let read = |name: &str| fs::read(place.path("out").join(name)).unwrap();
        ["sweep.toml", "leaderboard.csv", "best.safetensors"].map(read)
    };
    let before = written(&place);
    place.sweep(&reordered, "out", &["--dry-run"]).json(0);
    for more in [&[][..], &["--extend"], &["--shard", "2/3"]] {
        let again = place.sweep(&reordered, "out", more).json(0);
        assert_eq!(again["trained_now"], 0);
        assert!(written(&place) == before, "{more:?}");
    }
    // The order of a fresh directory is that of its file.
    place.sweep(&reordered, "fresh", &[]).json(0);
    let seeds = |out: &str| {
        let board = fs::read_to_string(place.path(out).join("leaderboard.csv")).unwrap();
        let diverged = board.lines().filter(|line| line.contains(",diverged,")).map(str::to_owned);
        diverged.map(|line| line.split(',').nth(15).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (seeds("out")[0].as_str(), seeds("fresh")[0].as_str()),
        ("0", "1"),
        "equals rank by the order of the file"
    );
}

#[test]
fn shards_of_one_directory_may_start_from_differently_ordered_files() {
    let place = Place::new();
    let (spec, reordered) = (place.file("s.toml", SPEC), place.file("r.toml", REORDERED));
    place.sweep(&spec, "whole", &[]).json(0);
    let first = place.sweep(&spec, "out", &["--shard", "1/3"]).json(0);
    let second = place.sweep(&reordered, "out", &["--shard", "2/3"]).json(0);
    let third = place.sweep(&reordered, "out", &["--shard", "3/3"]).json(0);
    let trained: u64 = [first, second, third].iter().map(|report| report["trained_now"].as_u64().unwrap()).sum();
    assert_eq!(trained, 8, "every trial once");
    assert_eq!(Run::of(["report", &text(&place.path("out"))]).json(0)["missing"], 0);
    assert!(place.fruits("out") == place.fruits("whole"));
}

#[test]
fn of_processes_that_begin_at_once_with_differently_ordered_files_all_take_one_order() {
    let place = Place::new();
    let (spec, reordered) = (place.file("s.toml", SPEC), place.file("r.toml", REORDERED));
    for round in 0..8 {
        let out = format!("out{round}");
        let children = [(&spec, "1/2"), (&reordered, "2/2")]
            .map(|(spec, shard)| place.begin_sweep(spec, &out, &["--shard", shard]));
        let reports = children.map(|child| Run::finish(child.wait_with_output().unwrap()).json(0));
        let trained: u64 = reports.iter().map(|report| report["trained_now"].as_u64().unwrap()).sum();
        assert_eq!(trained, 8, "every trial once");
        assert_eq!(Run::of(["report", &text(&place.path(&out))]).json(0)["missing"], 0);
    }
}

/// A line of results as a program wrote it that did not know a hyperparameter: without it, with the checksum of what is left.
fn without(key: &str, line: &str) -> String {
    let (body, _) = line.rsplit_once(",\"checksum\":\"").expect("a checksum");
    let mut record: serde_json::Map<_, _> = serde_json::from_str(&format!("{body}}}")).expect("a record");
    record.shift_remove(key).expect("it has the key");
    let json = serde_json::to_string(&record).expect("it is JSON");
    let body = json.strip_suffix('}').expect("an object");
    format!("{body},\"checksum\":\"{:08x}\"}}\n", crc32fast::hash(body.as_bytes()))
}

/// What is neutral need not be named: so a program that knows one hyperparameter more reads what this one writes.
#[test]
fn a_directory_of_a_program_that_knew_fewer_hyperparameters_is_resumed_and_reported() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let fruits = place.fruits("out");
    let sweep_file = place.path("out/sweep.toml");
    let resolved = fs::read_to_string(&sweep_file).unwrap();
    fs::write(&sweep_file, resolved.replace("random = \"chacha8\"\n", "")).unwrap();
    let results = fs::read_dir(place.path("out/results")).unwrap().next().unwrap().unwrap().path();
    let lines = fs::read_to_string(&results).unwrap();
    // Half of the records, as an interrupted sweep has them.
    let old: String = lines.lines().take(4).map(|line| without("random", line)).collect();
    assert!(!old.contains("chacha8") && !fs::read_to_string(&sweep_file).unwrap().contains("chacha8"));
    fs::write(&results, old).unwrap();

    assert_eq!(Run::of(["status", &text(&place.path("out")), "--json"]).json(0)["missing"], 4);
    assert_eq!(place.sweep(&spec, "out", &["--dry-run"]).json(0)["missing"], 4);
    let own = text(&sweep_file);
    assert_eq!(place.sweep(&own, "out", &["--dry-run"]).json(0)["missing"], 4, "it is a sweep file itself");
    assert_eq!(place.sweep(&spec, "out", &[]).json(0)["trained_now"], 4);
    assert!(place.fruits("out") == fruits);
    Run::of(["report", &text(&place.path("out"))]).json(0);
    let changed = place.sweep(&spec, "out", &["--set", "random=numpy"]);
    changed.refused(2, &["random was \"chacha8\", now \"numpy\""]);
}

#[test]
fn a_sweep_file_in_a_sweeps_directory_that_sweep_did_not_write_is_named_as_such() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let out = text(&place.path("out"));
    let no_data = fs::read_to_string(place.path("out/sweep.toml")).unwrap().replace("fingerprint", "#");
    for (foreign, found) in [
        ("", "an empty file"),
        ("hello\n", "`hello`"),
        ("[fixed]\nhidden = 4\n", "without sizes of splits or fingerprint"),
        (&no_data, "without sizes of splits or fingerprint"),
        ("[tool]\nname = \"x\"\n", "`tool`"),
    ] {
        fs::write(place.path("out/sweep.toml"), foreign).unwrap();
        let parts =
            ["out/sweep.toml", "expected the resolved sweep file that `sweep` wrote", found, "restore the file"];
        Run::of(["status", &out]).refused(1, &parts);
        Run::of(["report", &out]).refused(1, &parts);
        both_refuse(&place, &spec, "out", &[], 1, &parts);
        assert_eq!(fs::read_to_string(place.path("out/sweep.toml")).unwrap(), foreign, "what is there stays");
    }
}

#[test]
fn a_users_own_sweep_toml_in_the_output_directory_stays_and_the_line_says_what_to_do() {
    let place = Place::new();
    fs::create_dir(place.path("mine")).unwrap();
    let own = place.file("mine/sweep.toml", SPEC);
    let parts =
        ["mine/sweep.toml", "this name in a sweep's directory is the program's", "if it is yours, move it elsewhere"];
    both_refuse(&place, &own, "mine", &[], 1, &parts);
    fs::rename(&own, place.path("mine.toml")).unwrap();
    place.sweep(&text(&place.path("mine.toml")), "mine", &[]).json(0);
}

#[test]
fn bench_finds_a_file_that_cannot_be_written_before_it_measures() {
    let place = Place::new();
    let quick = ["--quick", "--rounds", "1", "--millis", "1", "--workers", "1"];
    let data = text(&place.data());
    for (json, found) in [("/no/such/place/x", "/no/such/place/x: cannot write it"), (&data, "data: cannot write it")] {
        for more in [&quick[..], &["--kernels", "--rounds", "1", "--millis", "1", "--workers", "1"]] {
            let run = Run::of([&["bench", "--json", json], more].concat());
            run.refused(1, &[found]);
            assert!(!run.stderr.contains("measurements") && !run.stderr.contains("kernels in each"), "{run:?}");
        }
    }
    let kept = place.file("kept.json", "what was there");
    Run::of(["bench", "--json", &kept, "--rounds", "0"]).refused(2, &["--rounds"]);
    assert_eq!(fs::read_to_string(&kept).unwrap(), "what was there");
}

/// What a training shows on a terminal of this kind, prepared by `stty`; none where there is no `script` to make one.
fn on_terminal(place: &Place, term: &str, stty: &str) -> Option<String> {
    let train = format!(
        "{} train --data {} --iterations 40 --batch-size 10",
        env!("CARGO_BIN_EXE_mlpgrid"),
        text(&place.data())
    );
    let mut command = Command::new("script");
    command
        .args(["-qec", &format!("stty {stty}; exec {train}"), "/dev/null"])
        .env("TERM", term)
        .env_remove("CIFAR10_DIR");
    match command.output() {
        Ok(output) if output.status.success() => Some(String::from_utf8(output.stdout).expect("text")),
        other => {
            common::skipped(&format!("`script` makes no terminal here ({other:?})"));
            None
        }
    }
}

#[test]
fn a_terminal_that_can_show_no_bar_gets_plain_lines() {
    let place = Place::new();
    for (term, stty) in [("dumb", "cols 100 rows 30"), ("xterm", "cols 0 rows 0"), ("xterm", "cols 20 rows 30")] {
        let Some(shown) = on_terminal(&place, term, stty) else { return };
        assert!(shown.contains("epoch   0 ") && shown.contains("epoch   2 "), "{term}, {stty}: {shown:?}");
        assert!(!shown.contains('\u{1b}') && !shown.contains('▏'), "{term}, {stty}: {shown:?}");
    }
    let Some(shown) = on_terminal(&place, "xterm", "cols 100 rows 30") else { return };
    assert!(shown.contains('\u{1b}') && shown.contains("epoch   2 "), "a terminal with room has a bar: {shown:?}");
}
