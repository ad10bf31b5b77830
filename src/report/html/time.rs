//! Where the time went.

use super::super::drawings::time::{done, seconds};
use super::super::figure::Style;
use super::super::view::View;
use super::text::section as whole;
use super::titled;

/// The section.
pub fn section(view: &View<'_>) -> String {
    let style = Style { width: 540.0, ..Style::default() };
    let figures = titled([done(view, style), seconds(view, style)].into_iter().flatten());
    if figures.is_empty() {
        return String::new();
    }
    let caption = "By the machines' clocks, from each record. Ticks below the line: when trials ended, a row a machine. Seconds are a trial's share of \
                   its cohort's time, the mean over trials.";
    whole("time", "Time", caption, &format!("<div class=\"plots\">{figures}</div>"))
}
