//! Mathematics: the network, many of them side by side, and models in and out of files.

pub mod checkpoint;
pub mod cohort;
pub mod hyperparameters;
pub mod second_layer;
pub mod trial;
pub mod two_layer_net;
pub mod value;

pub use hyperparameters::{CheckedHyperparameters, Hyperparameters};
pub use trial::Trial;
pub use two_layer_net::TwoLayerNet;
