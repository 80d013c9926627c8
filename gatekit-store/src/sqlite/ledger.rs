//! The handle on a ledger.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{Acquired, Claim, Entry, Guard, Hold, Ledger, Record, TargetState};
use gatekit_core::{Effect, Result, RunId, TargetName};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::task::spawn_blocking;

use super::builder::SqliteLedgerBuilder;
use super::clock::{Clock, Moment};
use super::error::{self, Fault};
use super::{journal, open, place, queue, reader, schema};

/// A ledger in one SQLite file, for the processes of one machine.
///
/// Every change is one `BEGIN IMMEDIATE` transaction that is on disk before the call returns. Times
/// are those since the machine's boot, so setting the wall clock changes nothing, and a holder or a
/// waiter from before a reboot is known to be gone. Calls run on tokio's blocking threads and need
/// a runtime; a call that is dropped goes on there to its end. Cheap to clone: clones share a
/// connection.
///
/// Network file systems are refused where Linux names them; of a mount through FUSE or 9p it cannot
/// be told what is behind it.
#[derive(Debug, Clone)]
pub struct SqliteLedger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: SqliteLedgerBuilder,
    clock: Clock,
    /// `None` for a handle that only reads: it connects anew for each call.
    conn: Option<Mutex<Connection>>,
}

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

    pub(super) fn open_for_writing(options: SqliteLedgerBuilder, runner: bool) -> Result<Self> {
        let options = absolute(options)?;
        if runner && !options.durable {
            return Err(error::ephemeral(&options.path));
        }
        let conn = open::open(&options)?;
        Ok(Self::with(options, Some(Mutex::new(conn))))
    }

    pub(super) fn open_for_reading(options: SqliteLedgerBuilder) -> Result<Option<Self>> {
        let options = absolute(options)?;
        place::check_local(&options.path)?;
        let found = reader::read(&options.path, options.busy_timeout, |_| Ok(()))?;
        Ok(found.map(|()| Self::with(options, None)))
    }

    fn with(options: SqliteLedgerBuilder, conn: Option<Mutex<Connection>>) -> Self {
        let clock = Clock::new(options.clock_offset.clone());
        Self(Arc::new(Inner { options, clock, conn }))
    }

    /// Runs `work` on a blocking thread, to its end even when the caller is dropped.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        spawn_blocking(move || work(&inner)).await.map_err(|failure| {
            let error = error::plain(self.path(), "finish a call").with_source(failure);
            error.with_effect(Effect::Unknown)
        })?
    }

    /// Runs `work` in a transaction of its own and makes it durable.
    async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection, &Moment) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.run(move |inner| inner.write(work).map_err(|fault| fault.at(inner.path(), doing)))
            .await
    }

    /// Runs `work` on one state of the ledger.
    async fn read_with<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection, &Moment) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.run(move |inner| inner.read(work)).await
    }
}

fn absolute(mut options: SqliteLedgerBuilder) -> Result<SqliteLedgerBuilder> {
    options.path = std::path::absolute(&options.path)
        .map_err(|error| error::os(&options.path, "find its path", error))?;
    Ok(options)
}

impl Inner {
    fn path(&self) -> &Path {
        &self.options.path
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&Connection, &Moment) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Some(conn) = &self.conn else {
            return Err(error::read_only(self.path(), "it was opened for reading").into());
        };
        // A panic inside left a transaction that its drop has rolled back.
        let mut conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        schema::still_ours(&tx, self.path())?;
        // Asked under the write lock, because waiting for it takes time.
        let now = self.clock.now();
        let answer = work(&tx, &now)?;
        self.commit(tx)?;
        Ok(answer)
    }

    fn commit(&self, tx: Transaction<'_>) -> Result<(), Fault> {
        tx.commit().map_err(|failure| match failure.sqlite_error_code() {
            // The disk failed in the middle: nobody can tell what it has kept.
            Some(ErrorCode::SystemIoFailure) => {
                let error = Fault::Sql(failure).at(self.path(), "commit");
                Fault::Refused(error.with_effect(Effect::Unknown))
            }
            _ => Fault::Sql(failure),
        })
    }

    fn read<T>(&self, work: impl Fn(&Connection, &Moment) -> Result<T, Fault>) -> Result<T> {
        let Some(conn) = &self.conn else {
            let patience = self.options.busy_timeout;
            let answer = reader::read(self.path(), patience, |conn| work(conn, &self.clock.now()))?;
            return answer.ok_or_else(|| error::missing(self.path()));
        };
        let mut conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = || {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Deferred)?;
            work(&tx, &self.clock.now())
        };
        read().map_err(|fault| fault.at(self.path(), "be read"))
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        let other = self
            .run(|inner| {
                let options = inner.options.clone();
                match &inner.conn {
                    // Whether the place is durable was settled when the first was opened; it is
                    // there by now, and one that vanished must not come back empty.
                    Some(_) => Self::open_for_writing(options.create(false), false),
                    None => Ok(Self::with(options, None)),
                }
            })
            .await?;
        Ok(Arc::new(other))
    }

    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        let claim = claim.clone();
        self.write("take a ticket", move |conn, now| queue::enqueue(conn, now, &claim)).await
    }

    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        let claim = claim.clone();
        self.write("ask for a lock", move |conn, now| queue::acquire(conn, now, &claim, lease))
            .await
    }

    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        let target = target.clone();
        self.write("leave a queue", move |conn, _| queue::leave(conn, &target, run)).await
    }

    async fn renew(&self, hold: &Hold) -> Result<()> {
        let hold = hold.clone();
        self.write("renew a lease", move |conn, now| queue::renew(conn, now, &hold)).await
    }

    async fn release(&self, hold: &Hold) -> Result<bool> {
        let hold = hold.clone();
        self.write("release a lock", move |conn, _| queue::release(conn, &hold)).await
    }

    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        let claim = claim.clone();
        self.write("take a lock over", move |conn, now| queue::take_over(conn, now, &claim, lease))
            .await
    }

    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        let (target, entry) = (target.clone(), entry.clone());
        self.write("append an entry", move |conn, now| {
            journal::append(conn, now, &target, &entry, guard)
        })
        .await
    }

    async fn state(&self, target: &TargetName) -> Result<TargetState> {
        let target = target.clone();
        self.read_with(move |conn, now| queue::state(conn, now, &target)).await
    }

    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>> {
        let target = target.clone();
        self.read_with(move |conn, _| journal::read(conn, &target, after, limit)).await
    }

    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>> {
        let target = target.clone();
        self.read_with(move |conn, _| journal::read_run(conn, &target, run)).await
    }

    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let target = target.clone();
        self.read_with(move |conn, _| journal::read_kind(conn, &target, kind, before, limit)).await
    }
}
