//! What mattered, as bars.

use super::super::figure::{Anchor, Figure, Ink, Style, fitted, width_of};
use super::super::importance::Share;
use super::super::view::View;

/// A share as people read it, with its interval.
pub fn text(share: &Share) -> String {
    let whole = |share: f64| format!("{:.0}", 100.0 * share);
    match share.interval {
        Some((low, high)) => format!("{} % ({}–{})", whole(share.share), whole(low), whole(high)),
        None => format!("{} %", whole(share.share)),
    }
}

/// A bar an axis, the most important first: its share of the variance, and its share in what the best have in common.
pub fn bars(view: &View<'_>, style: Style) -> Option<Figure> {
    let axes = view.axes_by_importance();
    let explained = view.explained.as_ref().ok();
    if axes.is_empty() || (explained.is_none() && view.among_the_best.is_none()) {
        return None;
    }
    let font = style.font;
    let share_of = |axis: usize| {
        let explained = explained?;
        let place = explained.axes.iter().position(|known| *known == axis)?;
        Some(explained.importance.singles[place])
    };
    let best_of = |axis: usize| view.among_the_best.as_ref().map(|(shares, _)| shares[axis]);
    let rows = usize::from(explained.is_some()) + usize::from(view.among_the_best.is_some());
    let (bar, gap) = (1.25 * font, 0.9 * font);
    let step = rows as f64 * bar + gap;
    let top = (0.9 + 1.4 * rows as f64) * font;
    let names = axes.iter().map(|&axis| width_of(view.groups.axes[axis].name, font)).fold(60.0, f64::max);
    let left = names.min(style.width * 0.3) + 14.0;
    let right = style.width - width_of("100 % (100–100)", font) - 12.0;
    let height = top + axes.len() as f64 * step + 2.6 * font;
    let words: Vec<String> = axes
        .iter()
        .map(|&axis| {
            let share = share_of(axis).map_or("not known".to_owned(), |share| text(&share));
            format!("{}: {share}", view.groups.axes[axis].name)
        })
        .collect();
    let mut figure = Figure::new("importance", "What mattered", words.join("; "), (style.width, height));
    let x = |share: f64| left + share.clamp(0.0, 1.0) * (right - left);
    let mut row = 0.9 * font;
    let mut named = |figure: &mut Figure, ink: Ink, name: String| {
        figure.rectangle([left, row - 0.4 * font, font, 0.8 * font], ink, "");
        figure.text((left + 1.4 * font, row), font, Ink::Muted, Anchor::Start, name);
        row += 1.4 * font;
    };
    if explained.is_some() {
        named(&mut figure, Ink::Category(0), "share of the variance between configurations".to_owned());
    }
    if let Some((_, best)) = view.among_the_best {
        named(&mut figure, Ink::Category(1), format!("share in what the best {best} have in common"));
    }
    let bottom = top + axes.len() as f64 * step;
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        figure.line((x(share), top), (x(share), bottom), Ink::Grid, 1.0);
        figure.text((x(share), bottom + font), 0.92 * font, Ink::Muted, Anchor::Middle, format!("{} %", 20 * tick));
    }
    for (row, &axis) in axes.iter().enumerate() {
        let y = top + row as f64 * step + gap / 2.0;
        let name = fitted(view.groups.axes[axis].name, font, left - 14.0);
        figure.text((left - 8.0, y + rows as f64 * bar / 2.0), font, Ink::Text, Anchor::End, name);
        let mut at = y;
        if explained.is_some() {
            match share_of(axis) {
                Some(share) => {
                    figure.rectangle(
                        [left, at, (x(share.share) - left).max(1.0), bar - 2.0],
                        Ink::Category(0),
                        text(&share),
                    );
                    if let Some((low, high)) = share.interval {
                        let middle = at + bar / 2.0 - 1.0;
                        figure.line((x(low), middle), (x(high), middle), Ink::Text, 1.5);
                        for end in [low, high] {
                            figure.line((x(end), middle - 3.0), (x(end), middle + 3.0), Ink::Text, 1.5);
                        }
                    }
                    figure.text((right + 8.0, at + bar / 2.0 - 1.0), font, Ink::Text, Anchor::Start, text(&share));
                }
                None => figure.text((left + 6.0, at + bar / 2.0), font, Ink::Muted, Anchor::Start, "one value so far"),
            }
            at += bar;
        }
        if let Some(share) = best_of(axis) {
            let tip = format!("{:.0} %", 100.0 * share);
            figure.rectangle([left, at, (x(share) - left).max(1.0), bar - 2.0], Ink::Category(1), tip.clone());
            figure.text((right + 8.0, at + bar / 2.0 - 1.0), font, Ink::Muted, Anchor::Start, tip);
        }
    }
    Some(figure)
}
