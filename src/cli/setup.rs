//! What several commands begin with: the data, OpenBLAS, warnings of what the machine lacks.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::terminal::{log, warn};
use crate::blas::{self, Blas};
use crate::data::{DataConfig, Dataset, DatasetName, Files};
use crate::error::{Error, Result};
use crate::integer::kernel;
use crate::limits::{self, megabytes};
use crate::machine::{available_cores, available_memory_bytes};

/// Where the data are.
#[derive(Debug, clap::Args)]
pub struct DataDirectory {
    /// Directory of the CIFAR binary files, or of your arrays [default: CIFAR10_DIR of the environment for CIFAR, or data where that is not set or empty]
    #[arg(long = "data", value_name = "DIR")]
    given: Option<PathBuf>,
}

impl DataDirectory {
    /// This one.
    pub fn at(directory: &Path) -> Self {
        Self { given: Some(directory.to_owned()) }
    }

    /// The directory of a data set.
    pub fn path(&self, dataset: DatasetName) -> PathBuf {
        let is_named = dataset.published().is_some();
        let named = || env::var_os("CIFAR10_DIR").filter(|value| is_named && !value.is_empty()).map(PathBuf::from);
        self.given.clone().or_else(named).unwrap_or_else(|| PathBuf::from("data"))
    }

    /// Loads the data, and logs which.
    ///
    /// # Errors
    /// As [`Dataset::load`], or a limit of the machine leaves too little for them.
    pub fn load(&self, config: &DataConfig) -> Result<Dataset> {
        split(self.read(config.dataset)?, config)
    }

    /// Reads the files, and warns where they are not the official ones.
    ///
    /// # Errors
    /// As [`Files::read`], or a limit of the machine leaves too little for them.
    pub fn read(&self, dataset: DatasetName) -> Result<Files> {
        let directory = self.path(dataset);
        let bytes = Files::bytes_of(&directory, dataset);
        // Training images are copied once, into one run of memory; what has been copied is given back, but stays mapped until the end.
        limits::foresee("the data", 2 * bytes)?;
        warn_of_memory(bytes + PROGRAM_BYTES, "ask for more memory");
        let files = Files::read(&directory, dataset)?;
        if let Some(warning) = &files.warning {
            warn(warning);
        }
        Ok(files)
    }
}

/// Splits what was read, and logs the splits.
///
/// # Errors
/// As [`Files::split`].
pub fn split(files: Files, config: &DataConfig) -> Result<Dataset> {
    let mut data = files.split(config)?;
    data.cache = cache_folder();
    log(&format!("data: {}", data.description()));
    Ok(data)
}

/// Refuses to measure on test rows that the data do not have.
///
/// # Errors
/// There are none.
pub fn require_test_rows(data: &Dataset) -> Result<()> {
    if data.splits.test > 0 {
        return Ok(());
    }
    let remedy = "leave --test out, or write test_x.npy and test_y.npy before anything is trained on these data";
    Err(Error::usage("--test", "data with test rows", format!("none in {}", data.directory.display()), remedy))
}

/// Where what takes long to make is kept: `MLPGRID_CACHE_DIR`, or `mlpgrid` in the user's folder of caches. None where that variable is
/// empty, or there is no such folder.
fn cache_folder() -> Option<PathBuf> {
    let of = |name: &str| env::var_os(name).map(PathBuf::from);
    let is_named = |folder: &PathBuf| !folder.as_os_str().is_empty();
    if let Some(folder) = of("MLPGRID_CACHE_DIR") {
        return Some(folder).filter(is_named);
    }
    let of_home = || of("HOME").filter(is_named).map(|home| home.join(".cache"));
    of("XDG_CACHE_HOME").filter(is_named).or_else(of_home).map(|folder| folder.join("mlpgrid"))
}

/// Sets up OpenBLAS, and warns where it is slower than it could be.
///
/// # Errors
/// As [`blas::initialise`].
pub fn initialise_blas() -> Result<Blas> {
    let blas = blas::initialise()?;
    kernel::asked_for()?;
    if let Some(warning) = &blas.warning {
        warn(warning);
    }
    Ok(blas)
}

/// `--workers`, or what Slurm gave this task, or what the machine has.
///
/// # Errors
/// That is no number of workers.
pub fn workers_of(asked: Option<usize>) -> Result<usize> {
    let from_slurm = env::var("SLURM_CPUS_PER_TASK").ok().filter(|value| !value.is_empty());
    let (place, value) = match (asked, from_slurm) {
        (Some(workers), _) => ("--workers", workers.to_string()),
        (None, Some(value)) => ("SLURM_CPUS_PER_TASK", value),
        (None, None) => return Ok(available_cores()),
    };
    let workers = value.parse().ok().filter(|workers| (1..=4096).contains(workers));
    workers.ok_or_else(|| {
        Error::usage(place, "1 to 4096", format!("`{value}`"), "ask for one worker a core, with --workers")
    })
}

/// The file of this program, for further processes.
///
/// # Errors
/// The system does not report it.
pub fn this_program() -> Result<PathBuf> {
    env::current_exe().map_err(Error::io("find this program", "mlpgrid"))
}

/// What the program takes beside data and cohorts, measured: code, libraries, OpenBLAS's buffers.
const PROGRAM_BYTES: u64 = 32 << 20;

/// Warns where `bytes` of memory are more than there are: a process that the system kills for it ends without a message.
pub fn warn_of_memory(bytes: u64, remedy: &str) {
    if let Some(there) = available_memory_bytes().filter(|&there| bytes > there) {
        let (expected, there) = (megabytes(bytes), megabytes(there));
        warn(&format!("memory: this takes about {expected}, and {there} are there; {remedy}"));
    }
}

/// Warns of more workers than cores: they only wait for each other, and each takes memory.
pub fn warn_of_workers(workers: usize) {
    let cores = available_cores();
    if workers > cores {
        warn(&format!(
            "{workers} workers on the {cores} cores that affinity and control groups allow: more than one a core is slower, not \
            faster; take --workers {cores}"
        ));
    }
}

/// A time that was given in seconds.
///
/// # Errors
/// It is out of range.
pub fn duration(flag: &str, seconds: f64) -> Result<Duration> {
    let range = 0.01..=1e6;
    let wrong = || Error::usage(flag, "0.01 to 1000000 seconds", seconds.to_string(), "change the value");
    if range.contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}
