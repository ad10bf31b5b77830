//! The report's numbers as files for programs and as tables for papers.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value as Json, json};

use super::groups::{Axis, Group};
use super::view::View;
use crate::error::Result;
use crate::files;
use crate::model::value::Value;
use crate::numbers::or_empty;

/// The version of `summary.json`. Fields are added without a new one.
const SUMMARY_VERSION: u32 = 1;

/// The page's figures.
pub fn summary(view: &View<'_>) -> Json {
    let mut summary = json!({ "version": SUMMARY_VERSION, "name": view.name });
    let counts = serde_json::to_value(&view.summary).expect("plain fields become JSON");
    let best = view.groups.best().map(|group| {
        let values = view
            .groups
            .axes
            .iter()
            .zip(&group.at)
            .map(|(axis, &at)| (axis.name.to_owned(), Json::from(axis.values[at])));
        json!({
            "configuration": values.collect::<serde_json::Map<_, _>>(),
            "mean_val_accuracy": group.mean,
            "sd_val_accuracy": group.deviation,
            "n": group.complete,
            "low": group.interval.map(|interval| interval.0),
            "high": group.interval.map(|interval| interval.1),
            "diverged": group.diverged,
            "trial": group.best().trial.id,
            "indistinguishable": view.ties().0,
        })
    });
    let importance = match &view.explained {
        Err(why) => json!({ "method": null, "why": why }),
        Ok(explained) => {
            let share = |share: &super::importance::Share| {
                json!({
                    "share": share.share,
                    "low": share.interval.map(|interval| interval.0),
                    "high": share.interval.map(|interval| interval.1),
                })
            };
            let name = |axis: usize| view.groups.axes[explained.axes[axis]].name;
            let named = |mut of: Json, names: &[(&str, &str)]| {
                for (key, value) in names {
                    of[*key] = json!(value);
                }
                of
            };
            let importance = &explained.importance;
            let single = |(at, single): (usize, &super::importance::Share)| {
                named(share(single), &[("hyperparameter", name(at))])
            };
            let pair = |(a, b, of): &(usize, usize, super::importance::Share)| {
                named(share(of), &[("a", name(*a)), ("b", name(*b))])
            };
            json!({
                "method": "functional analysis of variance of a full grid, seeds as blocks",
                "configurations": explained.cells,
                "seeds": explained.seeds,
                "left_out": explained.left_out,
                "diverged_as_guessing": explained.diverged,
                "single": importance.singles.iter().enumerate().map(single).collect::<Vec<_>>(),
                "pairs": importance.pairs.iter().map(pair).collect::<Vec<_>>(),
                "rest": importance.rest,
                "noise_sd": importance.noise,
                "seed_sd": importance.of_seeds,
            })
        }
    };
    let among = view.among_the_best.as_ref().map(|(shares, best)| {
        let names = view.groups.axes.iter().map(|axis| axis.name.to_owned());
        json!({ "configurations": best, "shares": names.zip(shares.iter().map(|share| json!(share))).collect::<serde_json::Map<_, _>>() })
    });
    if let (Json::Object(summary), Json::Object(counts)) = (&mut summary, counts) {
        summary.extend(counts);
        summary.insert("configurations".to_owned(), json!(view.groups.groups.len()));
        let mut seeds: Vec<u64> = view.groups.repeats.iter().map(|[seed, ..]| *seed).collect();
        seeds.dedup();
        summary.insert("seeds".to_owned(), json!(seeds));
        summary.insert("folds".to_owned(), json!(view.groups.repeats.iter().map(|[_, folds, _]| folds).max()));
        summary.insert("best".to_owned(), json!(best));
        summary.insert("importance".to_owned(), importance);
        summary.insert("among_the_best".to_owned(), json!(among));
    }
    summary
}

/// Writes [`summary`].
///
/// # Errors
/// The file cannot be written.
pub fn write_summary(path: &Path, view: &View<'_>) -> Result<()> {
    let text = serde_json::to_string_pretty(&summary(view)).expect("JSON becomes text");
    files::replace(path, |file| writeln!(file, "{text}"))
}

/// Writes `curves.csv`: a row a point, `trial,step,epoch,seed`, `fold` where there are folds, the hyperparameters that vary, then `learning_rate_now,loss,train_accuracy,
/// val_accuracy,val_loss`; step is the iteration. Trials are in the order of the sweep.
///
/// # Errors
/// The file cannot be written.
pub fn write_curves(path: &Path, view: &View<'_>) -> Result<()> {
    let axes = &view.groups.axes;
    let mut members: Vec<_> = view
        .groups
        .groups
        .iter()
        .flat_map(|group| group.members.iter().map(move |member| (member.place, group, member)))
        .collect();
    members.sort_by_key(|(place, ..)| *place);
    files::replace(path, |file| {
        let mut csv = csv::Writer::from_writer(file);
        let has_folds = view.groups.repeats.iter().any(|[_, _, fold]| *fold > 0);
        let head = ["trial", "step", "epoch", "seed"].into_iter().chain(has_folds.then_some("fold"));
        let head = head.chain(axes.iter().map(|axis| axis.name));
        csv.write_record(head.chain(["learning_rate_now", "loss", "train_accuracy", "val_accuracy", "val_loss"]))
            .map_err(io::Error::other)?;
        for (_, group, member) in members {
            let Some(record) = member.record else { continue };
            let values: Vec<String> = axes.iter().zip(&group.at).map(|(axis, &at)| axis.values[at].plain()).collect();
            for point in &record.outcome.curve {
                let mut row = vec![member.trial.id.clone(), point.iteration.to_string(), point.epoch.to_string()];
                row.push(member.trial.hyperparameters.seed.to_string());
                row.extend(has_folds.then(|| member.trial.hyperparameters.fold.to_string()));
                row.extend(values.iter().cloned());
                row.extend(
                    [point.learning_rate, point.loss, point.train_accuracy, point.val_accuracy]
                        .map(|it| it.to_string()),
                );
                row.push(or_empty(point.val_loss));
                csv.write_record(row).map_err(io::Error::other)?;
            }
        }
        csv.flush()
    })
}

/// Writes `configurations.csv`: a row a configuration, best first: `rank,mean_val_accuracy,sd_val_accuracy,n,low,high,diverged`, of a search with
/// cuts `cut,accuracy_at_cut` of what was dropped, the hyperparameters that vary, `best_trial`.
///
/// # Errors
/// The file cannot be written.
pub fn write_configurations(path: &Path, view: &View<'_>) -> Result<()> {
    let axes = &view.groups.axes;
    files::replace(path, |file| {
        let mut csv = csv::Writer::from_writer(file);
        let head = ["rank", "mean_val_accuracy", "sd_val_accuracy", "n", "low", "high", "diverged"];
        let of_cuts: &[&str] = if view.cuts.is_empty() { &[] } else { &["cut", "accuracy_at_cut"] };
        let head = head.iter().chain(of_cuts).copied();
        csv.write_record(head.chain(axes.iter().map(|axis| axis.name)).chain(["best_trial"]))
            .map_err(io::Error::other)?;
        let recorded =
            view.groups.groups.iter().filter(|group| group.members.iter().any(|member| member.record.is_some()));
        for (place, group) in recorded.enumerate() {
            let mut row = vec![
                (place + 1).to_string(),
                or_empty(group.mean),
                or_empty(group.deviation),
                group.complete.to_string(),
            ];
            row.push(or_empty(group.interval.map(|interval| interval.0)));
            row.push(or_empty(group.interval.map(|interval| interval.1)));
            row.push(group.diverged.to_string());
            if !view.cuts.is_empty() {
                row.push(or_empty(group.dropped.map(|(cut, _)| cut)));
                row.push(or_empty(group.dropped.map(|(_, accuracy)| accuracy)));
            }
            row.extend(axes.iter().zip(&group.at).map(|(axis, &at)| axis.values[at].plain()));
            row.push(group.best().trial.id.clone());
            csv.write_record(row).map_err(io::Error::other)?;
        }
        csv.flush()
    })
}

/// The rows of a table for a paper: head, then the first `top` configurations.
fn rows<'a>(view: &'a View<'_>, top: usize) -> impl Iterator<Item = (usize, &'a Group<'a>)> {
    view.groups.groups.iter().take(top).enumerate().map(|(place, group)| (place + 1, group))
}

fn words(axis: &Axis) -> bool {
    axis.values.iter().any(|value| matches!(value, Value::Word(_)))
}

/// The first `top` configurations as a Markdown table.
pub fn markdown(view: &View<'_>, top: usize) -> String {
    let axes = &view.groups.axes;
    let mut text = String::from("| rank |");
    axes.iter().for_each(|axis| text += &format!(" {} |", axis.name));
    text += " validation accuracy, % | n |\n| --: |";
    axes.iter().for_each(|axis| text += if words(axis) { " :-- |" } else { " --: |" });
    text += " --: | --: |\n";
    for (rank, group) in rows(view, top) {
        let _ = write!(text, "| {rank} |");
        axes.iter().zip(&group.at).for_each(|(axis, &at)| text += &format!(" {} |", axis.label(at)));
        let _ = writeln!(text, " {} | {} |", super::html::mean_of(group), group.complete);
    }
    text
}

/// The first `top` configurations as a LaTeX table for the package booktabs.
pub fn latex(view: &View<'_>, top: usize) -> String {
    let axes = &view.groups.axes;
    let escaped = |text: &str| text.replace('_', "\\_").replace('%', "\\%").replace('&', "\\&").replace('#', "\\#");
    let columns: String = axes.iter().map(|axis| if words(axis) { 'l' } else { 'r' }).collect();
    let mut text = format!("\\begin{{tabular}}{{r{columns}rr}}\n\\toprule\nrank");
    axes.iter().for_each(|axis| text += &format!(" & {}", escaped(axis.name)));
    text += " & validation accuracy, \\% & $n$ \\\\\n\\midrule\n";
    for (rank, group) in rows(view, top) {
        let _ = write!(text, "{rank}");
        axes.iter().zip(&group.at).for_each(|(axis, &at)| text += &format!(" & {}", escaped(&axis.label(at))));
        let mean = match (group.mean, group.deviation) {
            (Some(mean), Some(deviation)) => format!("${:.2} \\pm {:.2}$", 100.0 * mean, 100.0 * deviation),
            _ => super::html::mean_of(group),
        };
        let _ = writeln!(text, " & {mean} & {} \\\\", group.complete);
    }
    text + "\\bottomrule\n\\end{tabular}\n"
}
