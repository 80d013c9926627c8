//! Lock, queue and journal of one target: the contract of [`Ledger`](crate::ledger::Ledger) as a
//! pure state machine, small enough to be read as its specification.
//!
//! A method either gives an answer and leaves the target as the contract says, or gives an error and
//! changes nothing. Nothing here asks for the time or looks at a process: [`World`] tells.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lock::{Lock, State, Tenure};
use crate::error::Result;
use crate::id::{Fence, RunId, TargetName};
use crate::ledger::refusal::{misguarded, misplaced, unguarded};
use crate::ledger::{
    Acquired, Body, Claim, Entry, Guard, Head, Hold, Record, TargetState, WAITER_TTL, Waiter, link,
};
use crate::process::ProcessIdentity;
use crate::time::Timestamp;

/// What a call may know of the world around a target.
pub(super) struct World<'a> {
    /// The time by the ledger's own clock.
    pub(super) now: Duration,
    /// The time by the wall clock, for the entries that the ledger itself writes.
    pub(super) at: Timestamp,
    /// Whether a process is proven dead.
    pub(super) dead: &'a dyn Fn(&ProcessIdentity) -> bool,
}

/// All that a ledger knows of a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Target {
    pub(super) lock: Lock,
    pub(super) queue: Queue,
    pub(super) journal: Vec<Written>,
}

/// The places in the queue, by ticket. A run has one at most.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Queue {
    /// The last ticket that was given out: none is given twice.
    pub(super) last: u64,
    pub(super) places: BTreeMap<u64, Place>,
}

/// Who waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) run: RunId,
    pub(super) actor: String,
    pub(super) process: ProcessIdentity,
    /// When it asked last.
    pub(super) heard: Duration,
}

/// A record, and what it is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Written {
    run: RunId,
    kind: &'static str,
    record: Record,
}

impl Place {
    fn of(world: &World<'_>, claim: &Claim) -> Self {
        Self {
            run: claim.run,
            actor: claim.actor.clone(),
            process: claim.process.clone(),
            heard: world.now,
        }
    }

    fn waits(&self, world: &World<'_>) -> bool {
        world.now < self.heard.saturating_add(WAITER_TTL) && !(world.dead)(&self.process)
    }
}

impl Queue {
    /// Notes that the claimant waits; gives its run's ticket, if it has one.
    fn hear(&mut self, world: &World<'_>, claim: &Claim) -> Option<u64> {
        let (&ticket, place) = self.places.iter_mut().find(|(_, place)| place.run == claim.run)?;
        *place = Place::of(world, claim);
        Some(ticket)
    }

    fn leave(&mut self, run: RunId) {
        self.places.retain(|_, place| place.run != run);
    }
}

impl Target {
    pub(super) fn enqueue(&mut self, world: &World<'_>, claim: &Claim) -> u64 {
        // A claim that was granted has used its ticket up; a second one would stay behind.
        if let Some(ticket) = self.lock.tenure_of(claim).and_then(|tenure| tenure.ticket) {
            return ticket;
        }
        if let Some(ticket) = self.queue.hear(world, claim) {
            return ticket;
        }
        self.queue.last += 1;
        self.queue.places.insert(self.queue.last, Place::of(world, claim));
        self.queue.last
    }

    pub(super) fn acquire(
        &mut self,
        world: &World<'_>,
        claim: &Claim,
        lease: Duration,
    ) -> Result<Acquired> {
        let fence = self.lock.fence;
        if let Some(tenure) = self.lock.tenure_of(claim) {
            // Its answer was lost. The fence is the newest, so the lease may begin anew even if it
            // had lapsed.
            tenure.renew(world, tenure.lease);
            return Ok(Acquired::Granted(tenure.hold(&claim.target, fence)));
        }
        let lock = self.lock.reaped(world);
        let Some(ticket) = self.queue.hear(world, claim) else {
            return Err(lock.refusal(&claim.target).no_ticket(claim.run));
        };
        self.lock = lock;
        let ahead = self.queue.places.range(..ticket).filter(|(_, place)| place.waits(world));
        let ahead = ahead.count() as u64;
        Ok(match self.lock.state {
            State::Suspect(run) => Acquired::Suspect { run, fence },
            State::Free if ahead == 0 => {
                self.queue.leave(claim.run);
                let tenure = Tenure::begin(world, claim, Some(ticket), lease);
                Acquired::Granted(self.lock.grant(&claim.target, State::Held, tenure))
            }
            _ => Acquired::Waiting { ahead, holder: self.lock.holder() },
        })
    }

    pub(super) fn leave(&mut self, run: RunId) {
        self.queue.leave(run);
    }

    pub(super) fn renew(&mut self, world: &World<'_>, hold: &Hold) -> Result<()> {
        match self.lock.tenure_under(hold.run, hold.fence) {
            Some(tenure) => {
                tenure.renew(world, hold.lease);
                Ok(())
            }
            None => Err(self.lock.refusal(&hold.target).lost(hold.run, hold.fence)),
        }
    }

    pub(super) fn release(&mut self, hold: &Hold) -> Result<bool> {
        if self.lock.tenure_under(hold.run, hold.fence).is_none() {
            return Ok(false);
        }
        if let State::Mutating(_) = self.lock.state {
            return Err(self.lock.refusal(&hold.target).mutating());
        }
        self.lock.state = State::Free;
        Ok(true)
    }

    pub(super) fn take_over(
        &mut self,
        world: &World<'_>,
        claim: &Claim,
        lease: Duration,
    ) -> Result<Hold> {
        let (target, old) = (&claim.target, self.lock.fence);
        if let Some(tenure) = self.lock.tenure_of(claim).filter(|tenure| tenure.ticket.is_none()) {
            // Its answer was lost: what it took over is its own.
            tenure.renew(world, tenure.lease);
            return Ok(tenure.hold(target, old));
        }
        let mut lock = self.lock.reaped(world);
        match lock.state {
            State::Suspect(run) if run == claim.run => {}
            State::Held(_) | State::Mutating(_) => return Err(lock.refusal(target).held()),
            _ => return Err(lock.refusal(target).not_suspect(claim.run)),
        }
        let tenure = Tenure::begin(world, claim, None, lease);
        let hold = lock.grant(target, State::Mutating, tenure);
        let body = Body::Resumed { old, new: hold.fence };
        let actor = claim.actor.clone();
        let mut entry = Entry::new(target.clone(), claim.run, actor, Some(hold.fence), body);
        entry.at = world.at;
        self.write(&entry)?;
        self.lock = lock;
        self.queue.leave(claim.run);
        Ok(hold)
    }

    pub(super) fn append(
        &mut self,
        world: &World<'_>,
        target: &TargetName,
        entry: &Entry,
        guard: Guard,
    ) -> Result<Record> {
        if entry.target != *target {
            return Err(misplaced(target, entry));
        }
        let lock = match guard {
            Guard::Open => self.openly(world, entry)?,
            Guard::Holder { run, fence, lease_left } => {
                self.as_holder(world, entry, run, fence, lease_left)?
            }
        };
        let record = self.write(entry)?;
        self.lock = lock;
        Ok(record)
    }

    /// The lock after an entry that comes without it: unchanged, but for a lapse.
    fn openly(&self, world: &World<'_>, entry: &Entry) -> Result<Lock> {
        if !entry.body.is_open() {
            return Err(unguarded(entry));
        }
        if entry.fence.is_some() {
            return Err(misguarded(entry));
        }
        let lock = self.lock.reaped(world);
        if entry.body.ends_run() && lock.run() == Some(entry.run) {
            return Err(lock.refusal(&entry.target).goes_on());
        }
        Ok(lock)
    }

    /// The lock after an entry of its holder.
    fn as_holder(
        &self,
        world: &World<'_>,
        entry: &Entry,
        run: RunId,
        fence: Fence,
        needed: Duration,
    ) -> Result<Lock> {
        let mut lock = self.lock.clone();
        // Its own lapse is nobody's business until somebody has reaped it.
        let Some(tenure) = lock.tenure_under(run, fence) else {
            return Err(lock.refusal(&entry.target).lost(run, fence));
        };
        let left = tenure.left(world);
        if left < needed {
            return Err(lock.refusal(&entry.target).lease_short(left, needed));
        }
        if (entry.run, entry.fence) != (run, Some(fence)) {
            return Err(misguarded(entry));
        }
        lock.apply(entry.body.lock_effect());
        Ok(lock)
    }

    /// Adds the next record to the chain.
    fn write(&mut self, entry: &Entry) -> Result<Record> {
        let text = entry.to_json()?;
        let Head { seq, hash: prev } = self.head();
        let hash = link(&prev, &text);
        let record = Record { seq: seq + 1, prev, hash, entry: text };
        let kind = entry.body.kind();
        self.journal.push(Written { run: entry.run, kind, record: record.clone() });
        Ok(record)
    }

    fn head(&self) -> Head {
        self.journal.last().map_or_else(Head::genesis, |last| Head {
            seq: last.record.seq,
            hash: last.record.hash.clone(),
        })
    }

    pub(super) fn state(&self, world: &World<'_>) -> TargetState {
        let lock = self.lock.reaped(world);
        let queue = self.queue.places.iter().map(|(&ticket, place)| {
            Waiter::new(ticket, place.run, place.actor.clone(), place.waits(world))
        });
        TargetState {
            state: lock.state(),
            fence: lock.fence,
            run: lock.run(),
            holder: lock.holder(),
            lease_left: lock.tenure().map(|tenure| tenure.left(world)),
            queue: queue.collect(),
            head: self.head(),
        }
    }

    pub(super) fn read(&self, after: u64, limit: usize) -> Vec<Record> {
        let records = self.records(|written| written.record.seq > after);
        records.take(limit).collect()
    }

    pub(super) fn read_run(&self, run: RunId) -> Vec<Record> {
        self.records(|written| written.run == run).collect()
    }

    pub(super) fn read_kind(&self, kind: &str, before: Option<u64>, limit: usize) -> Vec<Record> {
        let before = before.unwrap_or(u64::MAX);
        let records = self.records(|written| written.kind == kind && written.record.seq < before);
        records.rev().take(limit).collect()
    }

    fn records(
        &self,
        wanted: impl Fn(&Written) -> bool,
    ) -> impl DoubleEndedIterator<Item = Record> {
        self.journal
            .iter()
            .filter(move |written| wanted(written))
            .map(|written| written.record.clone())
    }
}
