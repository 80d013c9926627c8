//! Ledgers of gatekit: where locks, queues and journals are kept.
//!
//! [`SqliteLedger`] keeps them in one file on one machine, with nothing to install or to run;
//! [`PostgresLedger`] on a server, where any number of machines reach them.

pub mod code;

#[cfg(all(feature = "sqlite", feature = "postgres", unix))]
mod moving;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(all(feature = "sqlite", unix))]
mod sqlite;

#[cfg(all(feature = "sqlite", feature = "postgres", unix))]
pub use moving::{LedgerMove, Moved, MovedTarget};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresLedger, PostgresLedgerBuilder};

#[cfg(all(feature = "sqlite", unix))]
pub use sqlite::{SqliteLedger, SqliteLedgerBuilder};
