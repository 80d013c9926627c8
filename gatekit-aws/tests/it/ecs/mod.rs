//! Services of ECS.

mod conformance;
mod explored;
mod preflight;
mod scenarios;
pub(crate) mod shipping;
mod trouble;
mod ways;
