//! Releases to an emulated account: the real SDK, and an engine with a ledger.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside `#[test]`")]

mod account;
mod cloudwatch;
mod ecr;
mod ecs;
mod operations;
