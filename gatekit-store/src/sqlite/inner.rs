//! What the clones of a handle share: the connection, and how it is written through.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatekit_core::ledger::{Acquired, Claim};
use gatekit_core::{Effect, Result};
use rusqlite::{Connection, ErrorCode};

use super::bells::{News, Told};
use super::builder::SqliteLedgerBuilder;
use super::clock::{Clock, Moment};
use super::doorbell::Doorbell;
use super::error::{self, Fault};
use super::place::{self, FileId};
use super::queue::{self, Asked, Rung};
use super::transaction::{Kind, Transaction};
use super::{reader, schema};

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) options: SqliteLedgerBuilder,
    clock: Clock,
    /// `None` for a handle that only reads: it connects anew for each call.
    writer: Option<Mutex<Writer>>,
    /// Which file it is, for a handle that writes.
    file: Option<FileId>,
    /// Whether the last commit was on disk sooner than a call crosses to another thread and back.
    quick: AtomicBool,
    pub(super) doorbell: Doorbell,
}

/// What a commit may take on a thread that serves a runtime. Crossing to another thread and back
/// costs about as much as a good disk takes to sync, so there it is not worth it; on a slow disk it
/// is, and costs nothing beside it.
const QUICK: Duration = Duration::from_millis(1);

/// The connection that writes.
#[derive(Debug)]
struct Writer {
    conn: Connection,
    sync: Sync,
    patience: Duration,
}

/// When a commit is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// Before it returns.
    EachCommit,
    /// With the next commit that is: a loss of power undoes it, whole, as if it had never been.
    Later,
}

impl Writer {
    fn set(&mut self, sync: Sync) -> Result<(), Fault> {
        if self.sync != sync {
            let level = match sync {
                Sync::EachCommit => "FULL",
                Sync::Later => "NORMAL",
            };
            self.conn.pragma_update(None, "synchronous", level)?;
            self.sync = sync;
        }
        Ok(())
    }

    /// How long it waits for others that write.
    fn wait_for_others(&mut self, patience: Duration) -> Result<(), Fault> {
        if self.patience != patience {
            self.conn.busy_timeout(patience)?;
            self.patience = patience;
        }
        Ok(())
    }
}

impl Inner {
    /// With a connection that writes each commit to disk, or with none.
    pub(super) fn new(options: SqliteLedgerBuilder, conn: Option<Connection>) -> Self {
        let clock = Clock::new(options.clock_offset.clone());
        let patience = options.busy_timeout;
        let writer = conn.map(|conn| Writer { conn, sync: Sync::EachCommit, patience });
        let quick = AtomicBool::new(false);
        let file = writer.as_ref().and_then(|_| place::file_id(&options.path));
        Self {
            options,
            clock,
            writer: writer.map(Mutex::new),
            file,
            quick,
            doorbell: Doorbell::default(),
        }
    }

    /// Whether it only reads.
    pub(super) fn reads_only(&self) -> bool {
        self.writer.is_none()
    }

    pub(super) fn path(&self) -> &Path {
        &self.options.path
    }

    /// Refuses a file that was removed or replaced since it was opened: this process would go on in it,
    /// alone, and others would be granted the same targets from the one in its place.
    pub(super) fn still_there(&self) -> Result<(), Fault> {
        if place::file_id(self.path()) == self.file {
            return Ok(());
        }
        Err(error::gone(self.path()).into())
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>, Fault> {
        let Some(writer) = &self.writer else {
            return Err(error::read_only(self.path(), "it was opened for reading").into());
        };
        // A panic inside left a transaction that its drop has rolled back.
        Ok(writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `work` in a transaction of its own and makes it durable.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Connection, &Moment) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut writer = self.writer()?;
        let (tx, now) = self.begin(&mut writer, Sync::EachCommit, self.options.busy_timeout)?;
        self.finish(tx, &now, work)
    }

    /// As [`write`](Self::write), but gives `work` back untouched where it would have to wait for
    /// others, or for a disk that was slow the last time.
    pub(super) fn write_at_once<T, W>(&self, work: W) -> Result<Result<T, Fault>, W>
    where
        W: FnOnce(&Connection, &Moment) -> Result<T, Fault>,
    {
        let Some(mut writer) = self.idle_writer() else { return Err(work) };
        match self.begin(&mut writer, Sync::EachCommit, Duration::ZERO) {
            Ok((tx, now)) => Ok(self.finish(tx, &now, work)),
            Err(fault) if fault.is_busy() => Err(work),
            Err(fault) => Ok(Err(fault)),
        }
    }

    /// Rings whoever has reason to ask after a write.
    pub(super) fn ring<T>(&self, doing: &str, written: Result<Rung<T>, Fault>) -> Result<T> {
        let written = written.map_err(|fault| fault.at(self.path(), doing))?;
        self.doorbell.ring(written.next);
        Ok(written.answer)
    }

    /// The writer, if nobody has it and the disk is quick.
    fn idle_writer(&self) -> Option<MutexGuard<'_, Writer>> {
        let quick = self.quick.load(Ordering::Relaxed);
        self.writer.as_ref().filter(|_| quick).and_then(|writer| writer.try_lock().ok())
    }

    fn finish<T>(
        &self,
        tx: Transaction<'_>,
        now: &Moment,
        work: impl FnOnce(&Connection, &Moment) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let began = Instant::now();
        let answer = work(&tx, now)?;
        let committed = self.commit(tx);
        self.quick.store(began.elapsed() < QUICK, Ordering::Relaxed);
        committed.map(|()| answer)
    }

    /// Runs `work` in a transaction that need not be on disk when it returns, because it says only
    /// that a waiter waits, which is of no use after a reboot. `None` when it turns out to say more:
    /// nothing of it has happened then.
    fn beat(
        &self,
        work: impl FnOnce(&Connection, &Moment) -> Result<Asked, Fault>,
    ) -> Result<Option<Asked>, Fault> {
        let mut writer = self.writer()?;
        let (tx, now) = self.begin(&mut writer, Sync::Later, self.options.busy_timeout)?;
        let asked = work(&tx, &now)?;
        if asked.touched {
            return Ok(None);
        }
        self.commit(tx)?;
        Ok(Some(asked))
    }

    /// Asks for the lock, and remembers what a waiter was told.
    pub(super) fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        let bells = self.doorbell.bells();
        let likely_to_wait = bells.attend(claim);
        let port = self.doorbell.port();
        let ask = |conn: &Connection, now: &Moment| queue::acquire(conn, now, claim, lease, port);
        let beat = if likely_to_wait { self.beat(ask) } else { Ok(None) };
        let asked = beat.and_then(|asked| asked.map_or_else(|| self.write(ask), Ok));
        self.answered(claim, lease, asked)
    }

    /// As [`acquire`](Self::acquire), for a claimant that asks for the first time; `None` where it
    /// would have to wait.
    pub(super) fn acquire_at_once(
        &self,
        claim: &Claim,
        lease: Duration,
    ) -> Option<Result<Acquired>> {
        let bells = self.doorbell.bells();
        if bells.knows(claim) {
            return None;
        }
        bells.attend(claim);
        let port = self.doorbell.port();
        let ask = |conn: &Connection, now: &Moment| queue::acquire(conn, now, claim, lease, port);
        let asked = self.write_at_once(ask).ok()?;
        Some(self.answered(claim, lease, asked))
    }

    fn answered(
        &self,
        claim: &Claim,
        lease: Duration,
        asked: Result<Asked, Fault>,
    ) -> Result<Acquired> {
        let asked = asked.map_err(|fault| fault.at(self.path(), "ask for a lock"))?;
        let bells = self.doorbell.bells();
        self.doorbell.ring(asked.next);
        if let Acquired::Waiting { .. } = asked.answer {
            let answer = asked.answer.clone();
            bells.tell(Told { claim: claim.clone(), lease, answer, watched: asked.watched });
        } else {
            bells.forget(claim);
        }
        Ok(asked.answer)
    }

    /// Asks for a waiter; grants nothing, because only the waiter itself can take it.
    pub(super) fn news_for(&self, told: &Told) -> News {
        let port = self.doorbell.port();
        let ask = |conn: &Connection, now: &Moment| {
            queue::acquire(conn, now, &told.claim, told.lease, port)
        };
        match self.beat(ask) {
            Ok(Some(asked)) => {
                self.doorbell.ring(asked.next);
                let same = asked.answer == told.answer;
                if same { News::Nothing(asked.watched) } else { News::OfOthers }
            }
            // Whatever is wrong with the ledger is for the waiter to be told.
            Ok(None) | Err(_) => News::Turn,
        }
    }

    fn begin<'w>(
        &self,
        writer: &'w mut Writer,
        sync: Sync,
        patience: Duration,
    ) -> Result<(Transaction<'w>, Moment), Fault> {
        writer.wait_for_others(patience)?;
        writer.set(sync)?;
        let tx = Transaction::begin(&writer.conn, Kind::Immediate)?;
        schema::still_ours(&tx, self.path())?;
        // Asked under the write lock, because waiting for it takes time.
        Ok((tx, self.clock.now()))
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

    /// Runs `work` on one state of the ledger.
    pub(super) fn read<T>(
        &self,
        work: impl Fn(&Connection, &Moment) -> Result<T, Fault>,
    ) -> Result<T> {
        let Some(writer) = &self.writer else {
            let patience = self.options.busy_timeout;
            let answer = reader::read(self.path(), patience, |conn| work(conn, &self.clock.now()))?;
            return answer.ok_or_else(|| error::missing(self.path()));
        };
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_with(&mut writer, self.options.busy_timeout, work)
            .map_err(|fault| fault.at(self.path(), "be read"))
    }

    /// As [`read`](Self::read); `None` where it would have to wait.
    pub(super) fn read_at_once<T>(
        &self,
        work: impl Fn(&Connection, &Moment) -> Result<T, Fault>,
    ) -> Option<Result<T>> {
        match self.read_with(&mut *self.idle_writer()?, Duration::ZERO, work) {
            Err(fault) if fault.is_busy() => None,
            answer => Some(answer.map_err(|fault| fault.at(self.path(), "be read"))),
        }
    }

    fn read_with<T>(
        &self,
        writer: &mut Writer,
        patience: Duration,
        work: impl Fn(&Connection, &Moment) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        writer.wait_for_others(patience)?;
        let tx = Transaction::begin(&writer.conn, Kind::Deferred)?;
        work(&tx, &self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use gatekit_core::{RunId, TargetName};

    use super::super::open;
    use super::*;

    fn inner(dir: &tempfile::TempDir) -> Inner {
        let options = SqliteLedgerBuilder::new(&dir.path().join("ledger.db")).durable(true);
        let conn = open::open(&options).unwrap();
        Inner::new(options, Some(conn))
    }

    fn synchronous(conn: &Connection) -> i64 {
        conn.query_row("PRAGMA synchronous", (), |row| row.get(0)).unwrap()
    }

    /// FULL is 2, NORMAL is 1: <https://sqlite.org/pragma.html#pragma_synchronous>.
    #[test]
    fn all_but_the_word_that_one_waits_is_on_disk_with_its_commit() {
        let dir = tempfile::tempdir().unwrap();
        let inner = inner(&dir);
        for _ in 0..2 {
            assert_eq!(inner.write(|conn, _| Ok(synchronous(conn))).unwrap(), 2);
            let mut seen = 0;
            let beat = inner.beat(|conn, _| {
                seen = synchronous(conn);
                Err(error::read_only(Path::new("/"), "of this test").into())
            });
            assert!(beat.is_err() && seen == 1, "{seen}");
        }
    }

    #[test]
    fn work_that_would_have_to_wait_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let inner = inner(&dir);
        let at_once = || inner.write_at_once(|_, _| Ok(())).is_ok();
        assert!(!at_once(), "nobody knows yet how quick the disk is");
        assert!(inner.read_at_once(|_, _| Ok(())).is_none());
        inner.quick.store(true, Ordering::Relaxed);
        assert!(at_once());
        assert!(inner.read_at_once(|_, _| Ok(())).is_some());
        let busy = || rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        let refused = |_: &Connection, _: &Moment| -> Result<(), Fault> {
            Err(Fault::Sql(rusqlite::Error::SqliteFailure(busy(), None)))
        };
        assert!(inner.read_at_once(refused).is_none(), "others keep it to themselves");
        // Whether that was quick is this machine's business.
        inner.quick.store(true, Ordering::Relaxed);

        let other = Connection::open(inner.path()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let began = Instant::now();
        assert!(!at_once(), "another process writes");
        assert!(began.elapsed() < inner.options.busy_timeout);
        other.execute_batch("ROLLBACK").unwrap();
        let busy = inner.writer().unwrap();
        assert!(!at_once(), "another call writes");
        drop(busy);
        assert!(at_once());

        let slow = inner.write(|_, _| {
            thread::sleep(QUICK);
            Ok(())
        });
        slow.unwrap();
        assert!(!at_once(), "the last one was slow");
    }

    #[test]
    fn who_waits_on_is_not_woken() {
        let dir = tempfile::tempdir().unwrap();
        let inner = inner(&dir);
        let lease = Duration::from_secs(60);
        let claim = || Claim::new(TargetName::new("t").unwrap(), RunId::generate(), "me");
        let (holder, waiter) = (claim(), claim());
        for claim in [&holder, &waiter] {
            inner.write(|conn, now| queue::enqueue(conn, now, claim, None)).unwrap();
            inner.acquire(claim, lease).unwrap();
        }
        let asked = inner.write(|conn, now| queue::acquire(conn, now, &waiter, lease, None));
        let Asked { answer, watched, .. } = asked.unwrap();
        let told = Told { claim: waiter, lease, answer, watched };
        let news = inner.news_for(&told);
        assert!(matches!(news, News::Nothing(Some(_))), "{news:?}");
    }
}
