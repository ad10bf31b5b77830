//! Trains thousands of small fully-connected networks on CPU cores, at the speed of the machine's own matrix
//! multiply.
//!
//! The rooms, in the order in which data flows; a module uses only those above it:
//!
//! | module | what it holds |
//! |---|---|
//! | [`error`] | what can go wrong, in words that say what to do |
//! | [`machine`] | what the system reports of name, cores, caches, memory and processes |
//! | [`files`] | files that survive a crash |
//! | [`numbers`] | how numbers are read and written |
//! | [`blas`] | all that knows OpenBLAS |
//! | [`limits`] | threads and address space, foreseen |
//! | [`random`] | the named, seeded streams behind every draw |
//! | [`real`], [`tensors`] | f32 and f64; named numbers of either |
//! | [`data`] | pixels: formats, splits, minibatches, synthetic sets, downloads |
//! | [`model`] | mathematics, and models in and out of files |
//! | [`train`] | one cohort from its first iteration to its last |
//! | [`sweep`] | many trials: search space, workers, results that survive |
//! | [`report`] | what people look at |
//! | [`mod@bench`] | throughput against the machine's own matrix multiply |
//! | [`replay`] | the cs231n notebook, digit for digit |
//! | [`cli`] | one file a command |

// Nothing is linked without this line: ndarray calls BLAS, this crate brings it.
extern crate blas_src as _;

pub mod bench;
pub mod blas;
pub mod cli;
pub mod data;
pub mod error;
pub mod files;
pub mod limits;
pub mod machine;
pub mod model;
pub mod numbers;
pub mod processes;
pub mod random;
pub mod real;
pub mod replay;
pub mod report;
pub mod signals;
pub mod sweep;
pub mod tensors;
pub mod train;
pub mod version;

pub use error::{Error, Result};
