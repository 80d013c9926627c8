//! A second opinion that knows nothing of the reference: the few things that must never happen.

use std::collections::BTreeMap;

use gatekit_core::RunId;
use gatekit_core::ledger::{Claim, LockEffect, LockState, WAITER_TTL};
use gatekit_core::process::ProcessIdentity;

use super::cast::Cast;
use super::op::{Act, Op, STEP, TARGETS};
use super::side::{Answer, Told};

/// What is known of each target from the answers alone.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    /// In steps.
    now: u32,
    targets: [Target; TARGETS],
}

#[derive(Debug, Default)]
struct Target {
    /// The newest fence.
    fence: usize,
    /// Whoever was granted last, while nothing ended it.
    holder: Option<Tenant>,
    /// The run that began to change the target and has not closed.
    touched: Option<RunId>,
    /// By ticket: the run, its process, and when it asked last.
    waiting: BTreeMap<usize, (RunId, ProcessIdentity, u32)>,
    entries: u64,
}

#[derive(Debug)]
struct Tenant {
    claim: Claim,
    ticket: Option<usize>,
    lease: u32,
    end: u32,
}

impl Oracle {
    /// Notes what an agent was answered. `Err` says what must never have happened.
    pub(super) fn hear(&mut self, op: &Op, answer: &Answer, cast: &Cast) -> Result<(), String> {
        let now = self.now;
        let target = &mut self.targets[op.target];
        let run = cast.runs[op.run()];
        let claim = &cast.agents[op.agent].claims[op.target];
        match (&op.act, answer) {
            (Act::Pass(steps), _) => self.now += steps,
            (_, Answer::Ticket(ticket)) => target.enqueued(claim, *ticket, now)?,
            (_, Answer::Waiting(ahead, _)) => target.told_to_wait(*ahead, claim, cast, now)?,
            (_, Answer::Suspect(..)) => target.heard(claim, now),
            (Act::Acquire(lease), Answer::Granted(fence, ..)) => {
                target.granted(*fence, claim, *lease, cast, now)?;
            }
            (Act::TakeOver(lease), Answer::TookOver(fence, ..)) => {
                target.taken_over(*fence, claim, *lease, cast, now)?;
            }
            (Act::Renew(lease), Answer::Renewed(fence)) => target.renewed(*fence, *lease, now)?,
            (_, Answer::Released(true, fence)) => target.released(*fence)?,
            (_, Answer::Left) => target.leave(run),
            (Act::Append(body, ..), Answer::Appended(seq, fence)) => {
                target.entries += 1;
                if *seq != target.entries {
                    return Err(format!("entry {seq} must have the number {}", target.entries));
                }
                match fence {
                    0 if body.is_open() => {}
                    0 => return Err(format!("`{}` was appended without the lock", body.kind())),
                    fence => target.wrote(*fence, run, body.lock_effect())?,
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Compares with what the ledger tells. `Err` says what it lost track of.
    pub(super) fn compare(&self, number: usize, told: &Told) -> Result<(), String> {
        let target = &self.targets[number];
        let touched = match told.state {
            LockState::Mutating | LockState::Suspect => told.run,
            _ => None,
        };
        if touched != target.touched {
            return Err(format!("{:?} touched the target, and it is {told:?}", target.touched));
        }
        if told.state == LockState::Held && target.holder.is_none() {
            return Err(format!("nobody was granted, and it is {told:?}"));
        }
        if (told.fence, told.head) != (target.fence, target.entries) {
            let known = (target.fence, target.entries);
            return Err(format!("fence and entries are {known:?}, and it is {told:?}"));
        }
        Ok(())
    }
}

impl Target {
    fn enqueued(&mut self, claim: &Claim, ticket: usize, now: u32) -> Result<(), String> {
        let used = self.holder.as_ref().filter(|tenant| tenant.claim.id == claim.id);
        if used.is_some_and(|tenant| tenant.ticket == Some(ticket)) {
            return Ok(());
        }
        if self.ticket(claim.run).is_some_and(|known| known != ticket) {
            return Err("a run does not keep its ticket".to_owned());
        }
        self.waiting.insert(ticket, (claim.run, claim.process.clone(), now));
        Ok(())
    }

    fn ticket(&self, run: RunId) -> Option<usize> {
        let mut places = self.waiting.iter();
        places.find(|(_, (waiter, ..))| *waiter == run).map(|(&ticket, _)| ticket)
    }

    fn leave(&mut self, run: RunId) {
        self.waiting.retain(|_, (waiter, ..)| *waiter != run);
    }

    fn heard(&mut self, claim: &Claim, now: u32) {
        if let Some(ticket) = self.ticket(claim.run) {
            self.waiting.insert(ticket, (claim.run, claim.process.clone(), now));
        }
    }

    fn told_to_wait(
        &mut self,
        ahead: u64,
        claim: &Claim,
        cast: &Cast,
        now: u32,
    ) -> Result<(), String> {
        self.heard(claim, now);
        let heard = self.heard_before(claim.run, now).count() as u64;
        let living = self.living_before(claim.run, cast, now).count() as u64;
        if !(living..=heard).contains(&ahead) {
            return Err(format!("{living} to {heard} waiters are ahead, not {ahead}"));
        }
        match self.at_work(cast, now) {
            Some(tenant) if tenant.claim.id == claim.id => {
                Err("the holder is told to wait".to_owned())
            }
            None if self.touched.is_none() && living == 0 => {
                Err("the first in line at a free target is told to wait".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The holder, while it lives and its lease lasts: nobody may overtake it.
    fn at_work(&self, cast: &Cast, now: u32) -> Option<&Tenant> {
        let lasts = |tenant: &&Tenant| now < tenant.end && !cast.is_dead(&tenant.claim.process);
        self.holder.as_ref().filter(lasts)
    }

    /// The tickets before that of the run that have asked in time, and their processes.
    fn heard_before(
        &self,
        run: RunId,
        now: u32,
    ) -> impl Iterator<Item = (usize, &ProcessIdentity)> {
        let before = self.waiting.iter().take_while(move |(_, (waiter, ..))| *waiter != run);
        let heard = before.filter(move |(_, (.., heard))| STEP * (now - heard) < WAITER_TTL);
        heard.map(|(&ticket, (_, process, _))| (ticket, process))
    }

    /// Those of them whose process lives.
    fn living_before(&self, run: RunId, cast: &Cast, now: u32) -> impl Iterator<Item = usize> {
        let living = self.heard_before(run, now).filter(|(_, process)| !cast.is_dead(process));
        living.map(|(ticket, _)| ticket)
    }

    /// Whether that claim was given its own hold again, its lease begun anew.
    fn again(&mut self, fence: usize, claim: &Claim, now: u32) -> bool {
        let newest = self.fence == fence;
        let own = self.holder.as_mut().filter(|tenant| newest && tenant.claim.id == claim.id);
        own.map(|tenant| tenant.end = now + tenant.lease).is_some()
    }

    fn renewed(&mut self, fence: usize, lease: u32, now: u32) -> Result<(), String> {
        let newest = self.fence == fence;
        let Some(tenant) = self.holder.as_mut().filter(|_| newest) else {
            return Err(format!("a lease was renewed under fence {fence}, which had ended"));
        };
        (tenant.lease, tenant.end) = (lease, now + lease);
        Ok(())
    }

    fn released(&mut self, fence: usize) -> Result<(), String> {
        if fence != self.fence || self.holder.take().is_none() || self.touched.is_some() {
            return Err(format!(
                "fence {fence} was released, which had ended or touched the target"
            ));
        }
        Ok(())
    }

    fn granted(
        &mut self,
        fence: usize,
        claim: &Claim,
        lease: u32,
        cast: &Cast,
        now: u32,
    ) -> Result<(), String> {
        if self.again(fence, claim, now) {
            return Ok(());
        }
        if self.touched.is_some() {
            return Err("a target was granted over a change that nobody closed".to_owned());
        }
        let Some(own) = self.ticket(claim.run) else {
            return Err("a run was granted that has no ticket".to_owned());
        };
        if let Some(before) = self.living_before(claim.run, cast, now).next() {
            return Err(format!("ticket {own} was granted before {before}, which waits"));
        }
        self.enter(fence, claim, Some(own), lease, cast, now)
    }

    fn taken_over(
        &mut self,
        fence: usize,
        claim: &Claim,
        lease: u32,
        cast: &Cast,
        now: u32,
    ) -> Result<(), String> {
        if self.again(fence, claim, now) {
            return Ok(());
        }
        if self.touched != Some(claim.run) {
            return Err("a target was taken over by another run than left it".to_owned());
        }
        self.entries += 1;
        self.enter(fence, claim, None, lease, cast, now)
    }

    fn enter(
        &mut self,
        fence: usize,
        claim: &Claim,
        ticket: Option<usize>,
        lease: u32,
        cast: &Cast,
        now: u32,
    ) -> Result<(), String> {
        if fence <= self.fence {
            return Err(format!("fence {fence} was given after {}", self.fence));
        }
        if self.at_work(cast, now).is_some() {
            return Err("two holders at a time".to_owned());
        }
        self.leave(claim.run);
        self.fence = fence;
        self.holder = Some(Tenant { claim: claim.clone(), ticket, lease, end: now + lease });
        Ok(())
    }

    fn wrote(&mut self, fence: usize, run: RunId, effect: LockEffect) -> Result<(), String> {
        if fence != self.fence || self.holder.is_none() {
            return Err(format!("an entry was appended under fence {fence}, which was overtaken"));
        }
        match effect {
            LockEffect::Touch => self.touched = Some(run),
            LockEffect::GiveUp => self.holder = None,
            LockEffect::Free => (self.holder, self.touched) = (None, None),
            _ => {}
        }
        Ok(())
    }
}
