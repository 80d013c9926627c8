//! The suites on gatekit's own references, and on implementations that are broken on purpose; its own
//! engine explored.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod broken_ledger;
mod caught;
mod explorer;
mod memory;
mod toy;
mod wrong_deployers;
mod wrong_gates;
mod wrong_rollbacks;
