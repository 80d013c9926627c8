//! All targets of a ledger: the contract of [`Ledger`](crate::ledger::Ledger) as a pure state
//! machine, small enough to be read as its specification.
//!
//! A method either gives an answer and leaves the targets as the contract says, or gives an error and
//! changes nothing. Nothing here asks for the time or looks at a process: [`World`] tells.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::lock::{Lock, State, Tenure};
use super::target::Target;
use super::world::World;
use crate::error::Result;
use crate::id::{Fence, RunId, TargetName};
use crate::ledger::refusal::{Refusal, misguarded, misplaced, not_leading, unguarded};
use crate::ledger::{Acquired, Body, Claim, Entry, Guard, Hold, LockEffect, Record, TargetState};

/// The targets that somebody has ever named in a call that writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Targets(pub(super) BTreeMap<TargetName, Target>);

impl Targets {
    pub(super) fn get(&self, name: &TargetName) -> Option<&Target> {
        self.0.get(name)
    }

    fn at(&mut self, name: &TargetName) -> &mut Target {
        self.0.entry(name.clone()).or_default()
    }

    /// The lock in the target's own name.
    fn own(&self, name: &TargetName) -> Lock {
        self.get(name).map(|target| target.lock.clone()).unwrap_or_default()
    }

    /// The target whose lock is the lock of that one: itself, or that along with which it is locked.
    fn leading(&self, name: &TargetName) -> TargetName {
        match self.own(name).state {
            State::Along { with, fence } if self.own(&with).fence == fence => with,
            _ => name.clone(),
        }
    }

    /// The lock of a target, whosoever's it is.
    pub(super) fn lock(&self, name: &TargetName) -> Lock {
        self.own(&self.leading(name))
    }

    /// The targets that are locked along with that one, and their fences.
    fn along(&self, leading: &TargetName) -> BTreeMap<TargetName, Fence> {
        let newest = self.own(leading).fence;
        let along = |lock: &Lock| match &lock.state {
            State::Along { with, fence } => with == leading && *fence == newest,
            _ => false,
        };
        let targets = self.0.iter().filter(|(_, target)| along(&target.lock));
        targets.map(|(name, target)| (name.clone(), target.lock.fence)).collect()
    }

    fn refusal<'a>(&self, target: &'a TargetName, lock: &Lock) -> Refusal<'a> {
        lock.refusal(target, self.own(target).fence)
    }

    /// The claim's hold, its lease begun anew.
    fn again(&mut self, world: &World<'_>, target: &TargetName, tenure: &Tenure) -> Hold {
        let fence = self.own(target).fence;
        if let Some(kept) = self.at(target).lock.tenure_under(tenure.run, fence) {
            kept.renew(world, tenure.lease);
        }
        Hold::new(target.clone(), tenure.run, fence, tenure.lease).along(self.along(target))
    }

    /// Gives a target away, and those that are to be locked along with it.
    fn grant<'a>(
        &mut self,
        target: &TargetName,
        tenure: Tenure,
        state: fn(Tenure) -> State,
        also: impl IntoIterator<Item = &'a TargetName>,
    ) -> Hold {
        let (run, lease) = (tenure.run, tenure.lease);
        let fence = self.at(target).lock.grant(state(tenure));
        let mut fences = BTreeMap::new();
        for name in also {
            let along = State::Along { with: target.clone(), fence };
            fences.insert(name.clone(), self.at(name).lock.grant(along));
        }
        Hold::new(target.clone(), run, fence, lease).along(fences)
    }

    /// Notes that the claimant waits, if it stands in the queues that it names and in no other.
    /// Gives its ticket.
    fn hear(&mut self, world: &World<'_>, claim: &Claim) -> Option<u64> {
        let stands = self.0.iter().filter(|(_, target)| target.queue.ticket(claim).is_some());
        let stands: BTreeSet<_> = stands.map(|(name, _)| name).collect();
        if stands != claim.targets().collect() {
            return None;
        }
        for name in claim.targets() {
            self.at(name).queue.hear(world, claim);
        }
        self.get(&claim.target)?.queue.ticket(claim)
    }

    pub(super) fn enqueue(&mut self, world: &World<'_>, claim: &Claim) -> u64 {
        // A claim that was granted has used its ticket up; a second one would stay behind.
        let granted = self.own(&claim.target).tenure_of(claim).and_then(|tenure| tenure.ticket);
        if let Some(ticket) = granted.or_else(|| self.hear(world, claim)) {
            return ticket;
        }
        self.leave(&claim.target, claim.run);
        for name in claim.targets() {
            self.at(name).queue.join(world, claim);
        }
        self.at(&claim.target).queue.last
    }

    pub(super) fn acquire(
        &mut self,
        world: &World<'_>,
        claim: &Claim,
        lease: Duration,
    ) -> Result<Acquired> {
        if let Some(tenure) = self.own(&claim.target).tenure_of(claim) {
            // Its answer was lost. The fence is the newest, so the lease may begin anew even if it
            // had lapsed.
            return Ok(Acquired::Granted(self.again(world, &claim.target, tenure)));
        }
        let reaped = |name: &TargetName| {
            let leading = self.leading(name);
            let lock = self.own(&leading).reaped(world);
            (leading, lock)
        };
        let locks: Vec<_> = claim.targets().map(reaped).collect();
        let Some(ticket) = self.hear(world, claim) else {
            let refusal = self.refusal(&claim.target, &locks[0].1);
            return Err(refusal.no_ticket(claim.run));
        };
        for (leading, lock) in &locks {
            self.at(leading).lock = lock.clone();
        }
        for (target, lock) in &locks {
            if let State::Suspect(run) = lock.state {
                return Ok(Acquired::Suspect { target: target.clone(), run, fence: lock.fence });
            }
        }
        let ahead = claim.targets().map(|name| self.at(name).queue.ahead(world, claim));
        let ahead = ahead.max().unwrap_or_default();
        let holder = locks.iter().find_map(|(_, lock)| lock.holder());
        if holder.is_some() || ahead > 0 {
            return Ok(Acquired::Waiting { ahead, holder });
        }
        self.leave(&claim.target, claim.run);
        let tenure = Tenure::begin(world, claim, Some(ticket), lease);
        Ok(Acquired::Granted(self.grant(
            &claim.target,
            tenure,
            State::Held,
            claim.targets().skip(1),
        )))
    }

    pub(super) fn leave(&mut self, leading: &TargetName, run: RunId) {
        for target in self.0.values_mut() {
            target.queue.leave(leading, run);
        }
    }

    pub(super) fn renew(&mut self, world: &World<'_>, hold: &Hold) -> Result<()> {
        let lock = self.lock(&hold.target);
        match self.at(&hold.target).lock.tenure_under(hold.run, hold.fence) {
            Some(tenure) => {
                tenure.renew(world, hold.lease);
                Ok(())
            }
            None => Err(self.refusal(&hold.target, &lock).lost(hold.run, hold.fence)),
        }
    }

    pub(super) fn release(&mut self, hold: &Hold) -> Result<bool> {
        let mut lock = self.own(&hold.target);
        if lock.tenure_under(hold.run, hold.fence).is_none() {
            return Ok(false);
        }
        if let State::Mutating(_) = lock.state {
            return Err(self.refusal(&hold.target, &lock).mutating());
        }
        self.at(&hold.target).lock.state = State::Free;
        Ok(true)
    }

    pub(super) fn take_over(
        &mut self,
        world: &World<'_>,
        claim: &Claim,
        lease: Duration,
    ) -> Result<Hold> {
        let target = &claim.target;
        let mut own = self.own(target);
        if let Some(tenure) = own.tenure_of(claim).filter(|tenure| tenure.ticket.is_none()) {
            // Its answer was lost: what it took over is its own.
            return Ok(self.again(world, target, tenure));
        }
        let leading = self.leading(target);
        let lock = self.own(&leading).reaped(world);
        match lock.state {
            State::Suspect(_) if leading != *target => {
                return Err(self.refusal(target, &lock).led_by(&leading, claim.run));
            }
            State::Suspect(run) if run == claim.run => {}
            State::Held(_) | State::Mutating(_) => {
                return Err(self.refusal(target, &lock).held());
            }
            _ => return Err(self.refusal(target, &lock).not_suspect(claim.run)),
        }
        let body = Body::Resumed { old: lock.fence, new: lock.fence.next() };
        let (run, actor) = (claim.run, claim.actor.clone());
        let mut entry = Entry::new(target.clone(), run, actor, Some(lock.fence.next()), body);
        entry.at = world.at;
        self.at(target).write(&entry)?;
        let also = self.along(target);
        self.leave(target, run);
        let tenure = Tenure::begin(world, claim, None, lease);
        Ok(self.grant(target, tenure, State::Mutating, also.keys()))
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
        let leading = self.leading(target);
        let record = self.at(target).write(entry)?;
        self.at(&leading).lock = lock;
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
        let lock = self.lock(&entry.target).reaped(world);
        if entry.body.ends_run() && lock.run() == Some(entry.run) {
            return Err(self.refusal(&entry.target, &lock).goes_on());
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
        let target = &entry.target;
        let leading = self.leading(target);
        let mut lock = self.own(&leading);
        // Its own lapse is nobody's business until somebody has reaped it.
        let newest = self.own(target).fence == fence;
        let Some(tenure) = lock.tenure().filter(|tenure| newest && tenure.run == run) else {
            return Err(self.refusal(target, &lock).lost(run, fence));
        };
        let left = tenure.left(world);
        if left < needed {
            return Err(self.refusal(target, &lock).lease_short(left, needed));
        }
        let effect = entry.body.lock_effect();
        if (entry.run, entry.fence) != (run, Some(fence)) {
            return Err(misguarded(entry));
        }
        if leading != *target && effect != LockEffect::None {
            return Err(not_leading(entry));
        }
        lock.apply(effect);
        Ok(lock)
    }

    pub(super) fn state(&self, world: &World<'_>, target: &TargetName) -> TargetState {
        let leading = self.leading(target);
        let lock = self.own(&leading).reaped(world);
        let run = lock.run();
        let mut state = TargetState::untouched();
        state.state = lock.state();
        state.fence = self.own(target).fence;
        state.run = run;
        state.along_with = run.and(Some(leading)).filter(|leading| leading != target);
        state.holder = lock.holder();
        state.lease_left = lock.tenure().map(|tenure| tenure.left(world));
        if let Some(target) = self.get(target) {
            state.queue = target.queue.waiters(world);
            state.head = target.head();
        }
        state
    }
}
