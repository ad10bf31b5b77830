//! Small archives of CIFAR-10's shape.

use std::fs;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use mlpgrid::data::Format;
use mlpgrid::data::fetch::Archive;
use mlpgrid::data::sets::contents::Contents;
use sha2::Sha256;

pub const FOLDER: &str = "cifar-10-batches-bin";
const ROWS: usize = 2;

/// A file of an archive: its path in there, and its bytes.
pub type Entry = (String, Vec<u8>);

/// The files of a small CIFAR-10 of two images each, and a page that is no data. Its bytes hardly compress.
pub fn entries() -> Vec<Entry> {
    let mut state = 1_u32;
    let mut noise = |count: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..count).map(|_| next()).collect()
    };
    let format = Format::Cifar10;
    let names = format.training_files.iter().chain([&"test_batch.bin", &"readme.html"]);
    let records = |name| {
        let mut bytes = noise(ROWS * format.record_bytes());
        bytes.chunks_exact_mut(format.record_bytes()).for_each(|record| record[0] %= 10); // a label
        (format!("{FOLDER}/{name}"), bytes)
    };
    names.map(records).collect()
}

pub fn tar_gz(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
    for (path, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        // Written past the library's own check, which refuses the paths that the tests are about.
        header.as_gnu_mut().expect("a GNU header").name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, bytes.as_slice()).expect("memory takes it");
    }
    builder.into_inner().and_then(GzEncoder::finish).expect("memory takes it")
}

/// What describes `bytes`, to be had at `url`.
pub fn archive_of(bytes: &[u8], url: &str) -> Archive {
    Archive {
        url: url.to_owned(),
        name: "small.tar.gz".to_owned(),
        bytes: bytes.len() as u64,
        md5: Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
        format: Format::Cifar10,
        rows_per_training_file: ROWS,
        rows_of_test_file: ROWS,
        contents: contents(),
    }
}

/// What its data files are known by.
fn contents() -> Contents {
    let digest = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let files = Format::Cifar10.files().zip(entries());
    Contents::Digests(files.map(|(name, (_, bytes))| (name, digest(&bytes))).collect())
}

/// Names of what is in a directory, hidden or not.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
