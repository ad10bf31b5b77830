//! All axes at once: a line a configuration.

use super::super::figure::{Anchor, Figure, Ink, Style, fitted};
use super::super::view::View;
use super::{Frame, accuracies, legend};

/// At most so many lines; of more, every so-manieth by rank, the best among them.
pub const LINES: usize = 500;

/// Where every configuration stands in the slots of an axis: in the slot of its value, and in it by rank, best on top. From 0, at the
/// bottom, to 1.
pub fn places(view: &View<'_>, axis: usize, groups: &[usize]) -> Vec<f64> {
    let it = &view.groups.axes[axis];
    let slots = it.values.len() as f64;
    if !it.is_listed() {
        let numbers = it.numbers();
        let place = |number: f64| if it.is_logarithmic() { number.log10() } else { number };
        let (low, high) = (place(numbers[0]), place(numbers[numbers.len() - 1]));
        let at = |group: &usize| (place(numbers[view.groups.groups[*group].at[axis]]) - low) / (high - low);
        return groups.iter().map(at).collect();
    }
    let mut counts = vec![0_usize; it.values.len()];
    groups.iter().for_each(|&group| counts[view.groups.groups[group].at[axis]] += 1);
    let mut seen = vec![0_usize; it.values.len()];
    let at = |group: &usize| {
        let value = view.groups.groups[*group].at[axis];
        seen[value] += 1;
        // A slot's lines fill six tenths of it.
        let inside = 1.0 - (seen[value] as f64 - 0.5) / counts[value] as f64;
        (value as f64 + 0.2 + 0.6 * inside) / slots
    };
    groups.iter().map(at).collect()
}

/// The parallel plot.
pub fn lines(view: &View<'_>, style: Style) -> Option<Figure> {
    let groups: Vec<usize> =
        (0..view.groups.groups.len()).filter(|&group| view.groups.groups[group].worth.is_some()).collect();
    if groups.is_empty() || view.groups.axes.is_empty() {
        return None;
    }
    let every = groups.len().div_ceil(LINES);
    let shown: Vec<usize> = groups.iter().copied().step_by(every).collect();
    let (font, ticks) = (style.font, accuracies(view));
    let axes = view.groups.axes.len();
    let height = 360.0;
    let frame = Frame { left: 64.0, top: 4.2 * font, right: style.width - 56.0, bottom: height - 16.0 };
    let description = format!(
        "{} configurations over {axes} hyperparameters and their mean validation accuracy; the table below has the same numbers",
        shown.len()
    );
    let mut figure = Figure::new("parallel", "All hyperparameters at once", description, (style.width, height));
    let step = (frame.right - frame.left) / axes as f64;
    let x = |axis: usize| frame.left + step * axis as f64;
    let y = |share: f64| frame.bottom - share * (frame.bottom - frame.top);
    let places: Vec<Vec<f64>> = (0..axes).map(|axis| places(view, axis, &shown)).collect();
    for (place, &group) in shown.iter().enumerate().rev() {
        let it = &view.groups.groups[group];
        let worth = it.worth.unwrap_or(0.0);
        let mut points: Vec<(f64, f64)> = (0..axes).map(|axis| (x(axis), y(places[axis][place]))).collect();
        points.push((x(axes), frame.y(&ticks, 100.0 * worth)));
        let ink = if it.complete == 0 { Ink::Diverged } else { Ink::Value(view.colour(worth)) };
        let opacity = if shown.len() > 100 { 0.55 } else { 0.85 };
        figure.path(points, ink, 1.2, opacity);
    }
    for (at, axis) in view.groups.axes.iter().enumerate() {
        figure.line((x(at), frame.top), (x(at), frame.bottom), Ink::Muted, 1.0);
        let name = fitted(axis.name, font, step.min(150.0) - 8.0);
        let ends = if at == 0 { (Anchor::Start, x(0) - 50.0) } else { (Anchor::Middle, x(at)) };
        figure.heading((ends.1, frame.top - 1.2 * font), font, ends.0, name);
        let count = axis.values.len();
        let listed = axis.is_listed();
        let every = if listed { count.div_ceil(14) } else { (count - 1).max(1) };
        for value in (0..count).step_by(every) {
            let share =
                if listed { (value as f64 + 0.5) / count as f64 } else { value as f64 / (count - 1).max(1) as f64 };
            let name = fitted(&axis.label(value), 0.92 * font, step - 14.0);
            let width = super::width_of(&name, 0.92 * font);
            let place = [x(at) - width - 8.0, y(share) - 0.6 * font, width + 4.0, 1.2 * font];
            figure.rectangle(place, Ink::Paper, "");
            figure.text((x(at) - 6.0, y(share)), 0.92 * font, Ink::Text, Anchor::End, name);
        }
    }
    figure.line((x(axes), frame.top), (x(axes), frame.bottom), Ink::Muted, 1.0);
    figure.heading((style.width, frame.top - 1.2 * font), font, Anchor::End, "accuracy");
    for (value, name) in &ticks.ticks {
        figure.text(
            (x(axes) + 6.0, frame.y(&ticks, *value)),
            0.92 * font,
            Ink::Text,
            Anchor::Start,
            format!("{name} %"),
        );
    }
    legend(&mut figure, view, style.width, 0.9 * font, font);
    Some(figure)
}
