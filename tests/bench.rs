//! What `mlpgrid bench` prints and writes; that its times are good ones no test can say.

mod common;

use std::fs;

use common::{Place, Run, text};
use mlpgrid::blas;
use serde_json::Value;

/// As short as it can be: the figures are there, and mean nothing.
const SHORT: [&str; 6] = ["--rounds", "1", "--millis", "1", "--workers", "1"];

fn report(more: &[&str]) -> (Run, Value) {
    let place = Place::new();
    let file = text(&place.path("bench.json"));
    let run = Run::of([&["bench", "--json", &file], &SHORT[..], more].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    let report = serde_json::from_str(&fs::read_to_string(file).expect("the file is there")).expect("it is JSON");
    (run, report)
}

#[test]
fn the_figures_that_scripts_rely_on_are_there() {
    let (run, report) = report(&["--quick", "--breakdown"]);
    for figure in ["sgemm_gflops", "sweep_gflops", "share_of_sgemm", "trial_iterations_per_second", "peak_rss_bytes"] {
        assert!(report[figure].as_f64().is_some_and(|figure| figure > 0.0), "{figure}: {report}");
    }
    assert!(report["kernel"].is_string() && report["workers"] == 1, "{report}");
    let rows = report["rows"].as_array().expect("rows");
    assert!(rows.iter().any(|row| row["is_automatic_width"] == true), "{report}");
    assert!(rows.iter().all(|row| row["samples"].as_array().is_some_and(|samples| samples.len() == 1)), "{report}");
    for part in ["gather", "forward", "middle", "backward"] {
        assert!(run.stdout.contains(part) && report["breakdown"][format!("{part}_micros")].is_f64(), "{run:?}");
    }
}

#[test]
fn every_kernel_that_this_cpu_runs_is_compared_with_openblas_own_choice() {
    let (run, rows) = report(&["--kernels"]);
    let rows = rows.as_array().expect("rows");
    let kernels: Vec<&str> = rows.iter().filter_map(|row| row["kernel"].as_str()).collect();
    let own: Vec<&Value> = rows.iter().filter(|row| row["is_openblas_choice"] == true).collect();
    assert!(own.len() == 1 && own[0]["over_openblas_choice"] == 1.0, "{run:?}");
    assert!(kernels.len() >= blas::kernels_of_this_cpu().len().min(2), "{run:?}");
    assert!(kernels.iter().all(|kernel| run.stdout.contains(kernel)), "{run:?}");
    assert!(rows.is_sorted_by_key(|row| -row["trial_iterations_per_second"].as_f64().expect("a rate")), "{run:?}");
}
