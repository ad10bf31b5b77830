//! Which rows come next.

use clap::ValueEnum;
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::random::numpy::RandomState;
use crate::random::{self, ChaCha8Rng, Purpose};

/// How the rows of a minibatch are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Each row drawn from all, whatever was drawn before: the notebook's way
    #[default]
    Replacement,
    /// All rows in a new random order each epoch; what is left of an epoch goes before the next order
    Shuffle,
}

impl Sampling {
    /// Its name in files and flags. Identities of trials are hashes of it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Replacement => "replacement",
            Self::Shuffle => "shuffle",
        }
    }
}

/// What row numbers are drawn from.
#[derive(Clone, Debug)]
enum Stream {
    ChaCha8(Box<ChaCha8Rng>),
    Numpy(Box<RandomState>),
}

/// An endless stream of row numbers, the same for the same stream, sampling and number of rows.
#[derive(Clone, Debug)]
pub struct Sampler {
    stream: Stream,
    rows: u32,
    /// The current order and the place in it, where sampling shuffles; empty where it draws with replacement.
    order: Vec<u32>,
    next: usize,
}

impl Sampler {
    /// A stream over `rows` rows, from ChaCha8.
    pub fn new(seed: u64, sampling: Sampling, rows: usize) -> Self {
        Self::over(Stream::ChaCha8(Box::new(random::stream(seed, Purpose::Minibatches, 0))), sampling, rows)
    }

    /// A stream over `rows` rows that goes on where `state` stands: numpy's `choice` or, where sampling shuffles, `shuffle`.
    pub fn from_numpy(state: RandomState, sampling: Sampling, rows: usize) -> Self {
        Self::over(Stream::Numpy(Box::new(state)), sampling, rows)
    }

    fn over(stream: Stream, sampling: Sampling, rows: usize) -> Self {
        let rows = u32::try_from(rows).expect("a data set has fewer than 2^32 rows");
        let order = match sampling {
            Sampling::Replacement => vec![],
            Sampling::Shuffle => (0..rows).collect(),
        };
        let next = order.len(); // shuffled before the first draw
        Self { stream, rows, order, next }
    }

    /// Fills `batch` with the next rows.
    pub fn draw(&mut self, batch: &mut [u32]) {
        for row in batch {
            *row = if self.order.is_empty() { self.stream.below(self.rows) } else { self.next_of_order() };
        }
    }

    fn next_of_order(&mut self) -> u32 {
        if self.next == self.order.len() {
            self.stream.shuffle(&mut self.order);
            self.next = 0;
        }
        self.next += 1;
        self.order[self.next - 1]
    }
}

impl Stream {
    fn below(&mut self, rows: u32) -> u32 {
        match self {
            Self::ChaCha8(stream) => stream.random_range(0..rows),
            Self::Numpy(state) => state.choice(rows),
        }
    }

    fn shuffle(&mut self, order: &mut [u32]) {
        match self {
            Self::ChaCha8(stream) => order.shuffle(stream),
            Self::Numpy(state) => state.shuffle(order),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_of_shuffled_sampling_holds_every_row_once_and_epochs_differ() {
        let mut sampler = Sampler::new(3, Sampling::Shuffle, 10);
        let mut epoch = || {
            let mut rows = [0; 10];
            rows.chunks_mut(5).for_each(|batch| sampler.draw(batch));
            rows
        };
        let (first, second) = (epoch(), epoch());
        let sorted = |mut rows: [u32; 10]| {
            rows.sort_unstable();
            rows
        };
        assert_eq!(sorted(first), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(sorted(second), sorted(first));
        assert_ne!(first, second);
    }

    #[test]
    fn sampling_with_replacement_replays_and_stays_in_range() {
        let draw = |seed| {
            let mut rows = [0; 1000];
            Sampler::new(seed, Sampling::Replacement, 7).draw(&mut rows);
            rows
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!((0..7).all(|row| draw(1).contains(&row)) && draw(1).iter().all(|&row| row < 7));
    }
}
