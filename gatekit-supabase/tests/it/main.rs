//! Migrations of a real PostgreSQL server, directly and behind a pooler.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside `#[test]`")]

mod push;
mod together;
mod trouble;
mod world;
mod destructive;
mod folder;
mod property;
