//! What mattered: shares of variance, the strongest interaction, and what a wrong value costs.

use super::super::drawings::slices::marginal;
use super::super::drawings::{importance as bars, pairs};
use super::super::figure::{Style, svg};
use super::super::view::{Explained, View};
use super::text::{count, escaped, section as whole, table};

/// The section.
pub fn section(view: &View<'_>) -> String {
    if view.groups.axes.is_empty() {
        return String::new();
    }
    let mut content = String::new();
    let caption = match &view.explained {
        Ok(explained) => how(view, explained),
        Err(why) => {
            let instead = match view.among_the_best {
                Some(_) => "Shown is what the best have in common.",
                None => "What the best have in common takes ten configurations with a result.",
            };
            format!("{} {instead}", escaped(why))
        }
    };
    content += "<div class=\"columns\"><div>";
    if let Some(figure) = bars::bars(view, Style { width: 560.0, ..Style::default() }) {
        content += &format!("<div class=\"plot\">{}</div>", svg::inline(&figure));
    }
    if let Ok(explained) = &view.explained {
        content += &format!("<p>{}</p>", escaped(&shares(view, explained)));
    }
    content += "</div><div>";
    if let Some((a, b)) = pairs::strongest(view)
        && let Some(mut figure) = pairs::heat_map(view, a, b, Style { width: 520.0, ..Style::default() })
    {
        figure.name = format!("strongest-{}", figure.name);
        let what = if pairs::has_strongest(view) { "Strongest pair" } else { "The two that matter most" };
        let (a, b) = (view.groups.axes[a].name, view.groups.axes[b].name);
        let title = format!("{what}: {a} and {b}, mean accuracy in %");
        content += &format!("<h3>{}</h3><div class=\"plot\">{}</div>", escaped(&title), svg::inline(&figure));
    }
    content += "</div></div>";
    let costs = costs(view);
    if !costs.is_empty() {
        content += "<h3>What a wrong value costs</h3><p class=\"caption\">In points of accuracy against the axis' best value: the mean over \
                    all configurations with it, and the best of them. A large first and a small second figure mean that other values can make \
                    up for it.</p>";
        content += &table(&["hyperparameter", "best value", "others: mean / best, in points"], &costs, 3);
    }
    whole("importance", "What mattered", &caption, &content)
}

fn how(view: &View<'_>, explained: &Explained) -> String {
    let mut text = format!(
        "Exact functional analysis of variance of the mean accuracies of a full grid of {}",
        count(explained.cells, "configuration")
    );
    text += &match explained.seeds {
        1 => " without repeats; interactions of three and more stand for noise".to_owned(),
        repeats => {
            let noun = view.groups.noun();
            format!(" with {} as blocks; noise between them is taken off", count(repeats, noun))
        }
    };
    let has_interval = explained.importance.singles.iter().any(|single| single.interval.is_some());
    text += match has_interval {
        true => ". Intervals (95 %): seeds drawn again.",
        false => ". No intervals: they need three seeds.",
    };
    text +=
        " Shares depend on which values were listed, each with the same weight: an extra bad value raises its axis.";
    if explained.diverged > 0 {
        text += &format!(" {} that diverged count as guessing.", count(explained.diverged, "trial"));
    }
    if !explained.left_out.is_empty() {
        text += &format!(" Left out, so that the grid has no holes: {}.", explained.left_out);
    }
    if let Some(order) = &explained.order_without_diverged {
        let names: Vec<&str> = order.iter().map(|&axis| view.groups.axes[axis].name).collect();
        text += &format!(" Without the values at which trials diverged the order is another: {}.", names.join(", "));
    }
    escaped(&text)
}

/// What axes explain alone, in pairs and otherwise, in a sentence.
fn shares(view: &View<'_>, explained: &Explained) -> String {
    let importance = &explained.importance;
    let whole = |share: f64| format!("{:.0} %", 100.0 * share);
    let singles: f64 = importance.singles.iter().map(|single| single.share).sum();
    let pairs: f64 = importance.pairs.iter().map(|pair| pair.2.share).sum();
    let mut text = format!(
        "Single hyperparameters explain {}, pairs {}, the rest {}.",
        whole(singles),
        whole(pairs),
        whole(importance.rest)
    );
    if let Some((a, b, share)) = importance.pairs.first().filter(|pair| pair.2.share >= 0.005) {
        let name = |axis: &usize| view.groups.axes[explained.axes[*axis]].name;
        text += &format!(" The strongest interaction is {} with {}: {}.", name(a), name(b), bars::text(share));
    }
    let points = |deviation: f64| format!("{:.2} points", 100.0 * deviation);
    match (importance.noise, importance.of_seeds) {
        (Some(noise), Some(of_seeds)) => {
            text += &format!(
                " Between seeds, a configuration's accuracy moves by {} (standard deviation), and all of them together by {}.",
                points(noise),
                points(of_seeds)
            );
        }
        (Some(noise), None) => text += &format!(" Noise, as far as it can be seen with one seed: {}.", points(noise)),
        (None, _) => text += " Noise cannot be measured here, so shares contain it.",
    }
    text
}

fn costs(view: &View<'_>) -> Vec<Vec<String>> {
    let mut rows = vec![];
    for axis in view.axes_by_importance() {
        let it = &view.groups.axes[axis];
        if !it.is_listed() {
            continue;
        }
        let found: Vec<_> =
            (0..it.values.len()).filter_map(|value| Some((value, marginal(view, axis, value)?))).collect();
        let Some((best, of_best)) = found.iter().max_by(|a, b| a.1.mean.total_cmp(&b.1.mean)) else { continue };
        let highest = found.iter().map(|(_, found)| found.best).fold(0.0, f64::max);
        let others: Vec<String> = found
            .iter()
            .filter(|(value, _)| value != best)
            .map(|(value, found)| {
                let (mean, top) = (100.0 * (found.mean - of_best.mean), 100.0 * (found.best - highest));
                format!("{}: {} / {}", it.label(*value), signed(mean), signed(top))
            })
            .collect();
        rows.push(vec![it.name.to_owned(), it.label(*best), others.join(";  ")]);
    }
    rows
}

/// Points with a proper minus sign.
fn signed(points: f64) -> String {
    let text = format!("{:.1}", points.abs());
    match text.as_str() {
        "0.0" => "0.0".to_owned(),
        _ if points < 0.0 => format!("−{text}"),
        _ => format!("+{text}"),
    }
}
