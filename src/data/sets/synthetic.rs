//! Writes CIFAR-10-shaped files that a network can learn from, for smoke tests and benches.
//!
//! Each class has a smooth colour pattern; an image is its class's pattern, fainter or stronger, shifted in brightness, under
//! noise. The files are read by the same reader as the real ones; a manifest beside them records how many rows they have and
//! keeps anybody from taking them for CIFAR.

use std::f64::consts::TAU;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use rand::{Rng, RngExt};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Format;
use super::cifar::PIXELS;
use crate::error::{Complaint, Error, Result};
use crate::files;
use crate::random::{self, Purpose};

/// File name of the manifest.
pub const MANIFEST: &str = "synthetic.json";

/// What a synthetic directory records of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Images in each of the six files.
    pub rows_per_file: usize,
    /// Seed of patterns and images.
    pub seed: u64,
}

impl Manifest {
    /// The manifest of `directory`; `None` where it has none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(MANIFEST);
        let file = match files::open_regular(&path) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let text = io::read_to_string(file).map_err(Error::io("read it", &path))?;
        serde_json::from_str(&text).map(Some).map_err(|error| {
            Error::content(
                &path,
                "the manifest of a synthetic data set",
                error.to_string(),
                "write the set again with `mlpgrid synth`",
            )
        })
    }
}

/// Writes the six files and the manifest into `directory`, replacing an older synthetic set but never the real one.
///
/// # Errors
/// No rows are asked for, the directory holds data that are not synthetic, or it cannot be written.
pub fn write(directory: &Path, manifest: &Manifest) -> Result<()> {
    let format = Format::Cifar10;
    let rows = manifest.rows_per_file;
    if !(10..=10_000_000).contains(&rows) {
        return Err(Error::usage(
            "--rows-per-file",
            "10 to 10000000",
            rows.to_string(),
            "ask for a number in that range",
        ));
    }
    if format.is_in(directory)? && Manifest::read(directory)?.is_none() {
        let remedy = "choose another --dir: the files that are there stay as they are";
        return Err(Error::Usage(Complaint::new(
            directory.display(),
            "a directory of its own",
            "data files that `synth` did not write",
            remedy,
        )));
    }
    fs::create_dir_all(directory).map_err(Error::io("create the directory", directory))?;
    let patterns = patterns(manifest.seed, format.classes);
    let names = format.training_files.iter().chain([&"test_batch.bin"]);
    let files: Vec<(usize, &str)> = names.copied().enumerate().collect();
    files
        .into_par_iter()
        .try_for_each(|(index, name)| replace(&directory.join(name), &records(&patterns, manifest, index as u64)))?;
    let names: String = (0..format.classes).map(|class| format!("pattern {class}\n")).collect();
    replace(&directory.join("batches.meta.txt"), names.as_bytes())?;
    let text = serde_json::to_string(manifest).unwrap_or_default() + "\n";
    replace(&directory.join(MANIFEST), text.as_bytes())
}

/// Writes beside `path`, then renames: a reader sees the old file or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    files::replace(path, |file| file.write_all(bytes))
}

/// A pattern for each class, (C, D) in the file's order (channel, row, column), in −1…1: three waves a channel.
fn patterns(seed: u64, classes: usize) -> Vec<Vec<f64>> {
    let mut stream = random::stream(seed, Purpose::SyntheticPatterns, 0);
    let mut wave = || {
        let mut draw = |low: f64, high: f64| stream.random_range(low..high);
        let (across, down, phase) = (draw(-3.0, 3.0), draw(-3.0, 3.0), draw(0.0, TAU));
        move |row: usize, column: usize| ((across * column as f64 + down * row as f64) * TAU / 32.0 + phase).sin()
    };
    let mut pattern = || {
        let mut pixels = Vec::with_capacity(PIXELS);
        for _ in 0..3 {
            let waves = [wave(), wave(), wave()];
            pixels.extend((0..1024).map(|at| waves.iter().map(|wave| wave(at / 32, at % 32)).sum::<f64>() / 3.0));
        }
        pixels
    };
    (0..classes).map(|_| pattern()).collect()
}

/// The bytes of file number `index`. Classes come in random order.
fn records(patterns: &[Vec<f64>], manifest: &Manifest, index: u64) -> Vec<u8> {
    let mut stream = random::stream(manifest.seed, Purpose::SyntheticImages, index);
    let mut bytes = Vec::with_capacity(manifest.rows_per_file * (1 + PIXELS));
    let mut noise = [0_u8; PIXELS];
    for _ in 0..manifest.rows_per_file {
        let class = stream.random_range(0..patterns.len());
        let (strength, brightness) = (stream.random_range(-4.0..24.0), stream.random_range(96.0..160.0));
        stream.fill_bytes(&mut noise);
        bytes.push(class as u8);
        let pixel = |(&pattern, &noise): (&f64, &u8)| {
            (brightness + strength * pattern + (f64::from(noise) - 127.5) * 0.6) as u8
        };
        bytes.extend(patterns[class].iter().zip(&noise).map(pixel));
    }
    bytes
}
