//! `mlpgrid report`: what a sweep's directory holds, merged and drawn.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::setup::{DataDirectory, duration, initialise_blas};
use super::terminal::{log, print, print_json, warn};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::export::tensorboard;
use crate::files::{self, RealDisk};
use crate::report::figure::{Style, bitmap, svg};
use crate::report::leaderboard::Row;
use crate::report::publish::{self, Summary, kernels_warning};
use crate::report::view::View;
use crate::report::{drawings, html, leaderboard, network, tables};
use crate::signals;
use crate::sweep::directory;
use crate::sweep::journal::Results;
use crate::sweep::layout::{BEST_MODEL, CONFIGURATIONS, CURVES, ENVIRONMENT, LEADERBOARD, REPORT, SUMMARY};
use crate::sweep::lock::{self, DEAD_AFTER};
use crate::sweep::search::Search;
use crate::sweep::space::Trial;

/// Rows of the table at the end.
pub const TABLE_ROWS: usize = 10;

/// Pixels of a figure's PNG for each of its points.
const PIXELS_OF_A_POINT: f64 = 3.0;

/// Flags of `report`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A sweep's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Rows of the table, and trials for TensorBoard
    #[arg(long, value_name = "ROWS", default_value_t = TABLE_ROWS)]
    top: usize,
    /// Folder for event files that TensorBoard reads, of the best trials, with their hyperparameters
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// Write everything again whenever there is something new, as often as every so many seconds, until no trial is missing; the page in a
    /// browser follows
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    watch: Option<f64>,
    /// Directory of the sweep's data: the report then shows what the best network confuses
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the first rows as a Markdown table of configurations with mean ± standard deviation, in place of the JSON object
    #[arg(long, conflicts_with_all = ["latex", "watch"])]
    markdown: bool,
    /// Print them as a LaTeX table (booktabs)
    #[arg(long, conflicts_with = "watch")]
    latex: bool,
    /// Write every figure of the report into a directory, as SVG and PNG
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Width of figures in points
    #[arg(long, value_name = "POINTS", default_value_t = 460.0, requires = "figures")]
    width: f64,
    /// Height of letters in figures, in points
    #[arg(long, value_name = "POINTS", default_value_t = 9.0, requires = "figures")]
    font_size: f64,
}

/// Writes the report, the leaderboard and the best model of everything that any process recorded here, and prints one JSON object or a
/// table. The code is 3 where trials failed.
///
/// # Errors
/// The directory is not a sweep's, or cannot be read or written; the data are not those of the sweep.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let every = arguments.watch.map(|seconds| duration("--watch", seconds)).transpose()?;
    let stop = every.map(|_| signals::listen()).transpose()?;
    let style = style(arguments)?;
    let directory = arguments.directory.as_path();
    let space = directory::read(directory)?;
    let data = match &arguments.data {
        Some(path) => Some(DataDirectory::at(path).load(space.data()).map_err(|error| space.located(error))?),
        None => None,
    };
    let mut results = Results::read(directory)?;
    let mut space = space;
    loop {
        let trials = space.trials()?;
        let others_write = lock::holders(directory, DEAD_AFTER)?.iter().any(|holder| holder.is_running);
        results.damage_warnings(others_write).for_each(|warning| warn(warning));
        let search = Search::new(&space, &trials)?;
        let summary = publish("report", directory, &search, &trials, &mut results, arguments.top)?;
        if let Some(folder) = &arguments.tensorboard {
            tensorboard(folder, &trials, &results, arguments.top)?;
        }
        let is_incomplete = summary.missing > 0;
        let refresh = every.filter(|_| is_incomplete).map(|every| every.as_secs_f64().ceil().max(1.0) as u32);
        let cuts = search.decisions(&trials, &results);
        let mut view = View::of(name_of(directory), &space, (&trials, &results), summary, cuts);
        draw(directory, &mut view, data.as_ref(), refresh)?;
        if let Some(folder) = &arguments.figures {
            write_figures(folder, &view, style)?;
        }
        if arguments.markdown || arguments.latex {
            let table = if arguments.latex { tables::latex } else { tables::markdown };
            print(&table(&view, arguments.top))?;
            return Ok(view.summary.exit_code());
        }
        let (Some(every), Some(stop), true) = (every, &stop, is_incomplete) else {
            print_json(&view.summary)?;
            return Ok(view.summary.exit_code());
        };
        // Until there is something new.
        let mut since = Instant::now();
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            if since.elapsed() >= every {
                if results.refresh(directory)? {
                    break;
                }
                since = Instant::now();
            }
            thread::sleep(Duration::from_millis(100));
        }
        space = directory::read(directory)?; // it may have been extended
    }
}

/// The style of figures, checked.
fn style(arguments: &Arguments) -> Result<Style> {
    let within = |flag: &str, value: f64, range: std::ops::RangeInclusive<f64>| match range.contains(&value) {
        true => Ok(value),
        false => {
            let expected = format!("{} to {} points", range.start(), range.end());
            Err(Error::usage(flag, expected, value.to_string(), "ask for a size in that range"))
        }
    };
    Ok(Style {
        width: within("--width", arguments.width, 200.0..=4000.0)?,
        font: within("--font-size", arguments.font_size, 4.0..=48.0)?,
    })
}

/// Writes every figure as SVG and as PNG.
fn write_figures(folder: &Path, view: &View<'_>, style: Style) -> Result<()> {
    files::create_output_directory(folder)?;
    let figures = drawings::all(view, style);
    for figure in &figures {
        files::replace(&folder.join(format!("{}.svg", figure.name)), |file| {
            file.write_all(svg::file(figure).as_bytes())
        })?;
        bitmap::paint(figure, PIXELS_OF_A_POINT).write(&folder.join(format!("{}.png", figure.name)))?;
    }
    log(&format!("report: {} figures are in {}", figures.len(), folder.display()));
    Ok(())
}

/// Writes the page and the files beside it.
fn draw(directory: &Path, view: &mut View<'_>, data: Option<&Dataset>, refresh: Option<u32>) -> Result<()> {
    tables::write_summary(&directory.join(SUMMARY), view)?;
    tables::write_curves(&directory.join(CURVES), view)?;
    tables::write_configurations(&directory.join(CONFIGURATIONS), view)?;
    let environment = fs::read(directory.join(ENVIRONMENT)).ok();
    view.environment = environment.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let model = directory.join(BEST_MODEL);
    if model.exists() {
        initialise_blas()?;
        match network::of(&model, data) {
            Ok(network) => view.network = network,
            // Another process may be replacing it by a better one.
            Err(error) => warn(&format!("the report lacks the best network: {error}")),
        }
    }
    let path = directory.join(REPORT);
    let page = html::page(view, refresh);
    files::replace(&path, |file| file.write_all(page.as_bytes()))?;
    log(&format!("report: {} ({} kB)", path.display(), page.len().div_ceil(1000)));
    Ok(())
}

/// The directory's own name.
fn name_of(directory: &Path) -> String {
    let whole = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    whole.file_name().map_or_else(|| "sweep".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Writes the best trials for TensorBoard, a folder each.
fn tensorboard(folder: &Path, trials: &[Trial], results: &Results, top: usize) -> Result<()> {
    const FILE: &str = "events.out.tfevents.0.mlpgrid";
    let write = |folder: &Path, bytes: &[u8]| {
        fs::create_dir_all(folder).map_err(Error::io("create the directory", folder))?;
        files::replace_on(&RealDisk, &folder.join(FILE), &[bytes])
    };
    write(folder, &tensorboard::experiment(trials))?;
    let rows = leaderboard::rank(trials, results);
    for Row { trial, .. } in rows.iter().take(top) {
        write(&folder.join(&trial.id), &tensorboard::events(trial, &results.records[&trial.id]))?;
    }
    let count = rows.len().min(top);
    log(&format!("report: the best {count} trials are in {}: tensorboard --logdir {0}", folder.display()));
    Ok(())
}

/// Writes leaderboard and best model, and prints the `top` rows as a table; `command` is named in the line below it.
///
/// # Errors
/// As [`publish::publish`]; the table has been printed all the same.
pub fn publish(
    command: &str,
    directory: &Path,
    search: &Search,
    trials: &[Trial],
    results: &mut Results,
    top: usize,
) -> Result<Summary> {
    let best_is_here = publish::publish(directory, search, trials, results);
    let rows = leaderboard::rank(trials, results);
    log(&format!("\n{}", leaderboard::table(&rows, trials, top)));
    if !best_is_here? {
        warn("the model of the best trial is not here; run the sweep again: it trains that trial once more");
    }
    let summary = Summary::of(trials, results).within(search, trials, results);
    if let Some(best) = &summary.best_configuration {
        log(&format!("{command}: best configuration: trial {}, validation accuracy {}", best.trial, best.text()));
    }
    if let Some(best) = &summary.confirmed {
        log(&format!("{command}: confirmed with fresh seeds: trial {}, {}", best.trial, best.text()));
    }
    kernels_warning(&summary.kernels).iter().for_each(|warning| warn(warning));
    log(&format!(
        "{command}: {} of {} trials are in {}",
        rows.len(),
        trials.len(),
        directory.join(LEADERBOARD).display()
    ));
    Ok(summary)
}
