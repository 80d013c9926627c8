//! Migration files: what is in the folder, what is pending, how it can be applied, and what it would
//! destroy.
//!
//! Files, names and order are those of the Supabase CLI, so that it and gatekit can be used in turn on one
//! database. [`Push`] applies them, and [`list()`] shows them beside what is applied. [`Repair`] says what is
//! applied, and [`Orphans`] is about what no file has.

mod alone;
mod apply;
mod catalog;
mod change;
mod destructive;
mod down;
mod evidence;
mod file;
mod folder;
mod head;
mod history;
mod kind;
mod lex;
mod list;
mod look;
mod merge;
mod mode;
mod objects;
mod orphans;
mod pipeline;
mod place;
mod pooler;
mod progress;
mod push;
mod repair;
mod split;

pub use change::{Before, Pending, PushChange, PushReceipt};
pub use destructive::{Concern, Destructive, PendingFiles, Sort, review};
pub use down::Down;
pub use file::File;
pub use folder::{Entry, Folder, FolderReader, LARGEST_FILE, Listing, Skipped, Why};
pub use kind::Kind;
pub use list::{Agreement, Detail, MigrationList, MigrationRow, list};
pub use merge::{Applied, Merge, is_same_text, merge};
pub use mode::Mode;
pub use orphans::{Diagnosis, Orphan, Orphans, Remains, Unattended};
pub use push::Push;
pub use repair::{
    Proof, Repair, RepairChange, RepairReceipt, RestoreRows, RowBefore, RowChange, RowWish, Status,
};
pub use split::{Statement, split};
