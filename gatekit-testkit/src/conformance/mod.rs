//! What every implementation of gatekit's contracts has to do, as functions that any of them can run.
//!
//! A *subject* tells a suite about an implementation: how to make a world for it, what is truly there,
//! what writing leaves behind, and of what more it is capable. Each function is one behaviour, takes
//! worlds of its own, and panics with the sentence of the contract that is broken; `all` runs them one
//! after the other, and `NAMES` lists them, so that a test can be made of each.

mod contract;
mod drops;
mod ear;
mod ration;
mod suite;

pub mod deployer;
pub mod gate;
pub mod rollback;
