//! Functions and secrets of an emulated project, over real HTTP.

mod bundling;
mod conformance;
mod deploying;
mod effects;
mod ended;
mod explored;
mod graph;
mod late;
mod lost;
mod operations;
mod recorded;
mod restoring;
mod secrets;
mod trouble;
pub(crate) mod world;
