//! The emulators, beside what they stand in for.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside `#[test]`")]

mod alarms;
mod cli;
mod courses;
mod ecs_shapes;
mod model;
mod moto;
mod supabase;
