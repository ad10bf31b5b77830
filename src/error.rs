//! What can go wrong. Every error reads as one line: the place, what was expected, what was found, what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// This crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Something is not as it must be: where, what was expected, what was found, what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// File and place in it, flag, or key.
    pub place: String,
    /// What would have been right.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

impl Complaint {
    /// A complaint about `place`.
    pub fn new(
        place: impl fmt::Display,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { place: place.to_string(), expected: expected.into(), found: found.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, expected, found, remedy } = self;
        write!(formatter, "{place}: expected {expected}, found {found}; {remedy}")
    }
}

/// Any error of this program. [`Error::exit_code`] is how the process ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the user typed or wrote into a sweep file cannot be used.
    #[error("{0}")]
    Usage(Complaint),
    /// A file's content is not what it must be.
    #[error("{0}")]
    Content(Complaint),
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}; {}", .path.display(), remedy_for(.source))]
    Io {
        /// What was tried, as a verb with its object: `read it`, `create the directory`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system reported.
        source: io::Error,
    },
    /// The network or the server at the other end failed.
    #[error("{0}")]
    Network(Complaint),
    /// What a further process of this program reported, and its exit code.
    #[error("{message}")]
    Reported {
        /// Its line.
        message: String,
        /// As [`Error::exit_code`].
        exit_code: u8,
    },
    /// Stopped by a signal or at the user's wish; running again continues.
    #[error("interrupted; run the same command again to continue")]
    Interrupted,
}

impl Error {
    /// An [`Error::Usage`].
    pub fn usage(
        place: impl fmt::Display,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Usage(Complaint::new(place, expected, found, remedy))
    }

    /// An [`Error::Content`] about the file at `path`.
    pub fn content(
        path: &Path,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Content(Complaint::new(path.display(), expected, found, remedy))
    }

    /// Turns an [`io::Error`] into an [`Error::Io`]; for `map_err`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// 1 runtime or I/O error, 2 usage or bad sweep file, 75 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Content(_) | Self::Io { .. } | Self::Network(_) => 1,
            Self::Reported { exit_code, .. } => *exit_code,
            Self::Interrupted => 75,
        }
    }
}

/// What a person can do about an error of the operating system.
fn remedy_for(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "check its owner and permissions (ls -l), or choose another place",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "make room, then run the same command again: it continues"
        }
        io::ErrorKind::ReadOnlyFilesystem => "choose a place that can be written to",
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            "a file stands where a directory should, or the other way round: choose another path"
        }
        _ => "check the disk and the path, then run the same command again",
    }
}
