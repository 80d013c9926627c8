//! Conformance suites: every implementation of a contract, gatekit's own or anybody's, runs the same
//! functions. They panic where the contract is broken, and say which sentence of it.

mod contract;
mod drops;
mod ear;
mod ration;
mod suite;

pub mod deployer;
pub mod gate;
pub mod ledger;
pub mod rollback;
