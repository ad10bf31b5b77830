//! Arrays of the user's own, through every command.

mod common;

use std::fs;
use std::path::Path;

use common::{Place, Run, mlpgrid, text};
use mlpgrid::data::sets::npy::Header;
use mlpgrid::data::{DataConfig, Dataset, DatasetName, Split};
use mlpgrid::model::saved::SavedModel;

/// Writes an array of bytes.
fn bytes(path: &Path, shape: &[usize], values: &[u8]) {
    fs::write(path, [&Header::bytes("|u1", shape)[..], values].concat()).expect("it works on files of this test");
}

/// Writes an array of floats.
fn floats(path: &Path, shape: &[usize], values: &[f32]) {
    let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(path, [Header::bytes("<f4", shape), values].concat()).expect("it works on files of this test");
}

/// Writes labels as numpy makes them.
fn labels(path: &Path, values: &[usize]) {
    let shape = [values.len()];
    let values: Vec<u8> = values.iter().flat_map(|&value| (value as i64).to_le_bytes()).collect();
    fs::write(path, [Header::bytes("<i8", &shape), values].concat()).expect("it works on files of this test");
}

/// A number from 0 to 255 that looks random.
fn noise(at: usize) -> u8 {
    ((at as u32).wrapping_mul(2_654_435_761) >> 24) as u8
}

/// Float rows of `inputs` numbers in `classes` classes: each class is its own direction, under noise.
fn write_floats(folder: &Path, name: &str, rows: usize, inputs: usize, classes: usize) {
    let value = |row: usize, input: usize| {
        let direction = f32::from(noise(row % classes * 7919 + input + 1)) / 255.0 - 0.5;
        let noise = f32::from(noise((row * inputs + input) * 3 + name.len())) / 255.0 - 0.5;
        0.1 * direction + 0.05 * noise + 3.0
    };
    let values: Vec<f32> = (0..rows * inputs).map(|at| value(at / inputs, at % inputs)).collect();
    floats(&folder.join(format!("{name}_x.npy")), &[rows, inputs], &values);
    labels(&folder.join(format!("{name}_y.npy")), &(0..rows).map(|row| row % classes).collect::<Vec<_>>());
}

/// Grey images whose class is where they are bright.
fn write_images(folder: &Path, name: &str, rows: usize, side: usize) {
    let pixel = |row: usize, at: usize| {
        let is_bright = at * 5 / (side * side) == row % 5;
        noise((row * side * side + at) * 3 + name.len()) / 2 + if is_bright { 120 } else { 0 }
    };
    let values: Vec<u8> =
        (0..rows).flat_map(|row| (0..side * side).map(move |at| pixel(row, at)).collect::<Vec<_>>()).collect();
    bytes(&folder.join(format!("{name}_x.npy")), &[rows, side, side], &values);
    labels(&folder.join(format!("{name}_y.npy")), &(0..rows).map(|row| row % 5).collect::<Vec<_>>());
}

/// A folder with float rows of all three splits.
fn place_of_floats() -> (Place, String) {
    let place = Place::new();
    let data = place.path("mine");
    fs::create_dir(&data).expect("it works on files of this test");
    for (name, rows) in [("train", 400), ("val", 100), ("test", 80)] {
        write_floats(&data, name, rows, 24, 20);
    }
    let data = text(&data);
    (place, data)
}

const TRAIN: &str = "--dataset npy --hidden 16 --batch-size 50 --iterations 300 --learning-rate 0.5 --l2 1e-5 --init he --preparation pixel";

fn train(data: &str, flags: &str, more: &[&str]) -> Run {
    Run::of([&["train", "--data", data][..], &flags.split_whitespace().collect::<Vec<_>>(), more].concat())
}

#[test]
fn float_rows_go_through_train_eval_sweep_status_and_report() {
    let (place, data) = place_of_floats();
    let out = text(&place.path("one"));
    let run = train(&data, TRAIN, &["--test", "--out", &out]);
    let report = run.json(0);
    assert!(
        report["val_accuracy"].as_f64().expect("it works on files of this test") > 0.9
            && report["test_accuracy"].as_f64().expect("it works on files of this test") > 0.6,
        "{run:?}"
    );
    assert!(run.stderr.contains("rows of 24 numbers in 20 classes from"), "{run:?}");
    assert!(run.stderr.contains("400 train / 100 val / 80 test rows"), "{run:?}");
    assert!(place.path("one/history.png").exists() && !place.path("one/weights.png").exists());
    let measured = Run::of(["eval", &out, "--data", &data, "--test", "--train"]).json(0);
    assert_eq!(measured["val_accuracy"], report["val_accuracy"]);
    assert_eq!(measured["test_accuracy"], report["test_accuracy"]);

    let spec = "[data]\ndataset = \"npy\"\n[fixed]\nhidden = 12\nbatch_size = 40\niterations = 150\ninit = \"he\"\nl2 = 1e-5\n\
        [grid]\npreparation = [\"mean\", \"pixel\", \"channel\", \"pca\", \"pca-whiten\", \"zca\"]\nlearning_rate = [0.1, 0.5]\n";
    let spec = place.file("probe.toml", spec);
    let sweep = |out: &str, more: &[&str]| {
        let out = text(&place.path(out));
        Run::of([&["sweep", &spec, "--data", &data, "--out", &out, "--keep-models"], more].concat())
    };
    assert_eq!(sweep("out", &["--dry-run"]).code, Some(0));
    sweep("out", &["--workers", "2"]).json(0);
    sweep("alone", &["--workers", "1", "--shard", "1/2"]).json(0);
    sweep("alone", &["--workers", "1", "--shard", "2/2"]).json(0);
    let directory = text(&place.path("out"));
    assert_eq!(Run::of(["status", &directory]).code, Some(0));
    assert_eq!(Run::of(["report", &directory]).code, Some(0));
    Run::of(["report", &text(&place.path("alone"))]).json(0);
    assert_eq!(place.fruits("out"), place.fruits("alone"), "neither workers nor shards show");
    let ensemble = Run::of(["eval", &directory, "--data", &data, "--test", "--ensemble", "3"]).json(0);
    assert!(ensemble["test_accuracy"].as_f64().expect("it works on files of this test") > 0.6, "{ensemble}");
    // The leaderboard holds all of them, none of which diverged.
    assert!(!place.fruits("out").0.contains(",diverged,"));
}

#[test]
fn images_of_another_shape_are_trained_mirrored_drawn_and_measured() {
    let place = Place::new();
    let data = place.path("mine");
    fs::create_dir(&data).expect("it works on files of this test");
    write_images(&data, "train", 300, 28);
    write_images(&data, "test", 50, 28);
    let (data, out) = (text(&data), text(&place.path("out")));
    let flags =
        "--dataset npy --hidden 9 --batch-size 30 --iterations 200 --learning-rate 1e-3 --weight-scale 1e-3 --l2 0.01";
    let run = train(&data, flags, &["--test", "--out", &out, "--shift", "1"]);
    let report = run.json(0);
    assert!(report["test_accuracy"].as_f64().expect("it works on files of this test") > 0.8, "{run:?}");
    assert!(run.stderr.contains("images of 28 x 28 x 1 in 5 classes"), "{run:?}");
    assert!(run.stderr.contains("270 train / 30 val / 50 test rows"), "{run:?}");
    let (width, height) = png_size(&place.path("out/weights.png"));
    assert_eq!((width, height), (3 * 87 + 3, 3 * 87 + 3), "nine images of 28 × 28, three times as large");
    let views = Run::of(["eval", &out, "--data", &data, "--test", "--mirror", "--shift", "1"]).json(0);
    assert_eq!(views["views"], 18);
    let model = SavedModel::read(&place.path("out/model.safetensors")).expect("it works on files of this test");
    let shape = model.provenance.image().expect("it works on files of this test");
    assert_eq!((shape.rows, shape.columns, shape.channels), (28, 28, 1));
}

fn png_size(path: &Path) -> (u32, u32) {
    let bytes = fs::read(path).expect("it works on files of this test");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("it works on files of this test"));
    (number(16), number(20))
}

#[test]
fn more_classes_than_a_byte_can_name_are_told_apart() {
    let place = Place::new();
    let data = place.path("mine");
    fs::create_dir(&data).expect("it works on files of this test");
    // A row for each of 400 classes, and the same again: bits of its number.
    let row = |class: usize| (0..18).map(|bit| ((class >> (bit % 9)) & 1) as u8 * 200).collect::<Vec<u8>>();
    let values: Vec<u8> = (0..800).flat_map(|at| row(at % 400)).collect();
    bytes(&data.join("train_x.npy"), &[800, 18], &values);
    labels(&data.join("train_y.npy"), &(0..800).map(|at| at % 400).collect::<Vec<_>>());
    let flags = "--dataset npy --hidden 32 --batch-size 100 --iterations 400 --optimizer adam --learning-rate 0.02 --l2 0 --init he \
        --preparation pixel --train 400 --val 400";
    let report = train(&text(&data), flags, &[]).json(0);
    assert!(report["val_accuracy"].as_f64().expect("it works on files of this test") > 0.5, "{report}");
    let loss = report["first_loss"].as_f64().expect("it works on files of this test");
    assert!((5.0..10.0).contains(&loss), "a loss over 400 classes: {loss}");
}

#[test]
fn splits_of_their_own_files_are_those_rows() {
    let (place, _) = place_of_floats();
    let config = DataConfig { dataset: DatasetName::Npy, ..DataConfig::default() };
    let data = Dataset::load(&place.path("mine"), &config).expect("it works on files of this test");
    let sizes = [Split::Train, Split::Val, Split::Test].map(|split| data.rows(split).len());
    assert_eq!((sizes, data.classes(), data.inputs()), ([400, 100, 80], 20, 24));
    fs::remove_file(place.path("mine/val_x.npy")).expect("it works on files of this test");
    fs::remove_file(place.path("mine/val_y.npy")).expect("it works on files of this test");
    let cut = Dataset::load(&place.path("mine"), &config).expect("it works on files of this test");
    assert_eq!([Split::Train, Split::Val].map(|split| cut.rows(split).len()), [360, 40]);
    assert_ne!(cut.fingerprint, data.fingerprint);
}

#[test]
fn each_fault_of_the_files_is_one_line_with_a_remedy() {
    let (place, data) = place_of_floats();
    let refused = |parts: &[&str]| train(&data, TRAIN, &[]).refused(1, parts);
    let file = |name: &str| place.path("mine").join(name);
    let x = fs::read(file("train_x.npy")).expect("it works on files of this test");

    floats(&file("train_x.npy"), &[400, 24], &{
        let mut values = vec![0.5; 400 * 24];
        values[24 * 3 + 5] = f32::INFINITY;
        values
    });
    refused(&["train_x.npy: row 3, number 5: expected finite numbers, found inf; "]);
    fs::write(file("train_x.npy"), [Header::bytes("<f8", &[400, 24]), vec![0; 400 * 24 * 8]].concat())
        .expect("it works on files of this test");
    refused(&["train_x.npy: expected", "found float64 of shape (400, 24)", "save x.astype(\"float32\")"]);
    fs::write(file("train_x.npy"), &x[..x.len() - 1]).expect("it works on files of this test");
    refused(&["bytes, as its header has, found"]);
    fs::write(file("train_x.npy"), &x).expect("it works on files of this test");

    let y = fs::read(file("val_y.npy")).expect("it works on files of this test");
    labels(&file("val_y.npy"), &[20; 100]);
    refused(&["val_y.npy: row 0: expected a label from 0 to 19, as train_y.npy has, found 20"]);
    labels(&file("val_y.npy"), &[1; 99]);
    refused(&["val_y.npy: expected whole numbers of shape (100,)", "found <i8 of shape (99,)"]);
    fs::remove_file(file("val_y.npy")).expect("it works on files of this test");
    refused(&["val_y.npy: expected it beside val_x.npy", "no such file"]);
    fs::write(file("val_y.npy"), y).expect("it works on files of this test");
    write_floats(&place.path("mine"), "val", 100, 23, 20);
    refused(&["val_x.npy: expected float32 of shape (N, 24), as train_x.npy is, found float32 of shape (N, 23)"]);
    write_floats(&place.path("mine"), "val", 100, 24, 20);

    labels(&file("train_y.npy"), &[0; 400]);
    refused(&["train_y.npy: expected labels of two classes at least, found only 0"]);
    labels(&file("train_y.npy"), &[70_000; 400]);
    refused(&["train_y.npy: row 0: expected a label from 0 to 65535, found 70000"]);
    fs::remove_file(file("train_x.npy")).expect("it works on files of this test");
    refused(&["train_x.npy: expected the training rows", "no such file"]);
    let nowhere = text(&place.path("nowhere"));
    train(&nowhere, TRAIN, &[]).refused(1, &["train_x.npy", "no such directory"]);
}

#[test]
fn what_needs_images_or_test_rows_says_so() {
    let (place, data) = place_of_floats();
    train(&data, TRAIN, &["--mirror", "0.5"]).refused(2, &["`mirror`: expected 0", "rows of numbers"]);
    let spec = place
        .file("s.toml", "[data]\ndataset = \"npy\"\n[fixed]\nhidden = 3\nbatch_size = 10\n[grid]\nshift = [0, 2]\n");
    let sweep = Run::of(["sweep", &spec, "--data", &data, "--out", &text(&place.path("sweep"))]);
    sweep.refused(2, &["s.toml:7: `shift`: expected 0, as these data are rows of numbers"]);
    for name in ["test_x.npy", "test_y.npy"] {
        fs::remove_file(place.path("mine").join(name)).expect("it works on files of this test");
    }
    train(&data, TRAIN, &["--test"]).refused(2, &["--test: expected data with test rows, found none"]);
    let out = text(&place.path("out"));
    train(&data, TRAIN, &["--out", &out]).json(0);
    Run::of(["eval", &out, "--data", &data]).json(0);
    Run::of(["eval", &out, "--data", &data, "--test"]).refused(2, &["--test: expected data with test rows"]);
    Run::of(["eval", &out, "--data", &data, "--mirror"]).refused(2, &["--mirror: expected images"]);
    // The variable for CIFAR names no arrays.
    let run =
        mlpgrid().args(["train", "--dataset", "npy"]).env("CIFAR10_DIR", &data).current_dir(place.path("")).output();
    Run::finish(run.expect("it works on files of this test")).refused(1, &["data/train_x.npy"]);
}

#[test]
fn rows_that_are_in_two_splits_are_warned_about() {
    let (place, data) = place_of_floats();
    fs::copy(place.path("mine/val_x.npy"), place.path("mine/test_x.npy")).expect("it works on files of this test");
    fs::copy(place.path("mine/val_y.npy"), place.path("mine/test_y.npy")).expect("it works on files of this test");
    let run = train(&data, TRAIN, &[]);
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("test_x.npy is the same as val_x.npy"), "{run:?}");
}

#[test]
fn a_fold_is_what_its_rows_are_in_files_of_their_own() {
    let place = Place::new();
    for folder in ["all", "own"] {
        fs::create_dir_all(place.path(folder)).expect("it works on files of this test");
    }
    // 50 images and 10 for validation: the second of three folds is images 20 to 39, trained are 40 to 59 and then 0 to 19.
    let (rows, side, second) = (60, 6, 20..40);
    let pixels: Vec<u8> = (0..rows * side * side).map(noise).collect();
    let image = |row: usize| &pixels[row * side * side..(row + 1) * side * side];
    let write = |folder: &str, name: &str, of: &[usize]| {
        let values: Vec<u8> = of.iter().flat_map(|&row| image(row)).copied().collect();
        let folder = place.path(folder);
        bytes(&folder.join(format!("{name}_x.npy")), &[of.len(), side, side], &values);
        labels(&folder.join(format!("{name}_y.npy")), &of.iter().map(|row| row % 3).collect::<Vec<_>>());
    };
    let all: Vec<usize> = (0..rows).collect();
    let others: Vec<usize> = (40..60).chain(0..20).collect();
    write("all", "train", &all[..50]);
    write("all", "val", &all[50..]);
    write("own", "train", &others);
    write("own", "val", &all[second]);
    let train = |folder: &str, out: &str, more: &[&str]| {
        let data = text(&place.path(folder));
        let out = text(&place.path(out));
        let fixed =
            ["train", "--dataset", "npy", "--data", &data, "--hidden", "5", "--iterations", "40", "--batch-size", "10"];
        Run::of([&fixed[..], &["--out", &out], more].concat())
    };
    for (precision, preparation) in [("f32", "pca"), ("f64", "pixel"), ("int8", "mean")] {
        let settings = ["--precision", precision, "--preparation", preparation, "--mirror", "0.5"];
        let [whole, fold] = [format!("{precision}-own"), format!("{precision}-fold")];
        let own = train("own", &whole, &settings).json(0);
        let of_fold = train("all", &fold, &[&settings[..], &["--folds", "3", "--fold", "2"]].concat()).json(0);
        for key in ["val_accuracy", "first_loss", "final_loss"] {
            assert_eq!(own[key], of_fold[key], "{precision}: {key}");
        }
        let [a, b] =
            [&whole, &fold].map(|out| SavedModel::read(&place.path(out).join("model.safetensors")).expect("a model"));
        assert_eq!((a.network, a.fitted), (b.network, b.fitted), "{precision}");
        let model = text(&place.path(&fold));
        let data = text(&place.path("all"));
        let evaluated = Run::of(["eval", &model, "--data", &data, "--train"]);
        assert_eq!(evaluated.json(0)["val_accuracy"], of_fold["val_accuracy"]);
        Run::of(["eval", &model, "--data", &data, "--val", "5"])
            .refused(2, &["--val", "validated on fold 2 of 3", "leave out"]);
    }
    let refused = |more: &[&str], parts: &[&str]| train("all", "none", more).refused(2, parts);
    refused(&["--folds", "1"], &["`folds`", "from 2 to 60"]);
    refused(&["--folds", "61", "--fold", "1"], &["`folds`", "from 2 to 60", "found 61"]);
    refused(&["--folds", "3"], &["`fold`", "from 1 to 3", "found 0"]);
    refused(&["--folds", "3", "--fold", "4"], &["`fold`", "from 1 to 3", "found 4"]);
    refused(&["--fold", "1"], &["`fold`", "folds beside it"]);
    refused(&["--folds", "2", "--fold", "1", "--train", "10", "--val", "8"], &["`batch_size`", "at most 9 rows"]);
}
