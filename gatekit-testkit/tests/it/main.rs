//! The suites on gatekit's own references and on implementations that are broken on purpose; its own
//! engine explored.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod broken_ledger;
mod explorer;
mod memory;
