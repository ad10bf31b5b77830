//! Data and models that are not what they are taken for: damaged, mixed up, somebody else's, unreachable, or no files at all.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::archive::{FOLDER, archive_of, entries, names, tar_gz};
use common::{Place, Run, mlpgrid, real_cifar, text, wait_until};
use mlpgrid::data::fetch::{self, Archive, Patience, Progress};
use mlpgrid::data::sets::contents::Contents;
use mlpgrid::data::{DataConfig, DatasetName, Format};
use mlpgrid::model::saved::{Provenance, SavedModel};
use mlpgrid::{Error, Result};

/// A small training: 180 of 200 training images, and 20 for validation, unless flags name other splits.
const TRAIN: [&str; 6] = ["--hidden", "3", "--iterations", "2", "--batch-size", "10"];

/// Trains into `out` of the place.
fn trained(place: &Place, more: &[&str]) -> String {
    let out = text(&place.path("out"));
    place.train(&[&TRAIN[..], &["--out", &out], more].concat()).json(0);
    out
}

fn eval(model: &str, data: &Path, more: &[&str]) -> Run {
    Run::of([&["eval", model, "--data", &text(data)], more].concat())
}

/// The lines of a run that are warnings.
fn warnings(run: &Run) -> Vec<&str> {
    run.stderr.lines().filter(|line| line.starts_with("warning: ")).collect()
}

/// Runs a command that must come to its end by itself.
fn ends(command: &mut Command) -> Run {
    struct Ended(Child);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill(); // does nothing to a process that has ended
        }
    }
    let mut child = Ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts"));
    wait_until("the end of the program", || child.0.try_wait().expect("a child").is_some());
    let mut output = std::process::Output { status: child.0.wait().expect("ended"), stdout: vec![], stderr: vec![] };
    std::io::copy(child.0.stdout.as_mut().expect("piped"), &mut output.stdout).expect("read");
    std::io::copy(child.0.stderr.as_mut().expect("piped"), &mut output.stderr).expect("read");
    Run::finish(output)
}

fn make_fifo(path: &Path) {
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().expect("there is mkfifo").success());
}

/// Files of the official sizes that are all zeros, and take no room on the disk.
fn write_zeros(folder: &Path, format: Format) {
    fs::create_dir_all(folder).expect("the folder is made");
    for (at, name) in format.files().enumerate() {
        let is_training = at < format.training_files.len();
        let rows = if is_training { format.rows_per_training_file } else { format.rows_of_test_file };
        let bytes = (rows * format.record_bytes()) as u64;
        File::create(folder.join(name)).and_then(|file| file.set_len(bytes)).expect("the file is made");
    }
}

// ---- Rows that a model was trained on do not validate it ----

#[test]
fn eval_refuses_validation_rows_that_the_model_was_trained_on() {
    let place = Place::new();
    let model = trained(&place, &[]);
    let parts = ["--val: expected at most 20 validation rows", "the first 180 of the 200 training images"];
    for (val, found) in [("21", "found 21, 1 of which"), ("200", "found 200, 180 of which"), ("201", "found 201;")] {
        eval(&model, &place.data(), &["--val", val]).refused(2, &[&parts[..], &[found, "leave out --val"]].concat());
        eval(&model, &place.data(), &["--val", val, "--train"]).refused(2, &parts);
    }
    for val in ["1", "20"] {
        let report = eval(&model, &place.data(), &["--val", val, "--train"]).json(0);
        assert!(report["train_accuracy"].is_f64() && report["other_data"].is_null(), "{report}");
    }
}

#[test]
fn rows_between_the_training_and_the_validation_rows_may_validate() {
    let place = Place::new();
    let model = trained(&place, &["--train", "50", "--val", "10"]);
    eval(&model, &place.data(), &["--val", "150"]).json(0);
    eval(&model, &place.data(), &["--val", "151"]).refused(2, &["--val", "at most 150", "found 151, 1 of which"]);
}

#[test]
fn the_best_model_of_a_sweep_knows_its_training_rows_too() {
    let place = Place::new();
    let spec = place.file("s.toml", "[data]\ntrain = 150\nval = 30\n[fixed]\niterations = 2\nbatch_size = 10\n");
    place.sweep(&spec, "out", &[]).json(0);
    let model = text(&place.path("out"));
    eval(&model, &place.data(), &["--val", "50"]).json(0);
    eval(&model, &place.data(), &["--val", "51"]).refused(2, &["at most 50", "the first 150 of the 200"]);
}

#[test]
fn a_model_without_its_splits_is_taken_to_have_the_default_ones_if_the_fingerprint_agrees() {
    let place = Place::new();
    let without_splits = |out: &str| {
        let mut model = SavedModel::read(&PathBuf::from(out).join("model.safetensors")).unwrap();
        model.provenance.data = DataConfig::default();
        model.write(&place.path("bare")).unwrap();
        text(&place.path("bare"))
    };
    let whole = trained(&place, &[]);
    let bare = without_splits(&whole);
    let accuracy = |model: &str| eval(model, &place.data(), &[]).json(0)["val_accuracy"].clone();
    assert_eq!(accuracy(&bare), accuracy(&whole));
    eval(&bare, &place.data(), &["--val", "21"]).refused(2, &["--val", "at most 20", "the first 180 of the 200"]);
    fs::remove_dir_all(place.path("out")).unwrap();
    let bare = without_splits(&trained(&place, &["--train", "50"]));
    eval(&bare, &place.data(), &[])
        .refused(2, &["the data that", "was trained on", "or other splits, which the model does not record"]);
}

// ---- A model and the data of others ----

#[test]
fn eval_refuses_data_that_are_not_the_models_unless_they_are_asked_for() {
    let (place, other) = (Place::new(), Place::with_rows(30));
    let model = trained(&place, &[]);
    let fingerprint = Provenance::read(&place.path("out/model.safetensors")).unwrap().data_fingerprint;
    let data = text(&other.data());
    eval(&model, &other.data(), &[]).refused(
        2,
        &[
            &data,
            "model.safetensors was trained on",
            &fingerprint,
            "found synthetic images that are others",
            "--other-data",
        ],
    );
    let run = eval(&model, &other.data(), &["--other-data"]);
    assert_eq!(run.json(0)["other_data"], true);
    let [warning] = warnings(&run)[..] else { panic!("one warning: {run:?}") };
    assert!(warning.contains(&data) && warning.contains(&fingerprint) && warning.contains("not the data"), "{warning}");
    // 180 training rows and 20 validation rows do not fit the 150 images of the other set, so none of these was trained on.
    eval(&model, &other.data(), &["--other-data", "--val", "100"]).json(0);
    eval(&model, &other.data(), &["--other-data", "--train"]).refused(2, &["--other-data", "--train"]);
}

#[test]
fn a_single_file_that_differs_makes_other_data_and_training_rows_stay_refused() {
    let (place, other) = (Place::new(), Place::new());
    let model = trained(&place, &[]);
    let path = other.data().join("test_batch.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    eval(&model, &other.data(), &["--test"]).refused(2, &["found synthetic images that are others"]);
    eval(&model, &other.data(), &["--other-data", "--test"]).json(0);
    eval(&model, &other.data(), &["--other-data", "--val", "21"]).refused(2, &["--val", "found 21, 1 of which"]);
}

#[test]
fn data_of_another_name_and_splits_of_another_size_are_still_the_models() {
    let place = Place::new();
    let model = trained(&place, &["--train", "100", "--test-rows", "7"]);
    fs::rename(place.data(), place.path("moved")).unwrap();
    let run = eval(&model, &place.path("moved"), &["--val", "15", "--test", "--train"]);
    assert!(run.json(0)["other_data"].is_null());
    assert_eq!(warnings(&run), Vec::<&str>::new());
}

#[test]
fn a_model_of_another_data_set_is_refused_by_the_name_of_that() {
    let place = Place::new();
    let model = trained(&place, &[]);
    let file = place.path("out/model.safetensors");
    let mut other = SavedModel::read(&file).unwrap();
    other.provenance.data.dataset = DatasetName::Cifar100;
    other.write(&file).unwrap();
    eval(&model, &place.data(), &[])
        .refused(1, &["train.bin", "one of the files of CIFAR-100", "but the files of CIFAR-10", "--data"]);
}

// ---- Files that are not the official ones ----

#[test]
fn files_of_the_right_size_with_other_contents_are_named_and_trained_on() {
    let place = Place::new();
    let folder = place.path("black");
    write_zeros(&folder, Format::Cifar10);
    let run = Run::of(["train", "--data", &text(&folder), "--train", "50", "--val", "10"].into_iter().chain(TRAIN));
    run.json(0);
    let [warning] = warnings(&run)[..] else { panic!("one warning: {run:?}") };
    assert!(warning.starts_with(&format!("warning: {}: these are not the official files of CIFAR-10", text(&folder))));
    let parts = [
        "data_batch_1.bin: expected the official contents (SHA-256 cee916563c9f80d8…), found others",
        "data_batch_2.bin: the same as data_batch_1.bin",
        "test_batch.bin: the same as data_batch_1.bin",
        "mlpgrid fetch",
    ];
    for part in parts {
        assert!(warning.contains(part), "`{part}` in `{warning}`");
    }
}

#[test]
fn files_of_cifar_100_that_lack_classes_are_named() {
    let place = Place::new();
    let folder = place.path("cifar-100-binary");
    write_zeros(&folder, Format::Cifar100);
    for dataset in ["cifar100", "cifar100-coarse"] {
        let flags = ["--dataset", dataset, "--train", "50", "--val", "10"];
        let data = text(&place.path(""));
        let run = Run::of(["train", "--data", &data].into_iter().chain(flags).chain(TRAIN));
        run.json(0);
        let [warning] = warnings(&run)[..] else { panic!("one warning: {run:?}") };
        let each = if dataset == "cifar100" { 500 } else { 2500 };
        assert!(warning.contains("not the official files of CIFAR-100"), "{warning}");
        assert!(warning.contains(&format!("train.bin: expected {each} images of each label, found 50000 of label 0")));
        assert!(warning.contains("`mlpgrid fetch --dataset cifar100 --dir"), "{warning}");
    }
}

#[test]
fn synthetic_files_are_warned_of_only_where_two_are_the_same() {
    let place = Place::new();
    assert_eq!(warnings(&place.train(&TRAIN)), Vec::<&str>::new());
    fs::copy(place.data().join("data_batch_1.bin"), place.data().join("data_batch_5.bin")).unwrap();
    let run = place.train(&TRAIN);
    run.json(0);
    let [warning] = warnings(&run)[..] else { panic!("one warning: {run:?}") };
    assert!(warning.contains("(data_batch_5.bin: the same as data_batch_1.bin)"), "{warning}");
}

#[test]
fn the_official_files_are_known_also_behind_links_and_swapped_ones_are_named() {
    let Some(cifar) = real_cifar() else { return };
    let cifar = Format::Cifar10.locate(&fs::canonicalize(cifar).unwrap()).unwrap();
    let place = Place::new();
    let link = |folder: &str, file: &str, to: &str| symlink(cifar.join(to), place.path(folder).join(file)).unwrap();
    for folder in [FOLDER, "swapped"] {
        fs::create_dir(place.path(folder)).unwrap();
        for file in Format::Cifar10.files() {
            let to = match (folder, file) {
                ("swapped", "data_batch_1.bin") => "data_batch_2.bin",
                ("swapped", "data_batch_2.bin") => "data_batch_1.bin",
                ("swapped", "data_batch_5.bin") => "data_batch_4.bin",
                _ => file,
            };
            link(folder, file, to);
        }
    }
    let train = |folder: &str| {
        let data = text(&place.path(folder));
        let run = Run::of(["train", "--data", &data, "--train", "50", "--val", "10"].into_iter().chain(TRAIN));
        run.json(0);
        run
    };
    assert_eq!(warnings(&train("")), Vec::<&str>::new());
    let run = train("swapped");
    let [warning] = warnings(&run)[..] else { panic!("one warning: {run:?}") };
    for part in
        ["found those of data_batch_2.bin", "found those of data_batch_1.bin", "_5.bin: the same as data_batch_4"]
    {
        assert!(warning.contains(part), "`{part}` in `{warning}`");
    }
    // A folder that cannot be written to is complete all the same.
    let run = Run::of(["fetch", "--dir", &text(&place.path(""))]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), "fetch: CIFAR-10 is here and complete, nothing to do\n"));
}

#[test]
fn what_is_there_in_place_of_the_files_is_named_with_what_to_do() {
    let place = Place::new();
    let fill = |folder: &str, names: &[&str]| {
        fs::create_dir(place.path(folder)).unwrap();
        names.iter().for_each(|name| fs::write(place.path(folder).join(name), "").unwrap());
    };
    fill("upper", &["DATA_BATCH_1.BIN", "TEST_BATCH.BIN"]);
    fill("python", &["data_batch_1", "batches.meta"]);
    fill("python-archive", &["cifar-10-python.tar.gz"]);
    fill("matlab", &["data_batch_1.mat"]);
    fill("cifar-100", &["train.bin", "test.bin"]);
    fill("archive", &["cifar-10-binary.tar.gz"]);
    fill("link", &[]);
    symlink("nowhere", place.path("link/data_batch_1.bin")).unwrap();
    fill(FOLDER, &[]);
    let refused = |folder: &str, parts: &[&str]| {
        let path = text(&place.path(folder));
        Run::of(["train", "--data", &path]).refused(1, &[&[path.as_str(), "data_batch_1.bin"], parts].concat());
    };
    refused("upper", &["but `DATA_BATCH_1.BIN`; rename it to `data_batch_1.bin`"]);
    refused("python", &["but the Python version", "only the binary version is read", "mlpgrid fetch"]);
    refused("python-archive", &["but the Python version"]);
    refused("matlab", &["but the Matlab version"]);
    refused("cifar-100", &["but the files of CIFAR-100", "--dataset cifar100"]);
    refused("archive", &[&format!("`mlpgrid fetch --dir {}` (or tar xzf)", text(&place.path("archive")))]);
    refused("link", &["but a link to a file that is missing; mend the link"]);
    // The remedy is a command that replaces this very folder.
    refused(
        FOLDER,
        &[
            "found no such file; restore",
            &format!("`mlpgrid fetch --dir {}`", text(&place.path("")).trim_end_matches('/')),
        ],
    );
}

#[test]
fn a_damaged_file_is_refused_with_the_command_that_replaces_its_folder() {
    let place = Place::new();
    let folder = place.path(FOLDER);
    fs::rename(place.data(), &folder).unwrap();
    File::options().append(true).open(folder.join("data_batch_4.bin")).unwrap().write_all(b"\n").unwrap();
    let directory = text(&place.path("")).trim_end_matches('/').to_owned();
    let parts =
        ["data_batch_4.bin", "122921 bytes (40 records and 1 bytes)", &format!("`mlpgrid fetch --dir {directory}`")];
    Run::of(["train", "--data", &text(&folder)]).refused(1, &parts);
    Run::of(["train", "--data", &directory]).refused(1, &parts);
}

#[test]
fn synth_leaves_any_data_file_alone_that_it_did_not_write() {
    let place = Place::new();
    let folder = place.path("mine");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("data_batch_2.bin"), "mine").unwrap();
    Run::of(["synth", "--dir", &text(&folder), "--rows-per-file", "20"]).refused(2, &["mine", "choose another --dir"]);
    assert_eq!(names(&folder), ["data_batch_2.bin"]);
    assert_eq!(fs::read_to_string(folder.join("data_batch_2.bin")).unwrap(), "mine");
}

// ---- fetch ----

/// An address that nobody may be asked at.
const NOWHERE: &str = "http://127.0.0.1:1/small.tar.gz";

fn try_fetch(archive: &Archive, directory: &Path) -> (Result<PathBuf>, Vec<Progress>) {
    let second = Duration::from_secs(1);
    let patience = Patience { connect: second, stall: second, pauses: vec![] };
    let mut reports = vec![];
    let outcome = fetch::fetch(archive, directory, &patience, &mut |progress| reports.push(progress));
    (outcome, reports)
}

/// The folder of the data set holds what the archive holds.
fn assert_unpacked(directory: &Path) {
    for (path, bytes) in entries() {
        assert!(fs::read(directory.join(&path)).expect("unpacked") == bytes, "{path}");
    }
}

#[test]
fn an_archive_that_was_brought_is_unpacked_without_the_network_and_stays() {
    let (place, bytes) = (Place::new(), tar_gz(&entries()));
    let directory = place.path("brought");
    fs::create_dir(&directory).unwrap();
    let archive = archive_of(&bytes, NOWHERE);
    let brought = directory.join(&archive.name);
    fs::write(&brought, &bytes).unwrap();
    let (outcome, reports) = try_fetch(&archive, &directory);
    assert_eq!(outcome.unwrap(), directory.join(FOLDER));
    assert_eq!(reports, [Progress::Found(brought), Progress::Checking, Progress::Unpacking]);
    assert_unpacked(&directory);
    assert_eq!(names(&directory), [FOLDER, "small.tar.gz"]);
    assert_eq!(try_fetch(&archive, &directory).1, [Progress::Complete]);
}

#[test]
fn an_archive_is_taken_from_a_path_and_from_a_file_address() {
    let (place, bytes) = (Place::new(), tar_gz(&entries()));
    let path = place.path("an archive");
    fs::write(&path, &bytes).unwrap();
    for (at, url) in
        [text(&path), format!("file://{}", text(&path)), format!("file://localhost{}", text(&path))].iter().enumerate()
    {
        let directory = place.path(&at.to_string());
        try_fetch(&archive_of(&bytes, url), &directory).0.unwrap();
        assert_unpacked(&directory);
    }
    assert_eq!(fs::read(path).unwrap(), bytes);
}

#[test]
fn a_wrong_archive_that_was_brought_is_named_with_its_checksum_and_stays() {
    let place = Place::new();
    fs::create_dir(place.path("d")).unwrap();
    let brought = place.file("d/cifar-10-binary.tar.gz", "junk");
    let dir = text(&place.path("d"));
    let parts =
        [&brought, "170052171 bytes, MD5 c32a1d4ab5d03f1284b67883e8d87530", "found another file (4 bytes, MD5 "];
    Run::of(["fetch", "--dir", &dir]).refused(1, &[&parts[..], &["remove this file"]].concat());
    for url in [brought.clone(), format!("file://{brought}")] {
        let run = Run::of(["fetch", "--dir", &text(&place.path("e")), "--url", &url]);
        run.refused(1, &[&parts[..], &["leave out --url"]].concat());
    }
    assert_eq!(fs::read_to_string(&brought).unwrap(), "junk");
    Run::of(["fetch", "--dir", &dir, "--url", "no/such.tar.gz"])
        .refused(2, &["--url", "the path of the archive, found `no/such.tar.gz`, where there is no file"]);
}

#[test]
fn an_archive_given_as_the_data_is_refused_with_the_command_that_unpacks_it() {
    let place = Place::new();
    let refused = |name: &str, parts: &[&str]| {
        let file = place.file(name, "");
        Run::of(["train", "--data", &file]).refused(1, &[&[file.as_str()], parts].concat());
    };
    let here = text(&place.path("")).trim_end_matches('/').to_owned();
    refused("cifar-10-binary.tar.gz", &["found an archive", &format!("`mlpgrid fetch --dir {here}`"), "tar xzf"]);
    refused("renamed.tgz", &["found an archive", &format!("--url {here}/renamed.tgz`")]);
    refused("data_batch_1.bin", &[&format!("found one of the files; give the directory that it is in: --data {here}")]);
}

#[test]
fn a_folder_of_the_right_sizes_and_other_contents_is_replaced_and_the_reason_reported() {
    let (place, bytes) = (Place::new(), tar_gz(&entries()));
    let directory = place.path("fetched");
    fs::create_dir(&directory).unwrap();
    let archive = archive_of(&bytes, NOWHERE);
    fs::write(directory.join(&archive.name), &bytes).unwrap();
    try_fetch(&archive, &directory).0.unwrap();
    let file = |number: usize| directory.join(FOLDER).join(format!("data_batch_{number}.bin"));
    let damages: [(&dyn Fn(), &str); 4] = [
        (&|| fs::write(file(2), vec![0; 6146]).unwrap(), "data_batch_2.bin: expected the official contents (SHA-256 "),
        (
            &|| {
                fs::rename(file(1), file(9)).unwrap();
                fs::rename(file(3), file(1)).unwrap();
                fs::rename(file(9), file(3)).unwrap();
            },
            "found those of data_batch_3.bin",
        ),
        (&|| assert!(fs::copy(file(4), file(5)).is_ok()), "found those of data_batch_4.bin"),
        (&|| fs::write(file(2), vec![11; 6146]).unwrap(), "data_batch_2.bin: expected a label from 0 to 9, found 11"),
    ];
    for (damage, words) in damages {
        damage();
        let (outcome, reports) = try_fetch(&archive, &directory);
        outcome.unwrap();
        let Some(Progress::Damaged(reason)) = reports.first() else { panic!("damage: {reports:?}") };
        assert!(reason.contains(words), "`{words}` in `{reason}`");
        assert_unpacked(&directory);
    }
    assert_eq!(try_fetch(&archive, &directory).1, [Progress::Complete]);
}

#[test]
fn files_of_cifar_100_are_checked_by_their_labels() {
    let place = Place::new();
    let format = Format::Cifar100;
    let folder = place.path(format.archive.folder);
    fs::create_dir(&folder).unwrap();
    let records = |labels: &mut dyn Iterator<Item = u8>| -> Vec<u8> {
        labels.flat_map(|label| [label / 5, label].into_iter().chain([0; 3072])).collect()
    };
    let whole = records(&mut (0..100));
    for file in format.files() {
        fs::write(folder.join(file), &whole).unwrap();
    }
    let mut archive = Archive::official(format);
    assert_eq!(archive.contents, Contents::Balanced);
    (archive.rows_per_training_file, archive.rows_of_test_file) = (100, 100);
    NOWHERE.clone_into(&mut archive.url);
    assert_eq!(try_fetch(&archive, &place.path("")).1, [Progress::Complete]);
    fs::write(folder.join("test.bin"), records(&mut [7; 100].into_iter())).unwrap();
    let (outcome, reports) = try_fetch(&archive, &place.path(""));
    assert!(matches!(outcome, Err(Error::Network(_))), "it is to be downloaded");
    let reason = "test.bin: expected 1 images of each label, found 0 of label 0".to_owned();
    assert_eq!(reports, [Progress::Damaged(reason)]);
}

#[test]
fn files_whose_contents_are_damaged_are_to_be_downloaded_and_stay_where_that_fails() {
    let place = Place::new();
    let folder = place.path("g").join(FOLDER);
    write_zeros(&folder, Format::Cifar10);
    let run = Run::of(["fetch", "--dir", &text(&place.path("g")), "--url", NOWHERE]);
    run.refused(1, &[NOWHERE]);
    let line = format!("fetch: {} will be replaced (data_batch_1.bin: expected the official contents", text(&folder));
    assert!(run.stderr.starts_with(&line), "{run:?}");
    assert_eq!(fs::metadata(folder.join("data_batch_1.bin")).unwrap().len(), 30_730_000);
    Run::of(["fetch", "--dir", &text(&folder), "--url", NOWHERE]).refused(
        2,
        &["not all of them whole (data_batch_1.bin: expected the official contents", "the directory above"],
    );
}

// ---- Directories that may not be entered ----

#[test]
fn a_directory_that_may_not_be_entered_is_not_reported_as_missing() {
    let place = Place::new();
    let model = PathBuf::from(trained(&place, &[])).join("model.safetensors");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let closed = place.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::rename(place.data(), closed.join("data")).unwrap();
    fs::copy(&model, closed.join("model.safetensors")).unwrap();
    // Root enters everything, so the test steps down to a user who does not, with a program that this user may run.
    let program = place.path("program");
    fs::copy(env!("CARGO_BIN_EXE_mlpgrid"), &program).unwrap();
    mode(&program, 0o755);
    mode(&place.path(""), 0o755);
    mode(&closed, 0o000);
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let refused = |arguments: &[&str], parts: &[&str]| {
        let mut command = Command::new(&program);
        if is_root {
            command.uid(65_534).gid(65_534);
        }
        let run = Run::finish(command.env_remove("CIFAR10_DIR").args(arguments).output().unwrap());
        run.refused(1, &[parts, &["Permission denied"]].concat());
    };
    let (directory, data) = (text(&closed), text(&closed.join("data")));
    for data in [&directory, &data] {
        refused(&["train", "--data", data], &[data]);
        refused(&["replay", "--data", data], &[data]);
        refused(&["eval", &text(&model), "--data", data], &[data]);
        refused(&["fetch", "--dir", data], &[data]);
        refused(&["synth", "--dir", data], &[data]);
    }
    refused(&["eval", &directory], &["closed/model.safetensors", "cannot read the model"]);
    mode(&closed, 0o755);
}

// ---- CIFAR10_DIR ----

#[test]
fn an_empty_cifar10_dir_is_as_if_it_were_not_set() {
    let place = Place::new();
    let train = |directory: &Path, value: &str| {
        let mut command = mlpgrid();
        Run::finish(command.current_dir(directory).env("CIFAR10_DIR", value).arg("train").args(TRAIN).output().unwrap())
    };
    train(&place.path(""), "").json(0);
    train(&place.path(""), "/no/such/place").refused(1, &["/no/such/place", "no such directory", "CIFAR10_DIR"]);
    fs::create_dir(place.path("empty")).unwrap();
    train(&place.path("empty"), "").refused(1, &["data: expected a directory", "no such directory", "CIFAR10_DIR"]);
    train(&place.path("empty"), &text(&place.data())).json(0);
    Run::of(["train", "--data", ""]).refused(2, &["a value is required for '--data"]);
    let help = Run::of(["train", "--help"]).stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        help.contains("CIFAR10_DIR of the environment for CIFAR, or data where that is not set or empty"),
        "{help}"
    );
}

// ---- What is no file ----

#[test]
fn a_fifo_among_the_data_files_is_refused_and_not_waited_for() {
    for file in ["data_batch_3.bin", "test_batch.bin", "synthetic.json"] {
        let place = Place::new();
        make_fifo(&place.data().join(file));
        let run = ends(mlpgrid().args(["train", "--data", &text(&place.data())]).args(TRAIN));
        run.refused(1, &[file, "expected a regular file, found a FIFO"]);
    }
    let place = Place::new();
    fs::create_dir(place.path("d")).unwrap();
    make_fifo(&place.path("d/cifar-10-binary.tar.gz"));
    let run = ends(mlpgrid().args(["fetch", "--dir", &text(&place.path("d"))]));
    run.refused(1, &["cifar-10-binary.tar.gz", "found a FIFO"]);
}

#[test]
fn sockets_and_devices_among_the_data_files_are_refused_by_what_they_are() {
    let place = Place::new();
    let path = place.data().join("data_batch_1.bin");
    fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    place.train(&TRAIN).refused(1, &["data_batch_1.bin", "found a device"]);
    fs::remove_file(&path).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    place.train(&TRAIN).refused(1, &["data_batch_1.bin", "found a socket"]);
}

#[test]
fn a_fifo_as_model_or_sweep_file_is_refused_and_what_comes_through_stdin_is_read() {
    let place = Place::new();
    let out = trained(&place, &[]);
    let (data, fifo) = (text(&place.data()), text(&place.path("fifo")));
    make_fifo(&place.path("fifo"));
    ends(mlpgrid().args(["eval", &fifo, "--data", &data])).refused(1, &[&fifo, "found a FIFO", "/dev/stdin"]);
    let folder = place.path("folder");
    fs::create_dir(&folder).unwrap();
    make_fifo(&folder.join("best.safetensors"));
    ends(mlpgrid().args(["eval", &text(&folder), "--data", &data])).refused(1, &["best.safetensors", "found a FIFO"]);
    let sweep = ["sweep", &fifo, "--data", &data, "--out", &text(&place.path("sweep"))];
    ends(mlpgrid().args(sweep)).refused(1, &[&fifo, "found a FIFO", "/dev/stdin"]);

    let piped = |arguments: &[&str], bytes: Vec<u8>| {
        let mut command = mlpgrid();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        child.stdin.take().expect("piped").write_all(&bytes).expect("the program reads");
        Run::finish(child.wait_with_output().expect("it ends"))
    };
    let model = fs::read(Path::new(&out).join("model.safetensors")).unwrap();
    piped(&["eval", "/dev/stdin", "--data", &data], model).json(0);
    let spec = b"[fixed]\niterations = 2\nbatch_size = 10\n".to_vec();
    piped(&["sweep", "/dev/stdin", "--data", &data, "--out", &text(&place.path("sweep"))], spec).json(0);
}
