//! The engine on a real SQLite ledger, with doubles for the world it changes.

mod recover;
mod settle;
mod ship;
mod world;
