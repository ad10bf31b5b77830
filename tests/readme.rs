//! The README's commands, run as they stand.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use common::Place;
use mlpgrid::data::sets::npy::Header;

const README: &str = include_str!("../README.md");

/// The lines of every block that is marked `sh`.
fn commands() -> Vec<&'static str> {
    let blocks = README.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks
        .flat_map(str::lines)
        .map(|line| line.split(" #").next().unwrap_or(line).trim())
        .filter(|line| !line.is_empty())
        .collect()
}

/// Arrays that a reader has made: 300 rows of two classes.
fn arrays(folder: &Path, descr: &str, shape: &[usize], numbers: &[u8]) {
    fs::create_dir(folder).expect("it works on files of this test");
    let labels: Vec<u8> = (0..300).map(|row| (row % 2) as u8).collect();
    fs::write(folder.join("train_x.npy"), [&Header::bytes(descr, shape)[..], numbers].concat())
        .expect("it works on files of this test");
    fs::write(folder.join("train_y.npy"), [Header::bytes("|u1", &[300]), labels].concat())
        .expect("it works on files of this test");
}

/// Every `mlpgrid` command of the README works in a folder with `data` and `sweeps`. Two things differ from a reader's machine:
/// the data are few synthetic images, and sweeps are cut to a few iterations. `fetch` has a test with a server of its own.
#[test]
fn every_mlpgrid_command_of_the_readme_works() {
    let place = Place::with_rows(200);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    symlink(root.join("sweeps"), place.path("sweeps")).expect("it works on files of this test");
    arrays(&place.path("mnist"), "|u1", &[300, 28, 28], &vec![7; 300 * 784]);
    arrays(&place.path("embeddings"), "<f4", &[300, 4], &1.5_f32.to_le_bytes().repeat(1200));
    let mut ran = 0;
    for line in commands().into_iter().filter(|line| line.starts_with("mlpgrid ") && !line.starts_with("mlpgrid fetch"))
    {
        let shorter = if line.starts_with("mlpgrid sweep") { " --set iterations=20" } else { "" };
        let path = format!(
            "{}:{}",
            Path::new(env!("CARGO_BIN_EXE_mlpgrid")).parent().expect("it works on files of this test").display(),
            std::env::var("PATH").expect("it works on files of this test")
        );
        let script = format!("{line}{shorter}");
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(place.path(""))
            .env("PATH", path)
            .env_remove("CIFAR10_DIR")
            .env("MLPGRID_CACHE_DIR", place.path("cache"))
            .output();
        let output = output.expect("it works on files of this test");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        ran += 1;
    }
    assert!(ran >= 4, "the README has commands");
}

#[test]
fn the_scripts_that_the_readme_names_are_there() {
    for line in commands().into_iter().filter(|line| line.starts_with("./")) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(line);
        assert!(fs::metadata(&script).is_ok(), "{line}");
    }
}

/// The table of hyperparameters gives every key with its live default.
#[test]
fn the_readmes_table_of_hyperparameters_is_complete_and_true() {
    for entry in mlpgrid::model::Hyperparameters::default().entries() {
        let (key, default) = (entry.name, entry.value);
        let row = README
            .lines()
            .find(|line| line.starts_with(&format!("| `{key}` |")))
            .unwrap_or_else(|| panic!("a row for {key}"));
        let cell =
            row.trim_end_matches(" |").rsplit("| ").next().expect("it works on files of this test").trim_matches('`');
        assert_eq!(cell, default.to_string(), "{key}");
    }
}
