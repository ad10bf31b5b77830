//! The named, seeded streams behind every draw: ChaCha8, keyed by seed and purpose, never by a thread.
//!
//! A stream that is keyed by its purpose gives the same numbers whatever else is drawn beside it: a trial's minibatches
//! do not move when its network gets more hidden units. That is what lets trials of one seed share minibatches.
//!
//! [`numpy`] is the other kind: one stream for everything, which replays what notebooks published.

pub mod dropout;
pub mod numpy;

use byteorder::{ByteOrder, LittleEndian};
use clap::ValueEnum;
use rand::SeedableRng;
pub use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use numpy::RandomState;

/// Which generator draws the first weights and the minibatches of a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Generator {
    /// ChaCha8, with a stream of its own for each purpose
    #[default]
    ChaCha8,
    /// numpy's legacy RandomState: one stream draws W1, then W2, then the minibatches, as the notebook does
    Numpy,
}

impl Generator {
    /// Its name in files and flags. Identities of trials are hashes of it.
    pub fn key(self) -> &'static str {
        match self {
            Self::ChaCha8 => "chacha8",
            Self::Numpy => "numpy",
        }
    }
}

/// A stream that gives standard normal numbers.
pub trait Normals {
    /// The next one.
    fn normal(&mut self) -> f64;
}

impl Normals for ChaCha8Rng {
    fn normal(&mut self) -> f64 {
        StandardNormal.sample(self)
    }
}

impl Normals for RandomState {
    fn normal(&mut self) -> f64 {
        self.randn()
    }
}

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The first weights of a network.
    Init,
    /// The rows of each minibatch.
    Minibatches,
    /// The hidden units that each image does not see; the index is the iteration.
    Dropout,
    /// The inputs that are left out of each image; the index is the iteration.
    InputDropout,
    /// The changes to the images of a minibatch; the index is the iteration.
    Augmentation,
    /// The products that show a BLAS kernel's order of summation.
    Lanes,
    /// The configurations of a search; the index is the draw.
    Search,
    /// The images that a statistic is computed on; the index is the drawing.
    Bootstrap,
    /// The class patterns of a synthetic data set.
    SyntheticPatterns,
    /// The images of a synthetic data set's file.
    SyntheticImages,
}

impl Purpose {
    /// At most 16 bytes, part of the key: changing one changes every result.
    fn name(self) -> &'static [u8] {
        match self {
            Self::Init => b"init",
            Self::Minibatches => b"minibatches",
            Self::Dropout => b"dropout",
            Self::InputDropout => b"input dropout",
            Self::Augmentation => b"augmentation",
            Self::Lanes => b"lanes",
            Self::Search => b"search",
            Self::Bootstrap => b"bootstrap",
            Self::SyntheticPatterns => b"synth patterns",
            Self::SyntheticImages => b"synth images",
        }
    }
}

/// The stream of `seed` for `purpose`; `index` distinguishes streams of one purpose.
///
/// The 32-byte key is the seed (8 bytes, little-endian), the index (8 bytes) and the purpose's name (16 bytes, zero-padded).
pub fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    LittleEndian::write_u64(&mut key[..8], seed);
    LittleEndian::write_u64(&mut key[8..16], index);
    let name = purpose.name();
    key[16..16 + name.len()].copy_from_slice(name);
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn a_stream_replays_and_every_part_of_its_key_matters() {
        let first = |seed, purpose, index| stream(seed, purpose, index).random::<u64>();
        let base = first(1, Purpose::Init, 0);
        assert_eq!(base, first(1, Purpose::Init, 0));
        assert_ne!(base, first(2, Purpose::Init, 0));
        assert_ne!(base, first(1, Purpose::Minibatches, 0));
        assert_ne!(base, first(1, Purpose::Init, 1));
    }
}
