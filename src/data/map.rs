//! Files that are mapped into memory while they are read.
//!
//! Reading a page of a map whose file has shrunk meanwhile, or whose disk fails, is no error that a call could return: the system sends
//! SIGBUS, which ends a process without a message. So a thread that reads a map prepares the line for that case, and a handler prints it
//! and ends the process as any other error does.

#![allow(unsafe_code)] // the map, and the handler

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use memmap2::Mmap;
use signal_hook::consts::SIGBUS;
use signal_hook::low_level;

use crate::error::{Error, Result};

thread_local! {
    /// The line that the handler writes: its first byte and its length, 0 while no map is read.
    static LAST_LINE: Cell<(*const u8, usize)> = const { Cell::new((ptr::null(), 0)) };
}

/// Maps `file`, which is at `path`, lets `read` have its bytes, and drops the map. `remedy` is what to do about a damaged file.
///
/// Should the file shrink meanwhile, the process ends with exit code 1 and one line.
///
/// # Errors
/// It cannot be mapped, or `read` fails.
pub fn read<R>(file: &File, path: &Path, remedy: &str, read: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
    listen().map_err(Error::io("prepare to map it", path))?;
    let found = "one that shrank meanwhile, or that its disk could not read";
    let error = Error::content(path, "a file that stays whole while it is read", found, remedy);
    let line = format!("error: {error}\n");
    // SAFETY: the map is read-only and private to this call. Where its file shrinks, reading it does not return.
    let map = unsafe { Mmap::map(file) }.map_err(Error::io("map it", path))?;
    let _prepared = Prepared::keep(&line);
    read(&map)
}

/// While this lives, the line is what the handler writes when this thread gets SIGBUS.
struct Prepared<'a>(PhantomData<&'a str>);

impl<'a> Prepared<'a> {
    fn keep(line: &'a str) -> Self {
        LAST_LINE.set((line.as_ptr(), line.len()));
        Self(PhantomData)
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        LAST_LINE.set((ptr::null(), 0));
    }
}

/// Installs the handler, once.
fn listen() -> io::Result<()> {
    static INSTALLED: OnceLock<std::result::Result<(), i32>> = OnceLock::new();
    let install = || {
        // SAFETY: the action does only what is allowed in a handler: it reads a constant-initialised thread-local, writes, and exits.
        let installed = unsafe { low_level::register(SIGBUS, print_last_line) };
        installed.map(drop).map_err(|error| error.raw_os_error().unwrap_or(0))
    };
    INSTALLED.get_or_init(install).map_err(io::Error::from_raw_os_error)
}

/// What happens at SIGBUS: a thread that reads a map prints why and ends the process; elsewhere it is what it would be anyhow.
fn print_last_line() {
    let (line, length) = LAST_LINE.get();
    if length > 0 {
        // SAFETY: the line lives as long as it is at hand, and this thread is in the middle of reading its map.
        unsafe {
            libc::write(libc::STDERR_FILENO, line.cast(), length);
            libc::_exit(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// In the child process: the file that shrinks.
    const SHRINKS: &str = "MLPGRID_TEST_SHRINKS";

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_one_line_and_exit_code_1() {
        if let Some(path) = std::env::var_os(SHRINKS) {
            let path = Path::new(&path);
            let file = File::options().read(true).write(true).open(path).unwrap();
            let shrink = |bytes: &[u8]| {
                file.set_len(100).unwrap();
                Ok(std::hint::black_box(bytes)[9000])
            };
            read(&file, path, "restore it", shrink).unwrap();
            unreachable!("the process has ended");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 10_000]).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        let test = "data::map::tests::a_file_that_shrinks_while_it_is_read_is_one_line_and_exit_code_1";
        let output = child.args(["--exact", test, "--nocapture"]).env(SHRINKS, file.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let messages = String::from_utf8(output.stderr).unwrap();
        let line = messages.lines().last().unwrap();
        assert!(line.starts_with(&format!("error: {}: expected", file.path().display())), "{messages}");
        assert!(line.contains("shrank meanwhile") && line.ends_with("restore it"), "{messages}");
    }

    #[test]
    fn what_is_read_is_handed_on() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let bytes = read(file.as_file(), file.path(), "", |bytes| Ok(bytes.to_vec())).unwrap();
        assert_eq!(bytes, b"abc");
        assert_eq!(LAST_LINE.get().1, 0);
    }
}
