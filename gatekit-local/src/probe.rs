//! Whose socket it is that answers.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};

use gatekit_core::Result;

use crate::layout::{CURRENT, Layout};
use crate::platform::Sockets;
use crate::release::ReleaseId;
use crate::service::Service;

/// Tells whether it is the service of the current release that listens on an address: a smoke test
/// that gets an answer from somebody else's process proves nothing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServiceProbe {
    layout: Layout,
}

/// Who listens on an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Only the service of the release that `current` names.
    Ours {
        /// The process that holds the socket.
        pid: u32,
        /// The release it runs.
        release: ReleaseId,
    },
    /// Somebody else, alone or beside the service.
    Stranger {
        /// The process that holds the socket, as far as it can be told.
        pid: Option<u32>,
    },
    /// Nobody, though the service runs.
    Nobody,
    /// No service of the current release runs, and why.
    Dead(String),
    /// It cannot be told from here, and why.
    Unknown(String),
}

impl ServiceProbe {
    pub(crate) const fn new(layout: Layout) -> Self {
        Self { layout }
    }

    /// Whether the listening sockets for `addr`, exact or wildcard, are the service's. Reads
    /// `/proc` afresh and writes nothing; blocking for a few milliseconds.
    ///
    /// # Example
    /// ```
    /// use gatekit_local::{Answer, ReleaseDir};
    ///
    /// # let root = tempfile::tempdir().unwrap();
    /// let probe = ReleaseDir::existing(root.path())?.service();
    /// assert!(matches!(probe.answers(([127, 0, 0, 1], 1).into()), Answer::Dead(_)));
    /// # Ok::<(), gatekit_core::Error>(())
    /// ```
    #[must_use]
    pub fn answers(&self, addr: SocketAddr) -> Answer {
        self.ask(addr).unwrap_or_else(|error| Answer::Unknown(error.to_string()))
    }

    fn ask(&self, addr: SocketAddr) -> Result<Answer> {
        // Only an address of this machine can be bound.
        if !addr.ip().is_unspecified() && UdpSocket::bind((addr.ip(), 0)).is_err() {
            return Ok(Answer::Unknown(format!("{} is not an address of this machine", addr.ip())));
        }
        let current = self.layout.link(CURRENT)?;
        let service = Service::look(&self.layout)?;
        if let Service::Unknown(why) = service {
            return Ok(Answer::Unknown(why));
        }
        let members = Service::members(&self.layout)?;
        let sockets: Vec<(u32, BTreeSet<u64>)> =
            members.iter().map(|process| (process.pid, Sockets::of(process.pid))).collect();
        let mut ours = None;
        for listener in Sockets::listening(addr)? {
            match sockets.iter().find(|(_, inodes)| inodes.contains(&listener.inode)) {
                Some((pid, _)) => ours = Some(*pid),
                None => return Ok(Answer::Stranger { pid: Sockets::owner(listener.inode) }),
            }
        }
        Ok(match (service, ours) {
            (Service::Runs(record, _), Some(pid)) if current.as_ref() == Some(&record.release) => {
                Answer::Ours { pid, release: record.release }
            }
            (Service::Runs(record, _), _) if current.as_ref() != Some(&record.release) => {
                Answer::Dead(format!("`{}` runs, which is not the current release", record.release))
            }
            (Service::Runs(..), _) => Answer::Nobody,
            (Service::Leftovers(_), _) => {
                Answer::Dead("the process that was started has ended".to_owned())
            }
            _ => Answer::Dead("no service runs".to_owned()),
        })
    }
}
