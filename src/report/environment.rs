//! What made a result: program, compiler, BLAS, machine, data, command.

use std::io::Write;
use std::path::Path;
use std::time::SystemTime;
use std::{env, fs};

use serde::Serialize;

use crate::blas::Blas;
use crate::data::Dataset;
use crate::error::Result;
use crate::sweep::journal;
use crate::{files, version};

/// The content of `environment.json`, and what `mlpgrid info` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    /// Version of the program.
    pub version: &'static str,
    /// Git revision of the build.
    pub git_revision: &'static str,
    /// Version of the mathematics.
    pub results_version: u32,
    /// The compiler.
    pub rustc: &'static str,
    /// Operating system and architecture.
    pub platform: String,
    /// The machine's name.
    pub host: String,
    /// The CPU's name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The BLAS.
    pub blas: Blas,
    /// The command line.
    pub command: Vec<String>,
    /// When it was written, RFC 3339.
    pub written: String,
    /// Where the data were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_directory: Option<String>,
    /// Which data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_fingerprint: Option<String>,
    /// Whether they are synthetic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_is_synthetic: Option<bool>,
    /// Rayon workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
}

impl Environment {
    /// The environment of this process.
    pub fn of(blas: &Blas) -> Self {
        Self {
            version: version::VERSION,
            git_revision: version::GIT_REVISION,
            results_version: version::RESULTS_VERSION,
            rustc: version::RUSTC,
            platform: format!("{} {}", env::consts::OS, env::consts::ARCH),
            host: journal::host(),
            cpu: cpu_name(),
            cores: available_cores(),
            blas: blas.clone(),
            command: env::args().collect(),
            written: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            data_directory: None,
            data_fingerprint: None,
            data_is_synthetic: None,
            workers: None,
        }
    }

    /// With the data and the number of workers.
    #[must_use]
    pub fn with(self, data: &Dataset, workers: usize) -> Self {
        Self {
            data_directory: Some(data.directory.display().to_string()),
            data_fingerprint: Some(data.fingerprint.clone()),
            data_is_synthetic: Some(data.is_synthetic),
            workers: Some(workers),
            ..self
        }
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("plain fields become JSON");
        files::replace(path, |file| writeln!(file, "{text}"))
    }
}

/// Cores that affinity and control groups allow this process.
pub fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The CPU's name, as the operating system tells it.
fn cpu_name() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.unwrap_or("unknown").to_owned()
}
