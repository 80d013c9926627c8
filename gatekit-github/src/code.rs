//! The codes of this crate's errors.

use gatekit_core::Code;

/// A file that GitHub Actions names in the environment cannot be written.
pub const FILE: Code = Code::new("github.file");

/// Every code of this crate.
pub const ALL: &[Code] = &[FILE];
