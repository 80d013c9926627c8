//! Releases to Supabase whose history tells the truth.
//!
//! | module | what it has |
//! |---|---|
//! | [`migrations`] | migration files: what is in the folder, what is pending, and what they would destroy |

pub mod code;
pub mod migrations;
