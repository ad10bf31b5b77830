//! `--precision` and `--random`: the same training in f64, and from numpy's stream.

mod common;

use std::fs;

use common::{Place, Run, text};
use mlpgrid::data::{DataConfig, Dataset};
use mlpgrid::model::Hyperparameters;
use mlpgrid::model::TwoLayerNet;
use mlpgrid::model::saved::{Provenance, SavedModel};
use mlpgrid::random::Generator;
use mlpgrid::real::Precision;
use mlpgrid::train::Task;
use mlpgrid::train::beginning::draw;

const SMALL: [&str; 8] = ["--hidden", "4", "--batch-size", "20", "--iterations", "25", "--learning-rate", "1e-4"];

fn numpy(change: impl FnOnce(&mut Hyperparameters)) -> Hyperparameters {
    let mut hyperparameters = Hyperparameters {
        hidden: 4,
        batch_size: 20,
        random: Generator::Numpy,
        precision: Precision::F64,
        ..Hyperparameters::default()
    };
    change(&mut hyperparameters);
    hyperparameters
}

/// The literals are what numpy 2.4.6 prints for `seed(0)`, `randn(3072, 4)`, `randn(4, 10)`, then `choice(180, 20)` twice, or
/// `shuffle` of 0 … 179.
#[test]
fn one_numpy_stream_draws_w1_then_w2_then_the_minibatches() {
    let place = Place::new();
    let data = Dataset::load(&place.data(), &DataConfig::default()).unwrap();
    let check = |h: Hyperparameters, batches: &[[u32; 20]]| {
        // A second trial of the cohort starts from the same draws and leaves the stream where the first did.
        let other = Hyperparameters { weight_scale: 2.0 * h.weight_scale, ..h.clone() };
        let trials = [h, other].map(|h| h.check(180).unwrap());
        let (networks, mut sampler) = draw::<f64>(&data, data.inputs(), &trials.each_ref().map(Task::whole));
        for (network, scale) in networks.iter().zip([1e-4, 2e-4]) {
            let drawn =
                [network.w1[[0, 0]], network.w1[[0, 1]], network.w1[[1, 0]], network.w2[[0, 0]], network.w2[[3, 9]]];
            let printed =
                [1.764052345967664, 0.4001572083672233, 1.8675579901499675, -0.11022678019552502, 0.11418760041994244];
            for (weight, normal) in drawn.into_iter().zip(printed) {
                assert!((weight - scale * normal).abs() < 1e-15, "{weight}, {scale} · {normal}");
            }
        }
        for printed in batches {
            let mut rows = [0; 20];
            sampler.draw(&mut rows);
            assert_eq!(rows, *printed);
        }
    };
    check(
        numpy(|_| ()),
        &[
            [119, 80, 147, 65, 12, 3, 26, 138, 176, 179, 7, 172, 177, 170, 155, 161, 93, 147, 32, 13],
            [30, 58, 7, 66, 175, 151, 55, 158, 28, 68, 164, 167, 92, 168, 124, 50, 58, 42, 178, 55],
        ],
    );
    check(
        numpy(|h| h.sampling = mlpgrid::data::sampler::Sampling::Shuffle),
        &[[63, 5, 43, 10, 62, 91, 142, 14, 23, 40, 175, 83, 53, 134, 31, 99, 61, 109, 106, 57]],
    );
}

#[test]
fn trials_of_other_precision_stream_or_drawn_weights_share_no_cohort() {
    let key = |change: fn(&mut Hyperparameters)| numpy(change).check(180).unwrap().cohort_key();
    let base = key(|_| ());
    assert_eq!(base, key(|h| (h.learning_rate, h.l2, h.weight_scale) = (0.5, 0.5, 0.5)));
    for other in [
        key(|h| h.precision = Precision::F32),
        key(|h| h.random = Generator::ChaCha8),
        key(|h| h.seed = 1),
        key(|h| h.batch_size = 10),
        key(|h| h.hidden = 5), // with numpy's one stream, more weights move the minibatches
    ] {
        assert_ne!(base, other);
    }
    let chacha8 = |hidden| {
        let h = Hyperparameters { hidden, batch_size: 20, ..Hyperparameters::default() };
        h.check(180).unwrap().cohort_key()
    };
    assert_eq!(chacha8(4), chacha8(5));
}

#[test]
fn a_model_is_stored_and_measured_in_the_precision_that_it_was_trained_in() {
    let place = Place::new();
    let data = text(&place.data());
    for precision in ["f32", "f64"] {
        let out = text(&place.path(precision));
        let trained = place.train(&[&SMALL[..], &["--precision", precision, "--out", &out, "--test"]].concat()).json(0);
        let measured = Run::of(["eval", &out, "--data", &data, "--train", "--test"]).json(0);
        assert_eq!(measured["val_accuracy"], trained["val_accuracy"]);
        assert_eq!(measured["test_accuracy"], trained["test_accuracy"]);
        assert!(measured["train_accuracy"].as_f64().is_some_and(|accuracy| (0.0..=1.0).contains(&accuracy)));
    }
    let model = |precision: &str| place.path(precision).join("model.safetensors");
    let size = |precision| fs::metadata(model(precision)).unwrap().len();
    assert!(size("f64") > size("f32") + 4 * 3072 * 4, "8 bytes a weight");
    let read = |precision| SavedModel::read(&model(precision)).unwrap().network;
    assert!(TwoLayerNet::<f32>::load(&read("f32")).is_ok() && TwoLayerNet::<f64>::load(&read("f32")).is_err());
    let wide = TwoLayerNet::<f64>::load(&read("f64")).unwrap();
    assert_ne!(wide.cast::<f32>().cast::<f64>(), wide, "weights that f32 cannot hold");
    assert_eq!(Provenance::read(&model("f64")).unwrap(), SavedModel::read(&model("f64")).unwrap().provenance);
}

#[test]
fn precision_and_random_are_hyperparameters_of_a_sweep() {
    let place = Place::new();
    let spec = "[fixed]\nbatch_size = 20\niterations = 20\nhidden = 4\nlearning_rate = 1e-4\n\
        [grid]\nprecision = [\"f32\", \"f64\"]\nrandom = [\"chacha8\", \"numpy\"]\nseed = [0, 1]\n";
    let spec = place.file("s.toml", spec);
    let report = place.sweep(&spec, "out", &["--workers", "2"]).json(0);
    assert_eq!((&report["complete"], &report["trials"]), (&8.into(), &8.into()));
    let board = fs::read_to_string(place.path("out/leaderboard.csv")).unwrap();
    assert!(board.lines().next().unwrap().contains(",sampling,precision,random,seed,"), "{board}");
    assert_eq!(board.matches(",f64,numpy,").count(), 2);
    let losses: std::collections::HashSet<&str> =
        board.lines().skip(1).map(|line| line.split(',').nth(4).unwrap()).collect();
    assert_eq!(losses.len(), 8, "each is another training: {board}");
    let best = Run::of(["eval", &text(&place.path("out")), "--data", &text(&place.data())]).json(0);
    assert_eq!(best["val_accuracy"], report["best_val_accuracy"]);
}

#[test]
fn a_lost_best_model_in_f64_is_made_again_to_the_bit() {
    let place = Place::new();
    let spec =
        "[fixed]\nbatch_size = 20\niterations = 20\nprecision = \"f64\"\nrandom = \"numpy\"\n[grid]\nhidden = [3, 4]\n";
    let spec = place.file("s.toml", spec);
    place.sweep(&spec, "out", &[]).json(0);
    let path = place.path("out/best.safetensors");
    let best = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    place.sweep(&spec, "out", &[]).json(0);
    assert_eq!(fs::read(&path).unwrap(), best);
}

#[test]
fn eval_measures_the_training_rows_that_the_model_was_trained_on() {
    let place = Place::new();
    let (out, data) = (text(&place.path("out")), text(&place.data()));
    let more = "--hidden 20 --iterations 300 --batch-size 20 --learning-rate 1e-3 --learning-rate-decay 1 --l2 0";
    let more: Vec<&str> = more.split(' ').collect();
    place.train(&[&more[..], &["--train", "40", "--out", &out]].concat()).json(0);
    let report = Run::of(["eval", &out, "--data", &data, "--train"]).json(0);
    // 40 rows are all but learned by heart; the others, and so all 180, are not.
    let [train, val] = ["train_accuracy", "val_accuracy"].map(|key| report[key].as_f64().unwrap());
    assert!(train > 0.85 && val < 0.6, "{report}");
    assert!(Run::of(["eval", &out, "--data", &data]).json(0)["train_accuracy"].is_null());
}

#[test]
fn mistakes_in_precision_and_random_are_named() {
    let place = Place::new();
    place.train(&["--precision", "f16"]).refused(2, &["--precision", "f16", "f32, f64"]);
    place.train(&["--random", "mt19937"]).refused(2, &["--random", "mt19937", "chacha8, numpy"]);
    place
        .train(&["--batch-size", "20", "--random", "numpy", "--seed", "4294967296"])
        .refused(2, &["`seed`: expected a whole number from 0 to 4294967295", "found 4294967296"]);
    let spec = place.file("s.toml", "[fixed]\nprecision = \"f16\"\n");
    place
        .sweep(&spec, "out", &[])
        .refused(2, &["s.toml:2: `precision`: expected", "\"f32\", \"f64\", \"int8\" or \"int16\"", "found \"f16\""]);
    let spec = place.file("s.toml", "[fixed]\nrandom = \"numpy\"\nbatch_size = 20\n[grid]\nseed = [1, 4294967296]\n");
    place.sweep(&spec, "out", &[]).refused(2, &["s.toml:5: `seed`", "found 4294967296"]);
}
