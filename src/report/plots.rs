//! The curves of a training: loss and accuracy over time.

use super::chart::{Axis, Chart, Legend, Look, Series, draw};
use super::picture::Picture;
use crate::train::{EpochPoint, LossPoint};

const WIDTH: usize = 1000;
/// Height of one chart, and of the line above.
const HEIGHT: usize = 400;
const HEADLINE: usize = 50;
/// Losses that span more than this factor are drawn on a logarithmic scale.
const WIDE: f64 = 1000.0;
/// A mean reaches over one part of so many of the iterations, to either side.
const SMOOTH: usize = 100;
/// A line has at most twice as many points.
const BUCKETS: usize = 1000;
/// With more epochs than this, the dots would hide the line.
const DOTS: usize = 60;

/// Loss by iteration above, accuracies by epoch below, over the same time.
pub fn history(headline: &str, losses: &[LossPoint], epochs: &[EpochPoint]) -> Picture {
    let values: Vec<f64> = losses.iter().map(LossPoint::loss).collect();
    let charts = [loss_chart(&values), accuracy_chart(values.len(), epochs)];
    draw(headline, &charts, 1, (WIDTH, HEADLINE + 2 * HEIGHT))
}

/// Loss by iteration alone.
pub fn losses(headline: &str, values: &[f64]) -> Picture {
    draw(headline, &[loss_chart(values)], 1, (WIDTH, HEADLINE + HEIGHT))
}

fn loss_chart(losses: &[f64]) -> Chart {
    let low = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let high = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let logarithmic = low > 0.0 && high > WIDE * low;
    let values: Vec<f64> = losses.iter().map(|&loss| if logarithmic { loss.log10() } else { loss }).collect();
    let y = if logarithmic {
        Axis::of_logarithms("loss, logarithmic", values.iter().copied())
    } else {
        Axis::around("loss", values.iter().copied())
    };
    let line = |name: &str, values: &[f64], look| Series {
        name: name.to_owned(),
        points: thinned(values),
        spread: vec![],
        look,
        colour: 0,
    };
    let reach = values.len() / SMOOTH;
    let series = match reach {
        0 | 1 => vec![line("each minibatch", &values, Look::Line)],
        _ => vec![
            line("each minibatch", &values, Look::Faint),
            line(&format!("mean of {} iterations", 2 * reach + 1), &smoothed(&values, reach), Look::Line),
        ],
    };
    let falls = values.last() <= values.first();
    let legend = if falls { Legend::UpperRight } else { Legend::LowerRight };
    let x = Axis::counting("iteration", losses.len().max(1) as f64);
    Chart { title: "Loss history".to_owned(), x, y, series, legend }
}

/// The epochs' axis is as long as `iterations`, so that it stands below theirs.
fn accuracy_chart(iterations: usize, epochs: &[EpochPoint]) -> Chart {
    let last = match epochs {
        [first, second, ..] => iterations as f64 / (second.iteration - first.iteration) as f64,
        _ => 1.0,
    };
    let line = |name: &str, colour, accuracy: fn(&EpochPoint) -> f64| Series {
        name: name.to_owned(),
        points: epochs.iter().map(|point| (point.epoch as f64, 100.0 * accuracy(point))).collect(),
        spread: vec![],
        look: if epochs.len() <= DOTS { Look::Dots } else { Look::Line },
        colour,
    };
    let series = vec![
        line("training minibatch", 0, |point| point.train_accuracy),
        line("validation", 1, |point| point.val_accuracy),
    ];
    let values = series.iter().flat_map(|series| series.points.iter().map(|(_, accuracy)| *accuracy));
    Chart {
        title: "Classification accuracy history".to_owned(),
        x: Axis::counting("epoch", last),
        y: Axis::around("accuracy, %", values),
        series,
        legend: Legend::LowerRight,
    }
}

/// The mean of each value and its neighbours, `reach` on either side; fewer at the ends.
fn smoothed(values: &[f64], reach: usize) -> Vec<f64> {
    // sums[n] is the sum of the first n.
    let mut sums = vec![0.0];
    sums.extend(values.iter().scan(0.0, |sum, value| {
        *sum += value;
        Some(*sum)
    }));
    let mean = |at: usize| {
        let (from, to) = (at.saturating_sub(reach), (at + reach + 1).min(values.len()));
        (sums[to] - sums[from]) / (to - from) as f64
    };
    (0..values.len()).map(mean).collect()
}

/// Values over their number; where they are very many, the lowest and the highest of every bucket, in their order.
fn thinned(values: &[f64]) -> Vec<(f64, f64)> {
    let points = values.iter().copied().enumerate();
    if values.len() <= 2 * BUCKETS {
        return points.map(|(at, value)| (at as f64, value)).collect();
    }
    let all: Vec<(usize, f64)> = points.collect();
    let ends = |bucket: &[(usize, f64)]| {
        let low = bucket.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).expect("a bucket has points");
        let high = bucket.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).expect("a bucket has points");
        if low.0 < high.0 { [low, high] } else { [high, low] }
    };
    all.chunks(all.len().div_ceil(BUCKETS)).flat_map(ends).map(|(at, value)| (at as f64, value)).collect()
}
