//! All hyperparameters at once: drawn here as far as paper goes, and alive by the script.

use super::super::drawings::parallel::{LINES, lines};
use super::super::figure::{Style, svg};
use super::super::view::View;
use super::text::{section as whole, thousands};

/// The section.
pub fn section(view: &View<'_>) -> String {
    let axes = view.groups.axes.len();
    let width = (110.0 * (axes + 1) as f64).clamp(700.0, 1100.0);
    let Some(figure) = lines(view, Style { width, ..Style::default() }) else { return String::new() };
    let with_result = view.groups.groups.iter().filter(|group| group.worth.is_some()).count();
    let thinned = match with_result > LINES {
        true => {
            format!(" On paper one line in {} of {}, by rank.", with_result.div_ceil(LINES), thousands(with_result))
        }
        false => String::new(),
    };
    let caption = format!(
        "A line is a configuration, its colour the mean validation accuracy. In the slot of a value lines are in the order of accuracy, the \
         best on top.{thinned} <span class=\"alive\">Click or drag over values to keep only these; drag an axis' name to move it; the fields \
         below do the same from the keyboard.</span>"
    );
    let trials = match view.groups.has_repeats() {
        true => {
            "<label>Lines <select id=\"mode\"><option value=\"configurations\">configurations</option><option \
                 value=\"trials\">trials</option></select></label>"
        }
        false => "",
    };
    let content = format!(
        "<div class=\"controls alive\">{trials}<label>Best <input id=\"top\" type=\"range\" min=\"1\" max=\"100\" value=\"100\"> <output \
         id=\"top-shown\">100 %</output></label></div><div class=\"alive\"><canvas id=\"lines\" role=\"img\" aria-label=\"Parallel plot; the \
         leaderboard below has the same numbers\"></canvas><details id=\"brushes\"><summary>Choose values with the \
         keyboard</summary><div id=\"brush-fields\"></div></details></div><div class=\"static plot\">{}</div>",
        svg::inline(&figure)
    );
    whole("parallel", "All hyperparameters at once", &caption, &content)
}
