//! The published data sets, a row of [`SETS`] each: names, files, shape, classes, archive; and the user's own. Nothing else in the program
//! asks which set it has.

pub mod cifar;
pub mod contents;
pub mod npy;
pub mod synthetic;

use std::ops::Deref;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::images::Images;

/// Which data: one of the published sets, or arrays of the user's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetName {
    /// CIFAR-10: 10 classes
    #[default]
    Cifar10,
    /// CIFAR-100 with its 100 fine labels
    Cifar100,
    /// CIFAR-100 with its 20 coarse labels
    #[value(name = "cifar100-coarse")]
    #[serde(rename = "cifar100-coarse")]
    Cifar100Coarse,
    /// Arrays of your own, as numpy saves them: train_x.npy and train_y.npy, and if they are there val_x, val_y, test_x, test_y
    Npy,
}

impl DatasetName {
    /// The published set; none where it is the user's own.
    pub fn published(self) -> Option<Format> {
        match self {
            Self::Cifar10 => Some(Format::Cifar10),
            Self::Cifar100 => Some(Format::Cifar100),
            Self::Cifar100Coarse => Some(Format::Cifar100Coarse),
            Self::Npy => None,
        }
    }

    /// Its name in files and flags.
    pub fn key(self) -> &'static str {
        self.published().map_or("npy", |format| format.key)
    }

    /// Its name in text.
    pub fn name(self) -> &'static str {
        self.published().map_or("npy arrays", |format| format.name)
    }

    /// What fingerprints of data are hashes of.
    pub fn fingerprint_key(self) -> &'static str {
        self.published().map_or("Npy", |format| format.fingerprint_key)
    }
}

/// Which published data set, and which of its labels: a row of [`SETS`], whose fields it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// CIFAR-10: 10 classes
    #[default]
    Cifar10,
    /// CIFAR-100 with its 100 fine labels
    Cifar100,
    /// CIFAR-100 with its 20 coarse labels
    #[value(name = "cifar100-coarse")]
    #[serde(rename = "cifar100-coarse")]
    Cifar100Coarse,
}

/// The published data sets, in the order of [`Format`].
pub const SETS: [Description; 3] = [cifar::CIFAR_10, cifar::CIFAR_100, cifar::CIFAR_100_COARSE];

impl Deref for Format {
    type Target = Description;

    fn deref(&self) -> &Description {
        &SETS[*self as usize]
    }
}

/// What is known of a data set before its files are read.
#[derive(Debug)]
pub struct Description {
    /// Its name in files and flags.
    pub key: &'static str,
    /// What fingerprints of data are hashes of: changing one changes the identity of every trial on such data.
    pub fingerprint_key: &'static str,
    /// Its name in text.
    pub name: &'static str,
    /// The images' shape.
    pub shape: Shape,
    /// Number of classes, C.
    pub classes: usize,
    /// Files of the training images, in order.
    pub training_files: &'static [&'static str],
    /// File of the test images.
    pub test_file: &'static str,
    /// Images in each official training file.
    pub rows_per_training_file: usize,
    /// Images in the official test file.
    pub rows_of_test_file: usize,
    /// Label bytes of a record.
    pub label_bytes: usize,
    /// Which of them is the label.
    pub label_byte: usize,
    /// The official archive.
    pub archive: Archive,
    /// File names and SHA-256 of the official files; empty where they are known by the balance of their labels instead.
    pub digests: &'static [(&'static str, &'static str)],
    /// Decodes whole records of it.
    pub decode: fn(&[u8], &Description) -> Result<Images, BadRecord>,
    /// The command that gets it.
    pub fetch: &'static str,
}

/// A record that cannot be decoded: its label is none of the set's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Its number in the file, from 0.
    pub number: usize,
    /// The label that was found.
    pub found: String,
}

/// An official archive.
#[derive(Debug)]
pub struct Archive {
    /// Its file name.
    pub name: &'static str,
    /// The folder that it unpacks to.
    pub folder: &'static str,
    /// Where it is.
    pub url: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Its MD5, in lower-case hexadecimal digits.
    pub md5: &'static str,
    /// Names of what holds the same images for Python and for Matlab, which are not read.
    pub other_versions: &'static [(&'static str, [&'static str; 3])],
}

/// The shape of an image: its numbers lie in the order (row, column, channel).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Rows of pixels.
    pub rows: usize,
    /// Columns of pixels.
    pub columns: usize,
    /// Channels of a pixel.
    pub channels: usize,
}

impl Shape {
    /// D, the numbers of an image.
    pub const fn inputs(self) -> usize {
        self.rows * self.columns * self.channels
    }
}

impl Description {
    /// All data files: those of the training images, in order, then that of the test images.
    pub fn files(&self) -> impl Iterator<Item = &'static str> {
        self.training_files.iter().copied().chain([self.test_file])
    }

    /// Bytes of a record.
    pub fn record_bytes(&self) -> usize {
        self.label_bytes + self.shape.inputs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_spelling() {
        for name in DatasetName::value_variants() {
            let value = name.to_possible_value().expect("no name is hidden");
            assert_eq!(value.get_name(), name.key());
            assert_eq!(serde_json::to_string(name).expect("a name"), format!("\"{}\"", name.key()));
            assert_eq!(format!("{name:?}"), name.fingerprint_key());
        }
        let published: Vec<_> = DatasetName::value_variants().iter().filter_map(|name| name.published()).collect();
        assert_eq!(published, Format::value_variants());
    }

    #[test]
    fn every_format_has_its_own_row() {
        for format in Format::value_variants() {
            let value = format.to_possible_value().expect("no format is hidden");
            assert_eq!(value.get_name(), format.key);
            assert_eq!(serde_json::to_string(format).expect("a name"), format!("\"{}\"", format.key));
            assert_eq!(format!("{format:?}"), format.fingerprint_key);
        }
        assert_eq!(Format::value_variants().len(), SETS.len());
    }
}
