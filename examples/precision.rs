//! Gathers what `scripts/precision-study` trained: paired differences of integers from f32, as a table in the page and a picture.
//!
//! Arguments: the directory of the sweeps, and the directory with `precision.md`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

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
    let [sweeps, docs] = &arguments[..] else { return Err("arguments: SWEEPS DOCS".into()) };
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
    let mut points = BTreeMap::<Precision, Vec<(f64, f64, f64)>>::new();
    let mut pairs = 0;
    for configuration in configurations.values() {
        let f32 = configuration.of(Precision::F32);
        write!(table, "| {} | {:.2} |", configuration.name, 100.0 * mean(&f32))?;
        for precision in INTEGERS {
            let differences = configuration.differences(precision)?;
            pairs += differences.len();
            let (difference, half) = interval(&differences);
            write!(table, " {difference:+.2} ± {half:.2} |")?;
            means.entry(precision).or_default().push(difference);
            points.entry(precision).or_default().push((100.0 * mean(&f32), difference, half));
        }
        writeln!(table)?;
    }
    write!(table, "| **mean of {} configurations** | | | | | |", configurations.len())?;
    for precision in INTEGERS {
        let (difference, half) = interval(&means[&precision]);
        write!(table, " **{difference:+.3} ± {half:.3}** |")?;
    }
    writeln!(table, "\n\n{} pairs of each precision.", pairs / INTEGERS.len())?;
    files::replace_between(&docs.join("precision.md"), MARKS, &table)?;

    let accuracies: Vec<f64> = points.values().flatten().map(|point| point.0).collect();
    let largest = points.values().flatten().map(|point| point.1.abs() + point.2).fold(0.5, f64::max) * 1.05;
    let [low, high] =
        [accuracies.iter().copied().fold(f64::INFINITY, f64::min), accuracies.iter().copied().fold(0.0, f64::max)];
    let chart = |(at, precision): (usize, Precision)| {
        let mut of_precision = points[&precision].clone();
        of_precision.sort_by(|a, b| a.0.total_cmp(&b.0));
        let series = |name: &str, points: Vec<(f64, f64)>, spread: Vec<f64>, look, colour| Series {
            name: name.to_owned(),
            points,
            spread,
            look,
            colour,
        };
        Chart {
            title: format!("{} − f32", precision.key()),
            x: Axis::between("validation accuracy in f32, %", low - 1.0, high + 1.0),
            y: Axis::between("difference, percentage points", -largest, largest),
            series: vec![
                series("no difference", vec![(low - 1.0, 0.0), (high + 1.0, 0.0)], vec![], Look::Line, 2),
                series(
                    "mean of 5 seeds, 95 %",
                    of_precision.iter().map(|point| (point.0, point.1)).collect(),
                    of_precision.iter().map(|point| point.2).collect(),
                    Look::Dots,
                    at,
                ),
            ],
            legend: Legend::LowerRight,
        }
    };
    let charts: Vec<Chart> = INTEGERS.into_iter().enumerate().map(chart).collect();
    let headline = "Integers against f32: the same first weights and minibatches, 10,000 validation images";
    draw(headline, &charts, 2, (1400, 560)).write(&docs.join("precision.png"))?;
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
