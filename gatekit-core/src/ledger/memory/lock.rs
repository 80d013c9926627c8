//! The lock of a target as plain data.

use std::mem;
use std::time::Duration;

use super::world::World;
use crate::id::{ClaimId, Fence, RunId, TargetName};
use crate::ledger::refusal::Refusal;
use crate::ledger::{Claim, Holder, LockEffect, LockState};
use crate::process::ProcessIdentity;

/// Fence and state of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Lock {
    /// The newest; never goes back.
    pub(super) fence: Fence,
    pub(super) state: State,
}

/// What a lock can be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) enum State {
    #[default]
    Free,
    /// Nothing was touched yet.
    Held(Tenure),
    Mutating(Tenure),
    /// That run began to change the target and vanished.
    Suspect(RunId),
    /// As the lock of the leading target, while that has this fence; free from then on.
    Along {
        with: TargetName,
        fence: Fence,
    },
}

/// Who holds a target, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Tenure {
    pub(super) run: RunId,
    pub(super) claim: ClaimId,
    /// The ticket that was granted; `None` after a take-over.
    pub(super) ticket: Option<u64>,
    pub(super) actor: String,
    pub(super) process: ProcessIdentity,
    pub(super) lease: Duration,
    pub(super) end: Duration,
}

impl Tenure {
    /// The tenure of that claim from now on.
    pub(super) fn begin(
        world: &World<'_>,
        claim: &Claim,
        ticket: Option<u64>,
        lease: Duration,
    ) -> Self {
        let mut tenure = Self {
            run: claim.run,
            claim: claim.id,
            ticket,
            actor: claim.actor.clone(),
            process: claim.process.clone(),
            lease,
            end: Duration::ZERO,
        };
        tenure.renew(world, lease);
        tenure
    }

    pub(super) fn renew(&mut self, world: &World<'_>, lease: Duration) {
        self.lease = lease;
        self.end = world.now.saturating_add(lease);
    }

    pub(super) fn left(&self, world: &World<'_>) -> Duration {
        self.end.saturating_sub(world.now)
    }
}

impl Lock {
    pub(super) fn tenure(&self) -> Option<&Tenure> {
        match &self.state {
            State::Held(tenure) | State::Mutating(tenure) => Some(tenure),
            State::Free | State::Suspect(_) | State::Along { .. } => None,
        }
    }

    fn tenure_mut(&mut self) -> Option<&mut Tenure> {
        match &mut self.state {
            State::Held(tenure) | State::Mutating(tenure) => Some(tenure),
            State::Free | State::Suspect(_) | State::Along { .. } => None,
        }
    }

    /// The tenure of that very claim. Another claim of the same run has none: two processes must
    /// never share a fence.
    pub(super) fn tenure_of(&mut self, claim: &Claim) -> Option<&mut Tenure> {
        self.tenure_mut().filter(|tenure| tenure.run == claim.run && tenure.claim == claim.id)
    }

    /// The tenure of that run under that fence, the newest. It lasts beyond the end of its lease
    /// until somebody has reaped it.
    pub(super) fn tenure_under(&mut self, run: RunId, fence: Fence) -> Option<&mut Tenure> {
        let newest = self.fence == fence;
        self.tenure_mut().filter(|tenure| newest && tenure.run == run)
    }

    /// The lock without a holder whose lease has lapsed or who is proven dead.
    pub(super) fn reaped(&self, world: &World<'_>) -> Self {
        let mut lock = self.clone();
        let gone = |tenure: &Tenure| tenure.left(world).is_zero() || (world.dead)(&tenure.process);
        if lock.tenure().is_some_and(gone) {
            lock.apply(LockEffect::GiveUp);
        }
        lock
    }

    /// Does to the lock what an entry of its holder asks for.
    pub(super) fn apply(&mut self, effect: LockEffect) {
        self.state = match (effect, mem::take(&mut self.state)) {
            (LockEffect::Touch, State::Held(tenure)) => State::Mutating(tenure),
            (LockEffect::GiveUp, State::Mutating(tenure)) => State::Suspect(tenure.run),
            (LockEffect::GiveUp, State::Held(_)) | (LockEffect::Free, _) => State::Free,
            (_, same) => same,
        };
    }

    /// Gives the lock away, under a fence greater than any before.
    pub(super) fn grant(&mut self, state: State) -> Fence {
        self.fence = self.fence.next();
        self.state = state;
        self.fence
    }

    pub(super) fn state(&self) -> LockState {
        match self.state {
            State::Free | State::Along { .. } => LockState::Free,
            State::Held(_) => LockState::Held,
            State::Mutating(_) => LockState::Mutating,
            State::Suspect(_) => LockState::Suspect,
        }
    }

    /// The run that holds the target or left it suspect.
    pub(super) fn run(&self) -> Option<RunId> {
        match self.state {
            State::Suspect(run) => Some(run),
            _ => self.tenure().map(|tenure| tenure.run),
        }
    }

    pub(super) fn holder(&self) -> Option<Holder> {
        let tenure = self.tenure()?;
        Some(Holder::new(tenure.run, tenure.actor.clone(), tenure.process.pid))
    }

    pub(super) fn refusal<'a>(&self, target: &'a TargetName, fence: Fence) -> Refusal<'a> {
        Refusal { target, state: self.state(), fence, run: self.run(), holder: self.holder() }
    }
}
