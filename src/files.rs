//! Files that survive: what replaces another is written beside it, synced, renamed, and its directory synced.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Replaces `path` by what `write` writes, whole or not at all: after a crash the old content is there, or the new.
///
/// # Errors
/// The file cannot be written beside `path`, synced or renamed; `path` is then as it was.
pub fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let attempt = || -> io::Result<()> {
        let beside = tempfile::Builder::new().prefix(".writing-").tempfile_in(directory)?;
        write_and_sync(&beside, write)?;
        allow_reading(&beside)?;
        beside.persist(path).map_err(|error| error.error)?;
        sync_directory(directory)
    };
    attempt().map_err(Error::io("write it", path))
}

fn write_and_sync(file: &NamedTempFile, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = BufWriter::with_capacity(1 << 20, file.as_file());
    write(&mut buffer)?;
    buffer.flush()?;
    file.as_file().sync_all()
}

/// Temporary files are for their owner alone; what takes a lasting name is as readable as any other new file.
fn allow_reading(file: &NamedTempFile) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// Makes a rename in `directory` last.
///
/// # Errors
/// The directory cannot be opened or synced.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
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
