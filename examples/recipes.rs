//! Gathers what `scripts/recipes` trained and measured: a table in the page, a picture of validation accuracy over time.
//!
//! Arguments: the directory of the sweeps, and the directory with `tuning.md`.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use mlpgrid::files;
use mlpgrid::report::chart::{Axis, Chart, Legend, Look, Series, draw};
use mlpgrid::report::statistics;
use mlpgrid::sweep::journal::{Record, Results};
use serde_json::Value;

const RECIPES: [&str; 3] = ["notebook", "minute", "best"];

/// What a recipe's networks came to; accuracies are fractions.
struct Recipe {
    name: &'static str,
    records: Vec<Record>,
    test: Vec<f64>,
    ensemble: f64,
    mirrored: f64,
}

/// Between these lines of the page is the table.
const MARKS: [&str; 2] = ["<!-- table by scripts/recipes -->\n", "<!-- end of table -->\n"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [sweeps, docs] = &arguments[..] else { return Err("arguments: SWEEPS DOCS".into()) };
    let recipes = RECIPES.iter().map(|name| read(sweeps, name)).collect::<Result<Vec<_>, _>>()?;
    let mut table =
        "| recipe | networks | validation, % | test, % | average of the 5, test, % | with mirror images, test, % | \
        training a network, s |\n|---|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
    for Recipe { name, records, test, ensemble, mirrored } in &recipes {
        let val: Vec<f64> = records.iter().filter_map(|record| record.outcome.val_accuracy).collect();
        let seconds: Vec<f64> = records.iter().map(|record| record.train_seconds).collect();
        writeln!(
            table,
            "| `sweeps/{name}.toml` | {} | {} | {} | {:.1} | {:.1} | {:.0} |",
            records.len(),
            percent(&val),
            percent(test),
            100.0 * ensemble,
            100.0 * mirrored,
            mean(&seconds)
        )?;
    }
    let ten = accuracies(&sweeps.join("ten/ensemble.json"))?;
    let of_members: Vec<f64> = ten.1;
    writeln!(
        table,
        "| `sweeps/minute.toml` with l2 = 1e-4, other seeds | {} | | {} | {:.1} (of the ten) | | |",
        of_members.len(),
        percent(&of_members),
        100.0 * ten.0
    )?;
    files::replace_between(&docs.join("tuning.md"), MARKS, &table)?;
    let series = recipes.iter().enumerate().map(|(at, recipe)| curve(recipe, at)).collect();
    let chart = Chart {
        title: String::new(),
        x: Axis::between("share of the training", 0.0, 1.0),
        y: Axis::between("validation accuracy, %", 30.0, 75.0),
        series,
        legend: Legend::LowerRight,
    };
    let headline = "Validation accuracy of the recipes, mean of 5 seeds, epoch by epoch";
    draw(headline, &[chart], 1, (1000, 600)).write(&docs.join("tuning.png"))?;
    Ok(())
}

fn read(sweeps: &Path, name: &'static str) -> Result<Recipe, Box<dyn Error>> {
    let directory = sweeps.join(name);
    let mut records: Vec<Record> = Results::read(&directory)?.records.into_values().collect();
    records.sort_by_key(|record| record.hyperparameters.seed);
    let lines = fs::read_to_string(directory.join("eval.jsonl"))?;
    let test = |line: &str| -> Result<f64, Box<dyn Error>> {
        let value: Value = serde_json::from_str(line)?;
        value["test_accuracy"].as_f64().ok_or_else(|| format!("{name}: no test accuracy in {line}").into())
    };
    let test = lines.lines().map(test).collect::<Result<Vec<f64>, _>>()?;
    if test.len() != records.len() || test.is_empty() {
        return Err(format!("{name}: {} networks, {} measured", records.len(), test.len()).into());
    }
    let ensemble = accuracies(&directory.join("ensemble.json"))?.0;
    let mirrored = accuracies(&directory.join("ensemble-mirrored.json"))?.0;
    Ok(Recipe { name, records, test, ensemble, mirrored })
}

/// The test accuracy of an ensemble, and those of its members.
fn accuracies(file: &Path) -> Result<(f64, Vec<f64>), Box<dyn Error>> {
    let value: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let missing = || format!("{}: no test accuracy", file.display());
    let members = value["members"].as_array().ok_or_else(missing)?;
    let members = members.iter().filter_map(|member| member["test_accuracy"].as_f64()).collect();
    Ok((value["test_accuracy"].as_f64().ok_or_else(missing)?, members))
}

fn mean(values: &[f64]) -> f64 {
    statistics::mean(values).unwrap_or(f64::NAN)
}

/// Mean ± standard deviation, in per cent.
fn percent(values: &[f64]) -> String {
    format!("{:.1} ± {:.1}", 100.0 * mean(values), 100.0 * statistics::deviation(values).unwrap_or(f64::NAN))
}

/// Validation accuracy over the training, the mean of the seeds.
fn curve(recipe: &Recipe, colour: usize) -> Series {
    let iterations = recipe.records[0].hyperparameters.iterations as f64;
    let points = recipe.records[0].outcome.curve.iter().enumerate().map(|(at, point)| {
        let of_epoch: Vec<f64> =
            recipe.records.iter().filter_map(|record| Some(record.outcome.curve.get(at)?.val_accuracy)).collect();
        (point.iteration as f64 / iterations, 100.0 * mean(&of_epoch))
    });
    Series { name: recipe.name.to_owned(), points: points.collect(), spread: vec![], look: Look::Line, colour }
}
