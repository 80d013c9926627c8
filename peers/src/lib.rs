//! Servers that gatekit's tests and benchmarks start: PostgreSQL, PgBouncer before it, a registry of
//! container images, and moto beside the command line of AWS; and programs that gatekit is compared
//! with.
//!
//! They are found on the machine or installed in a folder, from Debian on Debian and its kin, from
//! PyPI, npm, or GitHub. Each server lives in a folder of its own, on a free port of the loopback,
//! until it is dropped. PostgreSQL and PgBouncer do not run as root, so root starts what is Debian's as
//! `nobody`.
#![cfg(unix)]

mod action;
mod aws;
#[cfg(feature = "certificates")]
mod certificates;
mod cluster;
#[cfg(feature = "databases")]
mod database;
mod install;
mod pooler;
mod program;
mod programs;
#[cfg(feature = "databases")]
mod proxy;
mod registry;
mod shared;
mod skopeo;
mod supabase;

use std::fmt::Display;
use std::io;
use std::net::TcpListener;

pub use action::Action;
pub use aws::{AwsTools, Moto};
#[cfg(feature = "certificates")]
pub use certificates::{Authority, Identity};
pub use cluster::Cluster;
#[cfg(feature = "databases")]
pub use database::{Via, new_database};
pub use pooler::Pooler;
pub use programs::Programs;
#[cfg(feature = "databases")]
pub use proxy::{Proxy, Way};
pub use registry::Registry;
pub use shared::Shared;
pub use skopeo::Skopeo;
pub use supabase::{SupabaseCli, SupabaseVersion};

/// What a test would rather fail with than go on.
pub type Result<T> = io::Result<T>;

fn failed(what: impl Display) -> io::Error {
    io::Error::other(what.to_string())
}

/// A port of the loopback that nobody listens on.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
