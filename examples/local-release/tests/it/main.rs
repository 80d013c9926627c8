//! The real executable, as a person or a program uses it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod bad_input;
mod chaos;
mod interface;
mod killed;
mod moved;
mod property;
mod site;
mod standby;
