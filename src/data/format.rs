//! The data sets: what they are called, which files hold them, and how many images and classes these have.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Bytes of one image: 32 rows × 32 columns × 3 channels. The D of every formula.
pub const PIXELS: usize = 3072;
/// Rows and columns of an image.
pub const SIDE: usize = 32;

/// Which data set, and which of its labels.
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

impl Format {
    /// Its name in files and flags.
    pub fn key(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::Cifar100Coarse => "cifar100-coarse",
        }
    }

    /// What fingerprints of data are hashes of: changing one changes the identity of every trial on such data.
    pub fn fingerprint_key(self) -> &'static str {
        match self {
            Self::Cifar10 => "Cifar10",
            Self::Cifar100 => "Cifar100",
            Self::Cifar100Coarse => "Cifar100Coarse",
        }
    }

    /// Name in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "CIFAR-10",
            Self::Cifar100 | Self::Cifar100Coarse => "CIFAR-100",
        }
    }

    /// File name of the official archive.
    pub fn archive(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10-binary.tar.gz",
            Self::Cifar100 | Self::Cifar100Coarse => "cifar-100-binary.tar.gz",
        }
    }

    /// The folder that the official archive unpacks to.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10-batches-bin",
            Self::Cifar100 | Self::Cifar100Coarse => "cifar-100-binary",
        }
    }

    /// Number of classes, C.
    pub fn classes(self) -> usize {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
            Self::Cifar100Coarse => 20,
        }
    }

    /// Files of the training images, in order.
    pub fn training_files(self) -> &'static [&'static str] {
        match self {
            Self::Cifar10 => {
                &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"]
            }
            Self::Cifar100 | Self::Cifar100Coarse => &["train.bin"],
        }
    }

    /// File of the test images.
    pub fn test_file(self) -> &'static str {
        match self {
            Self::Cifar10 => "test_batch.bin",
            Self::Cifar100 | Self::Cifar100Coarse => "test.bin",
        }
    }

    /// All data files: those of the training images, in order, then that of the test images.
    pub fn files(self) -> impl Iterator<Item = &'static str> {
        self.training_files().iter().copied().chain([self.test_file()])
    }

    /// Images in each official training file.
    pub fn rows_per_training_file(self) -> usize {
        match self {
            Self::Cifar10 => 10_000,
            Self::Cifar100 | Self::Cifar100Coarse => 50_000,
        }
    }

    /// Images in the official test file.
    pub fn rows_of_test_file(self) -> usize {
        10_000
    }

    /// Label bytes of a record.
    pub(super) fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 | Self::Cifar100Coarse => 2, // coarse, fine
        }
    }

    /// Bytes of a record.
    pub fn record_bytes(self) -> usize {
        self.label_bytes() + PIXELS
    }
}
