//! The smoke gate.

mod builder;
mod gate;
mod report;

pub use builder::SmokeBuilder;
pub use gate::Smoke;
