//! Ledgers that break the contract in one way each: the suite must find every one of them.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{
    Acquired, Body, Claim, Entry, Guard, Hold, Ledger, LockState, Record, TargetState,
};
use gatekit_core::{ClaimId, Fence, Outcome, Result, RunId, TargetName, code};
use gatekit_testkit::conformance::ledger::{self, Capability, Opened, Subject};

use tokio::runtime::Builder;

use crate::memory::Memory;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Two processes of a run are given one hold.
    SharesFences,
    /// A repeated call is a new claim.
    ForgetsClaims,
    /// A run that asks for a ticket again goes to the end.
    ForgetsTickets,
    /// A suspect target is granted.
    ForgetsSuspicion,
    /// A renewal that is refused is taken for done.
    RenewsWhatIsLost,
    /// Nobody looks at what is left of the lease.
    ForgetsLeases,
    /// A lease lasts longer than was asked for.
    StretchesLeases,
    /// A release that changed nothing is told as done.
    ReleasesNothing,
    /// A touched target is released.
    ReleasesTheTouched,
    /// An entry under an overtaken fence is told as written.
    TellsOfLostEntries,
    /// An entry under an overtaken fence is written under the newest.
    WritesForZombies,
    /// Looking records what lapsed.
    ChangesByLooking,
    /// A lapse is not told before it is recorded.
    HidesLapses,
    /// Waiting takes longer than it may.
    OversleepsTurns,
    /// Who waits for long is forgotten meanwhile.
    ForgetsWhoWaits,
    /// Records are read in another order.
    ReadsBackwards,
    /// Limits are off by one.
    ReadsTooMuch,
    /// All targets share one lock.
    SharesTargets,
}

const FAULTS: [Fault; 18] = [
    Fault::SharesFences,
    Fault::ForgetsClaims,
    Fault::ForgetsTickets,
    Fault::ForgetsSuspicion,
    Fault::RenewsWhatIsLost,
    Fault::ForgetsLeases,
    Fault::StretchesLeases,
    Fault::ReleasesNothing,
    Fault::ReleasesTheTouched,
    Fault::TellsOfLostEntries,
    Fault::WritesForZombies,
    Fault::ChangesByLooking,
    Fault::HidesLapses,
    Fault::OversleepsTurns,
    Fault::ForgetsWhoWaits,
    Fault::ReadsBackwards,
    Fault::ReadsTooMuch,
    Fault::SharesTargets,
];

#[derive(Debug)]
struct Broken(Fault);

#[derive(Debug)]
struct One(Box<dyn Opened>, Fault);

#[derive(Debug)]
struct BrokenLedger(Arc<dyn Ledger>, Fault);

#[async_trait]
impl Subject for Broken {
    fn capability(&self) -> Capability {
        Memory.capability()
    }

    async fn open(&self) -> Result<Box<dyn Opened>> {
        Ok(Box::new(One(Memory.open().await?, self.0)))
    }
}

impl Opened for One {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(BrokenLedger(self.0.ledger(), self.1))
    }

    fn advance(&self, by: Duration) {
        self.0.advance(by);
    }
}

impl BrokenLedger {
    fn is(&self, fault: Fault) -> bool {
        self.1 == fault
    }

    fn claim(&self, claim: &Claim) -> Claim {
        let mut claim = claim.clone();
        if self.is(Fault::SharesFences) {
            claim.id = claim.run.to_string().parse().unwrap();
        }
        if self.is(Fault::ForgetsClaims) {
            claim.id = ClaimId::generate();
        }
        claim.target = self.target(&claim.target);
        claim
    }

    fn target(&self, target: &TargetName) -> TargetName {
        let shared = TargetName::new("shared").unwrap();
        if self.is(Fault::SharesTargets) { shared } else { target.clone() }
    }

    fn hold(&self, hold: &Hold) -> Hold {
        Hold::new(self.target(&hold.target), hold.run, hold.fence, hold.lease)
    }

    fn lease(&self, lease: Duration) -> Duration {
        let longer = lease.saturating_add(Duration::from_secs(20));
        if self.is(Fault::StretchesLeases) { longer } else { lease }
    }

    /// Closes the run of that suspect target.
    async fn close(&self, target: &TargetName, run: RunId) -> Result<()> {
        let hold = self.0.take_over(&Claim::new(target.clone(), run, "x"), Duration::MAX).await?;
        let body = Body::Closed { outcome: Outcome::Overridden, failure: None, live: None };
        self.0.append(target, &entry(target, run, Some(hold.fence), body), under(&hold)).await?;
        Ok(())
    }
}

fn entry(target: &TargetName, run: RunId, fence: Option<Fence>, body: Body) -> Entry {
    Entry::new(target.clone(), run, "x", fence, body)
}

fn under(hold: &Hold) -> Guard {
    Guard::Holder { run: hold.run, fence: hold.fence, lease_left: Duration::ZERO }
}

#[async_trait]
impl Ledger for BrokenLedger {
    async fn reconnect(&self) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::new(Self(self.0.reconnect().await?, self.1)))
    }

    async fn enqueue(&self, claim: &Claim) -> Result<u64> {
        if self.is(Fault::ForgetsTickets) {
            self.0.leave(&claim.target, claim.run).await?;
        }
        self.0.enqueue(&self.claim(claim)).await
    }

    async fn acquire(&self, claim: &Claim, lease: Duration) -> Result<Acquired> {
        let claim = self.claim(claim);
        let answer = self.0.acquire(&claim, self.lease(lease)).await?;
        match answer {
            Acquired::Suspect { run, .. } if self.is(Fault::ForgetsSuspicion) => {
                self.close(&claim.target, run).await?;
                self.0.acquire(&claim, lease).await
            }
            answer => Ok(answer),
        }
    }

    async fn wait_for_turn(&self, claim: &Claim, longest: Duration) {
        if self.is(Fault::OversleepsTurns) {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        if self.is(Fault::ForgetsWhoWaits) {
            tokio::time::sleep(longest.min(Duration::from_secs(20))).await;
        }
        self.0.wait_for_turn(claim, longest).await;
    }

    async fn leave(&self, target: &TargetName, run: RunId) -> Result<()> {
        self.0.leave(&self.target(target), run).await
    }

    async fn renew(&self, hold: &Hold) -> Result<()> {
        let renewed = self.0.renew(&self.hold(hold)).await;
        if self.is(Fault::RenewsWhatIsLost) { Ok(()) } else { renewed }
    }

    async fn release(&self, hold: &Hold) -> Result<bool> {
        let hold = self.hold(hold);
        match self.0.release(&hold).await {
            Err(_) if self.is(Fault::ReleasesTheTouched) => {
                let body = Body::Closed { outcome: Outcome::Failed, failure: None, live: None };
                let entry = entry(&hold.target, hold.run, Some(hold.fence), body);
                self.0.append(&hold.target, &entry, under(&hold)).await.map(|_| true)
            }
            Ok(false) if self.is(Fault::ReleasesNothing) => Ok(true),
            answer => answer,
        }
    }

    async fn take_over(&self, claim: &Claim, lease: Duration) -> Result<Hold> {
        self.0.take_over(&self.claim(claim), self.lease(lease)).await
    }

    async fn append(&self, target: &TargetName, entry: &Entry, guard: Guard) -> Result<Record> {
        let mut entry = entry.clone();
        if entry.target == *target {
            entry.target = self.target(target);
        }
        let target = &self.target(target);
        let guard = match guard {
            Guard::Holder { run, fence, .. } if self.is(Fault::ForgetsLeases) => {
                Guard::Holder { run, fence, lease_left: Duration::ZERO }
            }
            guard => guard,
        };
        match self.0.append(target, &entry, guard).await {
            Err(error) if *error.code() == code::LOCK_LOST => {
                let last = self.0.read_run(target, entry.run).await?.pop();
                let state = self.0.state(target).await?;
                match last {
                    Some(last) if self.is(Fault::TellsOfLostEntries) => Ok(last),
                    _ if self.is(Fault::WritesForZombies) && state.run == Some(entry.run) => {
                        entry.fence = Some(state.fence);
                        let hold = Hold::new(target.clone(), entry.run, state.fence, Duration::MAX);
                        self.0.append(target, &entry, under(&hold)).await
                    }
                    _ => Err(error),
                }
            }
            answer => answer,
        }
    }

    async fn state(&self, target: &TargetName) -> Result<TargetState> {
        let target = &self.target(target);
        let mut state = self.0.state(target).await?;
        if self.is(Fault::ChangesByLooking) && state.run.is_some() && state.holder.is_none() {
            let entry = entry(target, RunId::generate(), None, Body::Queued { ticket: 1 });
            self.0.append(target, &entry, Guard::Open).await?;
            state = self.0.state(target).await?;
        }
        if self.is(Fault::HidesLapses) && state.holder.is_none() && state.run.is_some() {
            state.state = LockState::Mutating;
        }
        Ok(state)
    }

    async fn read(&self, target: &TargetName, after: u64, limit: usize) -> Result<Vec<Record>> {
        let more = usize::from(self.is(Fault::ReadsTooMuch));
        let limit = limit.saturating_add(more);
        let mut records = self.0.read(&self.target(target), after, limit).await?;
        if self.is(Fault::ReadsBackwards) {
            records.reverse();
        }
        Ok(records)
    }

    async fn read_run(&self, target: &TargetName, run: RunId) -> Result<Vec<Record>> {
        self.0.read_run(&self.target(target), run).await
    }

    async fn read_kind(
        &self,
        target: &TargetName,
        kind: &'static str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.0.read_kind(&self.target(target), kind, before, limit).await
    }
}

fn blamed(suite: impl FnOnce()) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(suite)) else { return String::new() };
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn every_fault_is_found_by_a_behaviour() {
    for fault in FAULTS {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let what = blamed(|| runtime.block_on(ledger::all(&Broken(fault))));
        println!("{fault:?}: {what}\n");
        assert!(what.starts_with("the contract is broken: "), "{fault:?}: {what}");
    }
}

#[test]
fn faults_of_lock_and_queue_are_found_by_random_interleavings_too() {
    // The others are about waiting and about limits, which an interleaving does not look at.
    let others = [Fault::OversleepsTurns, Fault::ForgetsWhoWaits, Fault::ReadsTooMuch];
    for fault in FAULTS.into_iter().filter(|fault| !others.contains(fault)) {
        let what = blamed(|| ledger::random_interleavings(&Broken(fault), 200, 1));
        println!("{fault:?}: {what}\n");
        assert!(what.starts_with("the contract of a ledger is broken: "), "{fault:?}: {what}");
    }
}
