//! Cuts: which configurations went on, and whether their ranks then were those at the end.

use super::super::drawings::rungs::{agreement, courses, lines, ranks};
use super::super::figure::Style;
use super::super::statistics::correlation;
use super::super::view::{View, percent};
use super::text::{section as whole, table, thousands};
use super::titled;

/// The section; empty without cuts.
pub fn section(view: &View<'_>) -> String {
    if view.cuts.is_empty() {
        return String::new();
    }
    let style = Style { width: 540.0, ..Style::default() };
    let courses = courses(view);
    let agreements = (0..view.cuts.len()).filter_map(|cut| agreement(view, &courses, cut, style));
    let figures = titled(lines(view, &courses, style).into_iter().chain(agreements));
    let row = |(cut, decision): (usize, &crate::sweep::search::Decision)| {
        let [reached, kept] = decision.configurations;
        let accuracy =
            |kept: bool| decision.trials.iter().filter(move |one| one.kept == kept).map(|one| one.val_accuracy);
        let shown = |accuracy: Option<f64>| accuracy.map_or("–".to_owned(), |accuracy| percent(accuracy, 2));
        let pairs = ranks(&courses, cut);
        let agrees = if pairs.len() < 3 { None } else { correlation(&pairs) };
        vec![
            decision.cut.to_string(),
            format!("{:.1} %", 100.0 * decision.at),
            thousands(reached),
            thousands(kept),
            shown(accuracy(true).flatten().reduce(f64::min)),
            shown(accuracy(false).flatten().reduce(f64::max)),
            agrees.map_or("–".to_owned(), |agrees| format!("{agrees:.2}").replace('-', "−")),
        ]
    };
    let rows: Vec<Vec<String>> = view.cuts.iter().enumerate().map(row).collect();
    let head = [
        "cut",
        "after so much of the training",
        "configurations",
        "kept",
        "lowest accuracy kept",
        "highest dropped",
        "agreement with the end",
    ];
    let caption = "At a cut the best configurations go on, and the others end there. Lines: mean accuracy at each cut, grey where it was dropped; the \
                   best in orange. Dots: of what went on to the end, the rank at a cut and at the end; on the diagonal both agree. Agreement is \
                   Spearman's rank correlation of these: they were chosen at the cut, so it is lower than among all. The table's accuracies are of \
                   single trials; a configuration is judged by the mean of its repeats.";
    let content = format!("{}<div class=\"plots\">{figures}</div>", table(&head, &rows, 0));
    whole("rungs", "Cuts", caption, &content)
}
