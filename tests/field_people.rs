//! Paths of any bytes, other users, hidden processes, read-only directories, clocks and hosts that are not what one expects.

#![cfg(unix)]

mod common;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use common::{Place, Run, mlpgrid, text};

const SMALL: &str = "[fixed]\nbatch_size = 20\niterations = 25\nhidden = 6\n[grid]\nseed = [0, 1]\n";
const TRAIN: [&str; 6] = ["--hidden", "3", "--iterations", "2", "--batch-size", "10"];

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

/// The program as another user; none where that cannot be, with a line.
fn as_somebody_else() -> Option<Command> {
    let switch = ["--reuid", "65533", "--regid", "65533", "--clear-groups"];
    if !is_root() || !Command::new("setpriv").args(switch).arg("true").status().is_ok_and(|status| status.success()) {
        common::skipped("only root can become another user, with `setpriv`");
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args(switch).arg(env!("CARGO_BIN_EXE_mlpgrid")).env_remove("CIFAR10_DIR").env_remove("OPENBLAS_CORETYPE");
    Some(command)
}

/// Lets everybody read, and enter, what is in the place.
fn open_to_all(place: &Place) {
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).expect("own folder");
}

fn read_only(directory: &Path, mode: u32) {
    let status = Command::new("chmod").args(["-R", "a-w"]).arg(directory).status().expect("chmod");
    assert!(status.success());
    fs::set_permissions(directory, fs::Permissions::from_mode(mode)).expect("own folder");
}

#[test]
fn paths_of_any_bytes_are_as_good_as_others() {
    let place = Place::new();
    let odd = |name: &[u8]| place.path("").join(PathBuf::from(OsString::from_vec(name.to_vec())));
    let spec = place.file("s.toml", SMALL);
    let (data, out) = (odd(b"d\xe9 \n\t1"), odd(b"caf\xe9"));
    symlink(place.data(), &data).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = mlpgrid();
        command.args(arguments).arg("--data").arg(&data).arg("--out").arg(&out);
        Run::finish(command.output().unwrap())
    };
    run(&["sweep", &spec]).json(0);
    for command in ["status", "report"] {
        let output = mlpgrid().arg(command).arg(&out).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}");
    }
    let eval = mlpgrid().arg("eval").arg(&out).arg("--data").arg(&data).output().unwrap();
    assert_eq!(eval.status.code(), Some(0), "{eval:?}");
    fs::remove_dir_all(&out).unwrap();
    run(&[&["train"][..], &TRAIN].concat()).json(0);
    assert!(out.join("model.safetensors").exists() && out.join("environment.json").exists());
    // From the environment too.
    let mut command = mlpgrid();
    command.arg("train").args(TRAIN).env("CIFAR10_DIR", &data);
    Run::finish(command.output().unwrap()).json(0);
}

#[test]
fn files_have_the_rights_that_the_umask_leaves() {
    let place = Place::new();
    let (spec, data) = (place.file("s.toml", SMALL), text(&place.data()));
    for (umask, expected) in [("077", 0o600), ("027", 0o640), ("002", 0o664)] {
        for command in [format!("sweep {spec}"), format!("train {}", TRAIN.join(" "))] {
            let out = place.path(&format!("{}-{umask}", &command[..5]));
            let script = format!(
                "umask {umask}; exec {} {command} --data {data} --out {}",
                env!("CARGO_BIN_EXE_mlpgrid"),
                text(&out)
            );
            assert!(Command::new("sh").args(["-c", &script]).output().unwrap().status.success());
            let mut folders = vec![out];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).unwrap().flatten() {
                    let metadata = entry.metadata().unwrap();
                    if metadata.is_dir() {
                        folders.push(entry.path());
                        continue;
                    }
                    assert_eq!(metadata.mode() & 0o777, expected, "{:?} with umask {umask}", entry.path());
                }
            }
        }
    }
}

#[test]
fn what_only_reads_works_on_a_directory_that_cannot_be_written() {
    let place = Place::new();
    let spec = place.file("s.toml", SMALL);
    place.sweep(&spec, "out", &[]).json(0);
    open_to_all(&place);
    read_only(&place.path("out"), 0o555);
    let (out, data) = (text(&place.path("out")), text(&place.data()));
    let Some(mut report) = as_somebody_else() else { return };
    let run = Run::finish(report.args(["report", &out]).output().unwrap());
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("validation") || run.stderr.contains("rank"), "the table comes first: {}", run.stderr);
    assert!(run.stderr.lines().last().unwrap().contains("leaderboard.csv: cannot write it"), "{}", run.stderr);
    for arguments in [vec!["status", &out], vec!["status", &out, "--json"], vec!["eval", &out, "--data", &data]] {
        let output = as_somebody_else().unwrap().args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    }
    // A run would be refused, so the dry run is.
    let sweep = ["sweep", &spec, "--data", &data, "--out", &out, "--dry-run"];
    let output = as_somebody_else().unwrap().args(sweep).output().unwrap();
    Run::finish(output).refused(1, &["out", "cannot write"]);
}

#[test]
fn a_directory_that_may_not_be_entered_is_reported_as_that() {
    let place = Place::new();
    open_to_all(&place);
    fs::set_permissions(place.data(), fs::Permissions::from_mode(0o700)).unwrap();
    let Some(mut command) = as_somebody_else() else { return };
    let output = command.arg("train").args(TRAIN).args(["--data", &text(&place.data())]).output().unwrap();
    Run::finish(output).refused(1, &["data", "Permission denied"]);
}

#[test]
fn a_process_that_cannot_be_seen_is_not_taken_for_dead() {
    let mount = "mount -t proc proc /proc -o hidepid=2";
    let namespace = ["-p", "-f", "-m", "--mount-proc", "sh", "-c"];
    if !is_root() || !Command::new("unshare").args(namespace).arg(mount).status().is_ok_and(|status| status.success()) {
        common::skipped("processes cannot be hidden here");
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    let spec =
        place.file("long.toml", "[fixed]\nbatch_size = 20\niterations = 4000000\nhidden = 20\n[grid]\nseed = [0]\n");
    let (data, out, program) = (text(&place.data()), text(&place.path("out")), env!("CARGO_BIN_EXE_mlpgrid"));
    let script = format!(
        "{mount}; umask 0
         setpriv --reuid 65531 --regid 65530 --clear-groups {program} sweep {spec} --data {data} --out {out} --workers 1 2>{out}.log &
         while ! ls {out}/locks/* >/dev/null 2>&1; do sleep 0.05; done
         setpriv --reuid 65532 --regid 65530 --clear-groups {program} status {out} --json
         setpriv --reuid 65532 --regid 65530 --clear-groups {program} sweep {spec} --data {data} --out {out} --workers 1
         echo \"second: $?\" >&2; kill %1 2>/dev/null; kill $!; wait"
    );
    let output = Command::new("unshare").args(namespace).arg(script).stdin(Stdio::null()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let status: serde_json::Value = serde_json::from_str(stdout.lines().next().expect("the status")).unwrap();
    assert_eq!(status["running"].as_array().unwrap().len(), 1, "{stdout} {stderr}");
    assert!(stderr.contains("second: 1") && !stderr.contains("took over"), "{stderr}");
}

#[test]
fn a_copied_directory_and_files_from_the_future_are_used_as_they_are() {
    let place = Place::new();
    let spec = place.file("s.toml", SMALL);
    place.sweep(&spec, "out", &[]).json(0);
    let fruits = place.fruits("out");
    let copied = Command::new("cp").args(["-r", &text(&place.path("out")), &text(&place.path("copy"))]).status();
    assert!(copied.unwrap().success());
    let future = SystemTime::now() + Duration::from_secs(400 * 86_400);
    for folder in ["copy", "copy/results", "copy/locks"] {
        for entry in fs::read_dir(place.path(folder)).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            fs::File::options().append(true).open(entry.path()).unwrap().set_modified(future).unwrap();
        }
    }
    assert_eq!(Run::of(["status", &text(&place.path("copy")), "--json"]).json(0)["running"], serde_json::json!([]));
    assert_eq!(place.sweep(&spec, "copy", &[]).json(0)["trained_now"], 0);
    assert_eq!(place.fruits("copy"), fruits);
}

#[test]
fn an_empty_environment_is_enough() {
    let place = Place::new();
    let spec = place.file("s.toml", SMALL);
    let mut command = place.sweep_command(&spec, "out", &[]);
    let output = command.env_clear().stdin(Stdio::null()).output().unwrap();
    Run::finish(output).json(0);
}
