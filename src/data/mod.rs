//! Pixels: file formats, splits, minibatches, synthetic sets, downloads.

pub mod cifar;
pub mod dataset;
pub mod fetch;
mod map;
pub mod minibatch;
pub mod synthetic;

pub use cifar::Format;
pub use dataset::{DataConfig, Dataset, Split};
