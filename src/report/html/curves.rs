//! Learning curves.

use super::super::drawings::curves::{CURVES, accuracy, loss};
use super::super::figure::Style;
use super::super::view::View;
use super::text::section as whole;
use super::titled;

/// The section.
pub fn section(view: &View<'_>) -> String {
    let style = Style { width: 540.0, ..Style::default() };
    let figures = titled([accuracy(view, style), loss(view, style)].into_iter().flatten());
    if figures.is_empty() {
        return String::new();
    }
    let caption = format!(
        "Measured where each epoch begins. <span class=\"static\">The best trial of each of the {CURVES} best configurations; the best in \
         orange.</span><span class=\"alive\">All trials that the filter leaves, faint; on top the best in orange and what is pinned.</span> Seconds \
         are a trial's share of its cohort's time."
    );
    let val_loss = match super::payload::has_val_loss(view) {
        true => "<option value=\"val_loss\">validation loss</option>",
        false => "",
    };
    let content = format!(
        "<div class=\"alive\"><div class=\"controls\"><label>Show <select id=\"metric\"><option value=\"val\">validation \
         accuracy</option><option value=\"train\">minibatch accuracy</option><option value=\"loss\">minibatch loss with \
         penalty</option>{val_loss}</select></label><label>By <select id=\"by\"><option value=\"epoch\">epoch</option><option \
         value=\"seconds\">seconds</option></select></label></div><canvas id=\"cloud\" role=\"img\" aria-label=\"Learning curves; curves.csv has \
         the numbers\"></canvas><ul class=\"legend\" id=\"cloud-legend\"></ul></div><div class=\"static plots\">{figures}</div>"
    );
    whole("curves", "Learning curves", &caption, &content)
}
