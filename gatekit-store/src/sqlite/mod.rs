//! The ledger of one machine, in one SQLite file.

mod bells;
mod builder;
mod clock;
mod doorbell;
mod error;
mod inner;
mod journal;
mod ledger;
mod listener;
mod lock;
mod open;
mod place;
mod queue;
mod reader;
mod schema;
#[cfg(feature = "postgres")]
mod source;
mod transaction;

pub use builder::SqliteLedgerBuilder;
pub use ledger::SqliteLedger;
