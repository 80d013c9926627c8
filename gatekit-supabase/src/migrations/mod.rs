//! Migration files: what is in the folder, what is pending, how it can be applied, and what it would
//! destroy.
//!
//! Files, names and order are those of the Supabase CLI, so that it and gatekit can be used in turn on one
//! database. Nothing here talks to one.

mod file;
mod folder;
mod head;
mod kind;
mod lex;
mod merge;
mod mode;
mod split;

pub use file::File;
pub use folder::{Entry, Folder, FolderReader, LARGEST_FILE, Listing, Skipped, Why};
pub use kind::Kind;
pub use merge::{Applied, Merge, is_same_text, merge};
pub use mode::Mode;
pub use split::{Statement, split};
