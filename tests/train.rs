//! `mlpgrid train` and `mlpgrid eval`, as their users run them.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use common::{Place, Run, mlpgrid, real_cifar, signal, text, wait_until};

const SMALL: [&str; 8] = ["--hidden", "8", "--batch-size", "20", "--iterations", "25", "--learning-rate", "1e-4"];

#[test]
fn a_run_prints_one_json_object_and_leaves_history_model_and_environment() {
    let place = Place::new();
    let out = text(&place.path("out"));
    let run = place.train(&[&SMALL[..], &["--out", &out, "--test"]].concat());
    let report = run.json(0);
    assert_eq!(report["status"], "complete");
    assert_eq!(report["iterations"], 25);
    assert!(report["val_accuracy"].is_f64() && report["test_accuracy"].is_f64() && report["train_seconds"].is_f64());
    assert!((report["first_loss"].as_f64().unwrap() - 10_f64.ln()).abs() < 0.05, "{report}");

    let history = fs::read_to_string(place.path("out/history.csv")).unwrap();
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines[0], "iteration,epoch,loss,learning_rate,train_accuracy,val_accuracy,val_loss");
    assert_eq!(lines.len(), 26, "a row an iteration");
    // 180 training rows in batches of 20: an epoch is 9 iterations, and accuracies stand at 0, 9 and 18.
    let with_accuracies = lines[1..].iter().filter(|line| !line.ends_with(",,")).count();
    assert_eq!(with_accuracies, 3);

    let environment: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.path("out/environment.json")).unwrap()).unwrap();
    assert!(environment["blas"]["kernel"].is_string() && environment["data_is_synthetic"] == true);
}

#[test]
fn eval_of_the_saved_model_gives_the_accuracies_that_train_printed() {
    let place = Place::new();
    let (out, data) = (text(&place.path("out")), text(&place.data()));
    let trained = place.train(&[&SMALL[..], &["--out", &out, "--test"]].concat()).json(0);
    let measured = Run::of(["eval", &out, "--data", &data, "--test"]).json(0);
    assert_eq!(measured["val_accuracy"], trained["val_accuracy"]);
    assert_eq!(measured["test_accuracy"], trained["test_accuracy"]);
}

#[test]
fn the_same_command_gives_the_same_model_to_the_bit_and_another_seed_another() {
    let place = Place::new();
    let model = |name: &str, seed: &str| {
        place.train(&[&SMALL[..], &["--out", &text(&place.path(name)), "--seed", seed]].concat()).json(0);
        fs::read(place.path(name).join("model.safetensors")).unwrap()
    };
    assert_eq!(model("a", "1"), model("b", "1"));
    assert_ne!(model("a", "1"), model("c", "2"));
}

#[test]
fn shuffled_sampling_trains_too_and_is_another_trial() {
    let place = Place::new();
    let a = place.train(&SMALL).json(0);
    let b = place.train(&[&SMALL[..], &["--sampling", "shuffle"]].concat()).json(0);
    assert_ne!(a["trial"], b["trial"]);
    assert_ne!(a["final_loss"], b["final_loss"]);
}

#[test]
fn a_network_learns_the_synthetic_classes() {
    let place = Place::with_rows(400);
    let flags = "--hidden 20 --iterations 400 --batch-size 50 --learning-rate 3e-3 --weight-scale 1e-3 --l2 0.01";
    let report = place.train(&flags.split(' ').collect::<Vec<_>>()).json(0);
    assert!(report["final_loss"].as_f64().unwrap() < 1.0 && report["val_accuracy"].as_f64().unwrap() > 0.4, "{report}");
}

#[test]
fn divergence_ends_with_its_iteration_and_code_3() {
    let place = Place::new();
    let run = place.train(&["--hidden", "8", "--batch-size", "20", "--iterations", "200", "--learning-rate", "1e6"]);
    let report = run.json(3);
    assert_eq!(report["status"], "diverged");
    assert!(report["diverged_at"].as_u64().unwrap() < 200 && report["val_accuracy"].is_null());
    assert!(run.stderr.contains("diverged at iteration"));
}

#[test]
fn the_notebooks_run_on_real_cifar_ends_near_its_accuracy() {
    let Some(cifar) = real_cifar() else { return };
    let flags =
        "--hidden 50 --learning-rate 1e-4 --learning-rate-decay 0.95 --l2 0.25 --iterations 1000 --batch-size 200";
    let cifar = text(&cifar);
    let report = Run::of(["train", "--data", &cifar].into_iter().chain(flags.split(' '))).json(0);
    assert!((report["val_accuracy"].as_f64().unwrap() - 0.287).abs() < 0.03, "{report}");
    assert!(report["first_loss"].to_string().starts_with("2.3029"), "{report}");
}

#[test]
fn a_training_that_is_stopped_goes_on_to_the_files_of_an_undisturbed_one() {
    let place = Place::new();
    for precision in ["f32", "f64"] {
        let long = ["--hidden", "30", "--batch-size", "20", "--iterations", "12000", "--precision", precision];
        let out = |name: &str| text(&place.path(&format!("{name}-{precision}")));
        place.train(&[&long[..], &["--out", &out("calm")]].concat()).json(0);
        let (data, stopped) = (text(&place.data()), out("stopped"));
        let mut arguments = vec!["train", "--data", &data, "--out", &stopped, "--checkpoint-every", "0.05"];
        arguments.extend(long);
        for name in ["INT", "KILL", "TERM"] {
            let mut command = mlpgrid();
            command.args(&arguments).stdout(Stdio::null()).stderr(Stdio::null());
            let written = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).ok();
            let before: Vec<_> = place.checkpoints(&format!("stopped-{precision}")).iter().map(written).collect();
            let mut child = command.spawn().unwrap();
            wait_until("a new checkpoint", || {
                let now = place.checkpoints(&format!("stopped-{precision}"));
                now.iter().map(written).any(|at| !before.contains(&at))
            });
            signal(&child, name);
            let code = child.wait().unwrap().code();
            assert_eq!(code, if name == "KILL" { None } else { Some(75) }, "{name}");
        }
        let run = Run::of(&arguments);
        assert!(run.stderr.contains("resumes from a checkpoint"), "{}", run.stderr);
        run.json(0);
        for file in ["history.csv", "model.safetensors", "history.png", "weights.png"] {
            let read = |name: &str| fs::read(PathBuf::from(out(name)).join(file)).unwrap();
            assert!(read("stopped") == read("calm"), "{precision} {file}");
        }
        assert!(!PathBuf::from(&stopped).join("checkpoints").exists());
    }
}
