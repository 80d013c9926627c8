//! The suites on gatekit's own references.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod ledger;
