//! Trains thousands of small fully-connected networks on CPU cores, at the speed of the machine's own matrix
//! multiply.
//!
//! A sweep file becomes trials, and trials that see the same minibatches become cohorts, which train in lockstep over one wide matrix:
//!
//! ```
//! use mlpgrid::data::sets::synthetic::{self, Manifest};
//! use mlpgrid::data::{DataConfig, Dataset};
//! use mlpgrid::sweep::plan::{Limits, plan};
//! use mlpgrid::sweep::space::Space;
//!
//! let folder = tempfile::tempdir()?;
//! synthetic::write(folder.path(), &Manifest { rows_per_file: 100, seed: 1 })?;
//! let data = Dataset::load(folder.path(), &DataConfig::default())?;
//!
//! let text = "[fixed]\nhidden = 50\n[grid]\nlearning_rate = [1e-4, 3e-4, 1e-3]\nseed = [1, 2]\n";
//! let trials = Space::parse(text, "example.toml")?.resolved(&data).trials()?;
//! assert_eq!(trials.len(), 6);
//!
//! let hyperparameters: Vec<_> = trials.iter().map(|trial| &*trial.hyperparameters).collect();
//! let limits = Limits { workers: 2, ground: data.ground(), weight_bytes: 10_000_000 };
//! let cohorts = plan(&hyperparameters, limits, &|_| true);
//! assert_eq!(cohorts.len(), 2); // one a seed
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/train_a_cohort.rs` trains one.
//!
#![doc = include_str!("../docs/architecture.md")]

// Nothing is linked without this line: ndarray calls BLAS, this crate brings it.
extern crate blas_src as _;

pub mod bench;
pub mod blas;
pub mod cli;
pub mod data;
pub mod error;
pub mod export;
pub mod files;
pub mod integer;
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
pub mod team;
pub mod tensors;
pub mod train;
pub mod version;

pub use error::{Error, Result};
