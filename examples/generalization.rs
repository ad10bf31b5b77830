//! Gathers what `scripts/generalization` measured: every network's accuracies as CSV, a table of means in the page, a picture.
//!
//! Arguments: the directory of the sweeps, and the directory with `generalization.md`.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use mlpgrid::files;
use mlpgrid::report::chart::{Axis, Chart, Legend, Look, Series, draw};
use serde_json::Value;

/// One thing that is varied: its name in the CSV file, its label, and for each sweep where it is and what the value is.
struct Question {
    axis: &'static str,
    label: &'static str,
    base: &'static str,
    sweeps: &'static [(&'static str, Given)],
}

/// What a network's value on an axis is.
enum Given {
    /// The same for the whole sweep.
    As(&'static str),
    /// What the leaderboard holds in this column.
    In(&'static str),
}
use Given::{As, In};

const QUESTIONS: [Question; 4] = [
    Question {
        axis: "rows",
        label: "training rows, 4,000 iterations",
        base: "10,000",
        sweeps: &[
            ("rows-5000", As("5,000")),
            ("rows-10000", As("10,000")),
            ("rows-20000", As("20,000")),
            ("rows-49000", As("49,000")),
        ],
    },
    Question {
        axis: "rows, equal passes",
        label: "training rows, 80 passes over them",
        base: "10,000",
        sweeps: &[
            ("passes-5000", As("5,000")),
            ("rows-10000", As("10,000")),
            ("passes-20000", As("20,000")),
            ("passes-49000", As("49,000")),
        ],
    },
    Question { axis: "hidden", label: "hidden units", base: "200", sweeps: &[("hidden", In("hidden"))] },
    Question { axis: "l2", label: "l2", base: "0.05", sweeps: &[("l2", In("l2"))] },
];

/// A network that was measured; accuracies are fractions.
struct Measured {
    value: String,
    seed: u64,
    iterations: u64,
    train: f64,
    val: f64,
    test: f64,
}

/// The networks with one value: mean and standard deviation over the seeds, in per cent.
struct Group {
    value: String,
    train: (f64, f64),
    test: (f64, f64),
    gap: (f64, f64),
}

/// Between these lines of the page is the table.
const MARKS: [&str; 2] = ["<!-- table by scripts/generalization -->\n", "<!-- end of table -->\n"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [sweeps, docs] = &arguments[..] else { return Err("arguments: SWEEPS DOCS".into()) };
    let mut csv = "axis,value,seed,iterations,train_accuracy,val_accuracy,test_accuracy\n".to_owned();
    let mut table = "| axis | value | train, % | test, % | gap, points |\n|---|---:|---:|---:|---:|\n".to_owned();
    let mut charts = vec![];
    for question in &QUESTIONS {
        let networks = read(sweeps, question)?;
        for Measured { value, seed, iterations, train, val, test } in &networks {
            let value = value.replace(',', "");
            writeln!(csv, "\"{}\",{value},{seed},{iterations},{train},{val},{test}", question.axis)?;
        }
        let groups = group(&networks);
        for Group { value, train, test, gap } in &groups {
            let base = if value == question.base { " (base)" } else { "" };
            let cells = [train, test, gap].map(|(mean, deviation)| format!("{mean:.1} ± {deviation:.1}"));
            writeln!(table, "| {} | {value}{base} | {} |", question.label, cells.join(" | "))?;
        }
        charts.push(chart(question, &groups));
    }
    files::replace(&docs.join("generalization.csv"), |file| file.write_all(csv.as_bytes()))?;
    let headline = "Accuracy on all rows trained on and on the test images: mean and standard deviation of 5 seeds";
    draw(headline, &charts, 2, (1200, 900)).write(&docs.join("generalization.png"))?;
    Ok(files::replace_between(&docs.join("generalization.md"), MARKS, &table)?)
}

/// The networks of a question, by value and seed.
fn read(sweeps: &Path, question: &Question) -> Result<Vec<Measured>, Box<dyn Error>> {
    let mut networks = vec![];
    for (sweep, given) in question.sweeps {
        let mut trials = HashMap::new();
        for row in csv::Reader::from_path(sweeps.join(sweep).join("leaderboard.csv"))?.deserialize() {
            let row: HashMap<String, String> = row?;
            trials.insert(row["trial"].clone(), row);
        }
        for line in fs::read_to_string(sweeps.join(sweep).join("eval.jsonl"))?.lines() {
            let measured: Value = serde_json::from_str(line)?;
            let accuracy = |key: &str| measured[key].as_f64().ok_or(format!("{sweep}: no {key} in {line}"));
            let trial = measured["trial"].as_str().and_then(|id| trials.get(id)).ok_or("a model of no trial")?;
            networks.push(Measured {
                value: match given {
                    As(value) => (*value).to_owned(),
                    In(column) => trial[*column].parse::<f64>()?.to_string(),
                },
                seed: trial["seed"].parse()?,
                iterations: trial["iterations"].parse()?,
                train: accuracy("train_accuracy")?,
                val: accuracy("val_accuracy")?,
                test: accuracy("test_accuracy")?,
            });
        }
        if networks.len() < trials.len() {
            return Err(format!("{sweep}: {} trials, fewer measured", trials.len()).into());
        }
    }
    let number = |text: &str| text.replace(',', "").parse::<f64>().unwrap_or(f64::NAN);
    networks.sort_by(|a, b| number(&a.value).total_cmp(&number(&b.value)).then(a.seed.cmp(&b.seed)));
    Ok(networks)
}

fn group(networks: &[Measured]) -> Vec<Group> {
    let summary = |networks: &[Measured], of: fn(&Measured) -> f64| {
        let count = networks.len() as f64;
        let mean = networks.iter().map(of).sum::<f64>() / count;
        let squares = networks.iter().map(|network| (of(network) - mean).powi(2)).sum::<f64>();
        (100.0 * mean, 100.0 * (squares / (count - 1.0)).sqrt())
    };
    let groups = networks.chunk_by(|a, b| a.value == b.value);
    let summarised = groups.map(|networks| Group {
        value: networks[0].value.clone(),
        train: summary(networks, |network| network.train),
        test: summary(networks, |network| network.test),
        gap: summary(networks, |network| network.train - network.test),
    });
    summarised.collect()
}

fn chart(question: &Question, groups: &[Group]) -> Chart {
    let line = |name: &str, colour, of: fn(&Group) -> (f64, f64)| Series {
        name: name.to_owned(),
        points: groups.iter().enumerate().map(|(at, group)| (at as f64, of(group).0)).collect(),
        spread: groups.iter().map(|group| of(group).1).collect(),
        look: Look::Dots,
        colour,
    };
    Chart {
        title: String::new(),
        x: Axis::named(question.label, groups.iter().map(|group| group.value.clone())),
        y: Axis::between("accuracy, %", 30.0, 100.0),
        series: vec![line("training rows", 0, |group| group.train), line("test images", 1, |group| group.test)],
        legend: Legend::LowerRight,
    }
}
