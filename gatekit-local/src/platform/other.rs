//! Elsewhere than on Linux no process can be proven to be ours, so none is started or signalled.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use gatekit_core::Result;
use gatekit_core::process::ProcessIdentity;
use rustix::process::Signal;

use super::{Listener, Process};
use crate::code;
use crate::error::refuse;

/// None: without a proof none is ours. A service is never started here, so none is overlooked.
pub(crate) fn processes() -> Result<Vec<Process>> {
    Ok(Vec::new())
}

pub(crate) fn signal(_: &Process, _: Signal, _: impl FnOnce(&Process) -> bool) -> Result<bool> {
    Err(unsupported())
}

pub(crate) fn age(_: &ProcessIdentity) -> Option<Duration> {
    None
}

#[derive(Debug)]
pub(crate) struct Sockets;

impl Sockets {
    pub(crate) fn listening(_: SocketAddr) -> Result<Vec<Listener>> {
        Err(unsupported())
    }

    pub(crate) fn of(_: u32) -> BTreeSet<u64> {
        BTreeSet::new()
    }

    pub(crate) fn owner(_: u64) -> Option<u32> {
        None
    }
}

fn unsupported() -> gatekit_core::Error {
    refuse(code::PLATFORM, "this platform cannot prove which process is whose")
}

/// Nothing here tells what environment a process has.
pub(crate) fn end_marked(
    _: &str,
    _: &dyn Fn(&[u8]) -> bool,
    _: Duration,
    _: Duration,
) -> io::Result<()> {
    Err(untold())
}

pub(crate) fn has_marked(_: &str, _: &dyn Fn(&[u8]) -> bool) -> io::Result<bool> {
    Err(untold())
}

fn untold() -> io::Error {
    let cannot = "this platform does not tell which processes a program has started";
    io::Error::new(io::ErrorKind::Unsupported, cannot)
}
