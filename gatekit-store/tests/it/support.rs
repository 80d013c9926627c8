//! What the tests share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gatekit_core::ledger::{
    Acquired, Body, ChainVerifier, Claim, Entry, Guard, Head, Hold, Ledger, TargetState,
};
use gatekit_core::{Code, Error, Outcome, Result, RunId, StageId, TargetName};
use gatekit_store::{SqliteLedger, SqliteLedgerBuilder};
use tempfile::TempDir;

pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// A ledger in a directory of its own, with a clock that the test moves.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<AtomicU64>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), clock: Arc::default() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    /// Declared durable, because these tests may themselves run in a job.
    pub(crate) fn builder(&self) -> SqliteLedgerBuilder {
        let clock = Arc::clone(&self.clock);
        SqliteLedger::builder(self.path()).durable(true).clock_offset(clock)
    }

    pub(crate) fn open(&self) -> SqliteLedger {
        self.builder().build().unwrap()
    }

    pub(crate) fn open_read_only(&self) -> Option<SqliteLedger> {
        self.builder().build_read_only().unwrap()
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// A connection that knows nothing of ledgers.
    pub(crate) fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

pub(crate) fn target() -> TargetName {
    TargetName::new("production/api").unwrap()
}

pub(crate) fn claim() -> Claim {
    Claim::new(target(), RunId::generate(), "somebody")
}

/// A target that some claims name along with it.
pub(crate) fn second() -> TargetName {
    TargetName::new("production/db").unwrap()
}

/// A claim of a new run on both.
pub(crate) fn both() -> Claim {
    claim().along([second()])
}

/// A claim of a new run on the second alone.
pub(crate) fn lone() -> Claim {
    Claim::new(second(), RunId::generate(), "somebody else")
}

pub(crate) fn stage() -> StageId {
    StageId::new("deploy").unwrap()
}

pub(crate) fn applying() -> Body {
    Body::Applying { stage: stage(), change: "a change".into() }
}

pub(crate) fn calling() -> Body {
    Body::Calling { stage: stage(), call: "write".into() }
}

pub(crate) fn closed(outcome: Outcome) -> Body {
    Body::Closed { outcome, failure: None, live: None }
}

pub(crate) fn queued() -> Body {
    Body::Queued { ticket: 1 }
}

pub(crate) async fn append(ledger: &dyn Ledger, hold: &Hold, body: Body) -> Result<u64> {
    let entry = Entry::new(hold.target.clone(), hold.run, "somebody", Some(hold.fence), body);
    let lease_left = Duration::ZERO;
    let guard = Guard::Holder { run: hold.run, fence: hold.fence, lease_left };
    ledger.append(&hold.target, &entry, guard).await.map(|record| record.seq)
}

pub(crate) async fn append_open(ledger: &dyn Ledger, run: RunId, body: Body) -> Result<u64> {
    let entry = Entry::new(target(), run, "somebody", None, body);
    ledger.append(&target(), &entry, Guard::Open).await.map(|record| record.seq)
}

pub(crate) fn granted(answer: Acquired) -> Hold {
    match answer {
        Acquired::Granted(hold) => hold,
        other => panic!("not granted: {other:?}"),
    }
}

pub(crate) async fn hold(ledger: &dyn Ledger, claim: &Claim) -> Hold {
    ledger.enqueue(claim).await.unwrap();
    granted(ledger.acquire(claim, LEASE).await.unwrap())
}

pub(crate) async fn mutating(ledger: &dyn Ledger, claim: &Claim) -> Hold {
    let hold = hold(ledger, claim).await;
    append(ledger, &hold, applying()).await.unwrap();
    hold
}

pub(crate) async fn state(ledger: &dyn Ledger) -> TargetState {
    ledger.state(&target()).await.unwrap()
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T>, code: &Code) -> Error {
    let error = answer.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert_eq!(error.effect(), gatekit_core::Effect::None, "{error}");
    assert!(!error.to_failure().next.is_empty(), "no next action: {error}");
    error
}

/// Verifies the whole chain up to the head that the ledger names.
pub(crate) async fn verify(ledger: &dyn Ledger) -> Result<Head> {
    let mut verifier = ChainVerifier::new(target(), None);
    let mut after = 0;
    loop {
        let records = ledger.read(&target(), after, 100).await?;
        let Some(last) = records.last() else { break };
        after = last.seq;
        records.iter().try_for_each(|record| verifier.push(record))?;
    }
    verifier.finish(&ledger.state(&target()).await?.head)
}
