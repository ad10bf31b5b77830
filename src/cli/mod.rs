//! The command line: one file a command; each has its `Arguments` and a `run`.

pub mod bench;
mod dry_run;
pub mod eval;
pub mod fetch;
pub mod info;
mod kernels;
pub mod process;
pub mod replay;
pub mod report;
pub mod status;
pub mod sweep;
pub mod synth;
pub mod train;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::blas::{self, Blas};
use crate::data::{DataConfig, Dataset, Files, Format};
use crate::error::{Error, Result};
use crate::limits::{self, megabytes};
use crate::machine::{available_cores, available_memory_bytes};
use crate::{processes, signals, version};

/// Trains thousands of small fully-connected networks on CPU cores, at the speed of the machine's own matrix multiply
#[derive(Debug, Parser)]
#[command(name = "mlpgrid", version = version::VERSION, disable_version_flag = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 runtime or I/O error, 2 usage or bad sweep file, 3 done but some trials failed, \
    75 interrupted: run again to continue.\nData goes to stdout, talk to stderr."
)]
pub struct CommandLine {
    /// Print the version; with --verbose also revision, compiler, OpenBLAS and machine
    #[arg(short = 'V', long)]
    pub version: bool,
    /// With --version: all of it
    #[arg(long, requires = "version")]
    pub verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Download CIFAR-10 or CIFAR-100, verify its checksum and unpack it
    Fetch(fetch::Arguments),
    /// Write CIFAR-10-shaped files that a network can learn from
    Synth(synth::Arguments),
    /// Train one network
    #[command(allow_negative_numbers = true)]
    Train(train::Arguments),
    /// Train every trial of a sweep file that has no result yet
    Sweep(sweep::Arguments),
    /// Tell how far a sweep is
    Status(status::Arguments),
    /// Merge what all shards of a sweep recorded into its leaderboard and best model
    Report(report::Arguments),
    /// Measure a saved model
    Eval(eval::Arguments),
    /// Measure throughput against the machine's own matrix multiply
    Bench(bench::Arguments),
    /// Replay the cs231n notebook and compare every number with the published one
    Replay(replay::Arguments),
    /// Tell what this program runs on: version, OpenBLAS and its kernel, machine
    Info(info::Arguments),
    /// Take orders of another process of this program, where one has no room for all workers
    #[command(hide = true, name = processes::COMMAND)]
    Process(process::Arguments),
}

/// Runs what the command line asks for. Returns the exit code.
///
/// # Errors
/// As the command.
pub fn run(command_line: &CommandLine) -> Result<u8> {
    if command_line.version {
        return info::version(command_line.verbose);
    }
    signals::survive_file_size_limit();
    limits::start_readers();
    match &command_line.command {
        Some(Command::Fetch(arguments)) => fetch::run(arguments),
        Some(Command::Synth(arguments)) => synth::run(arguments),
        Some(Command::Train(arguments)) => train::run(arguments),
        Some(Command::Sweep(arguments)) => sweep::run(arguments),
        Some(Command::Status(arguments)) => status::run(arguments),
        Some(Command::Report(arguments)) => report::run(arguments),
        Some(Command::Eval(arguments)) => eval::run(arguments),
        Some(Command::Bench(arguments)) => bench::run(arguments),
        Some(Command::Replay(arguments)) => replay::run(arguments),
        Some(Command::Info(arguments)) => info::run(arguments),
        Some(Command::Process(arguments)) => process::run(arguments),
        None => Err(Error::usage("mlpgrid", "a command", "none", "see mlpgrid --help")),
    }
}

/// Where the data are.
#[derive(Debug, clap::Args)]
pub struct DataDirectory {
    /// Directory of the CIFAR binary files [default: CIFAR10_DIR of the environment, or data where that is not set or empty]
    #[arg(long = "data", value_name = "DIR")]
    given: Option<PathBuf>,
}

impl DataDirectory {
    /// The directory.
    fn path(&self) -> PathBuf {
        let from_environment = || env::var_os("CIFAR10_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
        self.given.clone().or_else(from_environment).unwrap_or_else(|| PathBuf::from("data"))
    }

    /// Loads the data, and logs which.
    fn load(&self, config: &DataConfig) -> Result<Dataset> {
        split(self.read(config.dataset)?, config)
    }

    /// Reads the files, and warns where they are not the official ones.
    fn read(&self, format: Format) -> Result<Files> {
        let directory = self.path();
        let bytes = Files::bytes_of(&directory, format);
        // Training images are copied once, into one run of memory; what has been copied is given back, but stays mapped until the end.
        limits::foresee("the data", 2 * bytes)?;
        warn_of_memory(bytes + PROGRAM_BYTES, "ask for more memory");
        let files = Files::read(&directory, format)?;
        if let Some(warning) = &files.warning {
            say(&format!("warning: {warning}"));
        }
        Ok(files)
    }
}

/// Splits what was read, and logs the splits.
fn split(files: Files, config: &DataConfig) -> Result<Dataset> {
    let data = files.split(config)?;
    let sizes = [data.config.train, data.config.val, data.config.test].map(Option::unwrap_or_default);
    let name = if data.is_synthetic { "synthetic data (not CIFAR)" } else { data.config.dataset.name() };
    say(&format!(
        "data: {name} from {}, {} train / {} val / {} test rows, fingerprint {}",
        data.directory.display(),
        sizes[0],
        sizes[1],
        sizes[2],
        data.fingerprint
    ));
    Ok(data)
}

/// Sets up OpenBLAS, and warns where it is slower than it could be.
fn initialise_blas() -> Result<Blas> {
    let blas = blas::initialise()?;
    if let Some(warning) = &blas.warning {
        say(&format!("warning: {warning}"));
    }
    Ok(blas)
}

/// The file of this program, for further processes.
fn this_program() -> Result<PathBuf> {
    env::current_exe().map_err(Error::io("find this program", "mlpgrid"))
}

/// What the program takes beside data and cohorts, measured: code, libraries, OpenBLAS's buffers.
const PROGRAM_BYTES: u64 = 32 << 20;

/// Warns where `bytes` of memory are more than there are: a process that the system kills for it says nothing.
fn warn_of_memory(bytes: u64, remedy: &str) {
    if let Some(there) = available_memory_bytes().filter(|&there| bytes > there) {
        let (expected, there) = (megabytes(bytes), megabytes(there));
        say(&format!("warning: memory: this takes about {expected}, and {there} are there; {remedy}"));
    }
}

/// Warns of more workers than cores: they only wait for each other, and each takes memory.
fn warn_of_workers(workers: usize) {
    let cores = available_cores();
    if workers > cores {
        say(&format!(
            "warning: {workers} workers on the {cores} cores that affinity and control groups allow: more than one a core is slower, not \
            faster; take --workers {cores}"
        ));
    }
}

/// A line of talk, to stderr. A closed stderr is no reason to stop working.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", escaped(line, &['\n', '\t']));
}

/// An error, to stderr: one line, whatever stands in the paths that it names.
pub fn say_error(error: &Error) {
    say(&format!("error: {}", escaped(&error.to_string(), &[])));
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
fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// A path on one line, to stdout, byte by byte as it is.
fn print_path(path: &Path) -> Result<()> {
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
fn print_json(value: &impl Serialize) -> Result<()> {
    print(&(serde_json::to_string(value).expect("plain fields become JSON") + "\n"))
}

/// A fraction as a percentage.
fn percent(fraction: f64) -> String {
    format!("{:.2} %", fraction * 100.0)
}

/// A time that was given in seconds.
fn duration(flag: &str, seconds: f64) -> Result<Duration> {
    let range = 0.01..=1e6;
    let wrong = || Error::usage(flag, "0.01 to 1000000 seconds", seconds.to_string(), "change the value");
    if range.contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}
