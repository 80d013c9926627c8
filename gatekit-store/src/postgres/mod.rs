//! The ledger on a PostgreSQL server.
//!
//! | module | what it knows |
//! |---|---|
//! | `builder` | how a ledger is opened |
//! | `schema` | the tables and functions, and how they come into being |
//! | `server` | how a statement is sent, waited for, and sent again |
//! | `error` | what went wrong, in the words of the ledger |
//! | `stand` | what the server says of a lock when it refuses |
//! | `turns` | how a waiter learns that its turn has come |
//! | `ledger` | the contract |
//! | `transaction` | how several statements are sent as one |
//! | `arrival` | how it receives the history of another ledger |

#[cfg(all(feature = "sqlite", unix))]
mod arrival;
mod builder;
mod error;
mod ledger;
mod schema;
mod server;
mod stand;
#[cfg(all(feature = "sqlite", unix))]
mod transaction;
mod turns;

pub use builder::PostgresLedgerBuilder;
pub use ledger::PostgresLedger;
