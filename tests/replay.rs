//! `mlpgrid replay`: the cs231n notebook, digit for digit.

mod common;

use std::fs::{self, File};
use std::path::Path;

use common::{Place, Run, mlpgrid, real_cifar, text};
use mlpgrid::data::Dataset;
use mlpgrid::random::numpy::RandomState;
use mlpgrid::real::Precision;
use mlpgrid::replay::{Cifar, PenaltyGradient, Toy, cifar};
use mlpgrid::train::LossPoint;
use serde_json::Value;

/// The line of a number: `ours` to the judgement.
fn line<'a>(run: &'a Run, group: &str, number: &str) -> &'a str {
    let lines = run.stdout.lines().skip_while(|line| !line.starts_with(group));
    let found = lines.skip(1).find(|line| line.trim_start().starts_with(number));
    found.unwrap_or_else(|| panic!("{group}, {number}: {run:?}"))
}

#[test]
fn without_data_the_toy_half_is_replayed_and_the_rest_named_as_left_out() {
    let place = Place::new();
    let run = Run::of(["replay", "--data", &text(&place.path("nowhere"))]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.ends_with("\nAll 22 numbers are ok.\n"), "{run:?}");
    assert!(!run.stdout.contains("off") && !run.stdout.contains("wrong"), "{run:?}");
    assert!(line(&run, "toy scores", "row 0, class 0").contains("-0.81233741"), "{run:?}");
    assert!(line(&run, "toy loss", "reg 0.05").contains("1.30378789133"), "{run:?}");
    for text in [&run.stdout, &run.stderr] {
        assert!(
            text.contains("eft out") && text.contains("no CIFAR-10 in") && text.contains("mlpgrid fetch"),
            "{run:?}"
        );
    }
}

#[test]
fn synthetic_images_do_not_pass_for_the_real_ones() {
    let place = Place::new();
    let run = Run::of(["replay", "--data", &text(&place.data()), "--json"]);
    let report = run.json(0);
    assert_eq!((&report["ok"], &report["numbers"], &report["off"]), (&true.into(), &22.into(), &0.into()));
    assert!(report["left_out"].as_str().unwrap().contains("synthetic"), "{report}");
}

#[test]
fn the_authors_gradient_gives_the_authors_numbers_and_fails_the_gradient_check() {
    let run = Run::of(["replay", "--data", "/no/such/place", "--penalty-gradient", "notebook"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for (number, error) in [("W1", "8.0e-1"), ("W2", "3.3e-1")] {
        let line = line(&run, "toy gradient check", number);
        assert!(line.contains(error) && line.ends_with("ok, wrong: < 1e-8 as derived"), "{line}");
    }
    assert!(line(&run, "toy gradient check", "b1").ends_with("ok"));
    let loss = line(&run, "toy training", "final loss");
    assert!(loss.contains("0.01714908583773327") && loss.contains("wrong: 0.017149607938732093 as derived"), "{loss}");
}

/// Every number of both columns, on the real files.
#[test]
fn the_whole_notebook_is_replayed_on_the_real_images() {
    let Some(cifar) = real_cifar() else { return };
    let replay =
        |gradient| Run::of(["replay", "--data", &text(&cifar), "--penalty-gradient", gradient, "--json"]).json(0);
    let published = |report: &Value, group: &str| -> Vec<String> {
        let lines = report["lines"].as_array().unwrap().iter().filter(|line| line["group"] == group);
        lines.map(|line| line["published"].as_str().unwrap().to_owned()).collect()
    };
    let (derived, notebook) = (replay("derived"), replay("notebook"));
    for report in [&derived, &notebook] {
        assert_eq!(
            (&report["ok"], &report["numbers"], &report["off"]),
            (&true.into(), &44.into(), &0.into()),
            "{report}"
        );
        assert!(report["left_out"].is_null());
    }
    assert_eq!(derived["wrong_in_notebook"], 0);
    assert_eq!(notebook["wrong_in_notebook"], 13);
    let losses = "2.302954 2.302550 2.297648 2.259602 2.204170 2.118565 2.051535 1.988466 2.006591 1.951473";
    assert_eq!(published(&derived, "CIFAR-10 training").join(" "), losses);
    let losses = "2.302954 2.302550 2.297603 2.259162 2.203468 2.117619 2.050917 1.987152 2.005458 1.950105";
    assert_eq!(published(&notebook, "CIFAR-10 training").join(" "), losses);
}

/// `train --random numpy`, as the notebook trains, in f32 and in f64: every loss that it prints, and the accuracies.
fn follows(place: &Path, data: &Path, more: &[&str], tolerance: f64) {
    let columns = |precision: &str| -> Vec<[f64; 2]> {
        let out = text(&place.join(precision));
        let arguments = ["train", "--data", &text(data), "--out", &out, "--random", "numpy", "--precision", precision];
        Run::of([&arguments[..], more].concat()).json(0);
        let history = fs::read_to_string(place.join(precision).join("history.csv")).expect("the history is there");
        let numbers =
            |line: &str| [0, 2].map(|column| line.split(',').nth(column).expect("a column").parse().expect("a number"));
        history.lines().skip(1).map(numbers).collect()
    };
    let (narrow, wide) = (columns("f32"), columns("f64"));
    assert_eq!(narrow.len(), wide.len());
    for ([iteration, narrow], [_, wide]) in narrow.into_iter().zip(wide) {
        assert!((narrow - wide).abs() < tolerance, "iteration {iteration}: {narrow} in f32, {wide} in f64");
    }
}

#[test]
fn training_in_f32_follows_training_in_f64_from_the_same_numpy_stream() {
    let place = Place::with_rows(100);
    let flags = "--hidden 20 --batch-size 50 --iterations 200 --learning-rate 1e-4 --l2 0.25";
    follows(&place.path(""), &place.data(), &flags.split(' ').collect::<Vec<_>>(), 1e-3);
}

#[test]
fn training_in_f32_follows_the_notebooks_log_on_the_real_images() {
    let Some(directory) = real_cifar() else { return };
    let data = Dataset::load(&directory, &cifar::data_config()).unwrap();
    let losses = |precision| {
        let mut state = RandomState::new(0);
        Toy::replay(&mut state, PenaltyGradient::Derived);
        let run = Cifar::replay(&data, state, precision, PenaltyGradient::Derived, || ()).unwrap();
        run.losses.iter().map(LossPoint::loss).collect::<Vec<f64>>()
    };
    let (narrow, wide) = (losses(Precision::F32), losses(Precision::F64));
    assert_eq!((narrow.len(), wide.len()), (1000, 1000));
    for (iteration, (narrow, wide)) in narrow.into_iter().zip(wide).enumerate() {
        assert!((narrow - wide).abs() < 1e-3, "iteration {iteration}: {narrow} in f32, {wide} in f64");
    }
}

#[test]
fn damaged_files_of_cifar_are_an_error_and_not_left_out() {
    let place = Place::new();
    fs::create_dir(place.path("cifar")).unwrap();
    File::create(place.path("cifar/data_batch_1.bin")).unwrap().set_len(100).unwrap();
    Run::of(["replay", "--data", &text(&place.path("cifar"))]).refused(1, &["data_batch_1.bin", "30730000 bytes"]);
}

#[test]
fn replay_knows_two_gradients_of_the_penalty() {
    Run::of(["replay", "--penalty-gradient", "half"]).refused(2, &["--penalty-gradient", "half", "derived, notebook"]);
}

/// The kernel may be any: sums in another order do not reach the printed digits.
#[test]
fn the_toy_half_is_ok_with_the_avx2_kernels_too() {
    let output = mlpgrid().env("OPENBLAS_CORETYPE", "Haswell").args(["replay", "--data", "/no/such/place"]).output();
    let run = Run::finish(output.unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
}
