//! How a network does on labelled rows: its accuracy, its loss, and which rows it has right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::two_layer_net::largest;
use crate::data::images::Label;
use crate::real::Real;

/// What is counted over the rows of a split, minibatch after minibatch.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    rows: usize,
    correct: usize,
    loss: f64,
    /// A bit a row, the highest of a byte first, as numpy's `packbits` has them.
    right: Vec<u8>,
}

impl Tally {
    /// Of no rows.
    pub fn clear(&mut self) {
        (self.rows, self.correct, self.loss) = (0, 0, 0.0);
        self.right.clear();
    }

    /// Adds rows with scores Sᵀ (C, `columns`), of which the first `labels.len()` columns count.
    pub fn add<T: Real>(&mut self, scores: &[T], columns: usize, labels: &[Label]) {
        for (row, &label) in labels.iter().enumerate() {
            let of_row = || scores.iter().skip(row).step_by(columns).copied();
            let label = usize::from(label);
            let is_right = largest(of_row()) == label;
            if self.rows.is_multiple_of(8) {
                self.right.push(0);
            }
            if let Some(byte) = self.right.last_mut().filter(|_| is_right) {
                *byte |= 0x80 >> (self.rows % 8);
            }
            self.rows += 1;
            self.correct += usize::from(is_right);
            // In f64 and by `libm`: the same bits on every machine, row after row.
            let most = of_row().fold(T::neg_infinity(), T::max).as_f64();
            let sum: f64 = of_row().map(|score| libm::exp(score.as_f64() - most)).sum();
            self.loss += libm::log(sum) - (scores[label * columns + row].as_f64() - most);
        }
    }

    /// The share of rows whose largest score is that of their label.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.rows as f64
    }

    /// The mean of −log P of the label: without penalty, without smoothing. None where it is not finite.
    pub fn loss(&self) -> Option<f64> {
        Some(self.loss / self.rows as f64).filter(|loss| loss.is_finite())
    }

    /// Which rows are right, as [`unpack`] reads it.
    pub fn right(&self) -> String {
        STANDARD.encode(&self.right)
    }
}

/// The bits of what [`Tally::right`] wrote.
pub fn unpack_bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Which of so many rows are right, of what [`Tally::right`] wrote; none where it is not of so many rows.
pub fn unpack(text: &str, rows: usize) -> Option<Vec<bool>> {
    let bytes = unpack_bytes(text).filter(|bytes| bytes.len() == rows.div_ceil(8))?;
    Some((0..rows).map(|row| bytes[row / 8] & (0x80 >> (row % 8)) != 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_loss_and_right_rows_are_those_of_the_scores_whatever_the_minibatches() {
        // (C, B) = (2, 11): the second class has the larger score in every third row.
        let score = |class: usize, row: usize| if row.is_multiple_of(3) == (class == 1) { 1.0_f32 } else { 0.0 };
        let scores: Vec<f32> = (0..2).flat_map(|class| (0..11).map(move |row| score(class, row))).collect();
        let labels = [1_u16, 0, 1, 1, 1, 0, 1, 0, 0, 0, 0];
        let mut whole = Tally::default();
        whole.add(&scores, 11, &labels);
        let right: Vec<bool> = (0_usize..11).map(|row| row.is_multiple_of(3) == (labels[row] == 1)).collect();
        let count = right.iter().filter(|&&right| right).count();
        assert_eq!(whole.accuracy(), count as f64 / 11.0);
        let loss = |right: bool| (1.0 + f64::exp(if right { -1.0 } else { 1.0 })).ln();
        let expected = right.iter().map(|&right| loss(right)).sum::<f64>() / 11.0;
        assert!((whole.loss().unwrap() - expected).abs() < 1e-12);
        assert_eq!(unpack(&whole.right(), 11), Some(right));
        assert_eq!((unpack(&whole.right(), 17), unpack("no base64!", 11)), (None, None));

        let mut parts = Tally::default();
        parts.add(&scores[..], 11, &labels[..5]);
        let rest: Vec<f32> = scores.chunks(11).flat_map(|row| row[5..].to_vec()).collect();
        parts.add(&rest, 6, &labels[5..]);
        assert_eq!((parts.accuracy(), parts.right()), (whole.accuracy(), whole.right()));
        parts.clear();
        parts.add(&scores, 11, &labels);
        assert_eq!((parts.loss(), parts.right()), (whole.loss(), whole.right()));
    }

    #[test]
    fn a_loss_that_is_not_finite_is_none() {
        let mut tally = Tally::default();
        tally.add(&[f64::NAN, 0.0], 1, &[0]);
        assert_eq!(tally.loss(), None);
    }
}
