//! Ledgers that fail on command, around the real one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{
    Acquired, Body, ChainVerifier, Claim, Entry, Guard, Hold, Ledger, Record, TargetState,
};
use gatekit_core::{Code, Effect, Engine, Error, Fence, Result, RunId, TargetName, code};

use crate::world::{Bench, World, engine, target};

/// A ledger whose `n`th append, and every call after it, fails: a process that died there, as far as
/// the ledger can tell.
#[derive(Debug)]
pub(crate) struct FailsAt {
    pub(crate) inner: Arc<dyn Ledger>,
    pub(crate) appends: Arc<AtomicUsize>,
    pub(crate) at: usize,
    /// Is told every entry that was appended.
    appended: Hook<Body>,
}

impl FailsAt {
    pub(crate) fn dead(&self) -> Result<()> {
        if self.appends.load(Ordering::SeqCst) >= self.at {
            return Err(Error::new(Code::new("ledger.unreachable"), "the ledger is gone")
                .with_effect(Effect::None));
        }
        Ok(())
    }
}

#[async_trait]
impl Ledger for FailsAt {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        let inner = self.inner.reconnect().await?;
        Ok(Arc::new(Self {
            inner,
            appends: Arc::clone(&self.appends),
            at: self.at,
            appended: self.appended.clone(),
        }))
    }
    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        self.dead()?;
        self.inner.enqueue(claim).await
    }
    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        self.dead()?;
        self.inner.acquire(claim, lease).await
    }
    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        self.dead()?;
        self.inner.leave(target, run).await
    }
    async fn renew(&self, hold: &Hold) -> Result<()> {
        self.dead()?;
        self.inner.renew(hold).await
    }
    async fn release(&self, hold: &Hold) -> Result<bool> {
        self.dead()?;
        self.inner.release(hold).await
    }
    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        self.dead()?;
        self.inner.take_over(claim, lease).await
    }
    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        self.dead()?;
        self.appends.fetch_add(1, Ordering::SeqCst);
        self.dead()?;
        let record = self.inner.append(target, entry, guard).await?;
        (self.appended.0)(&entry.body);
        Ok(record)
    }
    async fn state(&self, target: &TargetName) -> Result<TargetState> {
        self.dead()?;
        self.inner.state(target).await
    }
    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>> {
        self.dead()?;
        self.inner.read(target, after, limit).await
    }
    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>> {
        self.dead()?;
        self.inner.read_run(target, run).await
    }
    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.dead()?;
        self.inner.read_kind(target, kind, before, limit).await
    }
}

/// A ledger that knows of one target a claim.
#[derive(Debug)]
pub(crate) struct LocksLess(pub(crate) Arc<dyn Ledger>);

impl LocksLess {
    fn less(claim: &Claim) -> Claim {
        let mut claim = claim.clone();
        claim.also.clear();
        claim
    }
}

#[async_trait]
impl Ledger for LocksLess {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        self.0.reconnect().await
    }
    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        self.0.enqueue(&Self::less(claim)).await
    }
    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        self.0.acquire(&Self::less(claim), lease).await
    }
    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        self.0.leave(target, run).await
    }
    async fn renew(&self, hold: &Hold) -> Result<()> {
        self.0.renew(hold).await
    }
    async fn release(&self, hold: &Hold) -> Result<bool> {
        self.0.release(hold).await
    }
    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        self.0.take_over(&Self::less(claim), lease).await
    }
    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        self.0.append(target, entry, guard).await
    }
    async fn state(&self, target: &TargetName) -> Result<TargetState> {
        self.0.state(target).await
    }
    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>> {
        self.0.read(target, after, limit).await
    }
    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>> {
        self.0.read_run(target, run).await
    }
    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.0.read_kind(target, kind, before, limit).await
    }
}

/// A ledger that renews no lease: what a stopped process looks like from outside. Or one that is busy
/// whenever a lease is to be renewed or taken over, for so many times. Or that once does not append.
#[derive(Debug)]
pub(crate) struct FailsRenewals {
    inner: Arc<dyn Ledger>,
    /// An append of this kind fails, and no renewal.
    refuses: Option<&'static str>,
    /// How often, and with what; `None`: it never answers.
    fails: Option<(AtomicUsize, Code)>,
    /// Another handle opens a socket.
    networked: bool,
    /// There is no other handle: why.
    alone: Option<Code>,
}

pub(crate) const BUSY: Code = Code::new("ledger.busy");

impl FailsRenewals {
    fn new(
        bench: &Bench,
        refuses: Option<&'static str>,
        fails: Option<(AtomicUsize, Code)>,
    ) -> Arc<Self> {
        let inner = Arc::clone(&bench.ledger);
        Arc::new(Self { inner, refuses, fails, networked: false, alone: None })
    }

    /// Fails never, and is reached over the network.
    pub(crate) fn networked(bench: &Bench) -> Arc<Self> {
        let ledger = Self::busy(bench, 0);
        Arc::new(Self { networked: true, ..Arc::into_inner(ledger).unwrap() })
    }

    /// Lets nobody else in.
    pub(crate) fn alone(bench: &Bench) -> Arc<Self> {
        Self::lets_in_nobody(bench, BUSY)
    }

    /// Is no longer where it was.
    pub(crate) fn gone(bench: &Bench) -> Arc<Self> {
        Self::lets_in_nobody(bench, Code::new("ledger.missing"))
    }

    fn lets_in_nobody(bench: &Bench, why: Code) -> Arc<Self> {
        let ledger = Self::busy(bench, 0);
        Arc::new(Self { alone: Some(why), ..Arc::into_inner(ledger).unwrap() })
    }

    pub(crate) fn hanging(bench: &Bench) -> Arc<Self> {
        Self::new(bench, None, None)
    }

    pub(crate) fn busy(bench: &Bench, times: usize) -> Arc<Self> {
        Self::with(bench, times, BUSY)
    }

    /// With an error that is not temporary; with `engine.panic` it panics.
    pub(crate) fn with(bench: &Bench, times: usize, code: Code) -> Arc<Self> {
        Self::new(bench, None, Some((times.into(), code)))
    }

    /// The first append of that kind fails.
    pub(crate) fn refusing(bench: &Bench, kind: &'static str, code: Code) -> Arc<Self> {
        Self::new(bench, Some(kind), Some((1.into(), code)))
    }

    fn renews(&self) -> Result<()> {
        if self.refuses.is_some() { Ok(()) } else { self.once_less() }
    }

    fn once_less(&self) -> Result<()> {
        let Some((times, code)) = &self.fails else { return Ok(()) };
        let less = |left: usize| left.checked_sub(1);
        match times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) if *code == code::ENGINE_PANIC => std::panic::panic_any("a defect"),
            Ok(_) if *code == BUSY => Err(Error::new(BUSY, "busy").retry_later()),
            Ok(_) => Err(Error::new(code.clone(), "no")),
            Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl Ledger for FailsRenewals {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        if self.fails.is_none() {
            return std::future::pending().await;
        }
        match &self.alone {
            Some(why) if *why == BUSY => return Err(Error::new(BUSY, "busy").retry_later()),
            Some(why) => return Err(Error::new(why.clone(), "no")),
            None => {}
        }
        self.renews()?;
        if self.networked {
            drop(tokio::net::UdpSocket::bind("127.0.0.1:0").await);
        }
        self.inner.reconnect().await
    }
    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        self.inner.enqueue(claim).await
    }
    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        self.inner.acquire(claim, lease).await
    }
    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        self.inner.leave(target, run).await
    }
    async fn renew(&self, hold: &Hold) -> Result<()> {
        if self.fails.is_none() {
            return std::future::pending().await;
        }
        self.renews()?;
        self.inner.renew(hold).await
    }
    async fn release(&self, hold: &Hold) -> Result<bool> {
        self.inner.release(hold).await
    }
    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        self.renews()?;
        self.inner.take_over(claim, lease).await
    }
    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        if self.refuses == Some(entry.body.kind()) {
            self.once_less()?;
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

/// Something of a test's own that is called with a `T`.
pub(crate) struct Hook<T>(pub(crate) Arc<dyn Fn(&T) + Send + Sync>);

impl<T> Hook<T> {
    pub(crate) fn new(hook: impl Fn(&T) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }
}

impl<T> Clone for Hook<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Hook<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

pub(crate) fn failing(bench: &Bench, at: usize) -> Arc<FailsAt> {
    failing_watched(bench, at, |_| ())
}

/// A ledger that fails never, and tells what was appended.
pub(crate) fn watched(bench: &Bench, appended: impl Fn(&Body) + Send + Sync + 'static) -> Engine {
    engine(failing_watched(bench, usize::MAX, appended))
}

pub(crate) fn failing_watched(
    bench: &Bench,
    at: usize,
    appended: impl Fn(&Body) + Send + Sync + 'static,
) -> Arc<FailsAt> {
    Arc::new(FailsAt {
        inner: Arc::clone(&bench.ledger),
        appends: Arc::new(AtomicUsize::new(0)),
        at,
        appended: Hook::new(appended),
    })
}

/// The chain holds, and every write was journalled (design §8.3): as many permits as writes, each
/// under the fence of its entry.
pub(crate) async fn audit(bench: &Bench, worlds: &[&World]) {
    let records = bench.ledger.read(&target(), 0, 10_000).await.unwrap();
    let mut verifier = ChainVerifier::new(target(), None);
    for record in &records {
        verifier.push(record).unwrap();
    }
    verifier.finish(&bench.state().await.head).unwrap();
    let calls: Vec<Fence> = records
        .iter()
        .map(|record| record.decode().unwrap())
        .filter(|entry| matches!(entry.body, Body::Calling { .. }))
        .map(|entry| entry.fence.unwrap())
        .collect();
    let writes: Vec<_> = worlds.iter().flat_map(|world| world.lock().writes.clone()).collect();
    for (what, fence) in &writes {
        assert!(calls.contains(fence), "{what} under fence {fence} is not in the journal");
    }
    assert!(calls.len() >= writes.len());
}
