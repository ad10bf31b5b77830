//! What people look at.

pub mod environment;
pub mod history;
pub mod leaderboard;
pub mod progress;
