//! The contracts and the engine on a real SQLite ledger, with doubles for the world it changes.

mod compile_fail;
mod recover;
mod settle;
mod ship;
mod world;
