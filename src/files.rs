//! Files that survive: what replaces another is written beside it, synced, renamed, and its directory synced.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Replaces what stands in a text file between two lines, which stay.
///
/// # Errors
/// The file cannot be read or written, or has not both lines.
pub fn replace_between(path: &Path, [begin, end]: [&str; 2], text: &str) -> Result<()> {
    let whole = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let parts = whole.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let expected = format!("the lines `{}` and `{}`", begin.trim(), end.trim());
    let (before, after) =
        parts.ok_or_else(|| Error::content(path, expected, "a file without them", "put them where the text goes"))?;
    let whole = [before, begin, text, end, after].concat();
    replace(path, |file| file.write_all(whole.as_bytes()))
}

/// The steps by which bytes come to last on a disk. Tests put disks that fail in the place of the [real one](RealDisk).
pub trait Disk: Sync {
    /// Appends `bytes` to the open `file` at `path`.
    ///
    /// # Errors
    /// Some or all of them could not be written.
    fn append(&self, file: &mut File, _path: &Path, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Makes what was written to the open `file` at `path` last.
    ///
    /// # Errors
    /// It may not last.
    fn sync(&self, file: &File, _path: &Path) -> io::Result<()> {
        file.sync_all()
    }

    /// Gives the file `from` the name `to`, whose file is gone then.
    ///
    /// # Errors
    /// Both are as they were.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Makes new names and renames in `directory` last.
    ///
    /// # Errors
    /// They may not last.
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {}

/// What the names of files begin with that are not whole yet.
const WRITING: &str = ".writing-";

/// The age from which a half-written file is a dead process's.
pub const SURELY_DEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// Replaces `path` by what `write` writes, whole or not at all: after a crash the old content is there, or the new.
///
/// # Errors
/// The file cannot be written beside `path`, synced or renamed; `path` is then as it was.
pub fn replace(path: &Path, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<()> {
    let mut bytes = Vec::new();
    write(&mut bytes).map_err(Error::io("write it", path))?;
    replace_on(&RealDisk, path, &[&bytes])
}

/// Replaces `path` by `parts`, one after another, on `disk`, as [`replace`] does.
///
/// # Errors
/// As [`replace`].
pub fn replace_on(disk: &dyn Disk, path: &Path, parts: &[&[u8]]) -> Result<()> {
    let directory = directory_of(path);
    let attempt = || -> io::Result<()> {
        let (mut file, beside) = beside(&directory)?.into_parts();
        parts.iter().try_for_each(|bytes| disk.append(&mut file, &beside, bytes))?;
        disk.sync(&file, &beside)?;
        disk.rename(&beside, path)?;
        let _ = beside.keep(); // there is nothing to remove under this name any more
        disk.sync_directory(&directory)
    };
    attempt().map_err(Error::io("write it", path))
}

/// Creates `path` with `bytes`, whole or not at all, where there is no such file yet; one that is there stays as it is.
///
/// # Errors
/// It cannot be written.
pub fn create(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = directory_of(path);
    let attempt = || -> io::Result<()> {
        let mut new = beside(&directory)?;
        new.write_all(bytes)?;
        new.as_file().sync_all()?;
        match new.persist_noclobber(path) {
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(failed) => Err(failed.error),
            Ok(_) => sync_directory(&directory),
        }
    };
    attempt().map_err(Error::io("write it", path))
}

/// The directory that `path` is in.
fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A new file in `directory` under a name of its own, which a rename or a link makes a lasting one; removed when dropped. It has the
/// permissions of any other new file, those that the umask leaves, though temporary files are otherwise for their owner alone.
///
/// # Errors
/// It cannot be created.
pub fn beside(directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(WRITING);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(directory)
}

/// Removes files in `directory` that were begun at least `age` ago and never given a name: a process that died left them. No age is needed
/// where no other process can be writing; elsewhere one that writes is done within [`SURELY_DEAD`].
pub fn remove_leftovers(directory: &Path, age: Duration) {
    // The file system's clock dates them, and can be far from this machine's.
    let Ok(now) = beside(directory).and_then(|new| new.as_file().metadata()?.modified()) else { return };
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let begun = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = begun.is_ok_and(|begun| now.duration_since(begun).unwrap_or_default() >= age);
        if is_old && entry.file_name().to_string_lossy().starts_with(WRITING) {
            let _ = fs::remove_file(entry.path()); // it takes room, no more
        }
    }
}

/// Makes a rename in `directory` last.
///
/// # Errors
/// The directory cannot be opened or synced.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    RealDisk.sync_directory(directory)
}

/// Creates `directory` and its parents, and makes sure that files can be written into it.
///
/// # Errors
/// It cannot be created, or takes no files.
pub fn create_output_directory(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(Error::io("create the directory", directory))?;
    tempfile::tempfile_in(directory).map_err(Error::io("write files into it", directory))?;
    Ok(())
}

/// Whether [`create_output_directory`] would succeed; writes nothing.
///
/// # Errors
/// It would not.
pub fn check_output_directory(directory: &Path) -> Result<()> {
    // What is there of the path: the directories below it would be created.
    let there = directory.ancestors().find(|path| path.exists()).filter(|path| !path.as_os_str().is_empty());
    let there = there.unwrap_or(Path::new("."));
    if !there.is_dir() {
        let error = if there == directory { Errno::EXIST } else { Errno::NOTDIR };
        return Err(Error::io("create the directory", directory)(error.into()));
    }
    let action = if there == directory { "write files into it" } else { "create the directory" };
    access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| Error::io(action, directory)(error.into()))
}

/// Makes sure that a file can be written at `path`, before work whose outcome it is for. What is there stays.
///
/// # Errors
/// It could not be written.
pub fn check_output_file(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Error::io("write it", path)(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    tempfile::tempfile_in(directory_of(path)).map(drop).map_err(Error::io("write it", path))
}

/// The names of the files in `directory` with this extension, sorted; none where there is no such directory.
///
/// # Errors
/// The directory cannot be listed.
pub fn with_extension(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        other => other.map_err(Error::io("list the directory", directory))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    let mut paths = paths.map_err(Error::io("list the directory", directory))?;
    paths.retain(|path| path.extension().is_some_and(|other| other == extension));
    paths.sort();
    Ok(paths)
}

/// Opens a file for reading that must be a regular one. It never waits, as opening a FIFO does until somebody writes into it.
///
/// # Errors
/// It is missing or unreadable, or something else than a regular file.
pub fn open_regular(path: &Path) -> Result<File> {
    let check = |file_type: FileType| match kind(file_type) {
        None => Ok(()),
        Some(kind) => {
            Err(Error::content(path, "a regular file", kind, "put a regular file there, or give another path"))
        }
    };
    // Before it is opened, for opening a device can do something; and after, for it may have been replaced meanwhile.
    check(fs::metadata(path).map_err(Error::io("open it", path))?.file_type())?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(Error::io("open it", path))?;
    check(file.metadata().map_err(Error::io("open it", path))?.file_type())?;
    Ok(file)
}

/// What it is, unless it is a regular file.
fn kind(file_type: FileType) -> Option<&'static str> {
    let kinds = [
        (file_type.is_dir(), "a directory"),
        (file_type.is_fifo(), "a FIFO"),
        (file_type.is_socket(), "a socket"),
        (file_type.is_block_device() || file_type.is_char_device(), "a device"),
    ];
    kinds.into_iter().find_map(|(is_it, kind)| is_it.then_some(kind))
}

/// Refuses a FIFO, which would be waited for, unless somebody handed it over as an open file: `/dev/stdin`, or a shell's `<(command)`.
///
/// # Errors
/// It is a FIFO.
pub fn refuse_fifo(path: &Path) -> Result<()> {
    let is_handed_over = ["/dev/stdin", "/dev/fd", "/proc"].iter().any(|open_files| path.starts_with(open_files));
    if !is_handed_over && fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        return Err(Error::content(path, "a file", "a FIFO", "give a file, or /dev/stdin with its content"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_others_are_named() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        for name in ["file", "link"] {
            assert_eq!(io::read_to_string(open_regular(&path(name)).unwrap()).unwrap(), "text");
        }
        let fifo = path("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let socket = path("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let refused = [
            (directory.path(), "found a directory"),
            (&fifo, "found a FIFO"),
            (&socket, "found a socket"),
            (Path::new("/dev/null"), "found a device"),
        ];
        for (path, found) in refused {
            let error = open_regular(path).unwrap_err().to_string();
            assert!(error.starts_with(&path.display().to_string()) && error.contains(found), "{error}");
        }
        assert!(refuse_fifo(&fifo).unwrap_err().to_string().contains("found a FIFO"));
        for other in [&path("file"), &path("missing"), &socket, Path::new("/dev/stdin")] {
            refuse_fifo(other).unwrap();
        }
    }

    #[test]
    fn half_written_files_are_removed_only_when_they_are_old_enough() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in [".writing-new", ".writing-old", "mine"] {
            fs::write(path(name), "text").unwrap();
        }
        let yesterday = std::time::SystemTime::now() - SURELY_DEAD - Duration::from_secs(60);
        for name in [".writing-old", "mine"] {
            File::options().append(true).open(path(name)).unwrap().set_modified(yesterday).unwrap();
        }
        remove_leftovers(directory.path(), SURELY_DEAD);
        assert!(path(".writing-new").exists() && !path(".writing-old").exists() && path("mine").exists());
        remove_leftovers(directory.path(), Duration::ZERO);
        assert!(!path(".writing-new").exists() && path("mine").exists());
    }

    #[test]
    fn a_file_is_created_once_and_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        create(&path, b"first").unwrap();
        create(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing half-written stays");
    }

    #[test]
    fn what_can_be_written_is_known_without_writing() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "text").unwrap();
        check_output_directory(&path("a/b/c")).unwrap();
        check_output_directory(directory.path()).unwrap();
        check_output_directory(Path::new("no-such/directory")).unwrap();
        for name in ["file", "file/below", "file/below/it"] {
            let checked = check_output_directory(&path(name)).unwrap_err().to_string();
            assert_eq!(checked, create_output_directory(&path(name)).unwrap_err().to_string());
        }
        check_output_file(&path("file")).unwrap();
        check_output_file(&path("new")).unwrap();
        check_output_file(&path("missing/new")).unwrap_err();
        check_output_file(directory.path()).unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
