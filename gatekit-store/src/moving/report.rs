//! What came of a move.

use gatekit_core::ledger::{Head, LockState};
use gatekit_core::{Fence, RunId, TargetName};

use super::inventory::{Inventory, Stock};

/// What is in the new ledger now, read back from there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// The new ledger, without user and password.
    pub to: String,
    /// Whether all of it was there before this call.
    pub already: bool,
    /// Each target, as it was moved.
    pub targets: Vec<MovedTarget>,
}

/// A target as it was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MovedTarget {
    /// Its name.
    pub target: TargetName,
    /// The end of its chain, and so the number of its entries.
    pub head: Head,
    /// The state of its lock: free or suspect.
    pub state: LockState,
    /// The run that left it suspect.
    pub run: Option<RunId>,
    /// The newest fence: the new ledger goes on from there.
    pub fence: Fence,
}

impl Moved {
    pub(super) fn new(to: String, already: bool, inventory: Inventory) -> Self {
        Self { to, already, targets: inventory.targets.into_iter().map(Into::into).collect() }
    }
}

impl From<Stock> for MovedTarget {
    fn from(stock: Stock) -> Self {
        let Stock { target, head, state, run, fence, .. } = stock;
        Self { target, head, state, run, fence }
    }
}
