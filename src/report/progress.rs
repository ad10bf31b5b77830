//! Progress of long work: a live view on a terminal that can show one, plain lines or JSON objects elsewhere; always on stderr.
//!
//! Progress counts two things: steps, which people know (iterations), and work, from which the time left follows: a trial of 200 hidden
//! units takes four times as long as one of 50.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use serde_json::{Value, json};

use super::shown::{self, Form};
use super::standing::Standing;

/// Time between two plain lines: at first, and for work of hours.
const LINE_EVERY: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];
/// Time between two states of the bar: iterations are shorter, and writing figures takes memory and time.
const BAR_EVERY: Duration = Duration::from_millis(100);
/// Columns that a bar with its figures needs.
const NARROWEST: u16 = 60;
/// Letters of the bar.
const BAR_LENGTH: usize = 24;
/// Before so much time the rate is that of a beginning, and no time left follows from it.
const TIME_LEFT_AFTER: Duration = Duration::from_secs(3);

/// How far the work is. Workers share it.
pub struct Progress {
    what: &'static str,
    step: &'static str,
    started: Instant,
    form: Shown,
    /// What to show below the bar.
    standing: Option<Arc<Standing>>,
    /// Whether work is counted in floating-point operations.
    has_flops: bool,
    state: Mutex<State>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Progress").field("what", &self.what).finish_non_exhaustive()
    }
}

/// How it is shown.
enum Shown {
    Bar(ProgressBar, u16),
    Plain,
    Json,
    Nothing,
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
    /// Work named `what`, whose steps are named `step`, in the form that was chosen.
    pub fn new(what: &'static str, step: &'static str, total_work: f64) -> Self {
        let stderr = std::io::stderr();
        let size = rustix::termios::tcgetwinsize(&stderr);
        let (columns, rows) = size.map_or((0, 0), |size| (size.ws_col, size.ws_row));
        let bar = || {
            let target = (stderr.is_terminal() && columns >= NARROWEST).then(ProgressDrawTarget::stderr);
            let target = target.filter(|target| !target.is_hidden()); // hidden where TERM is dumb
            target.map_or(Shown::Plain, |target| Shown::Bar(live(target), rows))
        };
        let form = match shown::form() {
            Form::Auto | Form::Bar => bar(),
            Form::Plain => Shown::Plain,
            Form::Json => Shown::Json,
            Form::None => Shown::Nothing,
        };
        Self::shown_on(what, step, total_work, form)
    }

    /// As [`Progress::new`], with a bar on `terminal`, whatever stderr is.
    pub fn on_terminal(what: &'static str, step: &'static str, total_work: f64, terminal: Box<dyn TermLike>) -> Self {
        Self::shown_on(what, step, total_work, Shown::Bar(live(ProgressDrawTarget::term_like(terminal)), 24))
    }

    fn shown_on(what: &'static str, step: &'static str, total_work: f64, form: Shown) -> Self {
        let started = Instant::now();
        let state = State {
            total_work: total_work.max(f64::MIN_POSITIVE),
            steps: 0,
            work: 0.0,
            skipped: 0.0,
            note: String::new(),
            shown: started,
        };
        Self { what, step, started, form, standing: None, has_flops: false, state: Mutex::new(state) }
    }

    /// With what a sweep's workers do below the bar, and its work counted in floating-point operations.
    #[must_use]
    pub fn of_sweep(self, standing: Arc<Standing>) -> Self {
        Self { standing: Some(standing), has_flops: true, ..self }
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
        let pause = match self.form {
            Shown::Nothing => return,
            Shown::Bar(..) => BAR_EVERY,
            Shown::Plain | Shown::Json => ((now - self.started) / 60).clamp(LINE_EVERY[0], LINE_EVERY[1]),
        };
        if now - state.shown < pause {
            return;
        }
        state.shown = now;
        let part = ((state.work + state.skipped) / state.total_work).min(1.0);
        match &self.form {
            Shown::Bar(bar, rows) => {
                bar.set_message(self.view(state, part, usize::from(bar_width(bar)), usize::from(*rows)))
            }
            Shown::Plain => {
                let (percent, note) = (part * 100.0, self.note_of(state));
                let line = format!("{}: {percent:.0} %, {}{note}", self.what, self.figures(state));
                let _ = writeln!(std::io::stderr(), "{} {line}", shown::time_stamp());
            }
            Shown::Json => shown::emit("progress", self.fields(state, part)),
            Shown::Nothing => {}
        }
    }

    /// The bar with its figures, and below it where a sweep stands: at most a third of the screen.
    fn view(&self, state: &State, part: f64, columns: usize, rows: usize) -> String {
        let bar = filled(part);
        let head = format!("{} {bar} {:>3.0} %  {}", self.what, part * 100.0, self.figures(state).replace(", ", "  "));
        match &self.standing {
            None => head + &self.note_of(state),
            Some(standing) => {
                let most = (rows / 3).max(4);
                let lines = standing.lines(columns.saturating_sub(1), most - 1);
                [head].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
            }
        }
    }

    fn note_of(&self, state: &State) -> String {
        let note = match &self.standing {
            Some(standing) => standing.best(),
            None => state.note.clone(),
        };
        if note.is_empty() { note } else { format!(", {note}") }
    }

    fn fields(&self, state: &State, part: f64) -> Value {
        let seconds = self.started.elapsed().as_secs_f64();
        let mut fields = json!({
            "command": self.what,
            "share": part,
            "steps": state.steps,
            "step": self.step,
            "steps_per_second": state.steps as f64 / seconds,
            "gflops": self.has_flops.then(|| state.work / seconds / 1e9),
            "seconds": seconds,
            "seconds_left": self.left(state),
        });
        if let (Some(standing), Value::Object(fields)) = (&self.standing, &mut fields) {
            if let Value::Object(more) = standing.fields() {
                fields.extend(more);
            }
        } else if !state.note.is_empty() {
            fields["note"] = json!(state.note);
        }
        fields
    }

    /// What to show beside the figures, such as the loss so far.
    pub fn note(&self, note: String) {
        self.state().note = note;
    }

    /// A line above the bar.
    pub fn log(&self, line: &str) {
        match &self.form {
            Shown::Bar(bar, _) => bar.println(line),
            Shown::Plain => drop(writeln!(std::io::stderr(), "{line}")),
            Shown::Json => shown::emit("log", json!({ "message": line })),
            Shown::Nothing => {}
        }
    }

    /// A warning above the bar.
    pub fn warn(&self, warning: &str) {
        match &self.form {
            Shown::Bar(bar, _) => bar.println(format!("{} {warning}", shown::coloured("warning:", 33))),
            Shown::Json => shown::emit("warning", json!({ "message": warning })),
            Shown::Plain | Shown::Nothing => drop(writeln!(std::io::stderr(), "warning: {warning}")),
        }
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        if let Shown::Bar(bar, _) = &self.form {
            bar.finish_and_clear();
        }
    }

    /// How long the rest takes at the rate so far; none before there is a rate to count on.
    pub fn seconds_left(&self) -> Option<f64> {
        self.left(&self.state())
    }

    fn left(&self, state: &State) -> Option<f64> {
        let left = (state.total_work - state.work - state.skipped).max(0.0);
        let elapsed = self.started.elapsed();
        match state.work > 0.0 {
            true if left == 0.0 => Some(0.0),
            true if elapsed >= TIME_LEFT_AFTER => Some(left * elapsed.as_secs_f64() / state.work),
            _ => None,
        }
    }

    /// Rate and time left.
    fn figures(&self, state: &State) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let left = self.left(state).map_or(String::new(), |left| format!(", ETA {}", shown::duration(left)));
        let flops = match self.has_flops {
            true => format!(", {} GFLOP/s", rounded(state.work / seconds / 1e9)),
            false => String::new(),
        };
        format!("{} {}/s{flops}{left}", rounded(state.steps as f64 / seconds), self.step)
    }

    /// A worker that panicked has left whole numbers here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bar that shows its message alone: all lines are made here.
fn live(target: ProgressDrawTarget) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        bar.set_style(style);
    }
    bar
}

/// The terminal may have become narrower.
fn bar_width(_bar: &ProgressBar) -> u16 {
    rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| size.ws_col.max(NARROWEST))
}

/// A bar of which this part is full.
fn filled(part: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (part.clamp(0.0, 1.0) * (8 * BAR_LENGTH) as f64) as usize;
    let mut bar = "█".repeat(eighths / 8);
    if eighths < 8 * BAR_LENGTH {
        bar.push(EIGHTHS[eighths % 8]);
    }
    let missing = BAR_LENGTH - bar.chars().count();
    bar + &"·".repeat(missing)
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
        assert_eq!(progress.seconds_left(), None, "the rate of the first moment is none");
        progress.skip(60.0);
        assert_eq!(progress.done(), (3, 40.0));
        assert_eq!(progress.seconds_left(), Some(0.0));
    }

    #[test]
    fn a_bar_is_always_as_long() {
        for part in [0.0, 0.001, 0.5, 0.999, 1.0, 2.0] {
            assert_eq!(filled(part).chars().count(), BAR_LENGTH, "{part}");
        }
    }
}
