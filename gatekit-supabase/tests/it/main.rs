//! Migrations of a real PostgreSQL server, directly and behind a pooler.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside `#[test]`")]

mod ahead;
mod alone;
mod alone_left;
mod alone_session;
mod chaos;
mod conformance;
mod destructive;
mod down;
mod explored;
mod folder;
mod functions;
mod lines;
mod list;
mod oracle;
mod orphans;
mod property;
mod push;
mod push_explored;
mod record;
mod relay;
mod repair;
mod repair_applied;
mod repair_conformance;
mod repair_explored;
mod repair_trouble;
mod sessions;
mod together;
mod trouble;
mod world;
