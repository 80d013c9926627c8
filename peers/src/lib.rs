//! Servers that gatekit's tests and benchmarks start: PostgreSQL, and PgBouncer before it.
//!
//! They are found on the machine or, on Debian and its kin, installed in a folder. Each lives in a
//! folder of its own, on a free port of the loopback, until it is dropped. Neither runs as root, so
//! root starts them as `nobody`.
#![cfg(unix)]

#[cfg(feature = "certificates")]
mod certificates;
mod cluster;
#[cfg(feature = "databases")]
mod database;
mod pooler;
mod program;
mod programs;

use std::fmt::Display;
use std::io;
use std::net::TcpListener;

#[cfg(feature = "certificates")]
pub use certificates::{Authority, Identity};
pub use cluster::Cluster;
#[cfg(feature = "databases")]
pub use database::{Via, new_database};
pub use pooler::Pooler;
pub use programs::Programs;

/// What a test would rather fail with than go on.
pub type Result<T> = io::Result<T>;

fn failed(what: impl Display) -> io::Error {
    io::Error::other(what.to_string())
}

/// A port of the loopback that nobody listens on.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
