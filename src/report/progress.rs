//! Progress of long work: a bar on a terminal that can show one, a plain line every few seconds elsewhere; always on stderr.
//!
//! Progress counts two things: steps, which people know (iterations), and work, from which the time left follows: a trial of 200 hidden
//! units takes four times as long as one of 50.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// Time between two plain lines: at first, and for work of hours.
const LINE_EVERY: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];
/// Time between two states of the bar: iterations are shorter, and writing figures takes memory and time.
const BAR_EVERY: Duration = Duration::from_millis(100);
/// Columns that a bar with its figures needs.
const NARROWEST: u16 = 60;
/// Steps of the bar.
const BAR_LENGTH: u64 = 10_000;

/// How far the work is. Workers share it.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    step: &'static str,
    started: Instant,
    /// None where there is no terminal, or one that can show no bar.
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    total_work: f64,
    steps: u64,
    work: f64,
    /// Work that is not to be done any more.
    skipped: f64,
    note: String,
    shown: Instant,
}

impl Progress {
    /// Work named `what`, whose steps are named `step`, with a bar where stderr is a terminal that can show one.
    pub fn new(what: &'static str, step: &'static str, total_work: f64) -> Self {
        let stderr = std::io::stderr();
        let columns = rustix::termios::tcgetwinsize(&stderr).map_or(0, |size| size.ws_col);
        let target = (stderr.is_terminal() && columns >= NARROWEST).then(ProgressDrawTarget::stderr);
        Self::shown_on(what, step, total_work, target.filter(|target| !target.is_hidden())) // hidden where TERM is dumb
    }

    /// As [`Progress::new`], with a bar on `terminal`, whatever stderr is.
    pub fn on_terminal(what: &'static str, step: &'static str, total_work: f64, terminal: Box<dyn TermLike>) -> Self {
        Self::shown_on(what, step, total_work, Some(ProgressDrawTarget::term_like(terminal)))
    }

    fn shown_on(what: &'static str, step: &'static str, total_work: f64, target: Option<ProgressDrawTarget>) -> Self {
        let bar = target.map(|target| {
            let bar = ProgressBar::with_draw_target(Some(BAR_LENGTH), target);
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
            skipped: 0.0,
            note: String::new(),
            shown: started,
        };
        Self { what, step, started, bar, state: Mutex::new(state) }
    }

    /// So much work more is to be done.
    pub fn expect(&self, work: f64) {
        self.state().total_work += work;
    }

    /// So many steps are done, which were so much work. Allocates nothing but where it shows figures, which is seldom.
    pub fn add(&self, steps: u64, work: f64) {
        let mut state = self.state();
        state.steps += steps;
        state.work += work;
        self.show(&mut state);
    }

    /// So much work is not to be done any more: it is over, but took no time.
    pub fn skip(&self, work: f64) {
        let mut state = self.state();
        state.skipped += work;
        self.show(&mut state);
    }

    /// Steps and work that were done; none of what was skipped.
    pub fn done(&self) -> (u64, f64) {
        let state = self.state();
        (state.steps, state.work)
    }

    fn show(&self, state: &mut State) {
        let now = Instant::now();
        let pause = match self.bar {
            Some(_) => BAR_EVERY,
            None => ((now - self.started) / 60).clamp(LINE_EVERY[0], LINE_EVERY[1]),
        };
        if now - state.shown < pause {
            return;
        }
        state.shown = now;
        let part = ((state.work + state.skipped) / state.total_work).min(1.0);
        match &self.bar {
            Some(bar) => {
                bar.set_message(self.figures(state));
                bar.set_position((part * BAR_LENGTH as f64) as u64);
            }
            None => {
                let percent = part * 100.0;
                let _ = writeln!(std::io::stderr(), "{}: {percent:.0} %, {}", self.what, self.figures(state));
            }
        }
    }

    /// What to show beside the figures, such as the best result so far.
    pub fn note(&self, note: String) {
        self.state().note = note;
    }

    /// A line above the bar.
    pub fn log(&self, line: &str) {
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
        (state.total_work - state.work - state.skipped).max(0.0) / (state.work / seconds).max(f64::MIN_POSITIVE)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped_is_neither_done_nor_left() {
        let progress = Progress::new("test", "steps", 100.0);
        assert_eq!((progress.done(), progress.seconds_left()), ((0, 0.0), None));
        progress.add(3, 40.0);
        progress.skip(60.0);
        assert_eq!(progress.done(), (3, 40.0));
        assert_eq!(progress.seconds_left(), Some(0.0));
    }
}
