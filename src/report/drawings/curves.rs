//! Learning curves of the best configurations.

use super::super::chart::Axis as Ticks;
use super::super::figure::{Figure, Ink, Style};
use super::super::view::View;
use super::Frame;
use crate::train::EpochPoint;

/// Curves of so many configurations, the best trial of each.
pub const CURVES: usize = 20;

/// A curve's points, and its place among the best.
type Curve<'a> = (usize, &'a [EpochPoint]);

fn best<'a>(view: &'a View<'_>) -> Vec<Curve<'a>> {
    let complete = view.groups.groups.iter().filter(|group| group.mean.is_some());
    let curve = |(place, group): (usize, &'a super::super::groups::Group<'_>)| {
        Some((place, group.best().record.as_ref()?.outcome.curve.as_slice()))
    };
    complete.take(CURVES).enumerate().filter_map(curve).filter(|(_, curve)| !curve.is_empty()).collect()
}

/// Validation accuracy by epoch.
pub fn accuracy(view: &View<'_>, style: Style) -> Option<Figure> {
    draw(view, style, ("curves-accuracy", "Validation accuracy", "validation accuracy, %"), &|point| {
        Some(100.0 * point.val_accuracy)
    })
}

/// Loss by epoch: on the validation split, where that is recorded.
pub fn loss(view: &View<'_>, style: Style) -> Option<Figure> {
    match best(view).iter().all(|(_, curve)| curve.iter().all(|point| point.val_loss.is_some())) {
        true => draw(view, style, ("curves-loss", "Validation loss", "validation loss"), &|point| point.val_loss),
        false => {
            draw(view, style, ("curves-loss", "Loss on the minibatch", "loss with penalty"), &|point| Some(point.loss))
        }
    }
}

fn draw(
    view: &View<'_>,
    style: Style,
    (name, title, label): (&str, &str, &str),
    value: &dyn Fn(&EpochPoint) -> Option<f64>,
) -> Option<Figure> {
    let curves = best(view);
    let points = || curves.iter().flat_map(|(_, curve)| curve.iter());
    let last = points().map(|point| point.epoch).max()?;
    let upright = Ticks::around(label, points().filter_map(value));
    let level = Ticks::counting("epoch", last.max(1) as f64);
    let font = style.font;
    let size = (style.width, 280.0);
    let frame = Frame {
        left: Frame::left_of(&upright, font),
        top: font,
        right: style.width - 1.5 * font,
        bottom: size.1 - 3.6 * font,
    };
    let mut figure = Figure::new(
        name,
        title,
        format!(
            "{label} by epoch, of the best trial of each of the {} best configurations; the best stands out",
            curves.len()
        ),
        size,
    );
    frame.upright(&mut figure, &upright, font);
    frame.level(&mut figure, &level, font);
    for (place, curve) in curves.iter().rev() {
        let at = |point: &EpochPoint| Some((frame.x(&level, point.epoch as f64), frame.y(&upright, value(point)?)));
        let points: Vec<(f64, f64)> = curve.iter().filter_map(at).collect();
        match place {
            0 => figure.path(points, Ink::Category(1), 2.4, 1.0),
            _ => figure.path(points, Ink::Category(0), 1.2, 0.5),
        }
    }
    Some(figure)
}
