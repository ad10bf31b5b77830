//! Images, or other rows of numbers, and their labels, in memory.

use std::ops::Range;

use super::fold::Fold;

/// The number of a class.
pub type Label = u16;

/// The most classes that labels can name.
pub const MOST_CLASSES: usize = 1 << Label::BITS;

/// The numbers of rows: (rows, D), row-major; of an image (row, column, channel).
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Bytes, as images have them.
    Bytes(Vec<u8>),
    /// Any finite numbers.
    Floats(Vec<f32>),
}

impl Values {
    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Floats(values) => size_of_val(&values[..]),
        }
    }
}

/// Rows and labels of one or more files.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// D, the numbers of a row.
    pub inputs: usize,
    /// (rows, D).
    pub values: Values,
    /// (rows), each below the number of classes.
    pub labels: Vec<Label>,
}

impl Images {
    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.values.bytes() + size_of_val(&self.labels[..])
    }

    /// Those of a range.
    ///
    /// # Panics
    /// There are fewer.
    pub fn rows(&self, range: Range<usize>) -> Rows<'_> {
        let span = range.start * self.inputs..range.end * self.inputs;
        let values = match &self.values {
            Values::Bytes(values) => RowValues::Bytes(&values[span]),
            Values::Floats(values) => RowValues::Floats(&values[span]),
        };
        Rows { values, labels: &self.labels[range] }
    }

    /// The rows of these ranges, one range behind the other.
    ///
    /// # Panics
    /// There are fewer.
    pub fn gathered(&self, ranges: &[Range<usize>]) -> Self {
        let spans = || ranges.iter().map(|range| range.start * self.inputs..range.end * self.inputs);
        let values = match &self.values {
            Values::Bytes(values) => Values::Bytes(spans().flat_map(|span| &values[span]).copied().collect()),
            Values::Floats(values) => Values::Floats(spans().flat_map(|span| &values[span]).copied().collect()),
        };
        let labels = ranges.iter().flat_map(|range| &self.labels[range.clone()]).copied().collect();
        Self { inputs: self.inputs, values, labels }
    }

    /// Puts the rows of `other` behind these.
    ///
    /// # Panics
    /// They differ in the numbers of a row, or in their kind.
    pub fn append(&mut self, other: Self) {
        assert_eq!(self.inputs, other.inputs, "rows have as many numbers");
        match (&mut self.values, other.values) {
            (Values::Bytes(values), Values::Bytes(others)) => values.extend_from_slice(&others),
            (Values::Floats(values), Values::Floats(others)) => values.extend_from_slice(&others),
            _ => panic!("rows are of one kind"),
        }
        self.labels.extend_from_slice(&other.labels);
    }
}

/// The numbers of rows of a split, borrowed: (rows, D), row-major.
#[derive(Clone, Copy, Debug)]
pub enum RowValues<'a> {
    /// Bytes, as images have them.
    Bytes(&'a [u8]),
    /// Any finite numbers.
    Floats(&'a [f32]),
}

/// Rows of a split, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// (rows, D).
    pub values: RowValues<'a>,
    /// (rows).
    pub labels: &'a [Label],
}

impl<'a> Rows<'a> {
    /// Rows of bytes.
    pub fn of_bytes(values: &'a [u8], labels: &'a [Label]) -> Self {
        Self { values: RowValues::Bytes(values), labels }
    }

    /// Rows of other numbers.
    pub fn of_floats(values: &'a [f32], labels: &'a [Label]) -> Self {
        Self { values: RowValues::Floats(values), labels }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// What training rows are, as far as that decides what can be done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// How many there are.
    pub rows: usize,
    /// How many validation rows there are beside them.
    pub validation_rows: usize,
    /// D, the numbers of each; 0 where that is not known.
    pub inputs: usize,
    /// Whether they are images, with rows and columns of pixels.
    pub has_images: bool,
    /// Whether they are bytes.
    pub has_bytes: bool,
}

impl Ground {
    /// Rows that are trained on beside a fold of all; without one, the training rows.
    pub fn train_rows(self, fold: Option<Fold>) -> usize {
        let all = self.rows + self.validation_rows;
        fold.map_or(self.rows, |fold| all - fold.rows(all).len())
    }

    /// Rows that are validated on: those of a fold; without one, the validation rows.
    pub fn validation_rows_of(self, fold: Option<Fold>) -> usize {
        self.rows + self.validation_rows - self.train_rows(fold)
    }
}

/// So many images of bytes.
impl From<usize> for Ground {
    fn from(rows: usize) -> Self {
        Self { rows, validation_rows: 0, inputs: 0, has_images: true, has_bytes: true }
    }
}
