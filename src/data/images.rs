//! Images and their labels, as bytes in memory.

use std::ops::Range;

/// Images and labels of one or more files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// D, the numbers of an image.
    pub inputs: usize,
    /// (rows, D), row-major; each row (row, column, channel).
    pub pixels: Vec<u8>,
    /// (rows), each below the number of classes.
    pub labels: Vec<u8>,
}

impl Images {
    /// None, with room for `rows`.
    pub fn with_capacity(rows: usize, inputs: usize) -> Self {
        Self { inputs, pixels: Vec::with_capacity(rows * inputs), labels: Vec::with_capacity(rows) }
    }

    /// Those of a range.
    ///
    /// # Panics
    /// There are fewer.
    pub fn rows(&self, range: Range<usize>) -> Rows<'_> {
        Rows { pixels: &self.pixels[range.start * self.inputs..range.end * self.inputs], labels: &self.labels[range] }
    }
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
