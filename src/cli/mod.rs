//! The command line: one file a command; each has its `Arguments` and a `run`.

pub mod bench;
mod dry_run;
pub mod eval;
pub mod export;
pub mod fetch;
pub mod info;
mod kernels;
pub mod manual;
pub mod process;
pub mod refine;
pub mod replay;
pub mod report;
mod setup;
pub mod status;
pub mod sweep;
pub mod synth;
pub mod terminal;
pub mod train;

use clap::{Parser, Subcommand};

use crate::error::{Error, Result};
use crate::report::shown::{self, Color, Form};
use crate::{limits, processes, signals, version};

/// Trains thousands of small fully-connected networks on CPU cores, at the speed of the machine's own matrix multiply
#[derive(Debug, Parser)]
#[command(name = "mlpgrid", version = version::VERSION, disable_version_flag = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 runtime or I/O error, 2 usage or bad sweep file, 3 done but some trials failed, \
    75 interrupted: run again to continue.\nData go to stdout, progress and messages to stderr."
)]
pub struct CommandLine {
    /// Print the version; with --verbose also revision, compiler, OpenBLAS and machine
    #[arg(short = 'V', long)]
    pub version: bool,
    /// With --version: all of it
    #[arg(long, requires = "version")]
    pub verbose: bool,
    /// How progress and messages are shown, on stderr
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        global = true,
        hide_possible_values = true,
        help_heading = "Messages",
        env = "MLPGRID_PROGRESS",
        hide_env = true,
        default_value_t
    )]
    #[arg(help = "Progress and messages, on stderr: auto, bar, plain, json, none (also MLPGRID_PROGRESS)")]
    pub progress: Form,
    /// Log warnings and errors alone: --progress none
    #[arg(short, long, global = true, help_heading = "Messages", conflicts_with = "progress")]
    pub quiet: bool,
    /// Colours on stderr: auto, always, never (auto: not with NO_COLOR)
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        global = true,
        hide_possible_values = true,
        help_heading = "Messages",
        default_value_t
    )]
    pub color: Color,
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
    Train(Box<train::Arguments>),
    /// Train every trial of a sweep file that has no result yet
    Sweep(sweep::Arguments),
    /// Print how far a sweep is
    Status(status::Arguments),
    /// Merge what all shards of a sweep recorded, and draw it as one page
    Report(report::Arguments),
    /// Write the next sweep file: a narrower space around the best configurations of a sweep
    Refine(refine::Arguments),
    /// Measure a saved model
    Eval(eval::Arguments),
    /// Write a model for numpy, ONNX, PyTorch or a model hub, or a sweep for Optuna
    Export(export::Arguments),
    /// Measure throughput against the machine's own matrix multiply
    Bench(bench::Arguments),
    /// Replay the cs231n notebook and compare every number with the published one
    Replay(replay::Arguments),
    /// Print what this program runs on: version, OpenBLAS and its kernel, machine
    Info(info::Arguments),
    /// Print what the shell needs to complete commands and flags
    Completions(manual::Completions),
    /// Write the manual pages
    Man(manual::Pages),
    /// Take orders of another process of this program, where one has no room for all workers
    #[command(hide = true, name = processes::COMMAND)]
    Process(process::Arguments),
}

/// Runs what the command line asks for. Returns the exit code.
///
/// # Errors
/// As the command.
pub fn run(command_line: &CommandLine) -> Result<u8> {
    shown::choose(if command_line.quiet { Form::None } else { command_line.progress }, command_line.color);
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
        Some(Command::Refine(arguments)) => refine::run(arguments),
        Some(Command::Eval(arguments)) => eval::run(arguments),
        Some(Command::Export(arguments)) => export::run(arguments),
        Some(Command::Bench(arguments)) => bench::run(arguments),
        Some(Command::Replay(arguments)) => replay::run(arguments),
        Some(Command::Info(arguments)) => info::run(arguments),
        Some(Command::Completions(arguments)) => manual::completions(arguments),
        Some(Command::Man(arguments)) => manual::pages(arguments),
        Some(Command::Process(arguments)) => process::run(arguments),
        None => Err(Error::usage("mlpgrid", "a command", "none", "see mlpgrid --help")),
    }
}
