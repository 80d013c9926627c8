//! `local-release`, apart from the program so that tests can ask it anything.

pub mod args;
mod pipeline;

pub use pipeline::app;

/// The verb of the demonstration's web service, which `--help` does not tell.
pub const DEMO_SERVICE: &str = "demo-service";
