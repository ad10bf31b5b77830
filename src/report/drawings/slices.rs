//! One axis at a time: what each of its values reaches over all others.

use super::super::chart::Axis as Ticks;
use super::super::figure::{Anchor, Figure, Ink, Style, fitted, width_of};
use super::super::groups::Group;
use super::super::statistics::{deviation, mean};
use super::super::view::{View, percent};
use super::{Frame, accuracies};

/// At most so many dots at a value; of more, every so-manieth by rank, the best among them.
const DOTS: usize = 120;

/// What one value of an axis reaches.
#[derive(Clone, Debug, PartialEq)]
pub struct Marginal {
    /// Configurations that have it, and a result.
    pub configurations: usize,
    /// Mean of what they are worth, diverged trials as guessing.
    pub mean: f64,
    /// Standard deviation over them.
    pub deviation: Option<f64>,
    /// The best configuration's mean over seeds.
    pub best: f64,
    /// Share of recorded trials that diverged.
    pub diverged: f64,
}

/// What a value of an axis reaches; none before there is a result.
pub fn marginal(view: &View<'_>, axis: usize, value: usize) -> Option<Marginal> {
    let groups = || view.groups.groups.iter().filter(|group| group.at[axis] == value);
    let worths: Vec<f64> = groups().filter_map(|group| group.worth).collect();
    let diverged: usize = groups().map(|group| group.diverged).sum();
    let recorded: usize = groups().map(|group| group.diverged + group.complete).sum();
    Some(Marginal {
        configurations: worths.len(),
        mean: mean(&worths)?,
        deviation: deviation(&worths),
        best: worths.iter().copied().fold(0.0, f64::max),
        diverged: diverged as f64 / recorded.max(1) as f64,
    })
}

/// The chart of an axis: dots, mean ± standard deviation and best at each value, and below the share that diverged.
pub fn slice(view: &View<'_>, axis: usize, style: Style) -> Option<Figure> {
    view.groups.groups.iter().find(|group| group.worth.is_some())?;
    let (font, it) = (style.font, &view.groups.axes[axis]);
    let ticks = accuracies(view);
    let any_diverged = view.summary.diverged > 0;
    let names: Vec<String> = (0..it.values.len()).map(|value| it.label(value)).collect();
    let widest = names.iter().map(|name| width_of(name, 0.92 * font)).fold(0.0, f64::max);
    let below_label = if any_diverged { width_of("diverged", 0.92 * font) + 10.0 } else { 0.0 };
    let left = Frame::left_of(&ticks, font).max(below_label);
    let slot = (style.width - left - 10.0) / names.len() as f64;
    let turned = it.is_listed() && widest + 6.0 > slot;
    let labels = if turned { widest.min(90.0) + 0.8 * font } else { 1.6 * font };
    let below = if any_diverged { 3.4 * font } else { 0.0 };
    let height = 210.0 + 2.2 * font + labels + below + 2.0 * font;
    let frame = Frame { left, top: 2.2 * font, right: style.width - 10.0, bottom: 2.2 * font + 210.0 };
    let marginals: Vec<Option<Marginal>> = (0..names.len()).map(|value| marginal(view, axis, value)).collect();
    let words: Vec<String> = names
        .iter()
        .zip(&marginals)
        .filter_map(|(name, found)| {
            let found = found.as_ref()?;
            Some(format!("{name}: mean {}, best {}", percent(found.mean, 1), percent(found.best, 1)))
        })
        .take(30)
        .collect();
    let mut figure = Figure::new(
        &format!("slice-{}", it.name),
        &format!("Accuracy by {}", it.name),
        words.join("; "),
        (style.width, height),
    );
    figure.heading((left, 0.9 * font), 1.05 * font, Anchor::Start, it.name);
    frame.upright(&mut figure, &ticks, font);
    figure.scale = Some([frame.bottom, frame.top, ticks.range.start / 100.0, ticks.range.end / 100.0]);
    if it.is_listed() {
        listed(&mut figure, view, axis, (&frame, &ticks, font), &names, &marginals);
        let base = frame.bottom;
        for (value, name) in names.iter().enumerate() {
            let x = frame.left + slot * (value as f64 + 0.5);
            if turned {
                let name = fitted(name, 0.92 * font, 90.0);
                let reach = width_of(&name, 0.92 * font) / 2.0;
                figure.upwards((x, base + 6.0 + reach), 0.92 * font, Ink::Text, name);
            } else {
                figure.text((x, base + font), 0.92 * font, Ink::Text, Anchor::Middle, name);
            }
        }
        if any_diverged {
            diverged(&mut figure, &frame, base + labels + 0.6 * font, font, slot, &marginals);
        }
        let tip = |value: usize| {
            let what = marginals[value].as_ref().map_or("no result yet".to_owned(), |found| {
                let spread = found.deviation.map_or(String::new(), |sd| format!(" ± {:.1}", 100.0 * sd));
                format!(
                    "mean {:.1}{spread} %, best {}, {} configurations, {} diverged",
                    100.0 * found.mean,
                    percent(found.best, 1),
                    found.configurations,
                    percent(found.diverged, 0)
                )
            });
            format!("{} {}: {what}", it.name, names[value])
        };
        for value in 0..names.len() {
            let place = [frame.left + slot * value as f64, frame.top, slot, frame.bottom - frame.top + labels];
            figure.marks.push(super::super::figure::Mark::Area { place, value: (axis, value), tip: tip(value) });
        }
    } else {
        numbers(&mut figure, view, axis, &frame, &ticks, font);
    }
    Some(figure)
}

fn listed(
    figure: &mut Figure,
    view: &View<'_>,
    axis: usize,
    (frame, ticks, font): (&Frame, &Ticks, f64),
    names: &[String],
    marginals: &[Option<Marginal>],
) {
    let slot = (frame.right - frame.left) / names.len() as f64;
    let mut of_value: Vec<Vec<&Group<'_>>> = vec![vec![]; names.len()];
    view.groups
        .groups
        .iter()
        .filter(|group| group.worth.is_some())
        .for_each(|group| of_value[group.at[axis]].push(group));
    for (value, groups) in of_value.iter().enumerate() {
        let middle = frame.left + slot * (value as f64 + 0.5);
        let every = groups.len().div_ceil(DOTS).max(1);
        for (place, group) in groups.iter().enumerate().step_by(every) {
            // Beside each other by the golden section: no two neighbours in rank meet.
            let beside = ((place as f64 * 0.618_034).fract() - 0.5) * 0.5 * slot.min(60.0);
            let worth = group.worth.unwrap_or(0.0);
            let y = frame.y(ticks, 100.0 * worth);
            figure.marks.push(super::super::figure::Mark::Dot {
                at: (middle + beside, y),
                radius: 2.0,
                ink: if group.complete == 0 { Ink::Diverged } else { Ink::Muted },
                opacity: 0.4,
                tip: String::new(),
            });
        }
    }
    let points = |of: &dyn Fn(&Marginal) -> f64| -> Vec<(f64, f64)> {
        let at = |(value, found): (usize, &Option<Marginal>)| {
            Some((frame.left + slot * (value as f64 + 0.5), frame.y(ticks, 100.0 * of(found.as_ref()?))))
        };
        marginals.iter().enumerate().filter_map(at).collect()
    };
    for (name, ink, of) in [
        ("best", Ink::Category(1), (|found: &Marginal| found.best) as fn(&Marginal) -> f64),
        ("mean ± s.d.", Ink::Category(0), |found: &Marginal| found.mean),
    ] {
        let points = points(&of);
        figure.path(points.clone(), ink, 2.0, 1.0);
        for (at, found) in points.iter().zip(marginals.iter().flatten()) {
            if let (Some(sd), true) = (found.deviation, ink == Ink::Category(0)) {
                let (low, high) = (100.0 * (found.mean - sd), 100.0 * (found.mean + sd));
                figure.line((at.0, frame.y(ticks, low)), (at.0, frame.y(ticks, high)), ink, 2.0);
            }
            figure.dot(*at, 3.5, ink, "");
        }
        let x = frame.right - if name == "best" { 0.0 } else { width_of("best", font) + 3.0 * font };
        figure.text((x, 0.9 * font), 0.92 * font, Ink::Muted, Anchor::End, name);
        figure.dot((x - width_of(name, 0.92 * font) - 8.0, 0.9 * font), 3.5, ink, "");
    }
}

fn diverged(figure: &mut Figure, frame: &Frame, top: f64, font: f64, slot: f64, marginals: &[Option<Marginal>]) {
    let height = 1.5 * font;
    figure.text((frame.left - 6.0, top + height / 2.0), 0.92 * font, Ink::Muted, Anchor::End, "diverged");
    figure.line((frame.left, top + height), (frame.right, top + height), Ink::Grid, 1.0);
    for (value, found) in marginals.iter().enumerate() {
        let Some(found) = found else { continue };
        let middle = frame.left + slot * (value as f64 + 0.5);
        let width = slot.min(46.0) * 0.8;
        let tall = (height * found.diverged).max(if found.diverged > 0.0 { 1.0 } else { 0.0 });
        if tall > 0.0 {
            let tip = format!("{} diverged", percent(found.diverged, 0));
            figure.rectangle([middle - width / 2.0, top + height - tall, width, tall], Ink::Diverged, tip);
        }
        if slot > 3.2 * font {
            let text = format!("{:.0} %", 100.0 * found.diverged);
            figure.text((middle, top + height + 0.8 * font), 0.8 * font, Ink::Muted, Anchor::Middle, text);
        }
    }
}

/// Over numbers: an axis of many values, such as drawn ones.
fn numbers(figure: &mut Figure, view: &View<'_>, axis: usize, frame: &Frame, ticks: &Ticks, font: f64) {
    let it = &view.groups.axes[axis];
    let numbers = it.numbers();
    let (logarithmic, label) = (it.is_logarithmic(), it.name);
    let place = |number: f64| if logarithmic { number.log10() } else { number };
    let level = match logarithmic {
        true => Ticks::of_logarithms(&format!("{label}, logarithmic"), numbers.iter().map(|number| place(*number))),
        false => Ticks::around(label, numbers.iter().copied()),
    };
    frame.level(figure, &level, font);
    let every = view.groups.groups.len().div_ceil(20 * DOTS).max(1);
    for group in view.groups.groups.iter().step_by(every) {
        let Some(worth) = group.worth else { continue };
        let x = frame.x(&level, place(numbers[group.at[axis]]));
        let ink = if group.complete == 0 { Ink::Diverged } else { Ink::Category(0) };
        let at = (x, frame.y(ticks, 100.0 * worth));
        figure.marks.push(super::super::figure::Mark::Dot { at, radius: 2.5, ink, opacity: 0.55, tip: String::new() });
    }
}
