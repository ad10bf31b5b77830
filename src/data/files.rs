//! The files of a data set, read and looked at as a whole.

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::images::{Images, Values};
use super::sets::contents::Contents;
use super::sets::synthetic::Manifest;
use super::sets::{DatasetName, Format, Shape, npy};
use super::{arrays, folder, map};
use crate::error::{Complaint, Error, Result};
use crate::files;

/// The images of a directory's files, before they are split.
#[derive(Clone, Debug)]
pub struct Files {
    pub(super) training: Images,
    /// How many of the training rows, the last ones, come from files of their own for validation; none where there are no such files.
    pub(super) own_validation: Option<usize>,
    pub(super) test: Images,
    /// Stands for the bytes of all files.
    pub(super) digest: [u8; 32],
    pub(super) dataset: DatasetName,
    pub(super) shape: Shape,
    /// Whether rows are images of that shape.
    pub(super) has_images: bool,
    pub(super) classes: usize,
    /// Where they are.
    pub directory: PathBuf,
    /// Whether `mlpgrid synth` made them.
    pub is_synthetic: bool,
    /// In one line, what makes them others than the official files, or one of them the same as another.
    pub warning: Option<String>,
}

impl Files {
    /// Bytes of the files that [`Files::read`] would read, as far as they can be seen.
    pub fn bytes_of(directory: &Path, dataset: DatasetName) -> u64 {
        let size = |path: PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
        match dataset.published() {
            None => npy::FILES.iter().flatten().map(|file| size(directory.join(file))).sum(),
            Some(format) => {
                let folder = format.locate(directory).unwrap_or_default();
                format.files().map(|file| size(folder.join(file))).sum()
            }
        }
    }

    /// Reads the files in `directory` (or in the official archive's folder inside it).
    ///
    /// # Errors
    /// A file is missing, damaged or unreadable ([`read_file`]).
    pub fn read(directory: &Path, dataset: DatasetName) -> Result<Self> {
        match dataset.published() {
            None => arrays::read(directory),
            Some(format) => Self::read_published(directory, dataset, format),
        }
    }

    fn read_published(directory: &Path, dataset: DatasetName, format: Format) -> Result<Self> {
        let directory = format.locate(directory)?;
        folder::check(&directory, format)?;
        let manifest = Manifest::read(&directory)?;
        let rows_of = |official: usize| manifest.as_ref().map_or(official, |manifest| manifest.rows_per_file);
        let test = (format.test_file, rows_of(format.rows_of_test_file));
        let files = format.training_files.iter().map(|&file| (file, rows_of(format.rows_per_training_file)));
        let files: Vec<_> = files.chain([test]).collect();
        let read = |&(file, rows): &(&str, usize)| read_file(&directory.join(file), format, rows);
        // All are read before the first error is reported: of several faulty files it is the same one every time.
        let parts: Vec<Result<_>> = files.par_iter().map(read).collect();
        let mut parts = parts.into_iter().collect::<Result<Vec<_>>>()?;

        let is_synthetic = manifest.is_some();
        let read: Vec<_> = format.files().zip(&parts).map(|(name, (images, digest))| (name, images, digest)).collect();
        let warning = warning(&read, &directory, format, is_synthetic);
        let digest = parts.iter().fold(Sha256::new(), |hash, (_, digest)| hash.chain_update(digest)).finalize().into();
        let test = parts.pop().map(|(images, _)| images).expect("a data set has a test file");
        let training = concatenate(parts.into_iter().map(|(images, _)| images).collect());
        Ok(Self {
            training,
            own_validation: None,
            test,
            digest,
            dataset,
            shape: format.shape,
            has_images: true,
            classes: format.classes,
            directory,
            is_synthetic,
            warning,
        })
    }
}

/// Maps the file, checks its size and every label, decodes it, and drops the map. Returns the file's SHA-256 too.
///
/// The map lives only as long as this call, so that what happens to the file later does not matter.
///
/// # Errors
/// The file is missing, unreadable or no regular file, is not exactly `rows` records long, or holds a label that its format does not
/// have.
pub fn read_file(path: &Path, format: Format, rows: usize) -> Result<(Images, [u8; 32])> {
    let file = match files::open_regular(path) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(folder::missing(path, format));
        }
        other => other?,
    };
    let metadata = file.metadata().map_err(Error::io("read its size", path))?;
    let (record, expected_bytes) = (format.record_bytes(), rows * format.record_bytes());
    if metadata.len() != expected_bytes as u64 {
        let bytes = metadata.len() as usize;
        let found = match (bytes, bytes % record) {
            (0, _) => "an empty file".to_owned(),
            (_, 0) => format!("{bytes} bytes ({} records)", bytes / record),
            (_, rest) => format!("{bytes} bytes ({} records and {rest} bytes)", bytes / record),
        };
        let expected = format!("{expected_bytes} bytes ({rows} records of {record})");
        return Err(Error::content(path, expected, found, folder::replace(path, format)));
    }
    map::read(&file, path, &folder::replace(path, format), |bytes| {
        let images = (format.decode)(bytes, &format).map_err(|bad| {
            let place = format!("{}: record {} (byte {})", path.display(), bad.number, bad.number * record);
            let expected = format!("a label from 0 to {}", format.classes - 1);
            Error::Content(Complaint::new(place, expected, bad.found, folder::replace(path, format)))
        })?;
        Ok((images, Sha256::digest(bytes).into()))
    })
}

/// What makes files others than the official ones, in one line. Of synthetic ones only that two are the same: then rows that a
/// network learns from choose it too.
fn warning(
    read: &[(&str, &Images, &[u8; 32])],
    directory: &Path,
    format: Format,
    is_synthetic: bool,
) -> Option<String> {
    let contents = Contents::official(format);
    let fault = |(at, &(name, images, digest)): (usize, &(&str, &Images, &[u8; 32]))| {
        if let Some((other, ..)) = read[..at].iter().find(|(.., earlier)| *earlier == digest) {
            return Some(format!("{name}: the same as {other}"));
        }
        let (expected, found) = contents.fault(name, digest, &images.labels, format.classes)?;
        (!is_synthetic).then(|| format!("{name}: expected {expected}, found {found}"))
    };
    let faults: Vec<String> = read.iter().enumerate().filter_map(fault).collect();
    if faults.is_empty() {
        return None;
    }
    let (what, remedy) = if is_synthetic {
        ("these files are not all different".to_owned(), "write the set again (`mlpgrid synth`)".to_owned())
    } else {
        let what = format!("these are not the official files of {}", format.name);
        (what, folder::restore(&directory.join(format.test_file), format))
    };
    Some(format!("{}: {what} ({}); {remedy}", directory.display(), faults.join(", ")))
}

/// One run of memory for all training images.
fn concatenate(mut parts: Vec<Images>) -> Images {
    let rows = parts.iter().map(|part| part.labels.len()).sum::<usize>();
    let mut all = parts.remove(0);
    if let (false, Values::Bytes(pixels)) = (parts.is_empty(), &mut all.values) {
        pixels.reserve_exact(rows * all.inputs - pixels.len());
    }
    parts.into_iter().for_each(|part| all.append(part));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_out_of_range_names_its_record_and_byte() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let record = |label: u8| [vec![label], vec![0; 3072]].concat();
        std::fs::write(file.path(), [record(9), record(10)].concat()).unwrap();
        let error = read_file(file.path(), Format::Cifar10, 2).expect_err("label 10").to_string();
        let expected =
            format!("{}: record 1 (byte 3073): expected a label from 0 to 9, found 10", file.path().display());
        assert!(error.starts_with(&expected), "{error}");
    }
}
