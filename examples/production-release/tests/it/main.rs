//! The real executable, as a person or a program uses it, against an emulated account whose images are
//! in a real registry.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod approved;
mod cut_off;
mod gates;
mod refused;
mod shipping;
#[path = "../../../staging-release/tests/it/site.rs"]
mod site;
#[path = "../../../staging-release/tests/it/step.rs"]
mod step;
mod workflow;
