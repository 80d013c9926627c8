//! The smoke gate against real servers on loopback.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests, outside `#[test]`")]

mod conformance;
mod environment;
mod guard;
mod hostile;
mod redirects;
mod rounds;
mod secrets;
mod server;
mod support;
mod version;
