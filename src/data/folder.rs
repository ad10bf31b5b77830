//! Where the files of a data set are, and what is there in their place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::format::Format;
use crate::error::{Error, Result};

impl Format {
    /// `directory` itself, or the official archive's folder in it where only that holds the files.
    ///
    /// # Errors
    /// The directory may not be looked into.
    pub fn locate(self, directory: &Path) -> Result<PathBuf> {
        let nested = directory.join(self.folder());
        let is_nested = !is_there(&directory.join(self.test_file()))? && is_there(&nested)? && nested.is_dir();
        Ok(if is_nested { nested } else { directory.to_path_buf() })
    }

    /// Whether any of the data files is in `folder`.
    ///
    /// # Errors
    /// The folder may not be looked into.
    pub fn is_in(self, folder: &Path) -> Result<bool> {
        for name in self.files() {
            if is_there(&folder.join(name))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether something is at `path`; unlike [`Path::exists`], this does not take what may not be looked at for missing.
pub(super) fn is_there(path: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(Error::io("look at it", path)(error)),
    }
}

/// Makes sure that there is a directory at `folder`.
pub(super) fn check(folder: &Path, format: Format) -> Result<()> {
    let found = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => "a file",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "no such directory",
        Err(error) => return Err(Error::io("look at it", folder)(error)),
    };
    let expected = format!("a directory with the files of {} (binary version)", format.name());
    let name = folder.file_name().unwrap_or_default();
    let is_archive = name.to_str().is_some_and(|name| name.ends_with(".gz") || name.ends_with(".tgz"));
    let directory = directory_of(folder);
    let (found, remedy) = match found {
        "a file" if name == format.archive() => {
            let unpack = format!("unpack it with `{} --dir {}`", fetch(format), directory.display());
            ("an archive", format!("{unpack} (or tar xzf), then give that directory with --data"))
        }
        "a file" if is_archive => {
            let unpack = format!("`{} --dir data --url {}`", fetch(format), folder.display());
            (
                "an archive",
                format!("if it is {} by another name, unpack it with {unpack}, then --data data", format.archive()),
            )
        }
        "a file" if format.files().any(|file| name == file) => {
            ("one of the files", format!("give the directory that it is in: --data {}", directory.display()))
        }
        found => {
            let remedy = "give it with --data or CIFAR10_DIR, or make one with `mlpgrid fetch` or `mlpgrid synth`";
            (found, remedy.to_owned())
        }
    };
    Err(Error::content(folder, expected, found, remedy))
}

/// The error of a data file that is not at `path`.
pub(super) fn missing(path: &Path, format: Format) -> Error {
    let expected = format!("one of the files of {} (binary version)", format.name());
    match instead(path, format) {
        Some((instead, remedy)) => Error::content(path, expected, format!("no such file, but {instead}"), remedy),
        None => Error::content(path, expected, "no such file", replace(path, format)),
    }
}

/// What is in the folder that a person may have taken for the file at `path`, and what to do then.
fn instead(path: &Path, format: Format) -> Option<(String, String)> {
    let folder = directory_of(path);
    let wanted = path.file_name()?.to_str()?;
    let names = fs::read_dir(&folder).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort(); // of several the same one every time
    let has = |name: &str| names.iter().any(|other| other == name);
    let other = if format == Format::Cifar10 { Format::Cifar100 } else { Format::Cifar10 };
    let other_flag = if other == Format::Cifar10 { "cifar10" } else { "cifar100" };
    let in_python = [
        "cifar-10-batches-py",
        "cifar-10-python.tar.gz",
        "data_batch_1",
        "cifar-100-python",
        "cifar-100-python.tar.gz",
        "train",
    ];
    let in_matlab = [
        "cifar-10-batches-mat",
        "cifar-10-matlab.tar.gz",
        "data_batch_1.mat",
        "cifar-100-matlab",
        "cifar-100-matlab.tar.gz",
        "train.mat",
    ];
    let another_version = |version: &str| {
        let remedy = format!("only the binary version is read: {}", restore(path, format));
        Some((format!("the {version} version of the data"), remedy))
    };
    if has(wanted) {
        return Some((
            "a link to a file that is missing".to_owned(),
            format!("mend the link, or {}", restore(path, format)),
        ));
    }
    if let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(wanted)) {
        return Some((format!("`{name}`"), format!("rename it to `{wanted}`")));
    }
    if has(format.archive()) {
        let remedy = format!("unpack it with `{} --dir {}` (or tar xzf)", fetch(format), folder.display());
        return Some((format!("`{}`", format.archive()), remedy));
    }
    if other.files().any(has) || has(other.folder()) {
        let remedy = format!(
            "give the directory of {} with --data; to train on {}: --dataset {other_flag}, or `dataset` under [data]",
            format.name(),
            other.name()
        );
        return Some((format!("the files of {}", other.name()), remedy));
    }
    if in_python.iter().any(|name| has(name)) {
        return another_version("Python");
    }
    if in_matlab.iter().any(|name| has(name)) {
        return another_version("Matlab");
    }
    None
}

/// What to do where a damaged file, or none, is at `path`.
pub(super) fn replace(path: &Path, format: Format) -> String {
    format!("{}, or make a stand-in (`mlpgrid synth`)", restore(path, format))
}

/// How to get the official files: `fetch` replaces the folder that the archive unpacks to, and leaves one of another name alone.
pub(super) fn restore(path: &Path, format: Format) -> String {
    let folder = directory_of(path);
    let fetch = fetch(format);
    let command = match folder.file_name() {
        Some(name) if name == format.folder() => format!("`{fetch} --dir {}`", directory_of(&folder).display()),
        _ => format!("`{fetch} --dir data`, then --data data"),
    };
    format!("restore the official files ({command})")
}

/// The command that gets a data set.
fn fetch(format: Format) -> &'static str {
    match format {
        Format::Cifar10 => "mlpgrid fetch",
        Format::Cifar100 | Format::Cifar100Coarse => "mlpgrid fetch --dataset cifar100",
    }
}

/// The directory that `path` is in.
fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
