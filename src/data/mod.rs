//! Pixels: file formats, splits, minibatches, synthetic sets, downloads.

mod arrays;
pub mod augment;
pub mod byte_batch;
pub mod dataset;
pub mod fetch;
pub mod files;
pub mod fold;
mod folder;
pub mod images;
mod map;
pub mod minibatch;
pub mod prepare;
pub mod sampler;
pub mod sets;

pub use dataset::{DataConfig, Dataset, Split};
pub use files::Files;
pub use sets::{DatasetName, Format};
