//! Figures, beside their targets and what a user would run instead.

mod figures;
mod rows;
mod status;
mod table;

pub(crate) use rows::{Row, run as core};
pub(crate) use status::run as status;

/// What of the caller's environment would make `local-release` use another ledger or other rules.
pub(crate) const FOREIGN: [&str; 2] = ["GATEKIT_LEDGER", "GITHUB_ACTIONS"];
