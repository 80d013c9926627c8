//! What the suite has to be told of a ledger.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Ledger;
use gatekit_core::{Code, Error, Result};

/// A kind of ledger under test.
#[async_trait]
pub trait Subject: Debug + Send + Sync {
    /// What it declares to be able to do.
    fn capability(&self) -> Capability {
        Capability::default()
    }

    /// Opens a ledger that is empty, and shares nothing with those opened before.
    ///
    /// # Errors
    /// `Err` fails the test.
    async fn open(&self) -> Result<Box<dyn Opened>>;
}

/// One empty ledger under test. What it needs to exist, like a directory, lives as long as this.
#[async_trait]
pub trait Opened: Debug + Send + Sync {
    /// A handle on it.
    fn ledger(&self) -> Arc<dyn Ledger>;

    /// Moves its own clock forward, for all its handles.
    fn advance(&self, by: Duration);

    /// Opens it as a process would that comes later. Called when every handle is dropped, and only
    /// of a ledger that declares [`Capability::persistent`].
    ///
    /// # Errors
    /// `Err` fails the test.
    async fn reopen(&self) -> Result<Arc<dyn Ledger>> {
        Err(Error::new(Code::new("testkit.reopen"), "the subject is persistent, but cannot reopen"))
    }
}

/// What a ledger declares to be able to do: the suite asks for no more.
///
/// # Default
/// Nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Capability {
    /// It sees that a process of this machine is gone, and does not wait for its lease to lapse.
    pub proves_deaths: bool,
    /// What it answered outlives every handle and every process.
    pub persistent: bool,
}

impl Capability {
    /// Declares whether it sees that a process of this machine is gone.
    #[must_use]
    pub const fn proves_deaths(mut self, declared: bool) -> Self {
        self.proves_deaths = declared;
        self
    }

    /// Declares whether what it answered outlives every handle.
    #[must_use]
    pub const fn persistent(mut self, declared: bool) -> Self {
        self.persistent = declared;
        self
    }
}
