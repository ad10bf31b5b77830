//! Many trials: the search space, the workers, and results that survive.

pub mod directory;
pub mod journal;
pub mod plan;
pub mod runner;
pub mod space;
