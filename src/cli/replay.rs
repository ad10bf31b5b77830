//! `mlpgrid replay`: the cs231n notebook, digit for digit.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::setup::{DataDirectory, initialise_blas};
use super::terminal::{log, print, print_json};
use super::train::headline;
use crate::data::sets::synthetic::Manifest;
use crate::data::{Dataset, DatasetName, Format};
use crate::error::Result;
use crate::files;
use crate::limits;
use crate::random::numpy::RandomState;
use crate::real::Precision;
use crate::replay::published::{self, RELATIVE_TOLERANCE};
use crate::replay::{Cifar, Line, PenaltyGradient, Toy, cifar};
use crate::report::progress::Progress;
use crate::report::{plots, weights};
use crate::sweep::layout::{HISTORY_PICTURE, WEIGHTS_PICTURE};

/// Flags of `replay`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataDirectory,
    /// Which gradient of the penalty to train with, and whose numbers to compare with
    #[arg(long, value_enum, default_value_t)]
    penalty_gradient: PenaltyGradient,
    /// Directory for the notebook's pictures: toy-loss.png and, with the data, history.png (loss and accuracy) and weights.png
    /// (what each hidden unit looks for)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// What `replay --json` prints.
#[derive(Debug, Serialize)]
struct Report {
    penalty_gradient: PenaltyGradient,
    ok: bool,
    numbers: usize,
    off: usize,
    /// Numbers of the notebook that the gradient as derived does not give.
    wrong_in_notebook: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_seconds: Option<f64>,
    kernel: String,
    lines: Vec<Line>,
}

/// Replays the notebook and prints each number beside the published one. The code is 1 where one is off.
///
/// # Errors
/// Files of CIFAR-10 are there but cannot be used, or the output directory cannot be written.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let blas = initialise_blas()?;
    limits::foresee("the toy network", 0)?;
    if let Some(directory) = &arguments.out {
        files::create_output_directory(directory)?;
    }
    let data = load(&arguments.data)?;
    let gradient = arguments.penalty_gradient;
    let mut state = RandomState::new(0);
    let toy = Toy::replay(&mut state, gradient);
    let mut lines: Vec<Line> = published::TOY.iter().flat_map(|group| group.lines(&toy, gradient)).collect();
    let (cifar, left_out) = match data {
        Ok(data) => {
            let progress = Progress::new("replay", "iterations", cifar::hyperparameters().iterations as f64);
            let cifar = Cifar::replay(&data, state, Precision::F64, gradient, || progress.add(1, 1.0));
            progress.finish();
            let cifar = cifar?;
            lines.extend(published::CIFAR.iter().flat_map(|group| group.lines(&cifar, gradient)));
            log(&format!("replay: trained {} iterations in {:.1} s", cifar.losses.len(), cifar.train_seconds));
            (Some(cifar), None)
        }
        Err(why) => (None, Some(why)),
    };
    if let Some(directory) = &arguments.out {
        draw(directory, &toy, cifar.as_ref())?;
        log(&format!("replay: drew the notebook's pictures into {}", directory.display()));
    }
    let off = lines.iter().filter(|line| !line.ok).count();
    let report = Report {
        penalty_gradient: gradient,
        ok: off == 0,
        numbers: lines.len(),
        off,
        wrong_in_notebook: lines.iter().filter(|line| line.derived.is_some()).count(),
        left_out,
        train_seconds: cifar.as_ref().map(|cifar| cifar.train_seconds),
        kernel: blas.kernel.clone(),
        lines,
    };
    if let Some(why) = &report.left_out {
        log(&format!("replay: left out the CIFAR-10 half: {why}"));
    }
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&table(&report))?;
    }
    Ok(u8::from(!report.ok))
}

/// The data, or why the half that needs them is left out: no files of CIFAR-10 are there. Files that are there and damaged are an
/// error.
fn load(place: &DataDirectory) -> Result<std::result::Result<Dataset, String>> {
    let format = Format::Cifar10;
    let directory = format.locate(&place.path(DatasetName::Cifar10))?;
    if !format.is_in(&directory)? {
        return Ok(Err(format!(
            "no CIFAR-10 in {}; give its directory with --data or CIFAR10_DIR, or get it with `mlpgrid fetch`",
            place.path(DatasetName::Cifar10).display()
        )));
    }
    if Manifest::read(&directory)?.is_some() {
        return Ok(Err(format!("{} holds synthetic images, not CIFAR-10", directory.display())));
    }
    place.load(&cifar::data_config()).map(Ok)
}

/// The pictures that the notebook draws, of what was replayed.
fn draw(directory: &Path, toy: &Toy, cifar: Option<&Cifar>) -> Result<()> {
    plots::losses("Toy network, 5 rows", &toy.losses).write(&directory.join("toy-loss.png"))?;
    let Some(cifar) = cifar else { return Ok(()) };
    let headline = headline(&cifar::hyperparameters(), &cifar.outcome);
    plots::history(&headline, &cifar.losses, &cifar.outcome.curve).write(&directory.join(HISTORY_PICTURE))?;
    let Some(network) = &cifar.network else { return Ok(()) };
    let w1 = network.tensor("W1").expect("a network has it");
    weights::grid(w1, Format::Cifar10.shape).write(&directory.join(WEIGHTS_PICTURE))
}

/// The numbers by group, then the verdict.
fn table(report: &Report) -> String {
    let head = ["", "ours", "published", "difference", ""];
    let cells: Vec<[String; 5]> = report.lines.iter().map(cells).collect();
    let width = |column: usize| {
        let cells = cells.iter().map(|cells| cells[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let [number, ours, published, difference] = [0, 1, 2, 3].map(width);
    let title = report.lines.iter().map(|line| line.group.len()).max().unwrap_or(0).max(number + 2);
    let number = title - 2;
    let mut text = String::new();
    let mut group = "";
    for (line, cells) in report.lines.iter().zip(&cells) {
        if line.group != group {
            group = line.group;
            let space = if text.is_empty() { "" } else { "\n" };
            let [_, a, b, c, _] = head;
            let _ = writeln!(text, "{space}{group:<title$}  {a:>ours$}  {b:>published$}  {c:>difference$}");
        }
        let [a, b, c, d, e] = cells;
        let _ = writeln!(text, "  {a:<number$}  {b:>ours$}  {c:>published$}  {d:>difference$}  {e}");
    }
    text + &verdict(report)
}

fn cells(line: &Line) -> [String; 5] {
    let difference = match line.difference {
        Some(0.0) => "0".to_owned(),
        Some(difference) => format!("{difference:.1e}"),
        None => String::new(),
    };
    let judgement = if line.ok { "ok" } else { "off" };
    let wrong = line.derived.map_or(String::new(), |derived| format!(", wrong: {derived} as derived"));
    [line.number.to_owned(), line.ours.clone(), line.published.to_owned(), difference, format!("{judgement}{wrong}")]
}

fn verdict(report: &Report) -> String {
    let Report { numbers, off, wrong_in_notebook: wrong, .. } = report;
    let mut text = format!(
        "\nA number is ok where it rounds to the published digits; the final loss of the toy training, published with all digits\n\
         of a double, where it is within {RELATIVE_TOLERANCE:.0e} of it.\n"
    );
    if report.penalty_gradient == PenaltyGradient::Notebook {
        let _ = writeln!(
            text,
            "The notebook's author descends reg·W where the derivative of reg·‖W‖² is 2·reg·W: the gradient check fails for W1 and\n\
             W2, and {wrong} of the {numbers} numbers are others than with the gradient as derived."
        );
    }
    if let Some(why) = &report.left_out {
        let _ = writeln!(text, "Left out: the CIFAR-10 half ({why}).");
    }
    let _ = match off {
        0 => writeln!(text, "All {numbers} numbers are ok."),
        _ => writeln!(text, "{off} of {numbers} numbers are off."),
    };
    text
}
