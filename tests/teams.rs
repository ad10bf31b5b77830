//! Free workers help those that train, and it shows in no result.

mod common;

use std::fs;

use common::{Place, text};

#[test]
fn the_number_of_workers_shows_in_no_bit_of_a_training() {
    let place = Place::new();
    let averaged = &["--optimizer", "momentum", "--average", "0.9"][..];
    let regularized =
        &["--optimizer", "adam", "--clip-norm", "0.5", "--dropout", "0.3", "--max-norm", "0.2", "--l2", "0.01"][..];
    let cases: [(&str, &[&str]); 7] = [
        ("f32", averaged),
        ("f64", averaged),
        ("int16", averaged),
        ("int8", averaged),
        ("f32", regularized),
        ("int8", regularized),
        ("f32", &[]),
    ];
    // Enough units and images for second layers to be split as well.
    for (case, (precision, method)) in cases.into_iter().enumerate() {
        let train = |workers: &str| {
            let out = text(&place.path(&format!("{case}-{workers}")));
            let report = place.train(
                &[
                    &["--precision", precision, "--workers", workers, "--hidden", "300", "--batch-size", "50"][..],
                    &["--iterations", "15", "--learning-rate", "1e-4", "--out", &out],
                    method,
                ]
                .concat(),
            );
            let mut report = report.json(0);
            report.as_object_mut().expect("an object").remove("train_seconds");
            (report, fs::read(place.path(&format!("{case}-{workers}/model.safetensors"))).expect("a model"))
        };
        let alone = train("1");
        for workers in ["2", "3", "7"] {
            assert!(train(workers) == alone, "{precision} {method:?} by {workers} workers");
        }
    }
}

#[test]
fn workers_without_a_cohort_show_in_no_bit_of_a_sweep() {
    let place = Place::new();
    let spec = place.file(
        "s.toml",
        "[fixed]\nhidden = 150\nbatch_size = 20\niterations = 60\n[grid]\nprecision = [\"f32\", \"int8\"]\nlearning_rate = [1e-5, 1e-4]\n",
    );
    place.sweep(&spec, "alone", &["--workers", "1"]).json(0);
    for workers in ["3", "6"] {
        place.sweep(&spec, workers, &["--workers", workers]).json(0);
        assert_eq!(place.fruits(workers), place.fruits("alone"), "{workers} workers");
    }
}
