//! `mlpgrid info`, and `--version`.

use std::fmt::Write as _;

use super::setup::initialise_blas;
use super::terminal::{print, print_json};
use crate::blas::Threading;
use crate::error::Result;
use crate::report::environment::Environment;
use crate::version;

/// Flags of `info`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints what this program runs on.
///
/// # Errors
/// OpenBLAS does not keep to one thread, or stdout cannot be written.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let environment = Environment::of(&initialise_blas()?);
    if arguments.json {
        print_json(&environment)?;
    } else {
        print(&table(&environment))?;
    }
    Ok(0)
}

/// Prints the version, or all of [`run`].
///
/// # Errors
/// As [`run`].
pub fn version(verbose: bool) -> Result<u8> {
    if verbose {
        return run(&Arguments { json: false });
    }
    print(&format!("mlpgrid {}\n", version::VERSION))?;
    Ok(0)
}

fn table(environment: &Environment) -> String {
    let blas = &environment.blas;
    let threading = match blas.threading {
        Threading::Sequential => "none of its own",
        Threading::Pthreads => "pthreads",
        Threading::OpenMp => "OpenMP",
    };
    let rows = [
        ("mlpgrid", format!("{} (revision {})", environment.version, environment.git_revision)),
        ("results", format!("version {}", environment.results_version)),
        ("compiler", environment.rustc.to_owned()),
        ("platform", environment.platform.clone()),
        ("cpu", format!("{}, {} cores usable", environment.cpu, environment.cores)),
        ("OpenBLAS", format!("{} ({})", blas.version, blas.config)),
        ("kernel", blas.kernel.clone()),
        ("integers", format!("{} kernel", environment.integer_kernel)),
        ("threads", format!("{} a worker (threading: {threading})", blas.threads)),
        ("room", format!("for {} workers a process, as this OpenBLAS was built for", blas.most_callers)),
    ];
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<10}{value}");
        text
    })
}
