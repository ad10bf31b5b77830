//! What commands print: data to stdout, everything else to stderr.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::error::{Error, Result};
use crate::files;
use crate::report::shown::{self, Form};

/// A line to stderr. A closed stderr is no reason to stop working.
pub fn log(line: &str) {
    match shown::form() {
        Form::None => {}
        Form::Json => shown::emit("log", json!({ "message": line.trim_matches('\n') })),
        _ => write(line),
    }
}

fn write(line: &str) {
    let _ = writeln!(io::stderr(), "{}", escaped(line, &['\n', '\t']));
}

/// A warning, to stderr.
pub fn warn(warning: &str) {
    if shown::is_json() {
        return shown::emit("warning", json!({ "message": warning }));
    }
    let warning = escaped(warning, &['\n', '\t']);
    let _ = writeln!(io::stderr(), "{} {warning}", shown::coloured("warning:", 33));
}

/// An error, to stderr: one line, whatever stands in the paths that it names.
pub fn log_error(error: &Error) {
    log_error_line(&error.to_string());
}

/// As [`log_error`], of an error in words.
pub fn log_error_line(error: &str) {
    if shown::is_json() {
        return shown::emit("error", json!({ "message": error }));
    }
    let _ = writeln!(io::stderr(), "{} {}", shown::coloured("error:", 31), escaped(error, &[]));
}

/// Control characters, which a path can have and a terminal obeys, become visible, except those in `kept`.
fn escaped(text: &str, kept: &[char]) -> String {
    let is_harmless = |letter: char| !letter.is_control() || kept.contains(&letter);
    text.chars().fold(String::with_capacity(text.len()), |mut line, letter| {
        if is_harmless(letter) {
            line.push(letter)
        } else {
            line.extend(letter.escape_default())
        }
        line
    })
}

/// Text to stdout.
///
/// # Errors
/// It cannot be written.
pub fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// Many texts to stdout, one after the other, until the reader goes away.
///
/// # Errors
/// They cannot be written.
pub fn print_all(mut texts: impl Iterator<Item = String>) -> Result<()> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let mut write = || texts.try_for_each(|text| stdout.write_all(text.as_bytes())).and_then(|()| stdout.flush());
    match write() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("write", Path::new("stdout"))(error)),
        _ => Ok(()),
    }
}

/// A path on one line, to stdout, byte by byte as it is.
///
/// # Errors
/// It cannot be written.
pub fn print_path(path: &Path) -> Result<()> {
    print_bytes(&[path.as_os_str().as_encoded_bytes(), b"\n"].concat())
}

/// A reader that has gone away is no error.
fn print_bytes(bytes: &[u8]) -> Result<()> {
    match io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("write", Path::new("stdout"))(error)),
        _ => Ok(()),
    }
}

/// One JSON object on one line, to stdout.
///
/// # Errors
/// It cannot be written.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    print(&(serde_json::to_string(value).expect("plain fields become JSON") + "\n"))
}

/// A fraction as a percentage.
pub fn percent(fraction: f64) -> String {
    format!("{:.2} %", fraction * 100.0)
}

/// Writes figures into a file as JSON, and logs that; `command` is named in the line.
///
/// # Errors
/// The file cannot be written.
pub fn write_json(command: &str, path: &Path, figures: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(figures).expect("plain fields become JSON");
    files::replace(path, |file| writeln!(file, "{text}"))?;
    log(&format!("{command}: wrote {}", path.display()));
    Ok(())
}
