//! `mlpgrid process`: takes orders of another process of this program; nobody types it.

use clap::ValueEnum;

use crate::error::Result;
use crate::sweep::helpers;

/// Flags of `process`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What the orders are about
    #[arg(value_enum)]
    task: Task,
}

/// What a further process can be started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Task {
    /// Training a part of a sweep's cohorts
    Sweep,
    /// Measuring beside others
    Bench,
}

/// Follows orders until there are no more.
///
/// # Errors
/// There are no orders.
pub fn run(arguments: &Arguments) -> Result<u8> {
    match arguments.task {
        Task::Sweep => helpers::serve()?,
        Task::Bench => crate::bench::measure::serve()?,
    }
    Ok(0)
}
