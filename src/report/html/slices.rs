//! One hyperparameter at a time.

use super::super::drawings::slices::slice;
use super::super::figure::{Style, svg};
use super::super::view::View;
use super::text::section as whole;

/// The section.
pub fn section(view: &View<'_>) -> String {
    let order = view.axes_by_importance();
    let plots: String = order
        .into_iter()
        .filter_map(|axis| {
            let wide = if view.groups.axes[axis].values.len() > 8 { 560.0 } else { 360.0 };
            let figure = slice(view, axis, Style { width: wide, ..Style::default() })?;
            Some(format!("<figure class=\"plot\">{}</figure>", svg::inline(&figure)))
        })
        .collect();
    if plots.is_empty() {
        return String::new();
    }
    let caption = "A dot is a configuration, its mean over seeds. Blue: mean ± standard deviation over all other hyperparameters. Orange: the \
                   best of them. Of more than 120 dots at a value, an even selection by rank is drawn. Diverged trials count as guessing. \
                   <span class=\"alive\">Click a value to filter by it; diamonds are what the filter leaves: mean (empty) and best (filled).</span>";
    whole("slices", "One hyperparameter at a time", caption, &format!("<div class=\"plots\">{plots}</div>"))
}
