//! Pixels: file formats, splits, minibatches, synthetic sets, downloads.

pub mod cifar;
pub mod contents;
pub mod dataset;
pub mod fetch;
pub mod files;
mod folder;
pub mod format;
mod map;
pub mod minibatch;
pub mod prepare;
pub mod synthetic;

pub use dataset::{DataConfig, Dataset, Split};
pub use files::Files;
pub use format::Format;
