//! The cs231n notebook on two-layer networks, digit for digit: the exercise that this product grew from.
//!
//! Everything is computed again, in the notebook's order, in f64, from one stream of numpy's legacy generator that runs through
//! from the toy network to the last minibatch; then each number is put beside the published one.
//!
//! ```text
//! seed 0   toy network: W1 (4, 10), W2 (10, 3), standard deviation 1e-1
//! seed 1   toy data: X = 10·randn(5, 4), y = 0 1 2 2 1
//!          scores, loss, gradient check
//! seed 0   toy network again, then 100 minibatches of choice(5, 200)
//!          without a new seed: CIFAR-10 network, W1 (3072, 50), W2 (50, 10), standard deviation 1e-4,
//!          then 1,000 minibatches of choice(49000, 200)
//! ```

pub mod cifar;
pub mod published;
pub mod toy;

pub use cifar::Cifar;
pub use published::{Group, Line};
pub use toy::Toy;

use clap::ValueEnum;
use serde::Serialize;

use crate::train::LossPoint;

/// The derivative of the penalty λ‖W‖² that the notebook is trained with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PenaltyGradient {
    /// 2λ W, as the derivative is
    #[default]
    Derived,
    /// λ W, as the notebook's author wrote it: half of the derivative
    Notebook,
}

/// λ W for 2λ W is what training with λ/2 descends, to the bit, for halving is exact. The loss has its penalty with the whole λ all the same.
impl PenaltyGradient {
    /// The part of λ that training descends.
    fn share(self) -> f64 {
        match self {
            Self::Derived => 1.0,
            Self::Notebook => 0.5,
        }
    }

    /// The loss of a training with this share of λ, with the penalty of the whole.
    fn whole(self, point: LossPoint) -> LossPoint {
        LossPoint { penalty: point.penalty / self.share(), ..point }
    }
}
