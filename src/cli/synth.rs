//! `mlpgrid synth`: a synthetic data set.

use std::path::PathBuf;

use super::terminal::{log, print_path};
use crate::data::sets::synthetic::{self, Manifest};
use crate::error::Result;

/// Flags of `synth`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Directory to write into
    #[arg(long, value_name = "DIR", default_value = "data/synthetic")]
    dir: PathBuf,
    /// Images in each of the six files
    #[arg(long, value_name = "ROWS", default_value_t = 10_000)]
    rows_per_file: usize,
    /// Seed of patterns and images
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
}

/// Writes the set; prints its directory.
///
/// # Errors
/// As [`synthetic::write`].
pub fn run(arguments: &Arguments) -> Result<u8> {
    let manifest = Manifest { rows_per_file: arguments.rows_per_file, seed: arguments.seed };
    synthetic::write(&arguments.dir, &manifest)?;
    log(&format!(
        "synth: wrote 5 training files and a test file of {} images each; they are not CIFAR",
        manifest.rows_per_file
    ));
    print_path(&arguments.dir)?;
    Ok(0)
}
