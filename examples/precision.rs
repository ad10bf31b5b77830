//! Gathers what `scripts/precision-study` trained: paired differences of integers from f32, as a table in the page and a picture.
//!
//! Arguments: the directory of the sweeps, and the directory with `precision.md`. Without the first, the picture is drawn again of the table
//! that the page has.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use mlpgrid::files;
use mlpgrid::model::Hyperparameters;
use mlpgrid::real::Precision;
use mlpgrid::report::chart::{Axis, Chart, Legend, Look, Series, draw};
use mlpgrid::report::statistics;
use mlpgrid::sweep::journal::Results;

const SWEEPS: [&str; 3] = ["0-descent", "1-augmented", "2-long"];
const INTEGERS: [Precision; 2] = [Precision::Int16, Precision::Int8];
/// Validation accuracies of a configuration, fractions, by precision and seed.
#[derive(Default)]
struct Configuration {
    name: String,
    accuracies: BTreeMap<(Precision, u64), Option<f64>>,
}

/// Between these lines of the page is the table.
const MARKS: [&str; 2] = ["<!-- table by scripts/precision-study -->\n", "<!-- end of table -->\n"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (sweeps, docs) = match &arguments[..] {
        [docs] => (None, docs),
        [sweeps, docs] => (Some(sweeps), docs),
        _ => return Err("arguments: [SWEEPS] DOCS".into()),
    };
    let page = docs.join("precision.md");
    let Some(sweeps) = sweeps else { return picture(&fs::read_to_string(page)?, &docs.join("precision.png")) };
    let mut configurations: BTreeMap<String, Configuration> = BTreeMap::new();
    // Of a study that is under way, what is there.
    for sweep in SWEEPS.into_iter().filter(|sweep| sweeps.join(sweep).exists()) {
        for record in Results::read(&sweeps.join(sweep))?.records.into_values() {
            let Hyperparameters { hidden, learning_rate, l2, iterations, precision, seed, .. } = record.hyperparameters;
            let name = format!("{} | {hidden} | {learning_rate} | {l2} | {iterations}", &sweep[2..]);
            let key = format!("{sweep} {hidden:6} {learning_rate:9.6} {l2:9.6} {iterations:8}");
            let configuration = configurations.entry(key).or_default();
            configuration.name = name;
            configuration.accuracies.insert((precision, seed), record.outcome.val_accuracy);
        }
    }
    let mut table =
        "| training | hidden | learning rate | l2 | iterations | f32, % | int16 − f32, points | int8 − f32, points |\n\
                     |---|---:|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
    let mut means = BTreeMap::<Precision, Vec<f64>>::new();
    let mut pairs = 0;
    for configuration in configurations.values() {
        write!(table, "| {} | {:.2} |", configuration.name, 100.0 * mean(&configuration.of(Precision::F32)))?;
        for precision in INTEGERS {
            let differences = configuration.differences(precision)?;
            pairs += differences.len();
            let (difference, half) = interval(&differences);
            write!(table, " {difference:+.2} ± {half:.2} |")?;
            means.entry(precision).or_default().push(difference);
        }
        writeln!(table)?;
    }
    write!(table, "| **mean of {} configurations** | | | | | |", configurations.len())?;
    for precision in INTEGERS {
        let (difference, half) = interval(&means[&precision]);
        write!(table, " **{difference:+.3} ± {half:.3}** |")?;
    }
    writeln!(table, "\n\n{} pairs of each precision.", pairs / INTEGERS.len())?;
    files::replace_between(&page, MARKS, &table)?;
    picture(&table, &docs.join("precision.png"))
}

/// Draws a table as it stands in the page: the difference of each configuration, with its interval, over its accuracy in f32.
fn picture(table: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut points: [Vec<(f64, f64)>; 2] = [vec![], vec![]];
    let mut halves: [Vec<f64>; 2] = [vec![], vec![]];
    // Configurations, and not their mean, have a number of hidden units.
    let rows = table.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    for row in rows.filter(|row| row.len() == 10 && row[2].parse::<usize>().is_ok()) {
        for at in 0..INTEGERS.len() {
            let (difference, half) =
                row[7 + at].split_once(" ± ").ok_or("expected a difference ± half of its interval")?;
            points[at].push((row[6].parse()?, difference.parse()?));
            halves[at].push(half.parse()?);
        }
    }
    let accuracies = || points.iter().flatten().map(|point| point.0);
    let (low, high) = (accuracies().fold(f64::INFINITY, f64::min), accuracies().fold(0.0, f64::max));
    let ends = points.iter().flatten().zip(halves.iter().flatten()).map(|(point, half)| point.1.abs() + half);
    let largest = ends.fold(0.5, f64::max) * 1.05;
    let chart = |(at, precision): (usize, Precision)| {
        let series = |name: &str, points: &[(f64, f64)], spread: &[f64], look, colour| Series {
            name: name.to_owned(),
            points: points.to_vec(),
            spread: spread.to_vec(),
            look,
            colour,
        };
        let none = [(low - 1.0, 0.0), (high + 1.0, 0.0)];
        Chart {
            title: format!("{} − f32", precision.key()),
            x: Axis::between("validation accuracy in f32, %", low - 1.0, high + 1.0),
            y: Axis::between("difference, percentage points", -largest, largest),
            series: vec![
                series("no difference", &none, &[], Look::Line, 2),
                series("a configuration: mean of 5 seeds, 95 %", &points[at], &halves[at], Look::Points, at),
            ],
            legend: Legend::LowerRight,
        }
    };
    let charts: Vec<Chart> = INTEGERS.into_iter().enumerate().map(chart).collect();
    let headline = "Integers against f32: the same first weights and minibatches, 10,000 validation images";
    draw(headline, &charts, 2, (1400, 560)).write(path)?;
    Ok(())
}

impl Configuration {
    fn of(&self, precision: Precision) -> Vec<f64> {
        self.accuracies.iter().filter(|((of, _), _)| *of == precision).filter_map(|(_, accuracy)| *accuracy).collect()
    }

    /// Differences from f32 in percentage points, seed by seed.
    fn differences(&self, precision: Precision) -> Result<Vec<f64>, Box<dyn Error>> {
        let of = |precision| self.accuracies.iter().filter(move |((of, _), _)| *of == precision);
        let pair = |((_, seed), ours): (&(Precision, u64), &Option<f64>)| {
            let f32 = self.accuracies.get(&(Precision::F32, *seed)).copied().flatten();
            match (ours, f32) {
                (Some(ours), Some(f32)) => Ok(100.0 * (ours - f32)),
                _ => Err(format!("{}, seed {seed}: a trial diverged or is missing", self.name).into()),
            }
        };
        of(precision).map(pair).collect()
    }
}

fn mean(values: &[f64]) -> f64 {
    statistics::mean(values).unwrap_or(f64::NAN)
}

/// The mean, and half of its 95 % interval by Student's t.
fn interval(values: &[f64]) -> (f64, f64) {
    (mean(values), statistics::reach(values).unwrap_or(f64::NAN))
}
