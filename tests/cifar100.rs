//! CIFAR-100's format, from the file to the trained network: fine and coarse labels.

mod common;

use std::fs;

use common::{Place, text};

/// Small files in CIFAR-100's format, with the manifest that says how small: the coarse label is a fifth of the fine one.
fn write_cifar_100(place: &Place, rows: usize) -> String {
    let directory = place.path("cifar-100-binary");
    fs::create_dir(&directory).expect("the folder is made");
    let record = |row: usize| {
        [(row % 100 / 5) as u8, (row % 100) as u8].into_iter().chain((0..3072).map(move |at| (row * at % 251) as u8))
    };
    let bytes: Vec<u8> = (0..rows).flat_map(record).collect();
    for file in ["train.bin", "test.bin"] {
        fs::write(directory.join(file), &bytes).expect("the file is written");
    }
    fs::write(directory.join("synthetic.json"), format!("{{\"rows_per_file\": {rows}, \"seed\": 0}}"))
        .expect("the manifest is written");
    text(&directory)
}

#[test]
fn networks_train_on_fine_and_on_coarse_labels() {
    let place = Place::new();
    let data = write_cifar_100(&place, 300);
    for (dataset, classes) in [("cifar100", 100.0_f64), ("cifar100-coarse", 20.0)] {
        let flags = [
            "train",
            "--data",
            &data,
            "--dataset",
            dataset,
            "--hidden",
            "5",
            "--iterations",
            "3",
            "--batch-size",
            "50",
        ];
        let report = common::Run::of(flags).json(0);
        assert!((report["first_loss"].as_f64().unwrap() - classes.ln()).abs() < 0.05, "{dataset}: {report}");
    }
}

#[test]
fn a_fine_label_of_100_is_refused_with_its_record() {
    let place = Place::new();
    let data = write_cifar_100(&place, 300);
    let path = place.path("cifar-100-binary/train.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[7 * 3074 + 1] = 100;
    fs::write(&path, bytes).unwrap();
    common::Run::of(["train", "--data", &data, "--dataset", "cifar100"])
        .refused(1, &["train.bin: record 7", "0 to 99, found 100"]);
}
