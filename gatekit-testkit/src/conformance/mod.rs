//! What every implementation of gatekit's contracts has to do, as functions that any of them can run.
//!
//! They panic where the contract is broken, and say which sentence of it.
//!
//! For a gate, a deployer and a rollback, a *subject* tells the suite about an implementation: how to
//! make a world for it, what is truly there, what writing leaves behind, and of what more it is
//! capable. Each function is one behaviour and takes worlds of its own; `all` runs them one after the
//! other, and `NAMES` lists them, so that a test can be made of each.

mod contract;
mod drops;
mod ear;
mod ration;
mod suite;

pub mod deployer;
pub mod gate;
pub mod ledger;
pub mod rollback;
