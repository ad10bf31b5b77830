//! Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere; always on stderr.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between plain lines: at first, and for work of hours.
const EVERY: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];

/// How far the work is. Workers share it.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    unit: &'static str,
    total: u64,
    done: AtomicU64,
    started: Instant,
    bar: Option<ProgressBar>,
    plain: Mutex<Plain>,
}

/// What the next plain line says, and when the last one was written.
#[derive(Debug)]
struct Plain {
    note: String,
    last: Instant,
}

impl Progress {
    /// Work named `what`, of `total` units.
    pub fn new(what: &'static str, unit: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let template = "{prefix} {wide_bar} {percent:>3} %  {per_sec}  ETA {eta}  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                let rate = |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{}/s", rounded(state.per_sec()));
                };
                bar.set_style(style.with_key("per_sec", rate).progress_chars("█▉▊▋▌▍▎▏ "));
            }
            bar.set_prefix(what);
            bar
        });
        let started = Instant::now();
        let plain = Mutex::new(Plain { note: String::new(), last: started });
        Self { what, unit, total, done: AtomicU64::new(0), started, bar, plain }
    }

    /// So many units more are done.
    pub fn add(&self, units: u64) {
        let done = self.done.fetch_add(units, Ordering::Relaxed) + units;
        match &self.bar {
            Some(bar) => bar.inc(units),
            None => self.line_if_due(done),
        }
    }

    /// What to say beside the figures, such as the best result so far.
    pub fn note(&self, note: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(note.clone());
        }
        if let Ok(mut plain) = self.plain.lock() {
            plain.note = note;
        }
    }

    /// A line above the bar.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line_if_due(&self, done: u64) {
        // A worker that finds the lock taken goes on: another is writing the line.
        let Ok(mut plain) = self.plain.try_lock() else { return };
        if plain.last.elapsed() < (self.started.elapsed() / 60).clamp(EVERY[0], EVERY[1]) {
            return;
        }
        plain.last = Instant::now();
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = done as f64 / seconds;
        let left = Duration::from_secs((self.total.saturating_sub(done) as f64 / rate) as u64);
        let percent = 100.0 * done as f64 / self.total.max(1) as f64;
        let note = if plain.note.is_empty() { String::new() } else { format!(", {}", plain.note) };
        let (what, unit, total) = (self.what, self.unit, self.total);
        let left = humantime::format_duration(left);
        let _ = writeln!(
            std::io::stderr(),
            "{what}: {done}/{total} {unit} ({percent:.0} %), {}/s, ETA {left}{note}",
            rounded(rate)
        );
    }
}

/// A rate as people read it.
fn rounded(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}
