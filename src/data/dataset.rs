//! The three splits, their mean image and their fingerprint: one read-only copy that every worker shares.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cifar::{Format, Images, PIXELS};
use super::contents::hex;
use super::files::Files;
use super::prepare::{Fitted, Preparation};
use crate::error::{Error, Result};
use crate::files;
use crate::numbers;

/// Which data, and how many rows of each split. What is left out is resolved when the files are read: `val` is 1,000 rows
/// or a tenth of the training images, whichever is fewer; `train` all other training images; `test` all test images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Data set and labels
    #[arg(long, value_enum, default_value_t)]
    pub dataset: Format,
    /// Training rows: the first of the training images [default: all that validation leaves; 49000 of CIFAR-10]
    #[arg(long, value_name = "ROWS", value_parser = numbers::parse_whole::<usize>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<usize>,
    /// Validation rows: the last of the training images [default: 1000, at most a tenth of them]
    #[arg(long, value_name = "ROWS", value_parser = numbers::parse_whole::<usize>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<usize>,
    /// Test rows: the first of the test images [default: all]
    #[arg(id = "test_rows", long = "test-rows", value_name = "ROWS", value_parser = numbers::parse_whole::<usize>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<usize>,
    /// Fingerprint that the data must have; a resolved sweep file has it
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// Names one of the three splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What the network learns from.
    Train,
    /// What chooses between networks. Cut from the end of the training images, so that it stays the same images when
    /// `train` shrinks.
    Val,
    /// What reports on the chosen network, once.
    Test,
}

/// Rows of a split, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// (rows, D), row-major.
    pub pixels: &'a [u8],
    /// (rows).
    pub labels: &'a [u8],
}

impl Rows<'_> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

impl Files {
    /// Number of training images, from whose ends training and validation rows are cut.
    pub fn training_images(&self) -> usize {
        self.training.labels.len()
    }

    /// The splits that `config` asks for, with the sizes that it leaves out.
    ///
    /// # Errors
    /// A split asks for more rows than there are.
    pub fn resolve(&self, config: &DataConfig) -> Result<DataConfig> {
        resolve(config, self.training.labels.len(), self.test.labels.len())
    }

    /// The fingerprint that these files have with the splits of a resolved configuration.
    pub fn fingerprint(&self, resolved: &DataConfig) -> String {
        fingerprint(&self.digest, resolved)
    }

    /// The data set with these splits.
    ///
    /// # Errors
    /// A split asks for more rows than there are, or the fingerprint is not the one that `config` names.
    pub fn split(self, config: &DataConfig) -> Result<Dataset> {
        debug_assert_eq!(self.format, config.dataset, "labels are those of the format that was read");
        Dataset::from_images(self.training, self.test, &self.digest, config, self.directory, self.is_synthetic)
    }
}

/// Images, labels and mean image in memory.
#[derive(Clone, Debug)]
pub struct Dataset {
    training: Images,
    test: Images,
    sizes: [usize; 3],
    /// The preparation, fitted to the training split.
    pub fitted: Fitted,
    /// As asked for, with the sizes that were found.
    pub config: DataConfig,
    /// Hash of the files, the split and the preprocessing: 16 hexadecimal digits.
    pub fingerprint: String,
    /// Where the files are.
    pub directory: PathBuf,
    /// Whether `mlpgrid synth` made them.
    pub is_synthetic: bool,
}

impl Dataset {
    /// Reads the files in `directory` (or in the official archive's folder inside it).
    ///
    /// # Errors
    /// As [`Files::read`] and [`Files::split`].
    pub fn load(directory: &Path, config: &DataConfig) -> Result<Self> {
        Files::read(directory, config.dataset)?.split(config)
    }

    /// A data set from images in memory, which `digest` stands for.
    ///
    /// # Errors
    /// A split asks for more rows than there are, or the fingerprint is not the one that `config` names.
    pub fn from_images(
        training: Images,
        test: Images,
        digest: &[u8],
        config: &DataConfig,
        directory: PathBuf,
        is_synthetic: bool,
    ) -> Result<Self> {
        let config = resolve(config, training.labels.len(), test.labels.len())?;
        let sizes = sizes(&config);
        let fingerprint = fingerprint(digest, &config);
        if let Some(expected) = config.fingerprint.as_ref().filter(|&expected| *expected != fingerprint) {
            let remedy = "give the data that the sweep file was resolved for, or take `fingerprint` out of it";
            return Err(Error::content(&directory, format!("data with fingerprint {expected}"), fingerprint, remedy));
        }
        // It has been compared: what is made of the data does not depend on whether it was asked for.
        let config = DataConfig { fingerprint: None, ..config };
        let rows = Rows { pixels: &training.pixels[..sizes[0] * PIXELS], labels: &training.labels[..sizes[0]] };
        let fitted = Preparation::default().fit(rows, PIXELS);
        Ok(Self { training, test, sizes, fitted, config, fingerprint, directory, is_synthetic })
    }

    /// The rows of a split.
    pub fn rows(&self, split: Split) -> Rows<'_> {
        let [train, val, test] = self.sizes;
        let (images, range) = match split {
            Split::Train => (&self.training, 0..train),
            Split::Val => (&self.training, self.training.labels.len() - val..self.training.labels.len()),
            Split::Test => (&self.test, 0..test),
        };
        Rows { pixels: &images.pixels[range.start * PIXELS..range.end * PIXELS], labels: &images.labels[range] }
    }

    /// Bytes of images and labels in memory.
    pub fn bytes(&self) -> usize {
        [&self.training, &self.test].iter().map(|images| images.pixels.len() + images.labels.len()).sum()
    }

    /// D, the number of inputs.
    pub fn inputs(&self) -> usize {
        self.fitted.inputs()
    }

    /// C, the number of classes.
    pub fn classes(&self) -> usize {
        self.config.dataset.classes()
    }

    /// Names of the classes where the directory lists them, one a line.
    pub fn class_names(&self) -> Option<Vec<String>> {
        let file = match self.config.dataset {
            Format::Cifar10 => "batches.meta.txt",
            Format::Cifar100 => "fine_label_names.txt",
            Format::Cifar100Coarse => "coarse_label_names.txt",
        };
        let text = io::read_to_string(files::open_regular(&self.directory.join(file)).ok()?).ok()?;
        let names: Vec<String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        (names.len() == self.classes()).then_some(names)
    }
}

/// Hash of the files that `digest` stands for, the resolved split and the preprocessing.
fn fingerprint(digest: &[u8], resolved: &DataConfig) -> String {
    let sizes = sizes(resolved);
    let hash = Sha256::new().chain_update(digest).chain_update(format!(
        "{} {sizes:?} {}",
        resolved.dataset.fingerprint_key(),
        Preparation::default().key()
    ));
    hex(&hash.finalize()[..8])
}

/// Rows of each split of a resolved configuration.
fn sizes(resolved: &DataConfig) -> [usize; 3] {
    [resolved.train, resolved.val, resolved.test].map(Option::unwrap_or_default)
}

/// Fills in the sizes that were left out, and checks those that were given.
fn resolve(config: &DataConfig, training: usize, test: usize) -> Result<DataConfig> {
    let val = config.val.unwrap_or_else(|| 1000.min(training / 10).max(1));
    let train = config.train.unwrap_or(training.saturating_sub(val));
    let test_rows = config.test.unwrap_or(test);
    let check = |name: &str, rows: usize, most: usize, of: &str| {
        let expected = format!("1 to {most} rows (there are {of})");
        if (1..=most).contains(&rows) {
            return Ok(());
        }
        Err(Error::usage(
            format!("data split `{name}`"),
            expected,
            rows.to_string(),
            "ask for fewer rows, or at least one",
        ))
    };
    check("val", val, training.saturating_sub(1), &format!("{training} training images"))?;
    check("train", train, training - val, &format!("{training} training images, {val} of them for validation"))?;
    check("test", test_rows, test, &format!("{test} test images"))?;
    Ok(DataConfig { train: Some(train), val: Some(val), test: Some(test_rows), ..config.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notebooks_split_is_the_default_of_the_official_files() {
        let resolved = resolve(&DataConfig::default(), 50_000, 10_000).expect("fits");
        assert_eq!((resolved.train, resolved.val, resolved.test), (Some(49_000), Some(1000), Some(10_000)));
    }

    #[test]
    fn a_split_larger_than_the_data_is_refused_by_name() {
        let config = DataConfig { train: Some(49_500), ..DataConfig::default() };
        let error = resolve(&config, 50_000, 10_000).expect_err("too many");
        assert!(error.to_string().contains("`train`: expected 1 to 49000 rows"), "{error}");
        assert_eq!(error.exit_code(), 2);
        let config = DataConfig { val: Some(0), ..DataConfig::default() };
        assert!(resolve(&config, 50_000, 10_000).is_err());
    }
}
