//! Migration files: what is in the folder, what is pending, how it can be applied, and what it would
//! destroy.
//!
//! Files, names and order are those of the Supabase CLI, so that it and gatekit can be used in turn on one
//! database. [`Push`] applies them, and [`list()`] shows them beside what is applied. [`Repair`] says what is
//! applied, and [`Orphans`] is about what no file has.

mod catalog;
mod destructive;
mod files;
mod history;
mod list;
mod objects;
mod orphans;
mod push;
mod repair;

pub use destructive::{Concern, Destructive, PendingFiles, Sort, review};
pub use files::file::File;
pub use files::folder::{Entry, Folder, FolderReader, LARGEST_FILE, Listing, Skipped, Why};
pub use files::kind::Kind;
pub use files::merge::{Applied, Merge, is_same_text, merge};
pub use files::mode::Mode;
pub use files::split::{Statement, split};
pub use list::{Agreement, Detail, MigrationList, MigrationRow, list};
pub use orphans::{Diagnosis, Orphan, Orphans, Remains, Unattended};
pub use push::change::{Before, Pending, PushChange, PushReceipt};
pub use push::deployer::Push;
pub use push::rollback::Down;
pub use repair::{
    Proof, Repair, RepairChange, RepairReceipt, RestoreRows, RowBefore, RowChange, RowWish, Status,
};
