//! Where the time went.

use std::collections::BTreeMap;

use super::super::chart::Axis as Ticks;
use super::super::figure::{Anchor, Figure, Ink, Style, fitted, width_of};
use super::super::view::View;
use super::Frame;
use crate::sweep::journal::Record;

/// Hosts that get a row of their own.
const HOSTS: usize = 12;

/// Seconds in the unit that people would take for them.
pub fn unit(seconds: f64) -> (f64, &'static str) {
    match seconds {
        seconds if seconds < 180.0 => (1.0, "seconds"),
        seconds if seconds < 10_800.0 => (60.0, "minutes"),
        seconds if seconds < 259_200.0 => (3600.0, "hours"),
        _ => (86_400.0, "days"),
    }
}

/// The records in the order in which they ended.
fn ended<'a>(view: &'a View<'_>) -> Vec<&'a Record> {
    let mut records: Vec<&Record> =
        view.trials.iter().filter_map(|trial| view.results.records.get(&trial.id)).collect();
    records.sort_by_key(|record| record.ended_unix_seconds);
    records
}

/// Trials done over time, and below it when trials ended on each host.
pub fn done(view: &View<'_>, style: Style) -> Option<Figure> {
    let records = ended(view);
    let (first, last) = (records.first()?, records.last()?);
    // The first trial's own time is before its end.
    let begin = first.ended_unix_seconds as f64 - first.train_seconds.min(86_400.0);
    let span = (last.ended_unix_seconds as f64 - begin).max(1.0);
    let (per, unit) = unit(span);
    let font = style.font;
    let mut hosts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for record in &records {
        hosts.entry(&record.host).or_default().push(record.ended_unix_seconds as f64 - begin);
    }
    let level = Ticks::between(&format!("{unit} since the first trial began"), 0.0, span / per);
    let upright = Ticks::between("trials done", 0.0, records.len() as f64);
    let names = hosts.keys().take(HOSTS).map(|host| width_of(host, 0.92 * font)).fold(0.0, f64::max).min(120.0) + 12.0;
    let left = Frame::left_of(&upright, font).max(names);
    let rows = hosts.len().min(HOSTS);
    let plot = 190.0;
    let size = (style.width, plot + 3.4 * font + 2.0 * font + rows as f64 * 1.7 * font + font);
    let frame = Frame { left, top: font, right: style.width - 1.5 * font, bottom: plot };
    let description = format!("{} trials in {:.1} {unit} on {} machines", records.len(), span / per, hosts.len());
    let mut figure = Figure::new("time-done", "Trials done over time", description, size);
    frame.upright(&mut figure, &upright, font);
    frame.level(&mut figure, &level, font);
    let mut points = vec![(frame.x(&level, 0.0), frame.y(&upright, 0.0))];
    let every = records.len().div_ceil(600).max(1);
    for (count, record) in records.iter().enumerate() {
        if (count + 1) % every == 0 || count + 1 == records.len() {
            let x = frame.x(&level, (record.ended_unix_seconds as f64 - begin) / per);
            points.push((x, points.last().map_or(frame.bottom, |point| point.1)));
            points.push((x, frame.y(&upright, (count + 1) as f64)));
        }
    }
    figure.path(points, Ink::Category(0), 2.0, 1.0);
    let top = plot + 5.0 * font;
    for (row, (host, ends)) in hosts.iter().take(HOSTS).enumerate() {
        let y = top + row as f64 * 1.7 * font;
        figure.text(
            (left - 6.0, y + 0.6 * font),
            0.92 * font,
            Ink::Muted,
            Anchor::End,
            fitted(host, 0.92 * font, 120.0),
        );
        figure.rectangle([left, y, frame.right - left, 1.2 * font], Ink::Empty, "");
        let mut last = f64::NEG_INFINITY;
        for end in ends {
            let x = frame.x(&level, end / per);
            if x >= last + 1.0 {
                figure.line((x, y), (x, y + 1.2 * font), Ink::Category(2), 1.4);
                last = x;
            }
        }
    }
    Some(figure)
}

/// Mean seconds of a trial by hidden units, a bar each.
pub fn seconds(view: &View<'_>, style: Style) -> Option<Figure> {
    let mut of_hidden: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    for record in ended(view) {
        let key = (record.hyperparameters.hidden, record.hyperparameters.batch_size);
        of_hidden.entry(key).or_default().push(record.train_seconds);
    }
    let rows: Vec<(String, f64, usize)> = of_hidden
        .iter()
        .take(24)
        .map(|((hidden, batch), all)| {
            (format!("hidden {hidden}, batch {batch}"), all.iter().sum::<f64>() / all.len() as f64, all.len())
        })
        .collect();
    let most = rows.iter().map(|row| row.1).reduce(f64::max)?;
    let font = style.font;
    let left = rows.iter().map(|row| width_of(&row.0, 0.92 * font)).fold(0.0, f64::max) + 12.0;
    let right = style.width - width_of("0000.0 s (0000 trials)", 0.92 * font);
    let step = 1.9 * font;
    let size = (style.width, step * rows.len() as f64 + font);
    let words: Vec<String> = rows.iter().map(|row| format!("{}: {:.1} s", row.0, row.1)).collect();
    let mut figure = Figure::new("time-seconds", "Seconds of a trial", words.join("; "), size);
    for (row, (name, mean, count)) in rows.iter().enumerate() {
        let y = 0.5 * font + step * row as f64;
        let width = ((right - left) * mean / most.max(1e-9)).max(1.0);
        figure.text((left - 6.0, y + 0.7 * font), 0.92 * font, Ink::Text, Anchor::End, name);
        figure.rectangle([left, y, width, 1.4 * font], Ink::Category(2), "");
        let decimals = if *mean < 10.0 { 2 } else { 0 };
        let text = format!("{mean:.decimals$} s ({count} trial{})", if *count == 1 { "" } else { "s" });
        figure.text((left + width + 6.0, y + 0.7 * font), 0.92 * font, Ink::Muted, Anchor::Start, text);
    }
    Some(figure)
}
