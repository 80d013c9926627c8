//! The suites on doubles: on right ones, which pass, and on wrong ones, which are caught.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests, outside `#[test]`")]

mod caught;
mod toy;
mod wrong_deployers;
mod wrong_gates;
mod wrong_rollbacks;
