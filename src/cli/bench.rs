//! `mlpgrid bench`: throughput against the machine's own matrix multiply.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::kernels;
use super::setup::{initialise_blas, this_program, warn_of_workers};
use super::terminal::{log, print, write_json};
use crate::bench::gemm;
use crate::bench::measure::Measurer;
use crate::bench::throughput::{Breakdown, Cell, median};
use crate::data::sets::cifar::PIXELS;
use crate::error::{Error, Result};
use crate::files;
use crate::machine::{self, available_cores};
use crate::model::optimizer::Optimizer;
use crate::real::Precision;
use crate::report::environment::Environment;
use crate::report::progress::Progress;
use crate::sweep::plan;

/// Flags of `bench`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Write the figures with their raw samples as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Threads, each with a cohort of its own [default: the cores that affinity and control groups allow]
    #[arg(long, value_name = "COUNT")]
    workers: Option<usize>,
    /// Rounds: in each, everything is measured once, in turn
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    rounds: usize,
    /// Milliseconds of each measurement
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 400)]
    millis: u64,
    /// Hidden 50 and batch 200 only
    #[arg(long)]
    quick: bool,
    /// Also print where the time of an iteration goes
    #[arg(long)]
    breakdown: bool,
    /// Compare the kernels of OpenBLAS that this CPU runs, in turns (hidden 50, batch 200)
    #[arg(long, conflicts_with_all = ["quick", "breakdown"])]
    kernels: bool,
}

/// The cell that the first figures are of.
const HEADLINE: (usize, usize) = (50, 200);
/// The precisions that are compared, f32 first.
const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Int16, Precision::Int8];
const WIDTHS: [usize; 5] = [1, 2, 4, 8, 16];

/// A row of the table: a cell with its samples, one a round.
#[derive(Clone, Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    cell: Cell,
    workers: usize,
    is_automatic_width: bool,
    trial_iterations_per_second: f64,
    gflops: f64,
    images_per_second: f64,
    share_of_sgemm: f64,
    samples: Vec<f64>,
}

/// The content of the JSON file.
#[derive(Debug, Serialize)]
struct Report {
    sgemm_gflops: f64,
    sweep_gflops: f64,
    share_of_sgemm: f64,
    trial_iterations_per_second: f64,
    speedup_over_one_by_one: f64,
    speedup_of_workers: f64,
    kernel: String,
    workers: usize,
    peak_rss_bytes: Option<u64>,
    rounds: usize,
    sgemm_samples: Vec<f64>,
    rows: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breakdown: Option<Breakdown>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    breakdowns: BTreeMap<Precision, Breakdown>,
    environment: Environment,
}

/// Measures, prints the table, and writes the JSON file.
///
/// # Errors
/// The flags are out of range, or the file cannot be written.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let workers = arguments.workers.unwrap_or_else(available_cores);
    for (flag, value, most) in [
        ("--workers", workers, 4096),
        ("--rounds", arguments.rounds, 1000),
        ("--millis", arguments.millis as usize, 60_000),
    ] {
        if !(1..=most).contains(&value) {
            return Err(Error::usage(flag, format!("1 to {most}"), value.to_string(), "choose a number in that range"));
        }
    }
    arguments.json.as_deref().map_or(Ok(()), files::check_output_file)?;
    if arguments.kernels {
        return kernels::run(workers, arguments.rounds, arguments.millis, arguments.json.as_deref());
    }
    warn_of_workers(workers);
    let blas = initialise_blas()?;
    let duration = Duration::from_millis(arguments.millis);
    let mut measurer = Measurer::new(&this_program()?, workers)?;
    let mut rows = cells(arguments.quick, workers);
    log(&format!(
        "bench: {} measurements of {} ms in each of {} rounds, {workers} workers",
        rows.len() + 1,
        arguments.millis,
        arguments.rounds
    ));

    let progress = Progress::new("bench", "measurements", (arguments.rounds * (rows.len() + 1)) as f64);
    let mut sgemm = Vec::new();
    for _ in 0..arguments.rounds {
        sgemm.push(measurer.gemm(gemm::SIZE, workers, duration)?);
        progress.add(1, 1.0);
        for row in &mut rows {
            row.samples.push(measurer.training(row.cell, row.workers, duration)?);
            progress.add(1, 1.0);
        }
    }
    progress.finish();
    for row in &mut rows {
        row.conclude(&sgemm, workers);
    }
    let headline =
        rows.iter().find(|row| row.is_automatic_width && is_headline(row) && row.workers == workers).cloned();
    let headline = headline.expect("the first cell is always measured");
    let against = |other: &dyn Fn(&Row) -> bool| {
        let other = rows.iter().find(|row| is_headline(row) && other(row));
        let ratios =
            other.map(|other| headline.samples.iter().zip(&other.samples).map(|(a, b)| a / b).collect::<Vec<_>>());
        ratios.map_or(1.0, |ratios| median(&ratios))
    };
    let mut breakdowns = BTreeMap::new();
    for precision in PRECISIONS.into_iter().filter(|_| arguments.breakdown) {
        let parts = measurer.breakdown(Cell { precision, ..headline.cell }, 3 * duration)?;
        breakdowns.insert(precision, parts);
    }
    let report = Report {
        sgemm_gflops: median(&sgemm),
        sweep_gflops: headline.gflops,
        share_of_sgemm: headline.share_of_sgemm,
        trial_iterations_per_second: headline.trial_iterations_per_second,
        speedup_over_one_by_one: against(&|row| row.cell.cohort == 1 && row.workers == workers),
        speedup_of_workers: against(&|row| row.workers == 1 && row.cell.cohort == headline.cell.cohort),
        kernel: blas.kernel.clone(),
        workers,
        peak_rss_bytes: machine::peak_rss_bytes().filter(|_| measurer.is_alone()),
        rounds: arguments.rounds,
        sgemm_samples: sgemm,
        breakdown: breakdowns.get(&Precision::F32).copied(),
        breakdowns,
        rows,
        environment: Environment::of(&blas),
    };
    print(&table(&report))?;
    arguments.json.as_deref().map_or(Ok(()), |path| write_json("bench", path, &report))?;
    Ok(0)
}

fn is_headline(row: &Row) -> bool {
    let Cell { hidden, batch_size, optimizer, precision, is_augmented, .. } = row.cell;
    (hidden, batch_size) == HEADLINE && optimizer == Optimizer::Sgd && precision == Precision::F32 && !is_augmented
}

/// Trials of the cohort that the first figures are of.
fn headline_width(report: &Report) -> usize {
    report.rows.iter().find(|row| row.is_automatic_width && is_headline(row)).map_or(1, |row| row.cell.cohort)
}

/// The width that a sweep of many trials gets.
fn automatic_width(cell: Cell) -> usize {
    (plan::most_units(&cell.trial(), PIXELS, plan::weight_bytes_of_this_machine()) / cell.hidden).max(1)
}

/// Everything that is measured, without samples.
fn cells(quick: bool, workers: usize) -> Vec<Row> {
    let (optimizer, precision) = (Optimizer::Sgd, Precision::F32);
    let plain = |hidden, batch_size| Cell { hidden, batch_size, cohort: 1, optimizer, precision, is_augmented: false };
    let row = |cell: Cell, workers, width: Option<usize>| Row {
        cell: Cell { cohort: width.unwrap_or_else(|| automatic_width(cell)), ..cell },
        workers,
        is_automatic_width: width.is_none(),
        trial_iterations_per_second: 0.0,
        gflops: 0.0,
        images_per_second: 0.0,
        share_of_sgemm: 0.0,
        samples: vec![],
    };
    let mut rows = Vec::new();
    for hidden in [50, 128, 512] {
        for batch_size in [100, 200, 500] {
            if quick && (hidden, batch_size) != HEADLINE {
                continue;
            }
            let cell = plain(hidden, batch_size);
            let automatic = automatic_width(cell);
            let fixed = WIDTHS.into_iter().filter(|&width| width != automatic);
            rows.extend(fixed.map(|width| row(cell, workers, Some(width))));
            rows.push(row(cell, workers, None));
        }
    }
    let headline = plain(HEADLINE.0, HEADLINE.1);
    for optimizer in [Optimizer::Momentum, Optimizer::Adam] {
        rows.push(row(Cell { optimizer, ..headline }, workers, None));
    }
    rows.push(row(Cell { is_augmented: true, ..headline }, workers, None));
    for precision in &PRECISIONS[1..] {
        let cell = Cell { precision: *precision, ..headline };
        rows.push(row(cell, workers, None));
    }
    if workers > 1 {
        rows.push(row(headline, 1, None));
    }
    rows
}

impl Row {
    /// Medians of the samples; the share of sgemm is taken round by round.
    fn conclude(&mut self, sgemm: &[f64], workers: usize) {
        let Cell { hidden, batch_size, .. } = self.cell;
        let gflop = 4.0 * batch_size as f64 * PIXELS as f64 * hidden as f64 / 1e9;
        let scale = workers as f64 / self.workers as f64;
        let shares: Vec<f64> =
            self.samples.iter().zip(sgemm).map(|(rate, sgemm)| rate * gflop * scale / sgemm).collect();
        self.trial_iterations_per_second = median(&self.samples);
        self.gflops = self.trial_iterations_per_second * gflop;
        self.images_per_second = self.trial_iterations_per_second * batch_size as f64;
        self.share_of_sgemm = median(&shares);
    }
}

/// How the trials of a cell are trained, where it differs from the first cells.
fn training(cell: Cell) -> String {
    let Cell { optimizer, precision, is_augmented, .. } = cell;
    let precision = if precision == Precision::F32 { String::new() } else { format!(" {}", precision.key()) };
    format!("{}{precision}{}", optimizer.key(), if is_augmented { " augmented" } else { "" })
}

fn table(report: &Report) -> String {
    let mut text = format!(
        "{} kernels, {} workers, medians of {} rounds\nlarge sgemm, all workers at once: {:.1} GFLOP/s\n\n",
        report.kernel, report.workers, report.rounds, report.sgemm_gflops
    );
    text += "hidden  batch  cohort  workers  training         trial-iterations/s   images/s  GFLOP/s  share of sgemm\n";
    for row in &report.rows {
        let width =
            if row.is_automatic_width { format!("{} auto", row.cell.cohort) } else { row.cell.cohort.to_string() };
        text += &format!(
            "{:>6}  {:>5}  {:<7} {:>7}  {:<15}  {:>18.0} {:>10.0}  {:>7.1}  {:>12.1} %\n",
            row.cell.hidden,
            row.cell.batch_size,
            width,
            row.workers,
            training(row.cell),
            row.trial_iterations_per_second,
            row.images_per_second,
            row.gflops,
            row.share_of_sgemm * 100.0
        );
    }
    text += &format!(
        "\nhidden 50, batch 200: {:.0} trial-iterations/s, {:.1} % of sgemm, {:.2} × one by one, {:.2} × one worker\n",
        report.trial_iterations_per_second,
        report.share_of_sgemm * 100.0,
        report.speedup_over_one_by_one,
        report.speedup_of_workers
    );
    for (precision, parts) in &report.breakdowns {
        let (total, cohort) = (parts.total_micros(), headline_width(report));
        text += &format!("\nan iteration of {cohort} trials in {}, {total:.0} µs:\n", precision.key());
        for (name, micros) in [
            ("gather", parts.gather_micros),
            ("forward", parts.forward_micros),
            ("middle", parts.middle_micros),
            ("backward", parts.backward_micros),
        ] {
            text += &format!("  {name:<9}{micros:>8.0} µs  {:>5.1} %\n", micros / total * 100.0);
        }
    }
    if let Some(bytes) = report.peak_rss_bytes {
        text += &format!("\npeak memory {:.0} MB\n", bytes as f64 / 1e6);
    }
    text
}
