//! The handle on a ledger.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{Acquired, Claim, Entry, Guard, Hold, Ledger, Record, TargetState};
use gatekit_core::{Effect, Result, RunId, TargetName};
use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::builder::SqliteLedgerBuilder;
use super::clock::Moment;
use super::error::{self, Fault};
use super::inner::Inner;
use super::queue::Rung;
use super::{journal, open, place, queue, reader, schema};

/// A ledger in one SQLite file, for the processes of one machine.
///
/// Every change is one `BEGIN IMMEDIATE` transaction that is on disk before the call returns. Times
/// are those since the machine's boot, so setting the wall clock changes nothing, and a holder or a
/// waiter from before a reboot is known to be gone. Calls need a tokio
/// runtime. Where nobody else writes and the last commit took less than a millisecond, a call runs at
/// once on the caller's thread; else on tokio's blocking threads, where one that is dropped goes on to
/// its end. Cheap to clone: clones share a connection.
///
/// A waiter is woken by whoever frees the target, over a UDP port of the loopback, and costs next to
/// nothing until then. Without the loopback, or in another network namespace, it finds out by itself
/// within 8 s. That it still waits is the one thing that is on disk only with the next commit: after
/// a loss of power nobody waits any more.
///
/// Network file systems are refused where Linux names them; of a mount through FUSE or 9p it cannot
/// be told what is behind it.
#[derive(Debug, Clone)]
pub struct SqliteLedger(Arc<Inner>);

impl SqliteLedger {
    /// Opens the ledger at `path`, and creates it with the directories above it when it is not
    /// there. The same as `SqliteLedger::builder(path).build()`.
    ///
    /// # Errors
    /// See [`SqliteLedgerBuilder::build`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).build()
    }

    /// Opens the ledger at `path` for reading; `None` when there is none. Works on a read-only file
    /// system and on the ledger of a newer build, as far as its tables are known. Every call that
    /// would write errs with `ledger.read_only`.
    ///
    /// Creates and alters nothing, except that it takes part in the `-shm` index of a log (`-wal`)
    /// that a writer has left or is using.
    ///
    /// # Errors
    /// `ledger.network_fs`, `ledger.foreign`, `ledger.corrupt`, `ledger.busy`, `ledger.io`.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Option<Self>> {
        Self::builder(path).build_read_only()
    }

    /// How to open the ledger at `path`.
    pub fn builder(path: impl AsRef<Path>) -> SqliteLedgerBuilder {
        SqliteLedgerBuilder::new(path.as_ref())
    }

    /// Where a user's ledger is unless told otherwise: `$XDG_STATE_HOME/gatekit/ledger.db`, else
    /// `~/.local/state/gatekit/ledger.db`. One per user, so that parallel work trees share it.
    ///
    /// # Errors
    /// `ledger.io` when the user has no home directory.
    pub fn default_path() -> Result<PathBuf> {
        place::default_path()
    }

    /// The absolute path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.options.path
    }

    /// Where the ledger was moved to, see [`LedgerMove`](crate::LedgerMove); `None` when it was not.
    ///
    /// # Errors
    /// Those of reading it.
    pub async fn moved_to(&self) -> Result<Option<String>> {
        self.read_little(|conn, _| schema::meta(conn, schema::MOVED_TO)).await
    }

    pub(super) fn open_for_writing(options: SqliteLedgerBuilder, runner: bool) -> Result<Self> {
        let options = absolute(options)?;
        if runner && !options.durable {
            return Err(error::ephemeral(&options.path));
        }
        let conn = open::open(&options)?;
        Ok(Self::with(options, Some(conn)))
    }

    pub(super) fn open_for_reading(options: SqliteLedgerBuilder) -> Result<Option<Self>> {
        let options = absolute(options)?;
        place::check_local(&options.path)?;
        let found = reader::read(&options.path, options.busy_timeout, |_| Ok(()))?;
        Ok(found.map(|()| Self::with(options, None)))
    }

    fn with(options: SqliteLedgerBuilder, conn: Option<Connection>) -> Self {
        Self(Arc::new(Inner::new(options, conn)))
    }

    /// Runs `work` on a blocking thread, to its end even when the caller is dropped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        spawn_blocking(move || work(&inner)).await.map_err(|failure| {
            let error = error::plain(self.path(), "finish a call").with_source(failure);
            error.with_effect(Effect::Unknown)
        })?
    }

    /// Runs `work` in a transaction of its own, makes it durable, and rings whoever has reason to ask
    /// then: here if that is quick, else on a blocking thread, where all of it happens even if the
    /// caller is dropped.
    async fn write_and_ring<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection, &Moment) -> Result<Rung<T>, Fault> + Send + 'static,
    ) -> Result<T> {
        match self.0.write_at_once(work) {
            Ok(answer) => self.0.ring(doing, answer),
            Err(work) => self.run(move |inner| inner.ring(doing, inner.write(work))).await,
        }
    }

    /// Runs `work`, which reads little, on one state of the ledger: here, or where it has to wait.
    async fn read_little<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection, &Moment) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        match self.0.read_at_once(&work) {
            Some(answer) => answer,
            None => self.run(move |inner| inner.read(work)).await,
        }
    }
}

/// What [`Ledger::append`] does, for its errors.
const APPEND: &str = "append an entry";

/// How many records are few enough to be read on a thread that serves a runtime.
const LITTLE: usize = 64;

fn absolute(mut options: SqliteLedgerBuilder) -> Result<SqliteLedgerBuilder> {
    options.path = std::path::absolute(&options.path)
        .map_err(|error| error::os(&options.path, "find its path", error))?;
    Ok(options)
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        let other = self
            .run(|inner| {
                let options = inner.options.clone();
                if inner.reads_only() {
                    return Ok(Self::with(options, None));
                }
                // Whether the place is durable was settled when the first was opened; it is there
                // by now, and one that vanished must not come back empty.
                Self::open_for_writing(options.create(false), false)
            })
            .await?;
        Ok(Arc::new(other))
    }

    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        let (claim, port) = (claim.clone(), self.0.doorbell.port());
        self.write_and_ring("take a ticket", move |conn, now| {
            queue::enqueue(conn, now, &claim, port)
        })
        .await
    }

    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        if let Some(answer) = self.0.acquire_at_once(claim, lease) {
            return answer;
        }
        let claim = claim.clone();
        self.run(move |inner| inner.acquire(&claim, lease)).await
    }

    /// Ends early when whoever frees the target rings, when others come or go, and, for the first in
    /// line, soon after the holder's process has died.
    async fn wait_for_turn(&self, claim: &Claim, longest: Duration) {
        self.0.doorbell.wait(&self.0, claim, longest).await;
    }

    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        let target = target.clone();
        self.write_and_ring("leave a queue", move |conn, now| queue::leave(conn, now, &target, run))
            .await
    }

    async fn renew(&self, hold: &Hold) -> Result<()> {
        let hold = hold.clone();
        // Never here: whoever renews counts the time that a disk takes that hangs.
        self.run(move |inner| {
            let renewed = inner.write(|conn, now| {
                inner.still_there()?;
                queue::renew(conn, now, &hold)
            });
            renewed.map_err(|fault| fault.at(inner.path(), "renew a lease"))
        })
        .await
    }

    async fn release(&self, hold: &Hold) -> Result<bool> {
        let hold = hold.clone();
        self.write_and_ring("release a lock", move |conn, now| queue::release(conn, now, &hold))
            .await
    }

    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        let claim = claim.clone();
        self.run(move |inner| {
            let taken = inner.write(|conn, now| queue::take_over(conn, now, &claim, lease));
            taken.map_err(|fault| fault.at(inner.path(), "take a lock over"))
        })
        .await
    }

    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        // Of the entries, those that permit a write.
        let permits = matches!(guard, Guard::Holder { lease_left, .. } if !lease_left.is_zero());
        if permits {
            self.0.still_there().map_err(|fault| fault.at(self.path(), APPEND))?;
        }
        let append =
            |conn: &Connection, now: &Moment| journal::append(conn, now, target, entry, guard);
        // Copied only where it has to wait: entries are many, and can be large.
        if let Ok(answer) = self.0.write_at_once(append) {
            return self.0.ring(APPEND, answer);
        }
        let (target, entry) = (target.clone(), entry.clone());
        self.run(move |inner| {
            let written =
                inner.write(|conn, now| journal::append(conn, now, &target, &entry, guard));
            inner.ring(APPEND, written)
        })
        .await
    }

    async fn state(&self, target: &TargetName) -> Result<TargetState> {
        let target = target.clone();
        self.read_little(move |conn, now| queue::state(conn, now, &target)).await
    }

    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>> {
        let target = target.clone();
        let read = move |conn: &Connection, _: &Moment| journal::read(conn, &target, after, limit);
        if limit <= LITTLE {
            return self.read_little(read).await;
        }
        self.run(move |inner| inner.read(read)).await
    }

    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>> {
        let target = target.clone();
        self.read_little(move |conn, _| journal::read_run(conn, &target, run)).await
    }

    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let target = target.clone();
        self.read_little(move |conn, _| journal::read_kind(conn, &target, kind, before, limit))
            .await
    }
}
