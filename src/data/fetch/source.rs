//! Where a fetch takes an archive from: a server, or a file that somebody brought to this machine.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Archive;
use super::download::{Client, Patience, md5};
use crate::data::folder::is_there;
use crate::error::{Error, Result};

/// Where the bytes of an archive are.
pub(super) enum Source<'a> {
    File(PathBuf),
    Server(Client<'a>),
}

impl<'a> Source<'a> {
    /// The file that the address names, or that lies in `directory` under the archive's name; else the server.
    pub(super) fn of(archive: &'a Archive, directory: &Path, patience: &'a Patience) -> Result<Self> {
        if let Some(path) = path_of(&archive.url) {
            if is_there(&path)? {
                return Ok(Self::File(path));
            }
            let expected = "an address that begins with http:// or https://, or the path of the archive";
            let found = format!("`{}`, where there is no file", archive.url.escape_debug());
            return Err(Error::usage(
                "--url",
                expected,
                found,
                "check the path, or give the whole address of a mirror",
            ));
        }
        let client = Client::new(archive, patience)?;
        let brought = directory.join(&archive.name);
        Ok(if is_there(&brought)? { Self::File(brought) } else { Self::Server(client) })
    }
}

/// The path of a file that stands for an address: `file:///path`, `file://localhost/path`, or the path alone.
fn path_of(url: &str) -> Option<PathBuf> {
    let path = match url.split_once("://") {
        Some(("file", path)) => path.strip_prefix("localhost").unwrap_or(path),
        Some(_) => return None,
        None => url,
    };
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// Makes sure that a file on this machine is the archive; it stays there in any case.
pub(super) fn check(archive: &Archive, file: &File, path: &Path) -> Result<()> {
    let bytes = file.metadata().map_err(Error::io("read its size", path))?.len();
    let found = md5(file).map_err(Error::io("read it", path))?;
    if found == archive.md5 {
        return Ok(());
    }
    let expected = format!("the official {} ({} bytes, MD5 {})", archive.name, archive.bytes, archive.md5);
    let remedy = match path_of(&archive.url) {
        Some(_) => "give the path of the official archive, or leave out --url so that it is downloaded",
        None => "copy the archive here again, or remove this file so that it is downloaded",
    };
    Err(Error::content(path, expected, format!("another file ({bytes} bytes, MD5 {found})"), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_for_an_address_with_and_without_its_scheme() {
        let is = |url: &str, path: &str| assert_eq!(path_of(url), Some(PathBuf::from(path)), "{url}");
        is("file:///a/b.tar.gz", "/a/b.tar.gz");
        is("file://localhost/a b", "/a b");
        is("a/b.tar.gz", "a/b.tar.gz");
        for url in ["http://a/b", "https://a", "ftp://a/b", "", "file://"] {
            assert_eq!(path_of(url), None, "{url}");
        }
    }
}
