//! The smoke gate.

mod build;
mod builder;
mod gate;
mod pace;
mod report;

pub use builder::SmokeBuilder;
pub use gate::Smoke;
