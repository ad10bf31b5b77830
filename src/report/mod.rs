//! What people look at.

pub mod chart;
pub mod environment;
pub mod history;
pub mod leaderboard;
pub mod picture;
pub mod plots;
pub mod progress;
pub mod publish;
pub mod refine;
pub mod statistics;
pub mod weights;
