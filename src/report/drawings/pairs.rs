//! Two axes at a time, as heat maps.

use super::super::figure::{Anchor, Figure, Ink, Mark, Style, fitted, wants_dark_text, width_of};
use super::super::importance;
use super::super::statistics::mean;
use super::super::view::{View, percent};
use super::legend;

/// What a cell of a heat map is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// No trial has these two values, or none of them has a result.
    Empty,
    /// All that have a result diverged.
    Diverged,
    /// Mean over the configurations, diverged trials as guessing; and the best of them.
    Filled {
        /// The mean.
        mean: f64,
        /// The best.
        best: f64,
    },
}

/// The cells of two axes, (values of a, values of b).
pub fn cells(view: &View<'_>, a: usize, b: usize) -> Vec<Vec<Cell>> {
    let (rows, columns) = (view.groups.axes[a].values.len(), view.groups.axes[b].values.len());
    let mut worths = vec![vec![(vec![], false); columns]; rows];
    for group in &view.groups.groups {
        let Some(worth) = group.worth else { continue };
        let cell = &mut worths[group.at[a]][group.at[b]];
        cell.0.push(worth);
        cell.1 |= group.complete > 0;
    }
    let cell = |(worths, is_alive): (Vec<f64>, bool)| match (mean(&worths), is_alive) {
        (None, _) => Cell::Empty,
        (_, false) => Cell::Diverged,
        (Some(mean), true) => Cell::Filled { mean, best: worths.iter().copied().fold(0.0, f64::max) },
    };
    worths.into_iter().map(|row| row.into_iter().map(cell).collect()).collect()
}

/// The pairs of axes whose values can be listed.
pub fn shown(view: &View<'_>) -> Vec<(usize, usize)> {
    let is_listed = |axis: usize| view.groups.axes[axis].is_listed();
    importance::pairs(view.groups.axes.len()).into_iter().filter(|&(a, b)| is_listed(a) && is_listed(b)).collect()
}

/// The pair that explains most beyond its axes alone, if any does.
fn strongest_of_grid(view: &View<'_>) -> Option<(usize, usize)> {
    let explained = view.explained.as_ref().ok()?;
    let (a, b, _) = explained.importance.pairs.first().filter(|pair| pair.2.share >= 0.005)?;
    Some((explained.axes[*a], explained.axes[*b])).filter(|pair| shown(view).contains(pair))
}

/// Whether a pair explains something beyond its axes alone.
pub fn has_strongest(view: &View<'_>) -> bool {
    strongest_of_grid(view).is_some()
}

/// That pair; else the two most important axes.
pub fn strongest(view: &View<'_>) -> Option<(usize, usize)> {
    strongest_of_grid(view).or_else(|| {
        let order = view.axes_by_importance();
        let (first, second) = (order.first().copied()?, order.get(1).copied()?);
        Some((first.min(second), first.max(second))).filter(|pair| shown(view).contains(pair))
    })
}

/// The heat map of two axes: a downwards, b to the right.
pub fn heat_map(view: &View<'_>, a: usize, b: usize, style: Style) -> Option<Figure> {
    let cells = cells(view, a, b);
    if cells.iter().flatten().all(|cell| *cell == Cell::Empty) {
        return None;
    }
    let (down, across) = (&view.groups.axes[a], &view.groups.axes[b]);
    let font = style.font;
    let names =
        |axis: &super::super::groups::Axis| (0..axis.values.len()).map(|value| axis.label(value)).collect::<Vec<_>>();
    let (row_names, column_names) = (names(down), names(across));
    let widest = row_names.iter().map(|name| width_of(name, 0.92 * font)).fold(0.0, f64::max).min(110.0);
    let left = widest + 2.6 * font + 8.0;
    let top = 3.0 * font;
    let width = ((style.width - left - 8.0) / column_names.len() as f64).min(96.0);
    let height = (0.62 * width).clamp(1.9 * font, 40.0);
    let turned = column_names.iter().any(|name| width_of(name, 0.92 * font) + 4.0 > width);
    let label = column_names.iter().map(|name| width_of(name, 0.92 * font)).fold(0.0, f64::max).min(90.0);
    let labels = if turned { label + font } else { 1.6 * font };
    let bottom = top + height * row_names.len() as f64;
    let total = bottom + labels + 1.8 * font;
    let right = left + width * column_names.len() as f64;
    let size = (style.width.min((right + 8.0).max(left + 330.0)), total);
    let words = format!("Mean validation accuracy by {} (rows) and {} (columns)", down.name, across.name);
    let mut figure = Figure::new(
        &format!("pair-{}-{}", down.name, across.name),
        &format!("{} and {}", down.name, across.name),
        words,
        size,
    );
    legend(&mut figure, view, size.0 - 2.0, 0.9 * font, font);
    let number_size = (0.36 * width).min(0.95 * font);
    for (row, row_cells) in cells.iter().enumerate() {
        let y = top + height * row as f64;
        let name = fitted(&row_names[row], 0.92 * font, 110.0);
        figure.text((left - 6.0, y + height / 2.0), 0.92 * font, Ink::Text, Anchor::End, name);
        for (column, cell) in row_cells.iter().enumerate() {
            let x = left + width * column as f64;
            let what = format!("{} {}, {} {}", down.name, row_names[row], across.name, column_names[column]);
            let place = [x + 0.5, y + 0.5, width - 1.0, height - 1.0];
            let middle = (x + width / 2.0, y + height / 2.0);
            match cell {
                Cell::Empty => figure.rectangle(place, Ink::Empty, format!("{what}: no result")),
                Cell::Diverged => {
                    figure.rectangle(place, Ink::Empty, format!("{what}: all diverged"));
                    let (w, h) = (0.22 * width.min(40.0), 0.22 * height.min(40.0));
                    let (cx, cy) = middle;
                    figure.line((cx - w, cy - h), (cx + w, cy + h), Ink::Diverged, 2.0);
                    figure.line((cx - w, cy + h), (cx + w, cy - h), Ink::Diverged, 2.0);
                }
                Cell::Filled { mean, best } => {
                    let value = view.colour(*mean);
                    let tip = format!("{what}: mean {}, best {}", percent(*mean, 2), percent(*best, 2));
                    figure.rectangle(place, Ink::Value(value), tip);
                    if number_size >= 7.0 {
                        // On the scale's own ends, which no theme changes.
                        let ink = Ink::Value(if wants_dark_text(value) { 0.0 } else { 1.0 });
                        figure.text(middle, number_size, ink, Anchor::Middle, format!("{:.1}", 100.0 * mean));
                    }
                }
            }
        }
    }
    for (column, name) in column_names.iter().enumerate() {
        let x = left + width * (column as f64 + 0.5);
        if turned {
            let name = fitted(name, 0.92 * font, 90.0);
            let reach = width_of(&name, 0.92 * font) / 2.0;
            figure.upwards((x, bottom + 6.0 + reach), 0.92 * font, Ink::Text, name);
        } else {
            figure.text((x, bottom + font), 0.92 * font, Ink::Text, Anchor::Middle, name);
        }
    }
    figure.text(
        ((left + right) / 2.0, bottom + labels + 0.7 * font),
        0.92 * font,
        Ink::Muted,
        Anchor::Middle,
        across.name,
    );
    figure.upwards(
        (0.8 * font, (top + bottom) / 2.0),
        0.92 * font,
        Ink::Muted,
        fitted(down.name, 0.92 * font, (bottom - top).max(60.0)),
    );
    if cells.iter().flatten().any(|cell| *cell == Cell::Diverged) {
        figure.marks.push(Mark::Text {
            at: (2.0, 0.9 * font),
            text: "× all diverged".to_owned(),
            size: 0.92 * font,
            ink: Ink::Diverged,
            anchor: Anchor::Start,
            upwards: false,
            bold: false,
        });
    }
    Some(figure)
}
