//! Many trials: the search space, the workers, and results that survive.

pub mod best;
pub mod cluster;
pub mod directory;
pub mod events;
pub mod groups;
pub mod helpers;
pub mod job;
pub mod journal;
pub mod layout;
pub mod lock;
pub mod plan;
pub mod runner;
pub mod search;
pub mod session;
pub mod shard;
pub mod site;
pub mod space;
pub mod workers;
