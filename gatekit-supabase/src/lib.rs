//! Releases to Supabase whose history tells the truth.
//!
//! | module | what it has |
//! |---|---|
//! | [`Database`] | where migrations go to |
//! | [`migrations`] | migration files: what is in the folder, what is pending, what they would destroy, and the deployer that applies them |

pub mod code;
mod database;
pub mod migrations;

pub use database::Database;
