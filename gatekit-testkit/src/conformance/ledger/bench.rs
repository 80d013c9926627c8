//! What the behaviours of the suite share: a fresh ledger, and usual calls on it.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::{
    Body, ChainVerifier, Claim, Entry, Guard, Hold, Ledger, LockState, Record, TargetState,
};
use gatekit_core::{Fence, Result, RunId, TargetName};

use super::bodies::{applying, queued};
use super::check::{granted, ok, same};
use super::subject::{Opened, Subject};

/// The lease that the suite asks for, unless it says otherwise.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// A fresh ledger and the target of the behaviour.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) opened: Box<dyn Opened>,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) target: TargetName,
}

impl Bench {
    pub(super) async fn open(subject: &dyn Subject) -> Self {
        let opened = ok(subject.open().await);
        Self { ledger: opened.ledger(), opened, target: name("production/api") }
    }

    /// A claim of a new run.
    pub(super) fn claim(&self) -> Claim {
        self.claim_of(RunId::generate())
    }

    /// Another claim of that run.
    pub(super) fn claim_of(&self, run: RunId) -> Claim {
        Claim::new(self.target.clone(), run, "somebody")
    }

    pub(super) async fn hold(&self, claim: &Claim) -> Hold {
        ok(self.ledger.enqueue(claim).await);
        let answer = self.ledger.acquire(claim, LEASE).await;
        granted("a free target is granted to the first in line", answer)
    }

    /// A hold that has touched the target.
    pub(super) async fn mutating(&self, claim: &Claim) -> Hold {
        let hold = self.hold(claim).await;
        ok(self.append(&hold, applying()).await);
        hold
    }

    /// Leaves the target suspect, by a lapse that is recorded.
    pub(super) async fn suspect(&self, claim: &Claim) -> Hold {
        let hold = self.mutating(claim).await;
        self.opened.advance(LEASE);
        self.record_lapse().await;
        hold
    }

    /// Lets the ledger record what lapsed, by an entry that has nothing to do with it.
    pub(super) async fn record_lapse(&self) {
        ok(self.append_open(RunId::generate(), queued()).await);
    }

    pub(super) async fn append(&self, hold: &Hold, body: Body) -> Result<Record> {
        self.append_with(hold, body, Duration::ZERO).await
    }

    pub(super) async fn append_with(
        &self,
        hold: &Hold,
        body: Body,
        lease_left: Duration,
    ) -> Result<Record> {
        let entry = entry(&hold.target, hold.run, Some(hold.fence), body);
        let guard = Guard::Holder { run: hold.run, fence: hold.fence, lease_left };
        self.ledger.append(&hold.target, &entry, guard).await
    }

    pub(super) async fn append_open(&self, run: RunId, body: Body) -> Result<Record> {
        let entry = entry(&self.target, run, None, body);
        self.ledger.append(&self.target, &entry, Guard::Open).await
    }

    pub(super) async fn state(&self) -> TargetState {
        ok(self.ledger.state(&self.target).await)
    }

    /// Fails unless the lock is in that state, because of that run.
    pub(super) async fn expect(&self, sentence: &str, state: LockState, run: Option<RunId>) {
        let told = self.state().await;
        same(sentence, (told.state, told.run), (state, run));
    }

    /// Reads the whole chain, and fails unless it verifies up to the head that the ledger names.
    pub(super) async fn verify(&self) -> Vec<Record> {
        ok(verify(&*self.ledger, &self.target).await)
    }
}

/// The whole chain, if it verifies up to the head that the ledger names.
pub(super) async fn verify(ledger: &dyn Ledger, target: &TargetName) -> Result<Vec<Record>> {
    let mut verifier = ChainVerifier::new(target.clone(), None);
    let mut records: Vec<Record> = Vec::new();
    loop {
        let after = records.last().map_or(0, |last| last.seq);
        let more = ledger.read(target, after, 100).await?;
        if more.is_empty() {
            break;
        }
        more.iter().try_for_each(|record| verifier.push(record))?;
        records.extend(more);
    }
    verifier.finish(&ledger.state(target).await?.head)?;
    Ok(records)
}

pub(super) fn name(text: &str) -> TargetName {
    ok(TargetName::new(text))
}

pub(super) fn entry(target: &TargetName, run: RunId, fence: Option<Fence>, body: Body) -> Entry {
    Entry::new(target.clone(), run, "somebody", fence, body)
}
