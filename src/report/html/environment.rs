//! What made the results: program, machine, data, sweep file, files.

use super::super::view::View;
use super::text::{copyable, escaped, section as whole, table};

/// The section.
pub fn section(view: &View<'_>) -> String {
    let mut rows: Vec<Vec<String>> = vec![];
    if let Some(serde_json::Value::Object(environment)) = &view.environment {
        for (key, value) in environment {
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Array(words) => {
                    words.iter().map(|word| word.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ")
                }
                serde_json::Value::Object(parts) => {
                    let part = |(key, value): (&String, &serde_json::Value)| match value {
                        serde_json::Value::String(text) => format!("{key} {text}"),
                        other => format!("{key} {other}"),
                    };
                    parts.iter().map(part).collect::<Vec<_>>().join(", ")
                }
                other => other.to_string(),
            };
            rows.push(vec![key.replace('_', " "), text]);
        }
    }
    let kernels: Vec<String> =
        view.summary.kernels.iter().map(|(kernel, trials)| format!("{kernel}: {trials} trials")).collect();
    if !kernels.is_empty() {
        rows.push(vec!["kernels of the results".to_owned(), kernels.join(", ")]);
    }
    let files = [
        ("leaderboard.csv", "every trial that has a result, best first"),
        ("configurations.csv", "every configuration with its mean over seeds, best first"),
        ("curves.csv", "accuracy and loss by epoch, one row a point"),
        ("summary.json", "this page's figures for programs"),
        ("results/*.jsonl", "one line a trial, with its checksum"),
        ("best.safetensors", "the best network"),
        ("sweep.toml", "the sweep file, with everything spelled out"),
        ("environment.json", "program, machine, data, command of the latest run"),
    ];
    let files: Vec<Vec<String>> =
        files.iter().map(|(name, what)| vec![(*name).to_owned(), (*what).to_owned()]).collect();
    let content = format!(
        "<div class=\"columns\"><div><h3>Latest run</h3>{}<h3>Files beside this page</h3>{}</div><div>{}<p class=\"caption\">Data: {}. This page \
         loads nothing: its content security policy forbids it.</p></div></div>",
        table(&["what", "value"], &rows, 2),
        table(&["file", "holds"], &files, 2),
        copyable("copy-sweep", "Sweep file, resolved", view.sweep_file.trim_end()),
        escaped(view.data_set),
    );
    whole("environment", "Environment", "", &content)
}
