//! A sweep's directory: whose it is.

use std::io::Write;
use std::path::Path;

use super::space::Space;
use crate::error::{Error, Result};
use crate::files;
use crate::version;

/// File name of the resolved sweep file in the directory.
pub const SWEEP_FILE: &str = "sweep.toml";

/// Makes `directory` this sweep's: writes the resolved sweep file, or checks that the one that is there says the same.
///
/// # Errors
/// The directory cannot be written, or it holds another sweep: the error names each difference.
pub fn claim(directory: &Path, resolved: &Space) -> Result<()> {
    files::create_output_directory(directory)?;
    let path = directory.join(SWEEP_FILE);
    if path.exists() {
        let differences = read(directory)?.differences(resolved);
        if differences.is_empty() {
            return Ok(());
        }
        let remedy = "choose another --out, or give the sweep file that this directory was made with";
        return Err(Error::usage(directory.display(), "the same sweep as before", differences.join("; "), remedy));
    }
    let results = directory.join("results");
    if results.exists() {
        return Err(Error::content(
            &path,
            "the sweep file that the results belong to",
            "no such file",
            "restore it, or choose another --out",
        ));
    }
    let text = format!(
        "# A sweep as mlpgrid {} resolved it: every default spelled out.\n\n{}",
        version::VERSION,
        resolved.to_toml()
    );
    files::replace(&path, |file| file.write_all(text.as_bytes()))
}

/// The resolved sweep file of a sweep's directory.
///
/// # Errors
/// The directory is none, or its sweep file cannot be read.
pub fn read(directory: &Path) -> Result<Space> {
    let path = directory.join(SWEEP_FILE);
    if !path.exists() {
        let found = if directory.is_dir() { "none in this directory" } else { "no such directory" };
        return Err(Error::content(
            &path,
            "the sweep file of a sweep's directory",
            found,
            "give the directory that `mlpgrid sweep --out` wrote",
        ));
    }
    Space::read(&path)
}
