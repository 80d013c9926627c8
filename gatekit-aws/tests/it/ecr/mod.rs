//! Tags on an emulated ECR, in front of a real registry.

mod bytes;
mod conformance;
mod explored;
mod faults;
mod moving;
mod platforms;
mod references;
mod scan;
mod shipped;
mod tag_names;
pub(crate) mod world;
