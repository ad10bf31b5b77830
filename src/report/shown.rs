//! In which form progress and messages go to stderr: chosen once, at the start of the program.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::SystemTime;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

/// The version of the JSON events. Fields and events are added without a new one.
const EVENTS_VERSION: u32 = 1;

/// The form of progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A live view where stderr is a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// A live view where the terminal can show one
    Bar,
    /// A line with its time, every 5 to 60 seconds
    Plain,
    /// Every line of stderr is a JSON object (docs/results.md)
    Json,
    /// Warnings and errors alone
    None,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What was chosen.
static CHOSEN: OnceLock<(Form, Color)> = OnceLock::new();

/// Chooses, once; later choices change nothing.
pub fn choose(form: Form, color: Color) {
    let _ = CHOSEN.set((form, color));
}

/// The form that was chosen.
pub fn form() -> Form {
    CHOSEN.get().map_or(Form::Auto, |(form, _)| *form)
}

/// Whether every line of stderr is a JSON object.
pub fn is_json() -> bool {
    form() == Form::Json
}

/// Whether only warnings and errors are logged.
pub fn is_quiet() -> bool {
    form() == Form::None
}

/// Whether what goes to stderr may have colours: see <https://no-color.org>.
pub fn has_colours() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match CHOSEN.get().map_or(Color::Auto, |(_, color)| *color) {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            io::stderr().is_terminal() && !is_set("NO_COLOR") && !is_dumb
        }
    }
}

/// Text in a colour, by its number in the standard (31 red, 32 green, 33 yellow), where there are colours.
pub fn coloured(text: &str, number: u8) -> String {
    if has_colours() { format!("\x1b[{number}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Now, in UTC, to the second.
pub fn time_stamp() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// One event on a line of its own: `{"v":1,"time":"…","event":"…",…}`. A closed stderr is no reason to stop working.
pub fn emit(event: &str, fields: Value) {
    let mut object = Map::new();
    object.insert("v".to_owned(), json!(EVENTS_VERSION));
    object.insert("time".to_owned(), json!(time_stamp()));
    object.insert("event".to_owned(), json!(event));
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    let _ = writeln!(io::stderr(), "{}", Value::Object(object));
}

/// A time as people read it: its two largest units, `1h 12m`; `0s` at the least.
pub fn duration(seconds: f64) -> String {
    let seconds =
        if seconds.is_finite() { seconds.clamp(0.0, 1e10).round() as u64 } else { return "unknown".to_owned() };
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_two_units_at_the_most() {
        let cases = [
            (0.2, "0s"),
            (59.4, "59s"),
            (61.0, "1m 1s"),
            (3600.0, "1h 0m"),
            (4330.0, "1h 12m"),
            (90_000.0, "1d 1h"),
            (f64::INFINITY, "unknown"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
