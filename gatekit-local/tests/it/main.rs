//! The deployer on real directories, real processes and a real ledger.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside `#[test]`")]

mod command;
mod conformance;
mod copy;
mod deploy;
mod explored;
mod fence;
mod orphans;
mod probe;
mod property;
mod protocol;
mod rollback;
mod service;
mod world;
