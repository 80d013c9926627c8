//! How a ledger is opened.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use gatekit_core::Result;

use super::ledger::SqliteLedger;

/// How a [`SqliteLedger`] is opened.
///
/// # Default
/// - `create`: true
/// - `durable`: false
/// - `busy_timeout`: 5 s
#[derive(Debug, Clone)]
#[must_use = "call `build()` to open the ledger"]
pub struct SqliteLedgerBuilder {
    pub(super) path: PathBuf,
    pub(super) create: bool,
    pub(super) durable: bool,
    pub(super) busy_timeout: Duration,
    pub(super) clock_offset: Option<Arc<AtomicU64>>,
    pub(super) max_pages: Option<u32>,
}

impl SqliteLedgerBuilder {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            create: true,
            durable: false,
            busy_timeout: Duration::from_secs(5),
            clock_offset: None,
            max_pages: None,
        }
    }

    /// Whether a ledger that does not exist is created, with the directories above it.
    pub const fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Declares that the path outlives the job. Without this, a ledger is refused where
    /// `GITHUB_ACTIONS` is set: hosted runners are thrown away after each job, and a lost ledger is
    /// a target that nobody keeps track of.
    pub const fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// How long a call waits for other processes that write.
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Moves the ledger's clock forward by that many milliseconds, so that tests of leases need not
    /// sleep. Every handle of one ledger must be given the same.
    #[doc(hidden)]
    pub fn clock_offset(mut self, millis: Arc<AtomicU64>) -> Self {
        self.clock_offset = Some(millis);
        self
    }

    /// Lets the file grow to that many pages only, so that tests can fill the disk.
    #[doc(hidden)]
    pub const fn max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }

    /// Opens the ledger for reading and writing. Blocks; safe to call again, and at the same moment
    /// in any number of processes.
    ///
    /// # Errors
    /// `ledger.ephemeral`, `ledger.network_fs`, `ledger.missing` when it is not to be created,
    /// `ledger.read_only`, `ledger.foreign`, `ledger.newer`, `ledger.corrupt`, `ledger.full`,
    /// `ledger.busy`, `ledger.io`.
    pub fn build(self) -> Result<SqliteLedger> {
        let runner = env::var_os("GITHUB_ACTIONS").is_some_and(|value| !value.is_empty());
        SqliteLedger::open_for_writing(self, runner)
    }

    /// Opens the ledger for reading, see [`SqliteLedger::open_read_only`]. `create` and `durable`
    /// say nothing here.
    ///
    /// # Errors
    /// See [`SqliteLedger::open_read_only`].
    pub fn build_read_only(self) -> Result<Option<SqliteLedger>> {
        SqliteLedger::open_for_reading(self)
    }
}
