//! The example `files`, called as anybody would.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod people;
mod printed;
mod program;
mod site;
