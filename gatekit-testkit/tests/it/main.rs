//! The suites on gatekit's own references, and on implementations that are broken on purpose.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod broken_ledger;
mod memory;
