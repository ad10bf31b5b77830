//! Downloads the official archives of CIFAR, checks them, and puts their files in place, whole or not at all.
//!
//! What has come so far lies in `<archive>.part`; whatever breaks, the next attempt asks the server only for what is
//! missing. The data folder changes only by renames, once checksum and sizes have been found right.

mod download;
mod source;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Seek};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use rustix::fs::{FlockOperation, flock};

use self::download::Part;
pub use self::download::Patience;
use self::source::Source;
use super::files::read_file;
use super::folder::is_there;
use super::sets::Format;
use super::sets::contents::Contents;
use super::sets::synthetic::MANIFEST;
use crate::error::{Complaint, Error, Result};
use crate::files::{create_output_directory, open_regular, sync_directory};

/// An archive of CIFAR files: where it is, and how to know that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Where a server has it, by http or https; or the path of a file, with or without `file://`.
    pub url: String,
    /// Its file name; what has come of it lies in `<name>.part`.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its MD5, in lower-case hexadecimal digits.
    pub md5: String,
    /// Names and record size of the files in it.
    pub format: Format,
    /// Images in each training file.
    pub rows_per_training_file: usize,
    /// Images in the test file.
    pub rows_of_test_file: usize,
    /// How its files are known by their contents.
    pub contents: Contents,
}

impl Archive {
    /// The archive on the home page of CIFAR, with the MD5 that it publishes. Source:
    /// <https://www.cs.toronto.edu/~kriz/cifar.html>.
    pub fn official(format: Format) -> Self {
        let official = &format.archive;
        Self {
            url: official.url.to_owned(),
            name: official.name.to_owned(),
            bytes: official.bytes,
            md5: official.md5.to_owned(),
            format,
            rows_per_training_file: format.rows_per_training_file,
            rows_of_test_file: format.rows_of_test_file,
            contents: Contents::official(format),
        }
    }

    /// The first data file of `folder` that is missing or has the wrong size or contents.
    fn fault(&self, folder: &Path) -> Option<Fault> {
        let training = self.format.training_files.iter().map(|&name| (name, self.rows_per_training_file));
        let files: Vec<_> = training.chain([(self.format.test_file, self.rows_of_test_file)]).collect();
        let size = |&(name, rows): &(_, usize)| self.fault_of_size(folder, name, rows);
        let contents = |&(name, rows): &(_, usize)| self.fault_of_contents(folder, name, rows);
        files.iter().find_map(size).or_else(|| files.iter().find_map(contents))
    }

    fn fault_of_size(&self, folder: &Path, name: &'static str, rows: usize) -> Option<Fault> {
        let bytes = (rows * self.format.record_bytes()) as u64;
        let found = match fs::metadata(folder.join(name)) {
            Ok(metadata) if !metadata.is_file() => "no regular file".to_owned(),
            Ok(metadata) if metadata.len() == bytes => return None,
            Ok(metadata) => format!("{} bytes", metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => "no such file".to_owned(),
            Err(error) => error.to_string(),
        };
        Some(Fault { name, expected: format!("{bytes} bytes"), found })
    }

    fn fault_of_contents(&self, folder: &Path, name: &'static str, rows: usize) -> Option<Fault> {
        let (expected, found) = match read_file(&folder.join(name), self.format, rows) {
            Ok((images, digest)) => self.contents.fault(name, &digest, &images.labels, self.format.classes)?,
            Err(Error::Content(Complaint { expected, found, .. })) => (expected, found),
            Err(error) => ("a readable file".to_owned(), error.to_string()),
        };
        Some(Fault { name, expected, found })
    }
}

/// What is wrong with a data file.
#[derive(Debug)]
struct Fault {
    name: &'static str,
    expected: String,
    found: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, expected, found } = self;
        write!(formatter, "{name}: expected {expected}, found {found}")
    }
}

/// What [`fetch`] is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing: all files are in the folder, with the right sizes and contents.
    Complete,
    /// The folder is there, but this is wrong with it; it will be replaced.
    Damaged(String),
    /// Another fetch is at work in the directory, and this one waits for it.
    Waiting,
    /// The archive is on this machine, in this file, and is taken from there.
    Found(PathBuf),
    /// The server begins to send, at this byte of the archive.
    Receiving(u64),
    /// So many bytes of the archive are here.
    Received(u64),
    /// The connection broke in this way; another attempt follows after the pause.
    Retrying(String, Duration),
    /// All bytes are here, and the checksum is computed.
    Checking,
    /// The checksum is right, and the files are unpacked.
    Unpacking,
}

/// Brings the files of `archive` into their folder in `directory`, and returns the folder. An archive that lies in `directory` under
/// its name is unpacked; else what is not there is downloaded.
///
/// On an error the folder is as it was; what was downloaded stays in `<archive>.part` unless it is known to be wrong.
///
/// # Errors
/// The address is neither one of http or https nor the path of a file, or the directory holds a synthetic set (usage); the server cannot be
/// reached or sends something else; the archive on this machine is not the right one; the directory cannot be written.
pub fn fetch(
    archive: &Archive,
    directory: &Path,
    patience: &Patience,
    report: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    let place = Place::new(archive, directory);
    let present = archive.format.locate(directory)?;
    let fault = archive.fault(&present);
    refuse_others(archive, directory, &present, fault.as_ref(), &place.target)?;
    let source = Source::of(archive, directory, patience)?;
    if fault.is_none() {
        place.clear();
        report(Progress::Complete);
        return Ok(present);
    }
    create_output_directory(directory)?;
    let _lock = lock(directory, report)?;
    place.tidy()?;
    match archive.fault(&place.target) {
        None => {
            place.clear(); // the fetch that was waited for, or one that was killed, had come that far
            report(Progress::Complete);
            return Ok(place.target);
        }
        Some(fault) if place.target.exists() => report(Progress::Damaged(fault.to_string())),
        Some(_) => {}
    }
    match source {
        Source::File(path) => {
            let file = open_regular(&path)?;
            report(Progress::Found(path.clone()));
            report(Progress::Checking);
            source::check(archive, &file, &path)?;
            install(archive, &file, &path, &place, directory, report)?;
        }
        Source::Server(client) => {
            let mut part = Part::open(place.part.clone())?;
            client.download(&mut part, report)?;
            report(Progress::Checking);
            part.check(&archive.md5)?;
            let installed = install(archive, &part.file, &part.path, &place, directory, report);
            // What the operating system refuses is no fault of the archive, which else would be no better the next time.
            if !matches!(installed, Err(Error::Io { .. })) {
                part.discard();
            }
            installed?;
        }
    }
    Ok(place.target)
}

/// Unpacks the archive, which is `file` at `path`, and puts its folder in place.
fn install(
    archive: &Archive,
    file: &File,
    path: &Path,
    place: &Place,
    directory: &Path,
    report: &mut dyn FnMut(Progress),
) -> Result<()> {
    report(Progress::Unpacking);
    let installed = unpack(archive, file, path, &place.new).and_then(|()| place.swap(directory));
    if installed.is_err() {
        let _ = fs::remove_dir_all(&place.new); // the first error is the one to report
    }
    installed
}

/// What is not CIFAR, or lies where nothing can be put, stays as it is.
fn refuse_others(
    archive: &Archive,
    directory: &Path,
    present: &Path,
    fault: Option<&Fault>,
    target: &Path,
) -> Result<()> {
    let refuse = |place: &Path, found: &str, remedy: &str| {
        let expected = format!("the files of {} or room for them", archive.format.name);
        Err(Error::usage(place.display(), expected, found, remedy))
    };
    for place in [present, target] {
        if is_there(&place.join(MANIFEST))? {
            let remedy = "choose another --dir: the synthetic set stays as it is";
            return refuse(place, "a synthetic set that `synth` wrote", remedy);
        }
    }
    if let Some(fault) = fault.filter(|_| present == directory)
        && is_there(&directory.join(archive.format.test_file))?
    {
        let found = format!("data files in the directory itself, and not all of them whole ({fault})");
        return refuse(directory, &found, "give the directory above it with --dir, or move these files away");
    }
    if target.symlink_metadata().is_ok() && !target.is_dir() {
        return refuse(target, "something that is no directory", "move it away, or choose another --dir");
    }
    Ok(())
}

/// Lets one fetch at a time work in `directory`: those that wait find its files. The lock ends with the handle.
fn lock(directory: &Path, report: &mut dyn FnMut(Progress)) -> Result<File> {
    let handle = File::open(directory).map_err(Error::io("open it", directory))?;
    if flock(&handle, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK) {
        report(Progress::Waiting);
        // Any other answer means that this file system knows no locks, and that is no reason to fetch nothing.
        while flock(&handle, FlockOperation::LockExclusive) == Err(rustix::io::Errno::INTR) {}
    }
    Ok(handle)
}

/// The paths that a fetch touches, all in one directory.
struct Place {
    /// The data folder.
    target: PathBuf,
    /// The folder that will take its name.
    new: PathBuf,
    /// The folder that had its name.
    old: PathBuf,
    /// What has come of the archive.
    part: PathBuf,
}

impl Place {
    fn new(archive: &Archive, directory: &Path) -> Self {
        let folder = archive.format.archive.folder;
        Self {
            target: directory.join(folder),
            new: directory.join(format!(".{folder}.new")),
            old: directory.join(format!(".{folder}.old")),
            part: directory.join(format!("{}.part", archive.name)),
        }
    }

    /// Removes what a killed fetch left, once the old folder has its name back if the new one did not get it.
    fn tidy(&self) -> Result<()> {
        if self.old.exists() && !self.target.exists() {
            fs::rename(&self.old, &self.target).map_err(Error::io("rename it", &self.old))?;
        }
        remove_folder(&self.old)?;
        remove_folder(&self.new)
    }

    /// Removes what a fetch left that was killed after its last rename; what cannot be removed does no harm.
    fn clear(&self) {
        let _ = self.tidy();
        let _ = fs::remove_file(&self.part);
    }

    /// Gives the new folder the name of the target. Killed at any point, this leaves the old files under one of its names.
    fn swap(&self, directory: &Path) -> Result<()> {
        let replaces = self.target.exists();
        if replaces {
            fs::rename(&self.target, &self.old).map_err(Error::io("move it aside", &self.target))?;
        }
        if let Err(error) = fs::rename(&self.new, &self.target) {
            let _ = fs::rename(&self.old, &self.target); // back to what was; the first error is the one to report
            return Err(Error::io("move the new folder here", &self.target)(error));
        }
        sync_directory(directory).map_err(Error::io("sync it", directory))?;
        if replaces { remove_folder(&self.old) } else { Ok(()) }
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove it", folder)(error)),
        _ => Ok(()),
    }
}

/// Unpacks the data folder's plain files into `new`, and nothing else; each is on the disk when this returns.
fn unpack(archive: &Archive, mut file: &File, path: &Path, new: &Path) -> Result<()> {
    fs::create_dir(new).map_err(Error::io("create the directory", new))?;
    let mut unpack = || -> io::Result<()> {
        file.rewind()?;
        for entry in tar::Archive::new(GzDecoder::new(BufReader::new(file))).entries()? {
            let mut entry = entry?;
            let name = plain_name(&entry.path()?, archive.format.archive.folder);
            if let Some(name) = name.filter(|_| entry.header().entry_type().is_file()) {
                let mut file = File::create(new.join(name))?;
                io::copy(&mut entry, &mut file)?;
                file.sync_all()?;
            }
        }
        sync_directory(new)
    };
    let complain = |what: String, expected: String, found: String| {
        let place = format!("{}{what}", path.display());
        Err(Error::Content(Complaint::new(place, expected, found, "give another mirror with --url")))
    };
    match unpack() {
        Err(error) if error.raw_os_error().is_some() => return Err(Error::io("unpack into it", new)(error)),
        Err(error) => return complain(String::new(), "a whole tar.gz archive".to_owned(), error.to_string()),
        Ok(()) => {}
    }
    match archive.fault(new) {
        Some(Fault { name, expected, found }) => {
            complain(format!(": {}/{name}", archive.format.archive.folder), expected, found)
        }
        None => Ok(()),
    }
}

/// The file name of `path`, if that lies directly in `folder`.
fn plain_name(path: &Path, folder: &str) -> Option<PathBuf> {
    let mut components = path.components().filter(|component| *component != Component::CurDir);
    match (components.next(), components.next(), components.next()) {
        (Some(Component::Normal(parent)), Some(Component::Normal(name)), None) if parent == folder => {
            Some(PathBuf::from(name))
        }
        _ => None,
    }
}
