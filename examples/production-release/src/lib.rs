//! `production-release`, apart from the program so that tests can ask it anything.

mod pipeline;

pub use pipeline::app;
