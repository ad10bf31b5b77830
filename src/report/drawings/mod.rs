//! The figures of a sweep's report: each a function of the [`View`], drawn once for page, SVG and PNG.

pub mod curves;
pub mod importance;
pub mod pairs;
pub mod parallel;
pub mod rungs;
pub mod slices;
pub mod time;

use super::chart::Axis as Ticks;
use super::figure::{Anchor, Figure, Ink, Style, fitted, width_of};
use super::view::View;

/// Every figure of a sweep, in the order of the report.
pub fn all(view: &View<'_>, style: Style) -> Vec<Figure> {
    let mut figures = vec![];
    figures.extend(importance::bars(view, style));
    figures.extend((0..view.groups.axes.len()).filter_map(|axis| slices::slice(view, axis, style)));
    figures.extend(parallel::lines(view, style));
    for (a, b) in pairs::shown(view) {
        figures.extend(pairs::heat_map(view, a, b, style));
    }
    figures.extend(curves::accuracy(view, style));
    figures.extend(curves::loss(view, style));
    let courses = rungs::courses(view);
    figures.extend(rungs::lines(view, &courses, style));
    figures.extend((0..view.cuts.len()).filter_map(|cut| rungs::agreement(view, &courses, cut, style)));
    figures.extend(time::done(view, style));
    figures.extend(time::seconds(view, style));
    figures
}

/// The scale of accuracies in per cent that all views share: from the best result down to the worst, and on to round numbers.
pub fn accuracies(view: &View<'_>) -> Ticks {
    let shown = view.groups.groups.iter().flat_map(|group| [group.worth, group.best().accuracy()]);
    Ticks::around("validation accuracy, %", shown.flatten().map(|accuracy| 100.0 * accuracy))
}

/// A rectangle to draw in, with an upright axis at its left.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Its left end.
    pub left: f64,
    /// Its upper end.
    pub top: f64,
    /// Its right end.
    pub right: f64,
    /// Its lower end.
    pub bottom: f64,
}

impl Frame {
    /// Where a value stands on an upright axis.
    pub fn y(&self, ticks: &Ticks, value: f64) -> f64 {
        let share = (value - ticks.range.start) / (ticks.range.end - ticks.range.start);
        self.bottom - share.clamp(0.0, 1.0) * (self.bottom - self.top)
    }

    /// Where a value stands on a level axis.
    pub fn x(&self, ticks: &Ticks, value: f64) -> f64 {
        let share = (value - ticks.range.start) / (ticks.range.end - ticks.range.start);
        self.left + share.clamp(0.0, 1.0) * (self.right - self.left)
    }

    /// Draws the upright axis with its lines and label.
    pub fn upright(&self, figure: &mut Figure, ticks: &Ticks, font: f64) {
        let space = (self.bottom - self.top) / font / 1.6;
        let every = (ticks.ticks.len() as f64 / space.max(2.0)).ceil().max(1.0) as usize;
        for (value, name) in ticks.ticks.iter().step_by(every) {
            let y = self.y(ticks, *value);
            figure.line((self.left, y), (self.right, y), Ink::Grid, 1.0);
            figure.text((self.left - 6.0, y), 0.92 * font, Ink::Muted, Anchor::End, name);
        }
        let widest = ticks.ticks.iter().map(|(_, name)| width_of(name, 0.92 * font)).fold(0.0, f64::max);
        let label = fitted(&ticks.label, 0.92 * font, (self.bottom - self.top).max(40.0) + 2.0 * font);
        figure.upwards(
            (self.left - widest - 1.6 * font, (self.top + self.bottom) / 2.0),
            0.92 * font,
            Ink::Muted,
            label,
        );
    }

    /// Draws the level axis with its ticks and label.
    pub fn level(&self, figure: &mut Figure, ticks: &Ticks, font: f64) {
        figure.line((self.left, self.bottom), (self.right, self.bottom), Ink::Muted, 1.0);
        let widest = ticks.ticks.iter().map(|(_, name)| width_of(name, 0.92 * font)).fold(1.0, f64::max) + font;
        let most = ((self.right - self.left) / widest).max(2.0);
        let every = (ticks.ticks.len() as f64 / most).ceil().max(1.0) as usize;
        for (value, name) in ticks.ticks.iter().step_by(every) {
            let x = self.x(ticks, *value);
            figure.line((x, self.bottom), (x, self.bottom + 4.0), Ink::Muted, 1.0);
            figure.text((x, self.bottom + 4.0 + 0.9 * font), 0.92 * font, Ink::Muted, Anchor::Middle, name);
        }
        let middle = (self.left + self.right) / 2.0;
        figure.text((middle, self.bottom + 4.0 + 2.4 * font), 0.92 * font, Ink::Muted, Anchor::Middle, &ticks.label);
    }

    /// Space that [`Frame::upright`] needs to the left.
    pub fn left_of(ticks: &Ticks, font: f64) -> f64 {
        let widest = ticks.ticks.iter().map(|(_, name)| width_of(name, 0.92 * font)).fold(0.0, f64::max);
        widest + 2.5 * font + 6.0
    }
}

/// The bar that explains the colours of accuracies, with its right end at `right`.
pub fn legend(figure: &mut Figure, view: &View<'_>, right: f64, y: f64, font: f64) {
    let (low, high) = view.colours;
    let (steps, width) = (24, 120.0);
    let low_name = format!("{:.1} % or less", 100.0 * low);
    let high_name = format!("{:.1} %", 100.0 * high);
    let end = right - width_of(&high_name, 0.92 * font) - 6.0;
    for step in 0..steps {
        let x = end - width + width * f64::from(step) / f64::from(steps);
        let place = [x, y - 5.0, width / f64::from(steps) + 0.4, 10.0];
        figure.rectangle(place, Ink::Value((f64::from(step) + 0.5) / f64::from(steps)), "");
    }
    figure.text((end + 6.0, y), 0.92 * font, Ink::Muted, Anchor::Start, high_name);
    figure.text((end - width - 6.0, y), 0.92 * font, Ink::Muted, Anchor::End, low_name);
}
