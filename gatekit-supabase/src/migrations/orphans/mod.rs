//! Orphans: versions that were applied, and that no file has.

mod diagnosis;
mod files;
mod gate;
mod unattended;

pub use diagnosis::{Diagnosis, Orphan, Remains};
pub use gate::Orphans;
pub use unattended::Unattended;
