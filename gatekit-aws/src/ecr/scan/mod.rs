//! What was found in an image, and how much of it is let through.

mod findings;
mod gate;
mod policy;
mod severity;

pub use gate::Scan;
pub use severity::Severity;
