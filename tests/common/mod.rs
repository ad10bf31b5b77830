//! What the tests that run the program share.
#![allow(dead_code)] // each test uses a part

pub mod archive;
pub mod browser;
pub mod made_up;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mlpgrid::data::sets::synthetic::{self, Manifest};
use serde_json::Value;
use tempfile::TempDir;

/// The program, away from the environment's data.
pub fn mlpgrid() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mlpgrid"));
    command.env_remove("CIFAR10_DIR").env_remove("OPENBLAS_CORETYPE").env("MLPGRID_CACHE_DIR", "");
    command
}

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Runs the program with `arguments`.
    pub fn of<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        Self::finish(mlpgrid().args(arguments).output().expect("the program starts"))
    }

    pub fn finish(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The one JSON object on stdout of a run that ended with `code`.
    pub fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("one JSON object ({error}): {self:?}"))
    }

    /// The one line of an error, which must hold every one of `parts`.
    pub fn refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "one line: {self:?}");
        assert!(self.stderr.ends_with(&format!("{}\n", errors[0])), "the error is the last line: {self:?}");
        assert!(!errors[0].contains("a bug"), "{self:?}");
        for part in parts {
            assert!(errors[0].contains(part), "`{part}` in `{}`", errors[0]);
        }
        assert_eq!(self.stdout, "", "an error leaves stdout empty");
    }
}

/// A folder with a small synthetic data set in `data`, gone when dropped.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self::with_rows(40)
    }

    /// As `new`, with so many images in each of the six files.
    pub fn with_rows(rows_per_file: usize) -> Self {
        let place = Self { folder: TempDir::new().expect("a temporary folder") };
        synthetic::write(&place.data(), &Manifest { rows_per_file, seed: 1 }).expect("the data set is written");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file and returns its path as text.
    pub fn file(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).expect("the file is written");
        text(&self.path(name))
    }

    /// `mlpgrid train` on the data set, with more arguments.
    pub fn train(&self, more: &[&str]) -> Run {
        Run::of([&["train", "--data", &text(&self.data())], more].concat())
    }

    /// `mlpgrid sweep` on the data set into `out`, with more arguments.
    pub fn sweep(&self, spec: &str, out: &str, more: &[&str]) -> Run {
        Run::finish(self.sweep_command(spec, out, more).output().expect("the program starts"))
    }

    /// The command of [`Place::sweep`].
    pub fn sweep_command(&self, spec: &str, out: &str, more: &[&str]) -> Command {
        let mut command = mlpgrid();
        command.args(["sweep", spec, "--data", &text(&self.data()), "--out", &text(&self.path(out))]).args(more);
        command
    }

    /// Begins it, and leaves it running.
    pub fn begin_sweep(&self, spec: &str, out: &str, more: &[&str]) -> Child {
        let mut command = self.sweep_command(spec, out, more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// The leaderboard and the best model of a sweep's directory.
    pub fn fruits(&self, out: &str) -> (String, Vec<u8>) {
        let read = |name: &str| fs::read(self.path(out).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        (String::from_utf8(read("leaderboard.csv")).expect("text"), read("best.safetensors"))
    }

    /// The checkpoint files of a sweep's directory.
    pub fn checkpoints(&self, out: &str) -> Vec<PathBuf> {
        let shards = fs::read_dir(self.path(out).join("checkpoints")).into_iter().flatten().flatten();
        let files = shards.flat_map(|shard| fs::read_dir(shard.path()).into_iter().flatten().flatten());
        let is_whole = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "checkpoint");
        files.map(|file| file.path()).filter(is_whole).collect()
    }
}

/// Sends a signal, by its name.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("there is `kill`");
    assert!(status.success(), "{name} was sent");
}

/// Waits until `holds`, for a minute at most.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Prints why a test is skipped, and counts it: `scripts/check` prints all at its end.
pub fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
    let Some(list) = std::env::var_os("MLPGRID_SKIPPED") else { return };
    let file = fs::File::options().append(true).create(true).open(list);
    let test = thread::current().name().unwrap_or("a test").to_owned();
    file.and_then(|mut file| file.write_all(format!("{test}: {reason}\n").as_bytes())).expect("the list is written");
}

/// The real CIFAR-10; where it is not there, the test is skipped, or fails if `MLPGRID_REQUIRE_CIFAR` is set.
pub fn real_cifar() -> Option<PathBuf> {
    let directory = std::env::var_os("CIFAR10_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    if directory.is_none() {
        let reason = "CIFAR10_DIR names no directory with the real CIFAR-10";
        assert!(std::env::var_os("MLPGRID_REQUIRE_CIFAR").is_none(), "{reason}, and MLPGRID_REQUIRE_CIFAR is set");
        skipped(reason);
    }
    directory
}

/// For how long the long form of a test is to go on, if it is asked for.
pub fn chaos_minutes() -> Option<Duration> {
    let minutes: f64 = std::env::var("MLPGRID_CHAOS_MINUTES").ok()?.parse().expect("a number of minutes");
    Some(Duration::from_secs_f64(minutes * 60.0))
}
