//! The best configuration: its values, and how to train, measure and load it again.

use super::super::groups::label;
use super::super::view::View;
use super::text::{copyable, escaped, section as whole, table};
use crate::model::Hyperparameters;
use crate::model::hyperparameters::Entry;
use crate::sweep::layout::BEST_MODEL;
use crate::sweep::space::Trial;

/// Columns of a command; longer ones go on in the next line.
const COLUMNS: usize = 56;

/// The command that trains a trial again.
pub fn command(trial: &Trial, view: &View<'_>) -> String {
    let defaults = Hyperparameters::default().entries();
    let differs = |entry: &&Entry| defaults.iter().any(|known| known.name == entry.name && known.value != entry.value);
    let entries = trial.hyperparameters.entries();
    let flags = entries
        .iter()
        .filter(differs)
        .map(|entry| format!(" --{} {}", entry.name.replace('_', "-"), entry.value.plain()));
    let mut lines = vec!["mlpgrid train --data data".to_owned()];
    let all = view.split_flags.iter().cloned().chain(flags).chain([" --out best".to_owned()]);
    for flag in all {
        match lines.last_mut() {
            Some(line) if line.len() + flag.len() <= COLUMNS => *line += &flag,
            _ => lines.push(format!("   {flag}")),
        }
    }
    lines.join(" \\\n")
}

/// A word for a shell: in quotes where it has to be.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=,+".contains(letter);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The section.
pub fn section(view: &View<'_>) -> String {
    let confirmed = view.confirmed().map(|(group, _)| group);
    let Some(best) = confirmed.or_else(|| view.groups.best()) else { return String::new() };
    let member = best.best();
    let varied: Vec<Vec<String>> = view
        .groups
        .axes
        .iter()
        .zip(&best.at)
        .map(|(axis, &value)| {
            let others: Vec<String> =
                (0..axis.values.len()).filter(|other| *other != value).map(|other| axis.label(other)).collect();
            let shown = match others.len() {
                0..=12 => others.join(", "),
                many => format!("{many} others, from {} to {}", others[0], others[many - 1]),
            };
            vec![axis.name.to_owned(), axis.label(value), shown]
        })
        .collect();
    let fixed: Vec<String> =
        view.groups.fixed.iter().map(|entry| format!("{} {}", entry.name, label(entry.value))).collect();
    let directory = quoted(&view.name);
    let name = if directory.starts_with('\'') { directory.clone() } else { format!("{directory}/") };
    let eval =
        format!("mlpgrid eval {} --data data --test", if directory.starts_with('\'') { &directory } else { &name });
    let path = format!("{}/{BEST_MODEL}", view.name).replace('\\', "\\\\").replace('"', "\\\"");
    let load = format!(
        "import numpy as np\nfrom safetensors.numpy import load_file\n\nnet = load_file(\"{path}\")\n\n\
         def scores(pixels):\n    # (images, inputs), 0 to 255; each row, column, channel\n    \
         centred = pixels - net[\"mean_image\"]\n    hidden = np.maximum(centred @ net[\"W1\"] + net[\"b1\"], 0)\n    \
         return hidden @ net[\"W2\"] + net[\"b2\"]"
    );
    let has_pixels = member.trial.hyperparameters.recipe().preparation == crate::data::prepare::Preparation::Mean;
    let load = if has_pixels { copyable("copy-load", "Load it in Python", &load) } else { String::new() };
    let mut content = String::from("<div class=\"columns\"><div>");
    if !varied.is_empty() {
        content += &table(&["hyperparameter", "best", "also tried"], &varied, 3);
    }
    let seed = member.trial.hyperparameters.seed;
    content += &format!(
        "<p class=\"caption\">Its best trial is <code>{}</code>, with seed {seed}. The same for all: {}.</p></div><div>",
        escaped(&member.trial.id),
        escaped(&fixed.join(", "))
    );
    content += &copyable("copy-train", "Train its best trial again", &command(member.trial, view));
    content += &copyable("copy-eval", "Measure it on the test split, once", &eval);
    content += &load;
    content += "</div></div>";
    whole("best", "Best configuration", "Commands are for the folder that holds the sweep's directory.", &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_shell_would_read_are_in_quotes() {
        assert_eq!(quoted("tune-2"), "tune-2");
        assert_eq!(quoted("it's <b>"), "'it'\\''s <b>'");
        assert_eq!(quoted("-rf"), "'-rf'");
    }
}
