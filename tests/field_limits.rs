//! What a machine leaves: address space, threads, CPU time, disk, open files. Too little is one line that names the limit, and signals
//! always end the program.

mod common;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Place, Run, mlpgrid, signal, text, wait_until};

const SMALL: &str = "[fixed]\nbatch_size = 20\niterations = 25\nhidden = 6\n[grid]\nseed = [0, 1]\n";
const LONG: &str = "[fixed]\nbatch_size = 20\niterations = 400000\nhidden = 20\n[grid]\nseed = [0, 1]\n";

/// The program with `arguments`, under the limits that `ulimit` sets in a shell.
fn limited(limits: &str, arguments: &[&str]) -> Command {
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("{limits}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_mlpgrid")]).args(arguments);
    shell.env_remove("CIFAR10_DIR").env_remove("OPENBLAS_CORETYPE");
    shell
}

fn run(mut command: Command) -> Run {
    Run::finish(command.output().expect("the program starts"))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

/// Whether a command can be run here; a line where it cannot.
fn can_run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let can = status.is_ok_and(|status| status.success());
    if !can {
        common::skipped(&format!("`{program}` does not do here what the test needs"));
    }
    can
}

#[test]
fn too_little_address_space_is_one_line_that_names_limit_and_remedy() {
    let place = Place::new();
    let (spec, data, out) = (
        place.file("s.toml", &SMALL.replace("[0, 1]", "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]")),
        text(&place.data()),
        text(&place.path("out")),
    );
    let sweep = ["sweep", &spec, "--data", &data, "--out", &out, "--workers", "16"];
    let mut refused = 0;
    for kilobytes in [400_000, 700_000, 1_000_000, 1_500_000] {
        let run = run(limited(&format!("ulimit -v {kilobytes}"), &sweep));
        if run.code != Some(0) {
            run.refused(1, &["address space", &format!("ulimit -v {kilobytes}"), "raise it to"]);
            refused += 1;
        }
    }
    assert!(refused >= 3, "{refused}: 16 workers have no room in a gigabyte");
    // What the line advises is enough.
    let line = run(limited("ulimit -v 1000000", &sweep)).stderr;
    let advised = line.split("raise it to ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a number of kB");
    run(limited(&format!("ulimit -v {advised}"), &sweep)).json(0);
}

#[test]
fn term_ends_a_sweep_whatever_address_space_there_is() {
    let place = Place::new();
    let (spec, data) = (place.file("s.toml", LONG), text(&place.data()));
    for kilobytes in [500_000, 800_000, 900_000, 1_200_000] {
        let out = text(&place.path(&format!("out{kilobytes}")));
        let arguments = ["sweep", &spec, "--data", &data, "--out", &out, "--workers", "2"];
        let mut command = limited(&format!("ulimit -v {kilobytes}"), &arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(std::time::Duration::from_millis(700));
        signal(&child, "TERM");
        let mut code = None;
        wait_until("the end", || {
            code = child.try_wait().expect("a child").map(|status| status.code());
            code.is_some()
        });
        assert!(matches!(code, Some(Some(1 | 75))), "{kilobytes}: {code:?}");
    }
}

#[test]
fn too_few_threads_are_one_line_that_names_the_limit() {
    if !is_root() || !can_run("prlimit", &["--nproc=100", "setpriv", "--reuid", "65533", "--clear-groups", "true"]) {
        return;
    }
    let place = Place::new();
    // Another user must reach the files.
    fs::set_permissions(place.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("own folder");
    let (spec, data, out) = (place.file("s.toml", SMALL), text(&place.data()), text(&place.path("out")));
    let mut refused = 0;
    for count in 2..=6 {
        let mut command = Command::new("prlimit");
        command.args([
            &format!("--nproc={count}"),
            "setpriv",
            "--reuid",
            "65533",
            "--regid",
            "65533",
            "--clear-groups",
        ]);
        command.arg(env!("CARGO_BIN_EXE_mlpgrid")).args(["sweep", &spec, "--data", &data, "--out", &out]);
        let run = run(command);
        if run.code != Some(0) {
            run.refused(1, &["threads: expected one more", &format!("ulimit -u {count}")]);
            refused += 1;
        }
    }
    assert!(refused >= 1, "two threads are too few");
}

#[test]
fn the_soft_limit_of_cpu_time_ends_a_sweep_with_75_and_a_checkpoint() {
    let place = Place::new();
    let (spec, data, out) = (place.file("s.toml", LONG), text(&place.data()), text(&place.path("out")));
    let arguments = ["sweep", &spec, "--data", &data, "--out", &out, "--workers", "2", "--checkpoint-every", "0.2"];
    run(limited("ulimit -S -t 1", &arguments)).refused(75, &["run the same command again"]);
    assert!(!place.checkpoints("out").is_empty());
}

#[test]
fn every_signal_with_which_schedulers_end_jobs_leaves_a_checkpoint() {
    let place = Place::new();
    let (spec, data) = (place.file("s.toml", LONG), text(&place.data()));
    for name in ["QUIT", "XCPU", "ALRM"] {
        let out = text(&place.path(name));
        let mut command = mlpgrid();
        command.args(["sweep", &spec, "--data", &data, "--out", &out, "--checkpoint-every", "0.05"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        wait_until("a checkpoint", || !place.checkpoints(name).is_empty());
        signal(&child, name);
        Run::finish(child.wait_with_output().expect("it ends")).refused(75, &["run the same command again"]);
        assert!(!place.checkpoints(name).is_empty());
    }
}

#[test]
fn a_limit_of_file_size_is_an_error_of_the_file_and_the_sweep_continues_without_it() {
    let place = Place::new();
    let (spec, data, out) = (place.file("s.toml", SMALL), text(&place.data()), text(&place.path("out")));
    let sweep = ["sweep", &spec, "--data", &data, "--out", &out];
    run(limited("ulimit -f 8", &sweep)).refused(1, &["best.safetensors", "File too large"]);
    run(limited("true", &sweep)).json(0);
    place.sweep(&spec, "calm", &[]).json(0);
    assert_eq!(place.fruits("out"), place.fruits("calm"));
}

#[test]
fn few_open_files_are_an_error_that_names_the_file_or_enough() {
    let place = Place::new();
    let (spec, data, out) = (place.file("s.toml", SMALL), text(&place.data()), text(&place.path("out")));
    for count in [8, 10, 12, 16, 24, 40] {
        let run = run(limited(&format!("ulimit -n {count}"), &["sweep", &spec, "--data", &data, "--out", &out]));
        match run.code {
            Some(0) => {}
            _ => run.refused(1, &["Too many open files"]),
        }
    }
    place.sweep(&spec, "out", &[]).json(0);
}

#[test]
fn a_full_disk_is_an_error_and_the_sweep_continues_when_there_is_room() {
    let place = Place::new();
    let folder = place.path("small");
    fs::create_dir(&folder).expect("a folder");
    if !is_root() || !can_run("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", &text(&folder)]) {
        return;
    }
    let (spec, data, out) = (place.file("s.toml", SMALL), text(&place.data()), text(&folder.join("out")));
    let full = run(limited("true", &["sweep", &spec, "--data", &data, "--out", &out]));
    let remount = Command::new("mount").args(["-o", "remount,size=64m", &text(&folder)]).status();
    let roomy = run(limited("true", &["sweep", &spec, "--data", &data, "--out", &out]));
    let board = fs::read_to_string(Path::new(&out).join("leaderboard.csv"));
    assert!(Command::new("umount").arg(&folder).status().expect("umount").success());
    full.refused(1, &["No space left on device", &out]);
    assert!(remount.expect("mount").success());
    roomy.json(0);
    place.sweep(&spec, "calm", &[]).json(0);
    assert_eq!(board.expect("the leaderboard"), place.fruits("calm").0);
}

#[test]
fn a_dry_run_warns_of_many_workers_and_takes_no_memory_for_each() {
    let place = Place::new();
    let spec = place.file("s.toml", SMALL);
    let run = place.sweep(&spec, "out", &["--workers", "4000", "--dry-run"]);
    assert!(run.stderr.contains("warning: 4000 workers on the "), "{}", run.stderr);
    assert_eq!(run.json(0)["workers"], 4000);
}
