//! Ledgers of gatekit: where locks, queues and journals are kept.
//!
//! [`SqliteLedger`] keeps them in one file on one machine, with nothing to install or to run.

pub mod code;

#[cfg(all(feature = "sqlite", unix))]
mod sqlite;

#[cfg(all(feature = "sqlite", unix))]
pub use sqlite::{SqliteLedger, SqliteLedgerBuilder};
