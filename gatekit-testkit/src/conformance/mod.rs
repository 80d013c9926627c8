//! What every implementation of gatekit's contracts has to do, as functions that any of them can run.

mod contract;
mod drops;
mod ear;
mod ration;
mod suite;

pub mod deployer;
pub mod gate;
pub mod rollback;
