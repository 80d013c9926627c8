//! The real executable, as a person or a program uses it, against an emulated account.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod cut_off;
mod ends;
mod refused;
mod shipping;
mod site;
mod step;
mod workflow;
