//! Releases to Supabase whose history tells the truth.
//!
//! | module | what it has |
//! |---|---|
//! | [`Database`] | where migrations go to |
//! | [`migrations`] | migration files: what is in the folder, what is pending, what they would destroy, and the deployer that applies them |
//! | [`Management`], [`Project`] | the management API, and a project in it |
//! | [`functions`] | edge functions: bundled, deployed together, and put back |
//! | [`secrets`] | the gate that secrets are set |
//! | [`operations`] | every call that is made to the management API |

pub mod code;
mod database;
pub mod functions;
mod management;
pub mod migrations;
pub mod operations;
pub mod secrets;
mod session;

pub use database::Database;
pub use management::{Management, Project};
