//! `staging-release`, apart from the program: `production-release` is the same release behind more
//! gates, and takes the account, the flags and what a step is told from here.

pub mod account;
pub mod flags;
mod pipeline;
pub mod step;

pub use pipeline::app;
