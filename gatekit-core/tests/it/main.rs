//! The contracts and the engine on a real SQLite ledger, with doubles for the world it changes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod compile_fail;
mod property;
mod recover;
mod settle;
mod ship;
mod world;
