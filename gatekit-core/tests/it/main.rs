//! The contracts and the engine on a real SQLite ledger, with doubles for the world it changes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod along;
mod busy;
mod codes;
mod compile_fail;
mod conformance;
mod context;
mod explored;
mod gates;
mod group;
mod ledgers;
mod look;
mod panics;
mod pause;
mod people;
mod polls;
mod promoted;
mod property;
mod recheck;
mod recover;
mod recover_deploy;
mod recover_deploy_cut_off;
mod recover_deploy_settle;
mod repair;
mod settle;
mod ship;
mod twice;
mod world;
