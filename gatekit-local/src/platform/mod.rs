//! What only one operating system can tell: which processes there are, and whose they are.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Sockets, age, end_marked, has_marked, processes, signal};

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{Sockets, age, end_marked, has_marked, processes, signal};

/// The variable that marks every process of a service.
pub(crate) const TOKEN: &str = "GATEKIT_SERVICE";

/// A living process. Pid and start time together name it within one boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) started: u64,
    pub(crate) session: u32,
    /// The value of [`TOKEN`] in its environment, as far as that may be read.
    pub(crate) token: Option<String>,
}

/// A listening socket on an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) inode: u64,
}
