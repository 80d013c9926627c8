//! A ledger that gives only so many permits: the way to kill a write in its middle.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{
    Acquired, Body, Claim, Entry, Guard, Hold, Ledger, Record, TargetState,
};
use gatekit_core::{Error, Result, RunId, TargetName, code};
use tokio::sync::Notify;

/// How the run ends when it asks for one permit too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// It has lost the lock.
    Overtaken,
    /// It gets no answer, and its process ends.
    Killed,
}

/// Another ledger's, with only so many permits to give.
#[derive(Debug)]
pub(crate) struct Ration {
    inner: Arc<dyn Ledger>,
    left: AtomicUsize,
    death: Death,
    used_up: AtomicBool,
    asked: Notify,
}

impl Ration {
    pub(crate) fn new(inner: Arc<dyn Ledger>, permits: usize, death: Death) -> Arc<Self> {
        Arc::new(Self {
            inner,
            left: AtomicUsize::new(permits),
            death,
            used_up: AtomicBool::new(false),
            asked: Notify::new(),
        })
    }

    /// Whether one permit too many was asked for.
    pub(crate) fn used_up(&self) -> bool {
        self.used_up.load(Ordering::SeqCst)
    }

    /// Waits until the process is to end; forever when it does not have to.
    pub(crate) async fn killed(&self) {
        self.asked.notified().await;
    }

    async fn end(&self) -> Error {
        self.used_up.store(true, Ordering::SeqCst);
        if self.death == Death::Killed {
            self.asked.notify_one();
            pending::<()>().await;
        }
        Error::new(code::LOCK_LOST, "another run has taken the target over")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Ledger for Ration {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        self.inner.reconnect().await
    }

    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        self.inner.enqueue(claim).await
    }

    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        self.inner.acquire(claim, lease).await
    }

    async fn wait_for_turn(&self, claim: &Claim, longest: Duration) {
        self.inner.wait_for_turn(claim, longest).await;
    }

    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        self.inner.leave(target, run).await
    }

    async fn renew(&self, hold: &Hold) -> Result<()> {
        self.inner.renew(hold).await
    }

    async fn release(&self, hold: &Hold) -> Result<bool> {
        self.inner.release(hold).await
    }

    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        self.inner.take_over(claim, lease).await
    }

    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        if self.used_up() {
            return Err(self.end().await);
        }
        if matches!(entry.body, Body::Calling { .. }) {
            let taken = self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if taken.is_err() {
                return Err(self.end().await);
            }
        }
        self.inner.append(target, entry, guard).await
    }

    async fn state(&self, target: &TargetName) -> Result<TargetState> {
        self.inner.state(target).await
    }

    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>> {
        self.inner.read(target, after, limit).await
    }

    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>> {
        self.inner.read_run(target, run).await
    }

    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.inner.read_kind(target, kind, before, limit).await
    }
}
