//! Where the files of a data set are, and what is there in their place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::sets::Format;
use crate::error::{Error, Result};

impl Format {
    /// `directory` itself, or the official archive's folder in it where only that holds the files.
    ///
    /// # Errors
    /// The directory may not be looked into.
    pub fn locate(self, directory: &Path) -> Result<PathBuf> {
        let nested = directory.join(self.archive.folder);
        let is_nested = !is_there(&directory.join(self.test_file))? && is_there(&nested)? && nested.is_dir();
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
    let expected = format!("a directory with the files of {} (binary version)", format.name);
    let name = folder.file_name().unwrap_or_default();
    let is_archive = name.to_str().is_some_and(|name| name.ends_with(".gz") || name.ends_with(".tgz"));
    let directory = directory_of(folder);
    let (found, remedy) = match found {
        "a file" if name == format.archive.name => {
            let unpack = format!("unpack it with `{} --dir {}`", format.fetch, directory.display());
            ("an archive", format!("{unpack} (or tar xzf), then give that directory with --data"))
        }
        "a file" if is_archive => {
            let unpack = format!("`{} --dir data --url {}`", format.fetch, folder.display());
            (
                "an archive",
                format!("if it is {} by another name, unpack it with {unpack}, then --data data", format.archive.name),
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
    let expected = format!("one of the files of {} (binary version)", format.name);
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
    let another_set = Format::value_variants().iter().find(|other| other.archive.folder != format.archive.folder);
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
    if has(format.archive.name) {
        let remedy = format!("unpack it with `{} --dir {}` (or tar xzf)", format.fetch, folder.display());
        return Some((format!("`{}`", format.archive.name), remedy));
    }
    if let Some(other) = another_set.filter(|other| other.files().any(has) || has(other.archive.folder)) {
        let remedy = format!(
            "give the directory of {} with --data; to train on {}: --dataset {}, or `dataset` under [data]",
            format.name, other.name, other.key
        );
        return Some((format!("the files of {}", other.name), remedy));
    }
    let versions = Format::value_variants().iter().flat_map(|format| format.archive.other_versions);
    for (version, names) in versions {
        if names.iter().any(|name| has(name)) {
            return another_version(version);
        }
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
    let fetch = format.fetch;
    let command = match folder.file_name() {
        Some(name) if name == format.archive.folder => format!("`{fetch} --dir {}`", directory_of(&folder).display()),
        _ => format!("`{fetch} --dir data`, then --data data"),
    };
    format!("restore the official files ({command})")
}

/// The directory that `path` is in.
fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
