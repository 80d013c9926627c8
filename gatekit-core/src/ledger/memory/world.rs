//! What the state machine is told instead of looking for itself.

use std::time::Duration;

use crate::process::ProcessIdentity;
use crate::time::Timestamp;

/// What a call may know of the world around a ledger.
pub(super) struct World<'a> {
    /// The time by the ledger's own clock.
    pub(super) now: Duration,
    /// The time by the wall clock, for the entries that the ledger itself writes.
    pub(super) at: Timestamp,
    /// Whether a process is proven dead.
    pub(super) dead: &'a dyn Fn(&ProcessIdentity) -> bool,
}
