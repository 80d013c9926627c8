//! The contract of the durable store: lock, queue and journal.

mod chain;
mod entry;
mod line;
mod memory;
pub mod refusal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use chain::{ChainVerifier, GENESIS, Head, link};
pub use entry::{
    Body, Decision, ENTRY_VERSION, Entry, GatePhase, Lineage, LockEffect, Mode, Record, StageScope,
    Word,
};
pub use memory::MemoryLedger;

use crate::error::Result;
use crate::id::{ClaimId, Fence, RunId, TargetName};
use crate::process::ProcessIdentity;

/// The durable store of locks, queues and journals.
///
/// # The lock of a target
/// ```text
/// free ── acquire ──▶ held ── append(Applying) ──▶ mutating ── append(Closed) ──▶ free
///                      │ lease lapsed or holder dead    │ lease lapsed or holder dead, or Left/Stuck
///                      ▼                                ▼
///                     free                            suspect ── take_over ──▶ mutating
/// ```
/// A lapsed `held` frees the target, because nothing was touched. A lapsed `mutating` makes it
/// *suspect*: it names its run, has no holder and no lease, and nobody is granted.
///
/// A lapse is recorded by the next [`acquire`](Self::acquire), [`take_over`](Self::take_over) or open
/// [`append`](Self::append) on the target that succeeds. Until then the holder, if it lives after all,
/// still has the newest fence and may go on under it.
///
/// # Several targets
/// A claim may name further targets that are to be locked [along](Claim::also) with its own, the
/// *leading* one. It stands in the queue of each, and is granted all of them at once or none. From then
/// on, until it is freed, the lock of the leading target is the lock of the others too: they are held,
/// mutating and suspect with it, and it is renewed, released and taken over for all. Each has a fence
/// of its own, a new one with every grant and every takeover. The run's entries are in the chain of
/// the leading target; in each of the others it leaves a [`Body::LockedAlong`].
///
/// # For implementors
/// [`MemoryLedger`] is the reference: its state machine is the contract as code.
///
/// Every method MUST be one transaction: either all of it is durable when it returns `Ok`, or
/// nothing of it happened. Times MUST be those of the store's own clock, never of the callers'. A
/// holder counts as dead only when that is *proven* (see [`ProcessIdentity::liveness`]); otherwise
/// its lease decides. Every method is safe to call again after an error; futures are cancel-safe
/// in that a dropped call either happened in full or not at all.
///
/// Errors have codes of the area `ledger` when the store failed and `lock` when it refused.
#[async_trait]
pub trait Ledger: Debug + Send + Sync + 'static {
    /// Another handle on the same ledger with a connection of its own, which MUST work from another
    /// thread with another runtime: the lease is renewed through it.
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>>;

    /// Takes a place in the queue and gives its ticket, the lower the sooner. Idempotent: a run
    /// keeps the ticket it has.
    ///
    /// A claim on several targets takes a place in each of their queues, all in one transaction, so
    /// that any two claims stand in the same order wherever they meet; the ticket is that of the
    /// leading target. A run that stands in other queues than its claim on that target names leaves
    /// them, and joins all that it names anew.
    async fn enqueue(&self, claim: &Claim) -> Result<u64>;

    /// Asks for the lock, and tells the ledger that this waiter still waits.
    ///
    /// Grants when the target is free and the run has the lowest ticket among the waiters whose
    /// process is not proven dead and that asked within [`WAITER_TTL`]; of several targets, when that
    /// is so of each of them. A skipped waiter keeps its
    /// ticket. Every grant has a fence of its own, greater than any before, and uses the ticket up. The
    /// claim that holds the lock is given the same hold again, its lease begun anew; another claim of
    /// the same run waits like anybody else, because two processes must never share a fence.
    ///
    /// # Errors
    /// `lock.no_ticket` when the run is not in the queue.
    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired>;

    /// Waits until it may be worth asking again with [`acquire`](Self::acquire), but no longer than
    /// `longest`. A hint: it may end early, and it may miss the moment, so whoever waits asks again
    /// afterwards whatever happened. Cancel-safe.
    ///
    /// A waiter that waits here stays heard of: the ledger MUST either end the wait well before
    /// [`WAITER_TTL`] has passed since the waiter asked, so that its asking again keeps its turn, or
    /// note by itself that the waiter still waits, for as long as this future lives. It SHOULD end
    /// soon after the waiter's turn has come, or the holder of the first in line has died.
    ///
    /// The default knows nothing of others' doings and lets a waiter ask every 100 ms.
    async fn wait_for_turn(&self, _claim: &Claim, longest: Duration) {
        tokio::time::sleep(longest.min(Duration::from_millis(100))).await;
    }

    /// Gives the place in the queue up, and in those that it was joined with. Idempotent.
    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()>;

    /// Makes the lease last `hold.lease` from now, that of the leading target for all. Allowed even when it had lapsed, as long as the
    /// fence is still the newest and nobody found the target suspect.
    ///
    /// The engine renews all leases of a process on one thread: an implementation that blocks it
    /// keeps the others from being renewed, and its own from being given up in time.
    ///
    /// # Errors
    /// `lock.lost` when the run no longer holds it under that fence.
    async fn renew(&self, hold: &Hold) -> Result<()>;

    /// Gives an untouched target back, the leading one for all: `held` becomes `free`. Changes nothing
    /// when the run does not hold it under that fence; tells whether it did.
    ///
    /// # Errors
    /// `lock.mutating` when the target was touched: that ends only with an entry.
    async fn release(&self, hold: &Hold) -> Result<bool>;

    /// Takes a suspect target over for its own run, to resume or reconcile it: a new fence, state
    /// `mutating`, and an entry [`Body::Resumed`], in one transaction, which also takes the run's
    /// ticket back, if it has one. The claim that took it over is given the same hold again, its lease
    /// begun anew. Taken over with it, whatever the claim names, are the targets that were locked along
    /// with it, each under a new fence; none of those can be taken over by itself.
    ///
    /// # Errors
    /// `lock.held` while a holder is alive or its lease has not lapsed; `lock.not_suspect` when
    /// the target is not suspect, or suspect because of another run.
    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold>;

    /// Appends an entry to the target's chain, and does to the lock what
    /// [`Body::lock_effect`] says, in one transaction.
    ///
    /// # Errors
    /// `lock.lost` when the guard does not hold; `lock.lease_short` when less of the lease is
    /// left than it asks for; `ledger.guard` when an entry that needs the lock comes without one, or
    /// one names another run or fence than its guard, or would change the lock of a target that is
    /// locked along with another; `ledger.entry` when it names another target;
    /// `lock.held` when one that ends its run (see [`Body::ends_run`]) comes without the lock although
    /// that run has it, or left the target suspect.
    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record>;

    /// The state of the target's lock and queue. MUST NOT change anything: a lapse that nobody has
    /// recorded yet is told as if it had been.
    async fn state(&self, target: &TargetName) -> Result<TargetState>;

    /// Up to `limit` records after `after`, in order.
    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>>;

    /// All records of one run, in order.
    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>>;

    /// Up to `limit` records of that kind (see [`Body::kind`]) before `before`, newest first.
    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>>;
}

/// How long a waiter that has stopped asking keeps its turn.
pub const WAITER_TTL: Duration = Duration::from_secs(15);

/// Who asks for a target's lock.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Claim {
    /// The target; the leading one of several.
    pub target: TargetName,
    /// The targets that are to be locked along with it.
    pub also: BTreeSet<TargetName>,
    /// The run that asks, and later owns the lock.
    pub run: RunId,
    /// Who acts: a claim, shown to others.
    pub actor: String,
    /// The process that acts, so that its death can be proven.
    pub process: ProcessIdentity,
    /// Tells this claim from every other one, also of the same run in the same process: an answer
    /// that was lost is asked for again with the same id.
    pub id: ClaimId,
}

impl Claim {
    /// A claim by this process.
    #[must_use]
    pub fn new(target: TargetName, run: RunId, actor: impl Into<String>) -> Self {
        Self {
            target,
            also: BTreeSet::new(),
            run,
            actor: actor.into(),
            process: ProcessIdentity::current(),
            id: ClaimId::generate(),
        }
    }

    /// Claims those targets along with its own, which it may name without effect.
    #[must_use]
    pub fn along(mut self, also: impl IntoIterator<Item = TargetName>) -> Self {
        self.also.extend(also);
        self.also.remove(&self.target);
        self
    }

    /// All targets that it is about, the leading one first.
    pub fn targets(&self) -> impl Iterator<Item = &TargetName> {
        let also = self.also.iter().filter(|name| **name != self.target);
        std::iter::once(&self.target).chain(also)
    }
}

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hold {
    /// The target.
    pub target: TargetName,
    /// The owner.
    pub run: RunId,
    /// The fence of the grant.
    pub fence: Fence,
    /// How long the lease lasts from each renewal. A ledger may cut it to whole milliseconds.
    pub lease: Duration,
    /// What is locked along with the target, and under which fences.
    pub also: BTreeMap<TargetName, Fence>,
}

impl Hold {
    /// A hold of that run under that fence.
    #[must_use]
    pub fn new(target: TargetName, run: RunId, fence: Fence, lease: Duration) -> Self {
        Self { target, run, fence, lease, also: BTreeMap::new() }
    }

    /// The fence under which that target is held, if it is.
    #[must_use]
    pub fn fence_of(&self, target: &TargetName) -> Option<Fence> {
        if *target == self.target { Some(self.fence) } else { self.also.get(target).copied() }
    }

    /// With those targets held along with it.
    #[must_use]
    pub fn along(mut self, also: BTreeMap<TargetName, Fence>) -> Self {
        self.also = also;
        self
    }
}

/// What [`Ledger::acquire`] answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acquired {
    /// The lock is yours.
    Granted(Hold),
    /// Not yet.
    Waiting {
        /// How many waiters are ahead, not counting the holder. A ledger MAY count one whose process
        /// is dead, as long as it asked within [`WAITER_TTL`] and is in nobody's way.
        ahead: u64,
        /// Who holds the target.
        holder: Option<Holder>,
    },
    /// A target is suspect: nobody is granted it until that run is resumed or reconciled.
    Suspect {
        /// The target of that run: of several, the leading one.
        target: TargetName,
        /// The run that left it.
        run: RunId,
        /// The fence under which it was left.
        fence: Fence,
    },
}

/// Under which condition an entry is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guard {
    /// Only while that run holds the lock under that fence, the newest.
    Holder {
        /// The owner.
        run: RunId,
        /// The fence of its grant.
        fence: Fence,
        /// How much of the lease must be left; zero does not ask.
        lease_left: Duration,
    },
    /// Always: for entries that need no lock, see [`Body::is_open`], and so name no fence.
    Open,
}

/// Who holds a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Holder {
    /// The owner.
    pub run: RunId,
    /// Who acts: a claim.
    pub actor: String,
    /// The process, where it is known.
    pub pid: u32,
}

impl Holder {
    /// A holder.
    #[must_use]
    pub fn new(run: RunId, actor: impl Into<String>, pid: u32) -> Self {
        Self { run, actor: actor.into(), pid }
    }
}

/// The state of a target's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LockState {
    /// Nobody holds it.
    Free,
    /// A run holds it and has touched nothing.
    Held,
    /// A run holds it and has begun to change the target.
    Mutating,
    /// A run began to change the target and vanished.
    Suspect,
}

impl LockState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Held => "held",
            Self::Mutating => "mutating",
            Self::Suspect => "suspect",
        }
    }
}

/// A place in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Waiter {
    /// The lower the sooner.
    pub ticket: u64,
    /// The run that waits.
    pub run: RunId,
    /// Who acts: a claim.
    pub actor: String,
    /// Whether it is still heard of; one that is not is skipped and keeps its ticket.
    pub alive: bool,
}

impl Waiter {
    /// A waiter.
    #[must_use]
    pub fn new(ticket: u64, run: RunId, actor: impl Into<String>, alive: bool) -> Self {
        Self { ticket, run, actor: actor.into(), alive }
    }
}

/// Lock and queue of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TargetState {
    /// The state of the lock.
    pub state: LockState,
    /// The newest fence; 0 before the first grant.
    pub fence: Fence,
    /// The run that holds the target or left it suspect.
    pub run: Option<RunId>,
    /// The target of that run, when this one is locked along with it: there its entries are, and
    /// there it is resumed and reconciled.
    pub along_with: Option<TargetName>,
    /// Who holds it; `None` when free or suspect.
    pub holder: Option<Holder>,
    /// How much of the holder's lease is left.
    pub lease_left: Option<Duration>,
    /// The waiters, first in line first.
    pub queue: Vec<Waiter>,
    /// The end of the journal's chain.
    pub head: Head,
}

impl TargetState {
    /// A target that nobody has ever shipped to.
    #[must_use]
    pub fn untouched() -> Self {
        Self {
            state: LockState::Free,
            fence: Fence::default(),
            run: None,
            along_with: None,
            holder: None,
            lease_left: None,
            queue: Vec::new(),
            head: Head::genesis(),
        }
    }
}
