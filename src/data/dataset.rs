//! The three splits, their mean image and their fingerprint: one read-only copy that every worker shares.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::Files;
use super::fold::Fold;
use super::images::{Ground, Images, Rows, Values};
use super::prepare::{Fitted, Preparation, Recipe, cache, components};
use super::sets::contents::hex;
use super::sets::{DatasetName, Shape};
use crate::blas;
use crate::error::{Error, Result};
use crate::numbers;

/// Which data, and how many rows of each split. What is left out is resolved when the files are read: `val` is 1,000 rows
/// or a tenth of the training images, whichever is fewer, or all rows of their own files; `train` all other training images; `test` all
/// test images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Data set and labels
    #[arg(long, value_enum, default_value_t)]
    pub dataset: DatasetName,
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

/// Rows of each split, which the data have: at least one each, and no row in two. Test rows may be none where the data have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Splits {
    /// The first of the training images.
    pub train: usize,
    /// The last of the training images.
    pub val: usize,
    /// The first of the test images.
    pub test: usize,
}

impl Splits {
    /// What `config` asks for of `training` and `test` images, with the sizes that it leaves out. The last `own_validation` of the training
    /// images are for validation alone, where that is a number.
    ///
    /// # Errors
    /// A split asks for none, or for more rows than there are.
    pub fn of(config: &DataConfig, training: usize, own_validation: Option<usize>, test: usize) -> Result<Self> {
        let val = config.val.or(own_validation).unwrap_or_else(|| 1000.min(training / 10).max(1));
        let train = config.train.unwrap_or(training.saturating_sub(own_validation.unwrap_or(val)));
        let test_rows = config.test.unwrap_or(test);
        let check = |name: &str, rows: usize, most: usize, of: &str| {
            let expected = format!("1 to {most} rows (there are {of})");
            if (1..=most).contains(&rows) {
                return Ok(());
            }
            let remedy = "ask for fewer rows, or at least one";
            Err(Error::usage(format!("data split `{name}`"), expected, rows.to_string(), remedy))
        };
        if let Some(own) = own_validation {
            let rows = training - own;
            check("val", val, own, &format!("{own} validation rows in files of their own"))?;
            check("train", train, rows, &format!("{rows} training rows, beside those for validation"))?;
        } else {
            let of = format!("{training} training images");
            check("val", val, training.saturating_sub(1), &of)?;
            check("train", train, training - val, &format!("{of}, {val} of them for validation"))?;
        }
        if test > 0 || test_rows > 0 {
            check("test", test_rows, test, &format!("{test} test images"))?;
        }
        Ok(Self { train, val, test: test_rows })
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
    pub fn splits(&self, config: &DataConfig) -> Result<Splits> {
        Splits::of(config, self.training.labels.len(), self.own_validation, self.test.labels.len())
    }

    /// The fingerprint that these files have with these splits.
    pub fn fingerprint(&self, splits: Splits) -> String {
        fingerprint(&self.digest, self.dataset, splits)
    }

    /// The data set with these splits.
    ///
    /// # Errors
    /// A split asks for more rows than there are, or the fingerprint is not the one that `config` names.
    pub fn split(self, config: &DataConfig) -> Result<Dataset> {
        assert_eq!(self.dataset, config.dataset, "labels are those of the data set that was read");
        let splits = self.splits(config)?;
        let fingerprint = self.fingerprint(splits);
        if let Some(expected) = config.fingerprint.as_ref().filter(|&expected| *expected != fingerprint) {
            let remedy = "give the data that the sweep file was resolved for, or take `fingerprint` out of it";
            let expected = format!("data with fingerprint {expected}");
            return Err(Error::content(&self.directory, expected, fingerprint, remedy));
        }
        let Self { training, test, shape, has_images, classes, directory, is_synthetic, .. } = self;
        let Splits { train, val, test: test_rows } = splits;
        let all = training.labels.len();
        // The fingerprint has been compared: what is made of the data does not depend on whether it was asked for.
        let config = DataConfig {
            train: Some(train),
            val: Some(val),
            test: Some(test_rows),
            fingerprint: None,
            dataset: config.dataset,
        };
        Ok(Dataset {
            training: Arc::new(training),
            train: 0..train,
            val: all - val..all,
            test: Arc::new(test),
            shape,
            has_images,
            classes,
            splits,
            config,
            fingerprint,
            directory,
            is_synthetic,
            made: Made::default(),
            cache: None,
        })
    }
}

/// What is made of the images once, and shared by all workers: by name.
type Made = Arc<Mutex<HashMap<String, Arc<dyn Any + Send + Sync>>>>;

/// Images and labels in memory.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Training and validation images.
    training: Arc<Images>,
    /// Which of them are for training.
    train: Range<usize>,
    /// Which are for validation.
    val: Range<usize>,
    test: Arc<Images>,
    shape: Shape,
    has_images: bool,
    classes: usize,
    /// Rows of each split.
    pub splits: Splits,
    /// As asked for, with the sizes that were found.
    pub config: DataConfig,
    /// Hash of the files, the split and the preprocessing: 16 hexadecimal digits.
    pub fingerprint: String,
    /// Where the files are.
    pub directory: PathBuf,
    /// Whether `mlpgrid synth` made them.
    pub is_synthetic: bool,
    made: Made,
    /// A folder in which what takes long to make is kept from one program to the next; none where nothing is.
    pub cache: Option<PathBuf>,
}

impl Dataset {
    /// Reads the files in `directory` (or in the official archive's folder inside it).
    ///
    /// # Errors
    /// As [`Files::read`] and [`Files::split`].
    pub fn load(directory: &Path, config: &DataConfig) -> Result<Self> {
        Files::read(directory, config.dataset)?.split(config)
    }

    /// The rows of a split.
    pub fn rows(&self, split: Split) -> Rows<'_> {
        match split {
            Split::Train => self.training.rows(self.train.clone()),
            Split::Val => self.training.rows(self.val.clone()),
            Split::Test => self.test.rows(0..self.splits.test),
        }
    }

    /// The data with a fold of the training and validation rows as the validation split, and the others as the training split; as they are
    /// without a fold.
    ///
    /// A split is rows one behind another. So all rows are copied once into memory two times, one behind the other, for all folds: there
    /// the rows behind a fold up to where it begins again are the others.
    pub fn fold(&self, fold: Option<Fold>) -> Cow<'_, Self> {
        let Some(fold) = fold else { return Cow::Borrowed(self) };
        let Ok(twice) = self.once("folds".to_owned(), || {
            let both = [self.train.clone(), self.val.clone()];
            Ok(self.training.gathered(&[both.clone(), both].concat()))
        }) else {
            unreachable!("nothing fails")
        };
        let Ok(made) = self.once(format!("made of {fold:?}"), || Ok(Made::default())) else {
            unreachable!("nothing fails")
        };
        let rows = self.train.len() + self.val.len();
        let val = fold.rows(rows);
        let train = val.end..val.start + rows;
        let splits = Splits { train: train.len(), val: val.len(), ..self.splits };
        let fingerprint = format!("{}-{}of{}", self.fingerprint, fold.index + 1, fold.count);
        Cow::Owned(Self { training: twice, train, val, splits, fingerprint, made: (*made).clone(), ..self.clone() })
    }

    /// Bytes of the copy that `fold` makes.
    pub fn fold_bytes(&self) -> usize {
        let rows = self.train.len() + self.val.len();
        2 * self.training.bytes() / self.training.labels.len().max(1) * rows
    }

    /// Bytes of images and labels in memory.
    pub fn bytes(&self) -> usize {
        self.training.bytes() + self.test.bytes()
    }

    /// What `make` makes of the images, made once and shared. The `name` stands for everything that it depends on beside the images.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn once<M: Send + Sync + 'static>(
        &self,
        name: String,
        make: impl FnOnce() -> std::result::Result<M, String>,
    ) -> std::result::Result<Arc<M>, String> {
        // The lock is held while it is made: others that want it wait, and do not make it too.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(there)) = made.get(&name).map(|there| Arc::clone(there).downcast::<M>()) {
            return Ok(there);
        }
        let new = Arc::new(make()?);
        made.insert(name, Arc::clone(&new) as Arc<dyn Any + Send + Sync>);
        Ok(new)
    }

    /// A preparation fitted to the training split.
    ///
    /// # Errors
    /// It cannot be fitted.
    pub fn fitted(&self, recipe: Recipe) -> std::result::Result<Arc<Fitted>, String> {
        let rows = self.rows(Split::Train);
        let decompose = || {
            let file = |folder| cache::path(folder, &self.fingerprint, &blas::describe().kernel);
            let cached = self.cache.as_deref().map(file);
            let make = || components::decompose(rows, self.inputs(), cached.as_deref());
            self.once("eigenvectors".to_owned(), make)
        };
        // Outside of the lock, which is held while what is below is made.
        let eigen = recipe.preparation.projects().then(decompose).transpose()?;
        let eigen = || eigen.ok_or_else(|| "there are no eigenvectors".to_owned());
        self.once(format!("{recipe:?}"), || recipe.fit(rows, self.shape(), eigen))
    }

    /// As [`Dataset::fitted`], with an error for the user.
    ///
    /// # Errors
    /// As of [`Dataset::fitted`].
    pub fn prepare(&self, recipe: Recipe) -> Result<Arc<Fitted>> {
        let expected = format!("images that preparation {} can be fitted to", recipe.preparation.key());
        let wrong = |found| Error::content(&self.directory, expected, found, "choose another preparation");
        self.fitted(recipe).map_err(wrong)
    }

    /// D, the numbers of an image.
    pub fn inputs(&self) -> usize {
        self.shape().inputs()
    }

    /// The shape of an image; of a row of D numbers, that of one pixel of D channels.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The shape of an image, where rows are images.
    pub fn image(&self) -> Option<Shape> {
        self.has_images.then_some(self.shape)
    }

    /// What the training rows are.
    pub fn ground(&self) -> Ground {
        let has_bytes = matches!(self.training.values, Values::Bytes(_));
        let Splits { train: rows, val: validation_rows, .. } = self.splits;
        Ground { rows, validation_rows, inputs: self.inputs(), has_images: self.has_images, has_bytes }
    }

    /// C, the number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// In one line, what they are and where they come from.
    pub fn description(&self) -> String {
        let Shape { rows, columns, channels } = self.shape;
        let name = match (self.config.dataset.published(), self.ground()) {
            _ if self.is_synthetic => "synthetic data (not CIFAR)".to_owned(),
            (Some(format), _) => format.name.to_owned(),
            (None, Ground { has_images: true, .. }) => {
                format!("images of {rows} x {columns} x {channels} in {} classes", self.classes)
            }
            (None, Ground { has_bytes, .. }) => {
                let kind = if has_bytes { "bytes" } else { "numbers" };
                format!("rows of {channels} {kind} in {} classes", self.classes)
            }
        };
        let Splits { train, val, test } = self.splits;
        let place = self.directory.display();
        format!("{name} from {place}, {train} train / {val} val / {test} test rows, fingerprint {}", self.fingerprint)
    }
}

/// Hash of the files that `digest` stands for, the splits and the preprocessing.
fn fingerprint(digest: &[u8], dataset: DatasetName, Splits { train, val, test }: Splits) -> String {
    let sizes = [train, val, test];
    let preparation = Preparation::default().key();
    let text = format!("{} {sizes:?} {preparation}", dataset.fingerprint_key());
    hex(&Sha256::new().chain_update(digest).chain_update(text).finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notebooks_split_is_the_default_of_the_official_files() {
        let splits = Splits::of(&DataConfig::default(), 50_000, None, 10_000).expect("fits");
        assert_eq!(splits, Splits { train: 49_000, val: 1000, test: 10_000 });
    }

    #[test]
    fn a_split_larger_than_the_data_is_refused_by_name() {
        let config = DataConfig { train: Some(49_500), ..DataConfig::default() };
        let error = Splits::of(&config, 50_000, None, 10_000).expect_err("too many");
        assert!(error.to_string().contains("`train`: expected 1 to 49000 rows"), "{error}");
        assert_eq!(error.exit_code(), 2);
        let config = DataConfig { val: Some(0), ..DataConfig::default() };
        assert!(Splits::of(&config, 50_000, None, 10_000).is_err());
    }

    #[test]
    fn validation_rows_of_their_own_stand_behind_the_training_rows_and_a_test_split_may_be_missing() {
        let of = |config: &DataConfig| Splits::of(config, 1200, Some(200), 0);
        let splits = of(&DataConfig::default()).expect("fits");
        assert_eq!(splits, Splits { train: 1000, val: 200, test: 0 });
        let fewer = DataConfig { val: Some(50), test: Some(0), ..DataConfig::default() };
        assert_eq!(of(&fewer).expect("fits"), Splits { train: 1000, val: 50, test: 0 });
        let more = DataConfig { train: Some(1001), val: Some(50), ..DataConfig::default() };
        let error = of(&more).expect_err("rows for validation are not for training").to_string();
        assert!(error.contains("`train`: expected 1 to 1000 rows"), "{error}");
        assert!(of(&DataConfig { test: Some(1), ..DataConfig::default() }).is_err());
        assert!(of(&DataConfig { val: Some(201), ..DataConfig::default() }).is_err());
    }
}
