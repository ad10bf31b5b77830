//! Many trials: the search space, the workers, and results that survive.

pub mod best;
pub mod cluster;
pub mod directory;
pub mod helpers;
pub mod job;
pub mod journal;
pub mod layout;
pub mod lock;
pub mod plan;
pub mod runner;
pub mod shard;
pub mod space;
pub mod workers;
