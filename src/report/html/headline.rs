//! In one sentence: asked, done, missing, diverged; the best, with its interval and with what it cannot be distinguished from.

use super::super::publish::Summary;
use super::super::view::{View, percent};
use super::text::{count, escaped, thousands};

/// What confirmation found, as plain text.
fn confirmed(view: &View<'_>) -> Option<String> {
    let (group, best) = view.confirmed()?;
    let of = match best.of {
        1 => String::new(),
        of => format!(", the best of {of} configurations that were trained once more"),
    };
    Some(format!("Confirmed validation accuracy: {}, with {}{of}.", best.measured(2), view.configuration(&group.at)))
}

/// The best result in a sentence, as plain text; none before a trial is complete.
pub fn best(view: &View<'_>) -> Option<String> {
    let best = view.groups.best()?;
    let mean = best.mean?;
    let configuration = view.configuration(&best.at);
    let of = match best.deviation {
        Some(deviation) => format!(
            "{:.2} ± {:.2} % (mean and standard deviation of {}{})",
            100.0 * mean,
            100.0 * deviation,
            count(best.complete, view.groups.noun()),
            interval(best.interval)
        ),
        None => {
            let images = view.images.map_or(String::new(), |images| format!(" of {} images", thousands(images)));
            format!("{}{images} (one {}{})", percent(mean, 2), view.groups.noun(), interval(best.interval))
        }
    };
    let others = view.groups.groups.iter().filter(|group| group.mean.is_some()).count().saturating_sub(1);
    let (ties, compared) = view.ties();
    let ties = match others {
        0 => String::new(),
        _ => format!(
            " {} of the {} other configurations cannot be distinguished from it with 95 % confidence ({compared}).",
            thousands(ties),
            thousands(others)
        ),
    };
    let optimism = match others {
        0 => String::new(),
        _ => {
            let best = view.summary.best_configuration.as_ref();
            let of = best.map_or(others + 1, |best| best.of);
            let corrected = best.and_then(|best| best.corrected_val_accuracy).map_or(String::new(), |corrected| {
                format!("; corrected for the choice it is {}", percent(corrected, 2))
            });
            format!(
                " It is the best of {} on the same validation images, so the figure is optimistic{corrected}. Measure it once on the test split.",
                thousands(of)
            )
        }
    };
    Some(format!("Best validation accuracy: {of}, with {configuration}.{ties}{optimism}"))
}

fn interval(interval: Option<(f64, f64)>) -> String {
    interval.map_or(String::new(), |(low, high)| format!("; 95 %: {:.1}–{:.1}", 100.0 * low, 100.0 * high))
}

/// How far the sweep is, as plain text.
pub fn state(view: &View<'_>) -> String {
    let summary = &view.summary;
    let configurations = view.groups.groups.len();
    let repeats = match view.groups.repeats.len() {
        1 => String::new(),
        repeats => {
            let repeats = count(repeats, view.groups.noun());
            format!(", {} with {repeats}", count(configurations, "configuration"))
        }
    };
    let not_run = match summary.not_run {
        0 => String::new(),
        not_run => format!(", {} beyond the budget", thousands(not_run)),
    };
    format!(
        "{} of {}{repeats}: {} complete, {} diverged{}, {} failed, {} missing{not_run}.",
        thousands(summary.trials - summary.missing - summary.not_run),
        count(summary.trials, "trial"),
        thousands(summary.complete),
        thousands(summary.diverged),
        stopped(summary),
        thousands(summary.failed),
        thousands(summary.missing),
    )
}

/// How many trials were stopped at cuts, behind a comma; nothing where none were.
pub fn stopped(summary: &Summary) -> String {
    match summary.stopped {
        0 => String::new(),
        stopped => format!(", {} stopped at a cut", thousands(stopped)),
    }
}

/// The section.
pub fn section(view: &View<'_>) -> String {
    let best = best(view).unwrap_or_else(|| "No trial is complete yet.".to_owned());
    let (head, rest) = match confirmed(view) {
        Some(confirmed) => (confirmed, best),
        None => match best.split_once(". ") {
            Some((head, rest)) => (format!("{head}."), rest.to_owned()),
            None => (best, String::new()),
        },
    };
    let of_search = view.groups.best().map(|group| (group.mean.unwrap_or(0.0), group.deviation));
    let of_confirmed = view.confirmed().map(|(_, best)| (best.estimate.val_mean, best.estimate.val_sd));
    let numbers = of_confirmed.or(of_search).map_or(String::new(), |(mean, deviation)| {
        let spread = deviation.map_or(String::new(), |sd| format!("<span class=\"sd\"> ± {:.2}</span>", 100.0 * sd));
        format!("<p class=\"figure\">{:.2}{spread}<span class=\"unit\"> %</span></p>", 100.0 * mean)
    });
    let progress = match view.summary.missing {
        0 => String::new(),
        _ => {
            let done = view.summary.trials - view.summary.missing;
            format!("<progress max=\"{}\" value=\"{done}\">{done} done</progress>", view.summary.trials)
        }
    };
    format!(
        "<section id=\"summary\" class=\"lead\"><h2>Summary</h2>{numbers}<div><p class=\"state\">{}</p>{progress}<p>{}</p>\
         <p class=\"caption\">{}</p></div></section>\n",
        escaped(&state(view)),
        escaped(&head),
        escaped(&rest)
    )
}
