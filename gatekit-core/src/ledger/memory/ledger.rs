//! The handle on a ledger in memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::target::Target;
use super::targets::Targets;
use super::world::World;
use crate::error::Result;
use crate::id::{RunId, TargetName};
use crate::ledger::{
    Acquired, Claim, Entry, Guard, Hold, Ledger, LockState, Record, TargetState, WAITER_TTL,
};
use crate::process::{Liveness, ProcessIdentity};
use crate::time::Timestamp;

/// A ledger in memory: the reference implementation of [`Ledger`], for tests and dry runs.
///
/// It lasts as long as its last handle, at most as long as the process. Whoever releases to a real
/// target through it loses track of that target with it: nobody is told afterwards that the target
/// is suspect. Cheap to clone: clones are handles on the same ledger.
#[derive(Debug, Clone, Default)]
pub struct MemoryLedger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    /// Milliseconds by which a test has moved the clock forward.
    offset: Arc<AtomicU64>,
    targets: Mutex<Targets>,
    /// Told of every call that may have ended somebody's wait.
    changed: Notify,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            offset: Arc::default(),
            targets: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty ledger whose clock goes forward by that many milliseconds, so that tests of leases
    /// need not sleep.
    #[doc(hidden)]
    #[must_use]
    pub fn with_clock_offset(millis: Arc<AtomicU64>) -> Self {
        Self(Arc::new(Inner { offset: millis, ..Inner::default() }))
    }

    fn targets(&self) -> MutexGuard<'_, Targets> {
        // A panic inside has left every target as it was before its call or after it.
        self.0.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn world(&self) -> World<'static> {
        let offset = Duration::from_millis(self.0.offset.load(Ordering::SeqCst));
        World {
            now: self.0.began.elapsed().saturating_add(offset),
            at: Timestamp::now(),
            dead: &proven_dead,
        }
    }

    /// One transaction.
    fn write<T>(&self, work: impl FnOnce(&mut Targets, &World<'_>) -> T) -> T {
        let mut targets = self.targets();
        // Asked under the mutex, so that time never goes back from one call to the next.
        let answer = work(&mut targets, &self.world());
        drop(targets);
        self.0.changed.notify_waiters();
        answer
    }

    /// One look at a journal.
    fn read_journal(
        &self,
        target: &TargetName,
        work: impl FnOnce(&Target) -> Vec<Record>,
    ) -> Vec<Record> {
        self.targets().get(target).map(work).unwrap_or_default()
    }

    /// Whether `claim` would be told something new.
    fn is_its_turn(&self, claim: &Claim) -> bool {
        let (targets, world) = (self.targets(), self.world());
        let states: Vec<_> = claim.targets().map(|name| targets.state(&world, name)).collect();
        let is_first = |state: &TargetState| {
            let first = state.queue.iter().find(|waiter| waiter.alive || waiter.run == claim.run);
            first.is_some_and(|waiter| waiter.run == claim.run)
        };
        states.iter().any(|state| state.state == LockState::Suspect)
            || states.iter().all(|state| state.state == LockState::Free && is_first(state))
    }
}

fn proven_dead(process: &ProcessIdentity) -> bool {
    process.liveness() == Liveness::Dead
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::new(self.clone()))
    }

    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        Ok(self.write(|targets, world| targets.enqueue(world, claim)))
    }

    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        self.write(|targets, world| targets.acquire(world, claim, lease))
    }

    async fn wait_for_turn(&self, claim: &Claim, longest: Duration) {
        let mut changed = std::pin::pin!(self.0.changed.notified());
        let turn = async {
            loop {
                // Listens before it looks, so that it misses nothing in between.
                changed.as_mut().enable();
                if self.is_its_turn(claim) {
                    return;
                }
                changed.as_mut().await;
                changed.set(self.0.changed.notified());
            }
        };
        // Nobody tells of a lease that lapses or a process that dies: then this ends late, but in time
        // for the waiter to be heard of.
        let _late = tokio::time::timeout(longest.min(WAITER_TTL / 3), turn).await;
    }

    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        self.write(|targets, _| targets.leave(target, run));
        Ok(())
    }

    async fn renew(&self, hold: &Hold) -> Result<()> {
        self.write(|targets, world| targets.renew(world, hold))
    }

    async fn release(&self, hold: &Hold) -> Result<bool> {
        self.write(|targets, _| targets.release(hold))
    }

    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        self.write(|targets, world| targets.take_over(world, claim, lease))
    }

    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        self.write(|targets, world| targets.append(world, target, entry, guard))
    }

    async fn state(&self, target: &TargetName) -> Result<TargetState> {
        let targets = self.targets();
        Ok(targets.state(&self.world(), target))
    }

    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>> {
        Ok(self.read_journal(target, |kept| kept.read(after, limit)))
    }

    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>> {
        Ok(self.read_journal(target, |kept| kept.read_run(run)))
    }

    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        Ok(self.read_journal(target, |kept| kept.read_kind(kind, before, limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_not_asked_for_long_is_in_nobodys_way_and_may_ask_again() {
        let offset = Arc::new(AtomicU64::new(0));
        let ledger = MemoryLedger::with_clock_offset(Arc::clone(&offset));
        let claim = || Claim::new(TargetName::new("t").unwrap(), RunId::generate(), "me");
        let (first, second) = (claim(), claim());
        for claim in [&first, &second] {
            ledger.enqueue(claim).await.unwrap();
        }
        assert!(ledger.is_its_turn(&first) && !ledger.is_its_turn(&second));
        offset.store(60_000, Ordering::SeqCst);
        assert!(ledger.is_its_turn(&first) && ledger.is_its_turn(&second));
    }

    #[tokio::test]
    async fn it_is_the_turn_of_who_claims_several_when_it_is_in_each() {
        let ledger = MemoryLedger::new();
        let name = |name: &str| TargetName::new(name).unwrap();
        let both = Claim::new(name("a"), RunId::generate(), "me").along([name("b")]);
        let other = Claim::new(name("b"), RunId::generate(), "another");
        for claim in [&other, &both] {
            ledger.enqueue(claim).await.unwrap();
        }
        assert!(!ledger.is_its_turn(&both), "it is not first in the second queue");
        let lease = Duration::from_secs(60);
        let Acquired::Granted(hold) = ledger.acquire(&other, lease).await.unwrap() else {
            panic!("it is first");
        };
        assert!(!ledger.is_its_turn(&both), "the second is held");
        assert!(ledger.release(&hold).await.unwrap());
        assert!(ledger.is_its_turn(&both));
    }
}
