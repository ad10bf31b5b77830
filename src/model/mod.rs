//! Mathematics: the network, many of them side by side, and models in and out of files.

pub mod cohort;
pub mod ensemble;
pub mod functions;
pub mod head;
pub mod hyperparameters;
pub mod optimizer;
pub mod saved;
pub mod schedule;
pub mod softmax;
pub mod tally;
pub mod trial;
pub mod two_layer_net;
pub mod value;
pub mod wide;

pub use hyperparameters::{CheckedHyperparameters, Hyperparameters};
pub use trial::Trial;
pub use two_layer_net::TwoLayerNet;
