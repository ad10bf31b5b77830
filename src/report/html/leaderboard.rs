//! The configurations, best first.

use super::super::groups::Group;
use super::super::view::View;
use super::text::{count, section as whole, table, thousands};

/// Rows that stand in the page without its script.
const ROWS: usize = 100;

/// Mean ± standard deviation (n) of a group.
pub fn mean(group: &Group<'_>) -> String {
    match (group.mean, group.deviation, group.dropped) {
        (Some(mean), Some(deviation), _) => format!("{:.2} ± {:.2}", 100.0 * mean, 100.0 * deviation),
        (Some(mean), None, _) => format!("{:.2}", 100.0 * mean),
        _ if group.diverged > 0 => "diverged".to_owned(),
        (_, _, Some((cut, accuracy))) => format!("{:.2} at cut {cut}", 100.0 * accuracy),
        _ if group.members.iter().any(|member| member.record.is_some()) => "failed".to_owned(),
        _ => "no result yet".to_owned(),
    }
}

/// The section.
pub fn section(view: &View<'_>) -> String {
    let groups = &view.groups;
    let best = groups.best().and_then(|group| group.mean);
    let mut head = vec!["rank", "accuracy, %", "n", "95 % interval", "of the best"];
    head.extend(groups.axes.iter().map(|axis| axis.name));
    // A column of nothing takes the room of one of numbers.
    let has_diverged = groups.groups.iter().any(|group| group.diverged > 0);
    head.extend(has_diverged.then_some("diverged"));
    head.extend(["seconds", "best trial"]);
    let row = |(place, group): (usize, &Group<'_>)| {
        let mut row = vec![(place + 1).to_string(), mean(group), group.complete.to_string()];
        row.push(group.interval.map_or(String::new(), |(low, high)| format!("{:.1}–{:.1}", 100.0 * low, 100.0 * high)));
        row.push(group.mean.zip(best).map_or(String::new(), |(mean, best)| format!("{:.3}", mean / best)));
        row.extend(groups.axes.iter().zip(&group.at).map(|(axis, &value)| axis.label(value)));
        let diverged = if group.diverged > 0 { group.diverged.to_string() } else { String::new() };
        row.extend(has_diverged.then_some(diverged));
        row.push(group.seconds.map_or(String::new(), |seconds| format!("{seconds:.1}")));
        row.push(group.best().trial.id.clone());
        row
    };
    let rows: Vec<Vec<String>> = groups.groups.iter().enumerate().take(ROWS).map(row).collect();
    let more = match groups.groups.len() > ROWS {
        true => format!(
            " On paper the first {ROWS} of {}; <code>leaderboard.csv</code> has all trials.",
            thousands(groups.groups.len())
        ),
        false => String::new(),
    };
    let what = match groups.has_repeats() {
        true => {
            "Mean ± standard deviation over seeds (n of them complete), ranked with diverged trials as guessing; intervals of the mean by \
                 Student's t"
        }
        false => "Accuracy of one seed; intervals by Wilson's formula over the validation images",
    };
    let caption = format!(
        "{what}.{more} <span class=\"alive\">Click a heading to sort, a row to pin it: pinned rows stand out in every plot. Filters: \
         <code>hidden&gt;=100 l2&lt;0.1</code>, <code>mean&gt;0.5</code>, <code>optimizer=adam,sgd</code>, <code>seed=1</code>.</span>"
    );
    let content = format!(
        "<div class=\"controls alive\"><button type=\"button\" id=\"copy-csv\">Copy rows as CSV</button><button type=\"button\" \
         id=\"copy-markdown\">Copy rows as Markdown</button><button type=\"button\" id=\"unpin\">Unpin all</button><output \
         id=\"rows-shown\">{}</output></div><div class=\"alive\" id=\"rows\" tabindex=\"0\" role=\"region\" \
         aria-label=\"Leaderboard\"></div><div class=\"static\">{}</div>",
        count(groups.groups.len(), "configuration"),
        table(&head, &rows, 0)
    );
    whole("leaderboard", "Leaderboard", &caption, &content)
}
