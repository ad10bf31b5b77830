//! Two hyperparameters at a time.

use super::super::drawings::pairs::{heat_map, shown};
use super::super::figure::Style;
use super::super::view::View;
use super::captioned;
use super::text::section as whole;

/// More small heat maps than this are not drawn: the large one shows each.
const MOST: usize = 45;

/// The section.
pub fn section(view: &View<'_>) -> String {
    let pairs = shown(view);
    let figures = pairs.iter().take(MOST).filter_map(|&(a, b)| {
        let wide = if view.groups.axes[b].values.len() > 8 { 720.0 } else { 400.0 };
        let figure = heat_map(view, a, b, Style { width: wide, font: 11.0 })?;
        Some(captioned(&format!("{} × {}", view.groups.axes[a].name, view.groups.axes[b].name), &figure))
    });
    let figures: String = figures.collect();
    if figures.is_empty() {
        return String::new();
    }
    let open = if pairs.len() <= 6 { " open" } else { "" };
    let content = format!(
        "<div class=\"alive\"><div class=\"controls\"><label>Rows <select id=\"pair-a\"></select></label><label>Columns <select \
         id=\"pair-b\"></select></label><label>Cells <select id=\"measure\"><option value=\"mean\">mean</option><option \
         value=\"best\">best</option></select></label></div><div class=\"scroll\" id=\"pair\"></div></div><details{open}><summary>All \
         pairs</summary><div class=\"plots\">{figures}</div></details>"
    );
    let caption = "Validation accuracy in %, over all other hyperparameters; diverged trials count as guessing. A grey cell has no result, one \
                   with a cross only diverged trials. <span class=\"alive\">The large map follows the filter; click a cell to filter by it.</span>";
    whole("pairs", "Two hyperparameters at a time", caption, &content)
}
