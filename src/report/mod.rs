//! What people look at.

pub mod chart;
pub mod drawings;
pub mod environment;
pub mod figure;
pub mod groups;
pub mod history;
pub mod html;
pub mod importance;
pub mod leaderboard;
pub mod network;
pub mod picture;
pub mod plots;
pub mod progress;
pub mod publish;
pub mod refine;
pub mod shown;
pub mod standing;
pub mod statistics;
pub mod tables;
pub mod view;
pub mod weights;
