//! What did not end well, and how to try again.

use super::super::groups::Member;
use super::super::view::View;
use super::headline::stopped;
use super::text::{count, escaped, section as whole, table, thousands};
use crate::train::Status;

/// Rows of each kind.
const ROWS: usize = 50;

/// The section.
pub fn section(view: &View<'_>) -> String {
    let name = escaped(&view.name);
    let all = || view.groups.groups.iter().flat_map(|group| group.members.iter().map(move |member| (group, member)));
    let mut content = String::new();
    let mut list = |title: &str, remedy: &str, of: &dyn Fn(&Member<'_>) -> Option<String>, column: &str| {
        let found: Vec<_> = all().filter_map(|(group, member)| Some((group, member, of(member)?))).collect();
        if found.is_empty() {
            return;
        }
        let row = |(group, member, what): &(&super::super::groups::Group<'_>, &Member<'_>, String)| {
            let repeat = view.groups.name(member.trial.hyperparameters.repeat());
            vec![member.trial.id.clone(), view.configuration(&group.at), repeat, what.clone()]
        };
        let rows: Vec<Vec<String>> = found.iter().take(ROWS).map(row).collect();
        let more = if found.len() > ROWS { format!(" The first {ROWS}:") } else { String::new() };
        let head = ["trial", "configuration", "repeat", column];
        let columns = if column.is_empty() { 3 } else { 4 };
        let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row[..columns].to_vec()).collect();
        content += &format!(
            "<h3>{} {title}</h3><p class=\"caption\">{remedy}{more}</p>{}",
            thousands(found.len()),
            table(&head[..columns], &rows, 2)
        );
    };
    let has = |status: Status| move |member: &Member<'_>| member.status() == Some(status);
    list(
        "failed",
        "The program failed at these: please report it, with the error from their lines in <code>results/</code>. <code>sweep --retry \
         failed</code> trains them again.",
        &|member| {
            has(Status::Failed)(member)
                .then(|| member.record.and_then(|record| record.error.clone()).unwrap_or_default())
        },
        "error",
    );
    list(
        "diverged",
        "The loss was no longer a finite number; mostly the learning rate is too large. <code>sweep --retry diverged</code> trains them again, \
         with the same end.",
        &|member| {
            has(Status::Diverged)(member).then(|| {
                let at = member.record.and_then(|record| record.outcome.diverged_at).unwrap_or_default();
                thousands(at)
            })
        },
        "at iteration",
    );
    list(
        "missing",
        &format!("The command that began the sweep trains them; it is in <code>{name}/environment.json</code>."),
        // What is beyond the budget is not missing: the last trials.
        &|member| {
            (member.record.is_none() && member.place < view.summary.trials - view.summary.not_run).then(String::new)
        },
        "",
    );
    if content.is_empty() {
        let complete = count(view.summary.complete, "trial");
        let verb = if view.summary.complete == 1 { "is" } else { "are" };
        let stopped = stopped(&view.summary);
        return whole("failures", "Failures", "", &format!("<p>None: {complete} {verb} complete{stopped}.</p>"));
    }
    whole("failures", "Failures", "Every trial that failed, diverged or is missing, with its configuration.", &content)
}
