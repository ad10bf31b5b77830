//! More workers than one OpenBLAS has room for: several processes, and the same bytes.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use common::{Place, Run, mlpgrid, signal, skipped, text, wait_until};
use mlpgrid::blas;

/// A sweep of `trials` cohorts, for the seeds are all different.
fn spec(trials: usize, iterations: usize) -> String {
    let seeds: Vec<String> = (0..trials).map(|seed| seed.to_string()).collect();
    let seeds = seeds.join(", ");
    format!(
        "[data]\nval = 20\n[fixed]\niterations = {iterations}\nbatch_size = 20\nhidden = 4\n[grid]\nseed = [{seeds}]\n"
    )
}

/// More workers than one process may have.
fn too_many() -> usize {
    blas::most_callers() + 6
}

/// The command, with every worker on one core, where the system has a way to ask for that.
fn on_one_core(command: &Command) -> Command {
    let mut on_one = Command::new("taskset");
    on_one.args(["-c", "0"]).arg(command.get_program()).args(command.get_args());
    on_one.env_remove("CIFAR10_DIR").env_remove(blas::CORETYPE);
    on_one
}

#[test]
fn seven_hundred_trials_have_the_same_bytes_with_1_190_and_600_workers_on_one_core() {
    let place = Place::new();
    let spec = place.file("wide.toml", &spec(700, 20));
    place.sweep(&spec, "one", &["--workers", "1"]).json(0);
    for workers in ["190", "600"] {
        let command = place.sweep_command(&spec, workers, &["--workers", workers]);
        let output = on_one_core(&command).output().expect("there is `taskset`");
        let report = Run::finish(output).json(0);
        assert_eq!((&report["complete"], &report["trained_now"]), (&700.into(), &700.into()));
        assert!(place.fruits(workers) == place.fruits("one"), "{workers} workers");
        assert!(!place.path(workers).join("best").exists(), "the models of the processes are merged");
    }
}

/// The processes that a process has started.
fn children(of: &Child) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", of.id())).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A long sweep by several processes, once every worker has written a checkpoint; and what those processes are.
fn begin(place: &Place, spec: &str, out: &str) -> (Child, Vec<u32>) {
    let begun = SystemTime::now();
    let workers = too_many().to_string();
    let child = place.begin_sweep(spec, out, &["--workers", &workers, "--checkpoint-every", "0.2"]);
    let is_new = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).is_ok_and(|time| time > begun);
    wait_until("checkpoints", || place.checkpoints(out).iter().filter(|path| is_new(path)).count() >= too_many());
    let helpers = children(&child);
    assert_eq!(helpers.len(), 2);
    (child, helpers)
}

#[test]
fn several_processes_are_stopped_killed_and_lose_one_of_them_and_the_next_run_continues_to_the_same_bytes() {
    let place = Place::new();
    let spec = place.file("long.toml", &spec(80, 1500));
    place.sweep(&spec, "calm", &["--workers", "2"]).json(0);
    let calm = place.fruits("calm");

    let (child, helpers) = begin(&place, &spec, "stormy");
    signal(&child, "TERM");
    let run = Run::finish(child.wait_with_output().expect("it ends"));
    run.refused(75, &["interrupted"]);
    assert!(helpers.iter().all(|&pid| !lives(pid)), "no process is left");

    let (child, helpers) = begin(&place, &spec, "stormy");
    signal(&child, "KILL");
    child.wait_with_output().expect("it ends");
    wait_until("the further processes to die with it", || helpers.iter().all(|&pid| !lives(pid)));

    let (child, helpers) = begin(&place, &spec, "stormy");
    let killed = Command::new("kill").args(["-9", &helpers[0].to_string()]).status().expect("there is `kill`");
    assert!(killed.success());
    let run = Run::finish(child.wait_with_output().expect("it ends"));
    run.refused(1, &[&format!("process {}", helpers[0]), "signal: 9", "run the same command again"]);
    assert!(helpers.iter().all(|&pid| !lives(pid)), "no process is left");

    let workers = too_many().to_string();
    let report = place.sweep(&spec, "stormy", &["--workers", &workers]).json(0);
    assert_eq!(report["complete"], 80);
    assert!(place.fruits("stormy") == calm, "other files than undisturbed");
}

#[test]
fn a_dry_run_and_a_bench_take_any_number_of_workers() {
    let place = Place::new();
    let spec = place.file("wide.toml", &spec(80, 20));
    let plan = place.sweep(&spec, "none", &["--workers", "4096", "--dry-run"]).json(0);
    assert_eq!((&plan["workers"], &plan["cohorts"]), (&4096.into(), &80.into()));
    assert!(plan["gemm_gflops"].as_f64().is_some_and(|rate| rate > 0.0));

    if std::env::var_os("MLPGRID_ALL").is_none() {
        return skipped("a bench of more workers than one OpenBLAS has room for takes long: scripts/test --all");
    }
    let file = text(&place.path("bench.json"));
    let workers = too_many().to_string();
    let arguments = ["bench", "--quick", "--rounds", "1", "--millis", "1", "--workers", &workers, "--json", &file];
    let run = Run::finish(mlpgrid().args(arguments).stdin(Stdio::null()).output().expect("the program starts"));
    assert_eq!(run.code, Some(0), "{run:?}");
    let figures: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("figures")).expect("JSON");
    assert!(figures["sgemm_gflops"].as_f64().is_some_and(|rate| rate > 0.0), "{figures}");
}

#[test]
fn the_room_of_the_library_is_printed() {
    let info = Run::of(["info", "--json"]).json(0);
    assert_eq!(info["blas"]["most_callers"], blas::most_callers());
}
