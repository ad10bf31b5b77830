//! `mlpgrid bench --kernels`: which kernels of OpenBLAS are the fastest on this CPU.
//!
//! OpenBLAS chooses its kernels when a process starts, so each is measured in a process of its own, and all of them in turns.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde::{Deserialize, Serialize};

use super::setup::this_program;
use super::terminal::{log, print, write_json};
use crate::bench::throughput::median;
use crate::blas::{self, CORETYPE};
use crate::error::{Complaint, Error, Result};
use crate::report::progress::Progress;

/// What one process measured, of what `bench --json` writes.
#[derive(Clone, Debug, Deserialize)]
struct Measured {
    kernel: String,
    sgemm_gflops: f64,
    sweep_gflops: f64,
    trial_iterations_per_second: f64,
}

/// A kernel with its medians over the rounds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    kernel: String,
    is_openblas_choice: bool,
    sgemm_gflops: f64,
    sweep_gflops: f64,
    trial_iterations_per_second: f64,
    /// Its rate over that of OpenBLAS's own choice, round by round.
    over_openblas_choice: f64,
    samples: Vec<f64>,
}

/// Measures every kernel once a round, and prints the table, the fastest first.
///
/// # Errors
/// A process cannot be started or fails, or the JSON file cannot be written.
pub fn run(workers: usize, rounds: usize, millis: u64, json: Option<&Path>) -> Result<u8> {
    let choice = measure(None, workers, 1)?.kernel;
    let mut kernels = blas::kernels_of_this_cpu();
    if !kernels.contains(&choice.as_str()) {
        kernels.push(&choice);
    }
    log(&format!("bench: {} kernels in each of {rounds} rounds, {workers} workers", kernels.len()));
    let progress = Progress::new("bench", "measurements", (rounds * kernels.len()) as f64);
    let mut measured: Vec<(&str, Vec<Measured>)> = kernels.into_iter().map(|kernel| (kernel, vec![])).collect();
    for _ in 0..rounds {
        for (kernel, rounds) in &mut measured {
            rounds.push(measure(Some(kernel), workers, millis)?);
            progress.add(1, 1.0);
        }
    }
    progress.finish();
    // Where this OpenBLAS does not have a kernel, the process ran on another.
    measured.retain(|(kernel, rounds)| rounds.iter().all(|round| round.kernel == *kernel));
    let own = measured.iter().find(|(kernel, _)| *kernel == choice).map_or(vec![], |(_, rounds)| rates(rounds));
    let mut rows: Vec<Row> =
        measured.iter().map(|(kernel, rounds)| Row::of(kernel, rounds, *kernel == choice, &own)).collect();
    rows.sort_by(|a, b| b.trial_iterations_per_second.total_cmp(&a.trial_iterations_per_second));
    print(&table(&rows))?;
    json.map_or(Ok(()), |path| write_json("bench", path, &rows))?;
    Ok(0)
}

fn rates(rounds: &[Measured]) -> Vec<f64> {
    rounds.iter().map(|round| round.trial_iterations_per_second).collect()
}

impl Row {
    /// Of a kernel's rounds, and the rates of OpenBLAS's own choice in them.
    fn of(kernel: &str, rounds: &[Measured], is_openblas_choice: bool, own: &[f64]) -> Self {
        let middle = |value: fn(&Measured) -> f64| median(&rounds.iter().map(value).collect::<Vec<_>>());
        let samples = rates(rounds);
        let ratios: Vec<f64> = samples.iter().zip(own).map(|(rate, own)| rate / own).collect();
        Self {
            kernel: kernel.to_owned(),
            is_openblas_choice,
            sgemm_gflops: middle(|round| round.sgemm_gflops),
            sweep_gflops: middle(|round| round.sweep_gflops),
            trial_iterations_per_second: median(&samples),
            over_openblas_choice: median(&ratios),
            samples,
        }
    }
}

/// Runs `mlpgrid bench --quick` on a kernel, or on the one that OpenBLAS chooses.
fn measure(kernel: Option<&str>, workers: usize, millis: u64) -> Result<Measured> {
    let program = this_program()?;
    let folder = tempfile::tempdir().map_err(Error::io("create a folder", env::temp_dir()))?;
    let file = folder.path().join("bench.json");
    let mut command = Command::new(&program);
    let words = format!("bench --quick --rounds 1 --workers {workers} --millis {millis} --json");
    command.args(words.split(' ')).arg(&file).env_remove(CORETYPE);
    if let Some(kernel) = kernel {
        command.env(CORETYPE, kernel);
    }
    let output = command.output().map_err(Error::io("start it", &program))?;
    let text = fs::read_to_string(&file).unwrap_or_default();
    serde_json::from_str(&text).map_err(|_| {
        let place = format!("{CORETYPE}={} mlpgrid bench", kernel.unwrap_or_default());
        let messages = String::from_utf8_lossy(&output.stderr);
        let found = format!("{}: {}", output.status, messages.lines().last().unwrap_or("no message"));
        Error::Content(Complaint::new(place, "its figures", found, "run that command by itself to see more"))
    })
}

fn table(rows: &[Row]) -> String {
    let mut text = "kernel         large sgemm  sweep GFLOP/s  trial-iterations/s  over OpenBLAS's choice\n".to_owned();
    for row in rows {
        let mark = if row.is_openblas_choice { "  <- OpenBLAS's choice" } else { "" };
        text += &format!(
            "{:<12}  {:>12.1}  {:>13.1}  {:>18.0}  {:>22.2}{mark}\n",
            row.kernel, row.sgemm_gflops, row.sweep_gflops, row.trial_iterations_per_second, row.over_openblas_choice
        );
    }
    text + "\nOPENBLAS_CORETYPE=KERNEL in the environment chooses another. The last bits of results depend on the kernel:\n\
        keep to one within a sweep.\n"
}
