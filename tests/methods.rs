//! Optimizers, schedules, regularizers, preparations and augmentation as users run them: sweeps, interruptions, models, ensembles.

mod common;

use std::fs;

use common::{Place, Run, signal, text, wait_until};

/// Kinds of cohorts: each with state, random masks or random images of its own.
const SPECS: [&str; 4] = [
    "[fixed]\nhidden = 9\nbatch_size = 10\noptimizer = \"momentum\"\nschedule = \"cosine\"\nwarmup = 20\nmirror = 0.5\nshift = 2\ncutout = 5\n\
     label_smoothing = 0.1\niterations = ITERATIONS\n[grid]\ndropout = [0.0, 0.3]\nlearning_rate = [1e-5, 1e-4]\nseed = [1, 2]\n",
    "[fixed]\nhidden = 9\nbatch_size = 10\noptimizer = \"adamw\"\ninput_dropout = 0.1\npreparation = \"pixel\"\ninit = \"he\"\n\
     iterations = ITERATIONS\n[grid]\naverage = [0.0, 0.9]\nclip_norm = [0.0, 1.0]\nlearning_rate = [1e-3, 1e-2]\n",
    "[fixed]\nhidden = 9\nbatch_size = 10\noptimizer = \"nesterov\"\nschedule = \"linear\"\npreparation = \"channel\"\nmax_norm = 1\n\
     crop = 0.1\nrotate = 10\nbrightness = 0.1\ncontrast = 0.1\niterations = ITERATIONS\n[grid]\nlearning_rate = [1e-3, 1e-2]\nseed = [1, 2]\n",
    "[fixed]\nhidden = 9\nbatch_size = 10\noptimizer = \"momentum\"\nmirror = 0.5\ndropout = 0.2\naverage = 0.9\niterations = ITERATIONS\n\
     [grid]\nprecision = [\"int8\", \"int16\"]\nlearning_rate = [1e-5, 1e-4]\nseed = [1, 2]\n",
];

#[test]
fn workers_shards_and_interruptions_show_in_no_result() {
    for (number, spec) in SPECS.iter().enumerate() {
        let place = Place::new();
        let spec = place.file("s.toml", &spec.replace("ITERATIONS", "1500"));
        place.sweep(&spec, "calm", &["--workers", "1"]).json(0);
        let calm = place.fruits("calm");
        for shard in ["2/3", "1/3", "3/3"] {
            place.sweep(&spec, "shards", &["--workers", "2", "--shard", shard]).json(0);
        }
        Run::of(["report", &text(&place.path("shards"))]).json(0);
        assert_eq!(place.fruits("shards"), calm, "sweep {number} in shards");

        let mut resumed = false;
        for _ in 0..3 {
            let mut child = place.begin_sweep(&spec, "killed", &["--checkpoint-every", "0.02", "--workers", "2"]);
            wait_until("a checkpoint, or the end", || {
                !place.checkpoints("killed").is_empty() || child.try_wait().expect("a child").is_some()
            });
            resumed |= !place.checkpoints("killed").is_empty();
            if child.try_wait().expect("a child").is_none() {
                signal(&child, "KILL");
            }
            child.wait().expect("it ends");
        }
        place.sweep(&spec, "killed", &[]).json(0);
        assert!(resumed, "sweep {number} was interrupted");
        assert_eq!(place.fruits("killed"), calm, "sweep {number} killed");
    }
}

#[test]
fn eval_measures_what_training_measured_whatever_was_done_to_images_and_weights() {
    let place = Place::new();
    let base = ["--hidden", "8", "--batch-size", "20", "--iterations", "25", "--learning-rate", "1e-4", "--test"];
    let ways: [&[&str]; 5] = [
        &["--preparation", "channel", "--optimizer", "adam"],
        &["--preparation", "pixel", "--precision", "f64", "--mirror", "0.5"],
        &["--preparation", "pca", "--components", "12", "--optimizer", "momentum"],
        &["--preparation", "pca-whiten", "--components", "0.9", "--shift", "2"],
        &["--average", "0.9", "--dropout", "0.5", "--optimizer", "momentum"],
    ];
    for (number, way) in ways.iter().enumerate() {
        let out = text(&place.path(&format!("out{number}")));
        let trained = place.train(&[&base[..], way, &["--out", &out]].concat()).json(0);
        let measured = Run::of(["eval", &out, "--data", &text(&place.data()), "--test"]).json(0);
        assert_eq!(measured["val_accuracy"], trained["val_accuracy"], "{way:?}");
        assert_eq!(measured["test_accuracy"], trained["test_accuracy"], "{way:?}");
        let shape = measured["views"].as_u64();
        assert_eq!(shape, None, "one view is no average");
    }
}

#[test]
fn an_ensemble_is_measured_member_by_member_and_read_again_from_its_file() {
    let place = Place::new();
    let spec = place.file(
        "s.toml",
        "[fixed]\nhidden = 8\nbatch_size = 10\niterations = 60\noptimizer = \"momentum\"\n[grid]\nlearning_rate = [1e-6, 1e-5, 1e-4]\n\
         seed = [1, 2]\n",
    );
    let (data, out) = (text(&place.data()), text(&place.path("out")));
    let eval = |arguments: &[&str]| Run::of([&["eval"], arguments, &["--data", &data]].concat());
    place.sweep(&spec, "out", &[]).json(0);
    eval(&[&out, "--ensemble", "2"]).refused(1, &["models/", "no such file", "--keep-models"]);
    place.sweep(&spec, "out", &["--keep-models"]).json(0);
    eval(&[&out, "--ensemble", "7"]).refused(2, &["--ensemble: expected 1 to 6", "found 7"]);

    let file = text(&place.path("three.safetensors"));
    let run = eval(&[&out, "--ensemble", "3", "--test", "--out", &file]);
    let report = run.json(0);
    let members = report["members"].as_array().expect("members");
    assert_eq!(members.len(), 3);
    let leaderboard = fs::read_to_string(place.path("out/leaderboard.csv")).expect("text");
    let best: Vec<&str> = leaderboard.lines().skip(1).take(3).collect();
    for (member, line) in members.iter().zip(best) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(member["trial"], cells[1]);
        assert_eq!(member["val_accuracy"].as_f64(), cells[3].parse().ok(), "{line}");
    }
    assert!(run.stderr.contains("the ensemble of 3 is"), "{}", run.stderr);

    let again = eval(&[&file, "--test"]).json(0);
    for key in ["val_accuracy", "test_accuracy", "members"] {
        assert_eq!(again[key], report[key], "{key}");
    }
    let views = eval(&[&file, "--mirror", "--shift", "2"]).json(0);
    assert_eq!(views["views"], 18);
    assert!(views["val_accuracy"].is_f64());
    let one = eval(&[&out, "--mirror"]).json(0);
    assert_eq!(one["views"], 2);
}
