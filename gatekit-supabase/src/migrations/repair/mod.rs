//! Repairs of the history.

mod change;
mod deployer;
mod proof;
mod rollback;
mod rows;
mod writing;

pub use change::{RepairChange, RepairReceipt, RowBefore, RowChange, RowWish, Status};
pub use deployer::Repair;
pub use proof::Proof;
pub use rollback::RestoreRows;
