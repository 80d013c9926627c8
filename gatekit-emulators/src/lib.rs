//! Emulators of the services that gatekit's backends talk to: scripted timelines and injected faults,
//! where the real thing can neither be reached nor be made to fail.
//!
//! They stand in for tests and for trying things out, and for nothing else: what only the real service
//! can show is told by the README of its backend.

mod aws;
mod clock;
mod cloudwatch;
mod ecr;
mod ecs;
#[cfg(feature = "in-process")]
mod in_process;
mod injection;
mod listening;
mod slow;
mod supabase;
mod wire;

pub use aws::{Aws, Call};
pub use clock::Clock;
pub use cloudwatch::{Alarm, AlarmState};
pub use ecr::{Ecr, ScanReport};
pub use ecs::{Account, Scenario};
pub use injection::{Injection, Trouble};
pub use listening::Listening;
pub use supabase::{Project, Sent, Supabase, SupabaseCall};
