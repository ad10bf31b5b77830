//! Dropout: which hidden units an image does not see in an iteration.
//!
//! Unit h of image i is dropped where a number that is uniform in 0…65,535 is below p·65,536; what stays is divided by the share that stays,
//! so that evaluation needs no factor. The numbers are a function of the seed, the iteration, h and i: all trials of a cohort have the
//! same ones, so trials with several p are compared on common random numbers, and resuming replays nothing. Source: N. Srivastava et al.,
//! "Dropout: A Simple Way to Prevent Neural Networks from Overfitting" (2014).

use rand::Rng;

use super::{self as random, Purpose};
use crate::real::Real;

/// The numbers of one iteration.
#[derive(Clone, Debug, Default)]
pub struct Uniforms {
    /// (H, B) of the widest trial that drops units.
    numbers: Vec<u16>,
    columns: usize,
    /// Room for the stream's bytes.
    bytes: Vec<u8>,
}

impl Uniforms {
    /// Draws the numbers of an iteration for `units` hidden units and `columns` images. The first units have the same numbers however many
    /// follow.
    pub fn draw(&mut self, seed: u64, purpose: Purpose, iteration: usize, units: usize, columns: usize) {
        self.columns = columns;
        self.numbers.resize(units * columns, 0);
        self.bytes.resize(2 * units * columns, 0);
        random::stream(seed, purpose, iteration as u64).fill_bytes(&mut self.bytes);
        let (pairs, _) = self.bytes.as_chunks::<2>();
        self.numbers.iter_mut().zip(pairs).for_each(|(number, pair)| *number = u16::from_le_bytes(*pair));
    }

    /// Those of a unit, one an image.
    pub fn row(&self, unit: usize) -> &[u16] {
        &self.numbers[unit * self.columns..(unit + 1) * self.columns]
    }
}

/// What a share p drops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropped<T> {
    /// Numbers below it are dropped.
    pub threshold: u16,
    /// What the others are multiplied by.
    pub factor: T,
}

impl<T: Real> Dropped<T> {
    /// Of a share p, 0 ≤ p < 1; none where it drops nothing.
    pub fn of(share: f64) -> Option<Self> {
        let threshold = (share * 65_536.0).round().min(65_535.0) as u16;
        let factor = T::from_f64(65_536.0 / (65_536.0 - f64::from(threshold)));
        (threshold > 0).then_some(Self { threshold, factor })
    }

    /// Drops where `uniforms` are small: A ∘ 1[u ≥ threshold] · factor.
    #[inline(always)]
    pub fn apply(self, activations: &mut [T], uniforms: &[u16]) {
        for (activation, &uniform) in activations.iter_mut().zip(uniforms) {
            *activation = if uniform < self.threshold { T::zero() } else { *activation * self.factor };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_was_asked_for_is_dropped_and_the_mean_stays() {
        let mut uniforms = Uniforms::default();
        uniforms.draw(1, Purpose::Dropout, 3, 100, 200);
        let dropped = Dropped::<f64>::of(0.3).expect("drops");
        let mut kept = vec![];
        for unit in 0..100 {
            let mut row = [1.0; 200];
            dropped.apply(&mut row, uniforms.row(unit));
            kept.extend(row);
        }
        let share = kept.iter().filter(|value| **value == 0.0).count() as f64 / 20_000.0;
        assert!((share - 0.3).abs() < 0.015, "{share}");
        assert!((kept.iter().sum::<f64>() / 20_000.0 - 1.0).abs() < 0.02);
        assert_eq!(Dropped::<f32>::of(0.0), None);
    }

    #[test]
    fn the_numbers_of_a_unit_do_not_depend_on_how_many_follow() {
        let (mut few, mut many) = (Uniforms::default(), Uniforms::default());
        few.draw(5, Purpose::Dropout, 7, 3, 11);
        many.draw(5, Purpose::Dropout, 7, 9, 11);
        assert!((0..3).all(|unit| few.row(unit) == many.row(unit)));
        many.draw(5, Purpose::Dropout, 8, 9, 11);
        assert_ne!(few.row(0), many.row(0), "each iteration has its own");
    }
}
