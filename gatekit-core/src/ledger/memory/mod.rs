//! The reference ledger: the contract as a state machine over plain data, and a handle on it.

mod ledger;
mod lock;
#[cfg(test)]
mod model;
mod target;
mod targets;
mod world;

pub use ledger::MemoryLedger;
