//! Moves the ledger of one machine to a server, with everything in it.
//!
//! | module | what it knows |
//! |---|---|
//! | `ledger_move` | the steps, and what is done about one that was cut off |
//! | `inventory` | what of a ledger is moved |
//! | `verified` | a journal, read and checked |
//! | `report` | what came of it |
//!
//! How the ledger in the file is closed is in `sqlite::source`; how the other one receives it, in
//! `postgres::arrival`.

mod inventory;
mod ledger_move;
mod report;
mod verified;

pub(crate) use inventory::{Destination, Inventory, Stock, Waiting};
pub use ledger_move::LedgerMove;
pub use report::{Moved, MovedTarget};
pub(crate) use verified::Verified;
