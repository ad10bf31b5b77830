//! Cross-validation: the rows that are not for testing, cut into parts of equal size.

use std::ops::Range;

/// One of the parts: what is trained beside it is validated on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fold {
    /// Which part, from 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Fold {
    /// Its rows of so many: the parts stand one behind another, and differ by one row at most.
    pub fn rows(self, of: usize) -> Range<usize> {
        let begin = |part: usize| part * of / self.count;
        begin(self.index)..begin(self.index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_in_one_part() {
        for (rows, count) in [(50_000, 5), (10, 3), (7, 7)] {
            let parts: Vec<Range<usize>> = (0..count).map(|index| Fold { index, count }.rows(rows)).collect();
            assert_eq!((parts[0].start, parts[count - 1].end), (0, rows));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
            let sizes = || parts.iter().map(ExactSizeIterator::len);
            assert!(sizes().max() <= sizes().min().map(|least| least + 1), "{parts:?}");
        }
    }
}
