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

/// Bytes of memory that this process can still get: what the machine has free, and what its control groups leave it. `None` where the
/// system does not tell.
pub fn available_memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let free = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    let free = free.map(|kib: u64| kib * 1024)?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Some(groups.lines().filter_map(left_in_group).fold(free, u64::min))
}

/// What a control group, given as a line of `/proc/self/cgroup`, and those above it leave: version 2 is `0::/PATH`, version 1
/// `N:memory:/PATH`. Files that are only kept in memory until something else wants it do not count as used.
fn left_in_group(line: &str) -> Option<u64> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let (root, limit, used, cached) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "),
        "memory" => {
            let [limit, used] = ["memory.limit_in_bytes", "memory.usage_in_bytes"];
            ("/sys/fs/cgroup/memory", limit, used, "total_inactive_file ")
        }
        _ => return None,
    };
    let left = |folder: &Path| -> Option<u64> {
        let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let cached = statistics.lines().find_map(|line| line.strip_prefix(cached)?.trim().parse().ok());
        Some(number(limit)?.saturating_sub(number(used)?.saturating_sub(cached.unwrap_or(0))))
    };
    // In a container the path is that of the machine outside, and may lead nowhere; its own group is the root then.
    let folder = Path::new(root).join(path.trim_start_matches('/'));
    folder.ancestors().take_while(|folder| folder.starts_with(root)).filter_map(left).min()
}

/// The CPU's name, as the operating system tells it.
fn cpu_name() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.unwrap_or("unknown").to_owned()
}
