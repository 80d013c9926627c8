//! The deployer on real directories, real processes and a real ledger.

#![cfg(target_os = "linux")]

mod copy;
mod deploy;
mod fence;
mod probe;
mod rollback;
mod service;
mod world;
