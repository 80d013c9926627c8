//! How waiters wait: whoever frees the target rings the first in line.
//!
//! # Why is this so?
//! SQLite tells no process of another one's commit, and a hundred processes that keep asking cost
//! more than the releases they wait for. So a waiter keeps a UDP port of the loopback in its row,
//! and a commit that frees a target sends the first waiter's claim there. That is a hint and proves
//! nothing: lost, forged or late, it changes only when a waiter asks, and the transaction of
//! `acquire` alone decides. Between two rings the handle's listener asks for its waiters now and
//! then, which keeps them heard of and finds what a lost ring would have told; their runtimes sleep
//! until there is something new.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gatekit_core::ClaimId;
use gatekit_core::ledger::Claim;
use tokio::time::{sleep, timeout};

use super::bells::{BEAT, Bells};
use super::inner::Inner;
use super::listener::Listener;

/// A waiter that has reason to ask, and where it is rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) claim: ClaimId,
    pub(super) port: u16,
}

/// The bells of one handle's waiters, and the port at which they are rung.
#[derive(Debug, Default)]
pub(super) struct Doorbell {
    bells: Arc<Bells>,
    /// Bound by the first call that needs it; `None` inside when there is no loopback or no port.
    listener: OnceLock<Option<Listener>>,
}

impl Doorbell {
    /// The port to be rung at, if there is one.
    pub(super) fn port(&self) -> Option<u16> {
        self.listener().map(Listener::port)
    }

    fn listener(&self) -> Option<&Listener> {
        self.listener.get_or_init(|| Listener::bind().ok()).as_ref()
    }

    /// Rings waiters, here or in other processes.
    pub(super) fn ring(&self, callers: impl IntoIterator<Item = Caller>) {
        for caller in callers {
            if let Some(listener) = self.listener() {
                listener.ring(caller);
            }
        }
    }

    pub(super) fn bells(&self) -> &Bells {
        &self.bells
    }

    /// Waits until there is something new for the claimant, or `longest` is over.
    pub(super) async fn wait(&self, ledger: &Arc<Inner>, claim: &Claim, longest: Duration) {
        let listener = self.listener().filter(|line| line.listens(&self.bells, ledger));
        match (listener, self.bells.wait(claim)) {
            (Some(listener), Some(waiting)) => {
                // Its next beat may come before the one that the listener sleeps for.
                listener.nudge();
                // Too late or in time: the claimant asks again.
                let _ = timeout(longest, waiting.news()).await;
            }
            // Nobody tells the ledger that the claimant waits: it has to ask by itself.
            _ => sleep(longest.min(BEAT)).await,
        }
    }
}
