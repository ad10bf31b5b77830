//! Downloads the official archives of CIFAR, checks them, and puts their files in place, whole or not at all.
//!
//! What has come so far lies in `<archive>.part`; whatever breaks, the next attempt asks the server only for what is
//! missing. The data folder changes only by renames, once checksum and sizes have been found right.

mod download;

use std::fs::{self, File};
use std::io::{self, BufReader, Seek};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use rustix::fs::{FlockOperation, flock};

pub use self::download::Patience;
use self::download::{Client, Part};
use super::cifar::Format;
use super::synthetic::MANIFEST;
use crate::error::{Complaint, Error, Result};
use crate::files::{create_output_directory, sync_directory};

/// An archive of CIFAR files: where it is, and how to know that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Where a server has it, by http or https.
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
}

impl Archive {
    /// The archive on the home page of CIFAR, with the MD5 that it publishes. Source:
    /// <https://www.cs.toronto.edu/~kriz/cifar.html>.
    pub fn official(format: Format) -> Self {
        let (name, bytes, md5) = match format {
            Format::Cifar10 => ("cifar-10-binary.tar.gz", 170_052_171, "c32a1d4ab5d03f1284b67883e8d87530"),
            Format::Cifar100 | Format::Cifar100Coarse => {
                ("cifar-100-binary.tar.gz", 168_513_733, "03b5dce01913d631647c71ecec9e9cb8")
            }
        };
        Self {
            url: format!("https://www.cs.toronto.edu/~kriz/{name}"),
            name: name.to_owned(),
            bytes,
            md5: md5.to_owned(),
            format,
            rows_per_training_file: format.rows_per_training_file(),
            rows_of_test_file: format.rows_of_test_file(),
        }
    }

    /// The first data file of `folder` that is missing or has the wrong size: its name, what was expected, what was found.
    fn fault(&self, folder: &Path) -> Option<(&'static str, String, String)> {
        let training = self.format.training_files().iter().map(|&name| (name, self.rows_per_training_file));
        let mut files = training.chain([(self.format.test_file(), self.rows_of_test_file)]);
        files.find_map(|(name, rows)| {
            let bytes = (rows * self.format.record_bytes()) as u64;
            let found = match fs::metadata(folder.join(name)) {
                Ok(metadata) if !metadata.is_file() => "no regular file".to_owned(),
                Ok(metadata) if metadata.len() == bytes => return None,
                Ok(metadata) => format!("{} bytes", metadata.len()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "no such file".to_owned(),
                Err(error) => error.to_string(),
            };
            Some((name, format!("{bytes} bytes"), found))
        })
    }
}

/// What [`fetch`] is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing: all files are in the folder, with the right sizes.
    Complete,
    /// The folder is there, but this is wrong with it; it will be replaced.
    Damaged(String),
    /// Another fetch is at work in the directory, and this one waits for it.
    Waiting,
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

/// Brings the files of `archive` into their folder in `directory`, downloading what is not there, and returns the folder.
///
/// On an error the folder is as it was; what was downloaded stays in `<archive>.part` unless it is known to be wrong.
///
/// # Errors
/// The address is not http or https, or the directory holds a synthetic set (usage); the server cannot be reached or sends
/// something else; the directory cannot be written.
pub fn fetch(
    archive: &Archive,
    directory: &Path,
    patience: &Patience,
    report: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    let client = Client::new(archive, patience)?;
    let place = Place::new(archive, directory);
    let present = archive.format.locate(directory);
    refuse_others(archive, directory, &present, &place.target)?;
    if archive.fault(&present).is_none() {
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
        Some((name, expected, found)) if place.target.exists() => {
            report(Progress::Damaged(format!("{name}: expected {expected}, found {found}")));
        }
        Some(_) => {}
    }
    let mut part = Part::open(place.part.clone())?;
    client.download(&mut part, report)?;
    report(Progress::Checking);
    part.check(&archive.md5)?;
    report(Progress::Unpacking);
    if let Err(error) = unpack(archive, &mut part, &place.new).and_then(|()| place.swap(directory)) {
        let _ = fs::remove_dir_all(&place.new); // the first error says more
        return Err(error);
    }
    part.discard();
    Ok(place.target)
}

/// What is not CIFAR, or lies where nothing can be put, stays as it is.
fn refuse_others(archive: &Archive, directory: &Path, present: &Path, target: &Path) -> Result<()> {
    let refuse = |place: &Path, found: &str, remedy: &str| {
        let expected = format!("the files of {} or room for them", archive.format.name());
        Err(Error::usage(place.display(), expected, found, remedy))
    };
    for place in [present, target] {
        if place.join(MANIFEST).exists() {
            let remedy = "choose another --dir: the synthetic set stays as it is";
            return refuse(place, "a synthetic set that `synth` wrote", remedy);
        }
    }
    if present == directory && directory.join(archive.format.test_file()).exists() && archive.fault(present).is_some() {
        let found = "data files in the directory itself, and not all of them whole";
        return refuse(directory, found, "give the directory above it with --dir, or move these files away");
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
        let folder = archive.format.folder();
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
            let _ = fs::rename(&self.old, &self.target); // back to what was; the first error says more
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
fn unpack(archive: &Archive, part: &mut Part, new: &Path) -> Result<()> {
    fs::create_dir(new).map_err(Error::io("create the directory", new))?;
    let mut unpack = || -> io::Result<()> {
        part.file.rewind()?;
        for entry in tar::Archive::new(GzDecoder::new(BufReader::new(&part.file))).entries()? {
            let mut entry = entry?;
            let name = plain_name(&entry.path()?, archive.format.folder());
            if let Some(name) = name.filter(|_| entry.header().entry_type().is_file()) {
                let mut file = File::create(new.join(name))?;
                io::copy(&mut entry, &mut file)?;
                file.sync_all()?;
            }
        }
        sync_directory(new)
    };
    let complain = |part: &mut Part, what: String, expected: String, found: String| {
        part.discard(); // it would be no better the next time
        let place = format!("{}{what}", part.path.display());
        Err(Error::Content(Complaint::new(place, expected, found, "give another mirror with --url")))
    };
    match unpack() {
        // What the operating system refuses is no fault of the archive.
        Err(error) if error.raw_os_error().is_some() => return Err(Error::io("unpack into it", new)(error)),
        Err(error) => return complain(part, String::new(), "a whole tar.gz archive".to_owned(), error.to_string()),
        Ok(()) => {}
    }
    match archive.fault(new) {
        Some((name, expected, found)) => {
            complain(part, format!(": {}/{name}", archive.format.folder()), expected, found)
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
