//! What the page's script works on: configurations and trials by column, as JSON, and all curves as compressed numbers.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::super::groups::Group;
use super::super::view::View;
use super::text::base64;
use crate::train::EpochPoint;

/// Accuracies among the curves' numbers are shares of this: exact enough for counts over 65,535 images.
const FULL: f64 = 65_535.0;

/// A number, or that there is none.
fn share(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |value| json!(value))
}

/// Whether the validation loss is recorded.
pub fn has_val_loss(view: &View<'_>) -> bool {
    view.results.records.values().any(|record| record.outcome.curve.iter().any(|point| point.val_loss.is_some()))
}

/// The data of the page.
pub fn json(view: &View<'_>) -> String {
    let groups = &view.groups;
    let axes: Vec<Value> = groups
        .axes
        .iter()
        .map(|axis| {
            json!({
                "name": axis.name,
                "values": (0..axis.values.len()).map(|value| axis.label(value)).collect::<Vec<_>>(),
                "numbers": axis.numbers(),
                "words": axis.values.iter().any(|value| matches!(value, crate::model::value::Value::Word(_))),
                "listed": axis.is_listed(),
                "log": axis.is_logarithmic(),
            })
        })
        .collect();
    let each = |of: &dyn Fn(&Group<'_>) -> Value| groups.groups.iter().map(of).collect::<Vec<Value>>();
    // Trials by group, so that a group's are neighbours.
    let members = || {
        groups.groups.iter().enumerate().flat_map(|(at, group)| group.members.iter().map(move |member| (at, member)))
    };
    let of_members = |of: &dyn Fn(usize, &super::super::groups::Member<'_>) -> Value| {
        members().map(|(at, member)| of(at, member)).collect::<Vec<Value>>()
    };
    let data = json!({
        "name": view.name,
        "axes": axes,
        "order": view.axes_by_importance(),
        "strongest": super::super::drawings::pairs::strongest(view),
        "fixed": groups.fixed.iter().map(|entry| json!([entry.name, super::super::groups::label(entry.value)])).collect::<Vec<_>>(),
        "chance": groups.chance,
        "noun": groups.noun(),
        "colours": [view.colours.0, view.colours.1],
        "groups": {
            "at": (0..groups.axes.len()).map(|axis| each(&|group| json!(group.at[axis]))).collect::<Vec<_>>(),
            "n": each(&|group| json!(group.complete)),
            "diverged": each(&|group| json!(group.diverged)),
            "dropped": each(&|group| json!(group.dropped)),
            "mean": each(&|group| share(group.mean)),
            "sd": each(&|group| share(group.deviation)),
            "low": each(&|group| share(group.interval.map(|interval| interval.0))),
            "high": each(&|group| share(group.interval.map(|interval| interval.1))),
            "worth": each(&|group| share(group.worth)),
            "seconds": each(&|group| share(group.seconds)),
        },
        "trials": {
            "id": of_members(&|_, member| json!(member.trial.id)),
            "group": of_members(&|at, _| json!(at)),
            "seed": of_members(&|_, member| json!(member.trial.hyperparameters.seed.to_string())),
            "status": of_members(&|_, member| json!(member.status().map(|status| status.name()))),
            "accuracy": of_members(&|_, member| share(member.accuracy())),
            "seconds": of_members(&|_, member| share(member.record.map(|record| record.train_seconds))),
            "iterations": of_members(&|_, member| json!(member.record.map_or(0, |record| record.outcome.iterations_done))),
        },
        "curves": base64(&curves(view)),
    });
    data.to_string()
}

/// Compressed: for each trial in the order of the payload the number of its points and the iterations of an epoch (u32 each), then of all
/// points after each other the validation accuracies and minibatch accuracies (u16), the losses, and the
/// validation losses where they are recorded (f32); little-endian.
fn curves(view: &View<'_>) -> Vec<u8> {
    let members = || view.groups.groups.iter().flat_map(|group| &group.members);
    let curves: Vec<&[EpochPoint]> =
        members().map(|member| member.record.map_or(&[][..], |record| &record.outcome.curve)).collect();
    let mut bytes = Vec::new();
    for curve in &curves {
        let epoch = match curve {
            [first, second, ..] => second.iteration - first.iteration,
            _ => 1,
        };
        bytes.extend((curve.len() as u32).to_le_bytes());
        bytes.extend((epoch as u32).to_le_bytes());
    }
    let points = || curves.iter().flat_map(|curve| curve.iter());
    let accuracy = |share: f64| ((share * FULL).round().clamp(0.0, FULL) as u16).to_le_bytes();
    points().for_each(|point| bytes.extend(accuracy(point.val_accuracy)));
    points().for_each(|point| bytes.extend(accuracy(point.train_accuracy)));
    points().for_each(|point| bytes.extend((point.loss as f32).to_le_bytes()));
    if has_val_loss(view) {
        points().for_each(|point| bytes.extend((point.val_loss.unwrap_or(f64::NAN) as f32).to_le_bytes()));
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes).and_then(|()| encoder.finish()).expect("writing into memory does not fail")
}
