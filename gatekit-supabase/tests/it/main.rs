//! Migrations of a real PostgreSQL server, directly and behind a pooler.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside `#[test]`")]

mod alone;
mod chaos;
mod conformance;
mod destructive;
mod down;
mod folder;
mod functions;
mod list;
mod oracle;
mod property;
mod push;
mod together;
mod trouble;
mod world;
