//! What made a result: program, compiler, BLAS, machine, data, command.

use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use crate::blas::Blas;
use crate::data::Dataset;
use crate::error::Result;
use crate::integer::kernel;
use crate::{files, machine, version};

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
    /// The kernel of products of integers.
    pub integer_kernel: &'static str,
    /// The command line. Bytes that are not UTF-8 are escaped as in `caf\xe9`.
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
            host: machine::host(),
            cpu: machine::cpu_name(),
            cores: machine::available_cores(),
            blas: blas.clone(),
            integer_kernel: kernel::chosen().name,
            command: env::args_os().map(|argument| text_of(&argument)).collect(),
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
            data_directory: Some(text_of(data.directory.as_os_str())),
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

/// An argument or path as text; bytes that are not UTF-8 are escaped as in `caf\xe9`, which shells take as `$'caf\xe9'`.
fn text_of(text: &OsStr) -> String {
    let chunks = text.as_encoded_bytes().utf8_chunks();
    chunks.map(|chunk| format!("{}{}", chunk.valid(), chunk.invalid().escape_ascii())).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn bytes_that_are_not_utf_8_are_escaped_and_all_others_stay() {
        assert_eq!(text_of(OsStr::from_bytes(b"caf\xe9/\xff\xfe")), r"caf\xe9/\xff\xfe");
        assert_eq!(text_of(OsStr::new("a b/é\\x\n")), "a b/é\\x\n");
    }
}
