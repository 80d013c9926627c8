//! Supabase's management API, by what is called of it.

mod answers;
mod calls;
mod client;
mod failed;

pub(crate) use answers::{Deployed, Status};
pub(crate) use calls::{Upload, is_artefact};
pub use client::{Management, Project};
pub(crate) use failed::Failed;
