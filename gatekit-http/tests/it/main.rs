//! The smoke gate and webhooks against real servers on loopback.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests, outside `#[test]`")]

mod api;
mod conformance;
mod curl;
mod demands;
mod environment;
mod guard;
mod hostile;
mod receiver;
mod redirects;
mod retries;
mod rounds;
mod secrets;
mod server;
mod support;
mod tls;
mod version;
mod webhook;
