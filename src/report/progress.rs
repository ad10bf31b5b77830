//! Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere; always on stderr.
//!
//! Progress counts two things: steps, which people know (iterations), and work, which tells how long it will take: a trial of 200 hidden
//! units takes four times as long as one of 50.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between plain lines: at first, and for work of hours.
const EVERY: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];
/// Steps of the bar.
const BAR_LENGTH: u64 = 10_000;

/// How far the work is. Workers share it.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    step: &'static str,
    started: Instant,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    total_work: f64,
    steps: u64,
    work: f64,
    note: String,
    last_line: Instant,
}

impl Progress {
    /// Work named `what`, whose steps are named `step`.
    pub fn new(what: &'static str, step: &'static str, total_work: f64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(BAR_LENGTH);
            if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3} %  {msg}") {
                bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
            }
            bar.set_prefix(what);
            bar
        });
        let started = Instant::now();
        let state = State {
            total_work: total_work.max(f64::MIN_POSITIVE),
            steps: 0,
            work: 0.0,
            note: String::new(),
            last_line: started,
        };
        Self { what, step, started, bar, state: Mutex::new(state) }
    }

    /// So much work more is to be done.
    pub fn expect(&self, work: f64) {
        self.state().total_work += work;
    }

    /// So many steps are done, which were so much work.
    pub fn add(&self, steps: u64, work: f64) {
        let mut state = self.state();
        state.steps += steps;
        state.work += work;
        match &self.bar {
            Some(bar) => {
                bar.set_message(self.figures(&state));
                bar.set_position((state.work / state.total_work * BAR_LENGTH as f64) as u64);
            }
            None => {
                if state.last_line.elapsed() >= (self.started.elapsed() / 60).clamp(EVERY[0], EVERY[1]) {
                    state.last_line = Instant::now();
                    let percent = (state.work / state.total_work * 100.0).min(100.0);
                    let _ = writeln!(std::io::stderr(), "{}: {percent:.0} %, {}", self.what, self.figures(&state));
                }
            }
        }
    }

    /// What to say beside the figures, such as the best result so far.
    pub fn note(&self, note: String) {
        self.state().note = note;
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

    /// How long the rest takes at the rate so far; none before anything is done.
    pub fn seconds_left(&self) -> Option<f64> {
        let state = self.state();
        (state.work > 0.0).then(|| self.left(&state))
    }

    fn left(&self, state: &State) -> f64 {
        let seconds = self.started.elapsed().as_secs_f64();
        (state.total_work - state.work).max(0.0) / (state.work / seconds).max(f64::MIN_POSITIVE)
    }

    /// Rate, time left and note.
    fn figures(&self, state: &State) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let left = self.left(state);
        let left = humantime::format_duration(Duration::from_secs(left.min(1e9) as u64));
        let note = if state.note.is_empty() { String::new() } else { format!(", {}", state.note) };
        format!("{} {}/s, ETA {left}{note}", rounded(state.steps as f64 / seconds), self.step)
    }

    /// A worker that panicked has left whole numbers here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rate as people read it.
fn rounded(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}
