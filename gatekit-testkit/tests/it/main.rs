//! The suites on gatekit's own references, and its own engine explored.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod explorer;
mod ledger;
