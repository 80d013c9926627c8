//! Tests of the SQLite ledger on real files, with real connections and processes.
#![cfg(all(feature = "sqlite", unix))]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests, which fail by panicking as tests do"
)]

mod along;
mod child;
mod conformance;
mod damage;
mod death;
mod files;
mod journal;
mod mount;
#[cfg(feature = "postgres")]
mod postgres;
mod queue;
mod support;
mod turns;
