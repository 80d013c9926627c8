//! An emulated management API of Supabase: functions and secrets of one project.

mod api;
mod call;
mod emulator;
mod form;
mod project;

pub use call::SupabaseCall;
pub use emulator::Supabase;
pub use form::Sent;
pub use project::Project;
