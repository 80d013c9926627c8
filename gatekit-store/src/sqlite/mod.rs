//! The ledger of one machine, in one SQLite file.

mod builder;
mod clock;
mod error;
mod journal;
mod ledger;
mod lock;
mod open;
mod place;
mod queue;
mod reader;
mod schema;

pub use builder::SqliteLedgerBuilder;
pub use ledger::SqliteLedger;
