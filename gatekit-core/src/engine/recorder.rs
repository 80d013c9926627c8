//! The one way by which a run writes to its journal and tells its reporters.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::code;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::EventBody;
use crate::id::{Fence, RunId, StageId, TargetName};
use crate::ledger::{Body, Entry, Guard, Head, Hold, Ledger, LockEffect, Record};

use super::reporting::EventSender;

/// Journals and reports for one run. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Recorder(Arc<Inner>);

/// The newest of the run's entries that this process has written one right behind the other. It knows
/// them: nothing that others have said is among them, because a chain has no gaps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stretch {
    first: u64,
    pub(crate) last: u64,
    /// Of the last.
    hash: Option<Digest>,
    /// The entry that opened the run, if they begin with it.
    pub(crate) opened: Option<u64>,
}

impl Stretch {
    fn push(&mut self, record: &Record, body: &Body) {
        let seq = record.seq;
        match body {
            Body::Opened { .. } => (self.first, self.opened) = (seq, Some(seq)),
            // Is heard with what people said.
            Body::Waived { .. } => (self.first, self.opened) = (seq + 1, None),
            // By its hash: the number alone may be that of another entry, in a store that has lost some.
            _ if self.hash.as_ref() == Some(&record.prev) => {}
            _ => (self.first, self.opened) = (seq, None),
        }
        (self.last, self.hash) = (seq, Some(record.hash.clone()));
    }

    /// Whether these are the last of them and nothing after it.
    pub(crate) fn ends_with(&self, records: &[Record]) -> bool {
        matches!(records, [last] if last.seq == self.last && Some(&last.hash) == self.hash.as_ref())
    }

    /// Where to read on after `seq`, past the entries right behind it that are known.
    pub(crate) fn known_after(&self, seq: u64) -> u64 {
        if self.first <= seq + 1 { self.last.max(seq) } else { seq }
    }
}

#[derive(Debug)]
struct Inner {
    ledger: Arc<dyn Ledger>,
    target: TargetName,
    run: RunId,
    actor: String,
    hold: Mutex<Option<Hold>>,
    stretch: Mutex<Stretch>,
    /// Whether an entry of this run says that the target was touched.
    touched: AtomicBool,
    events: EventSender,
}

impl Recorder {
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        target: TargetName,
        run: RunId,
        actor: String,
        events: EventSender,
    ) -> Self {
        Self(Arc::new(Inner {
            ledger,
            target,
            run,
            actor,
            hold: Mutex::new(None),
            stretch: Mutex::default(),
            touched: AtomicBool::new(false),
            events,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Hold>> {
        self.0.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under which hold entries are written from now on; `None` for entries that need no lock.
    pub(crate) fn set_hold(&self, hold: Option<Hold>) {
        *self.lock() = hold;
    }

    /// The target was touched by this run, in this process or in an earlier one.
    pub(crate) fn set_touched(&self) {
        self.0.touched.store(true, Ordering::SeqCst);
    }

    pub(crate) fn touched(&self) -> bool {
        self.0.touched.load(Ordering::SeqCst)
    }

    pub(crate) fn hold(&self) -> Option<Hold> {
        self.lock().clone()
    }

    pub(crate) fn fence(&self) -> Option<Fence> {
        self.lock().as_ref().map(|hold| hold.fence)
    }

    /// Appends an entry, durably before it returns, and reports it.
    pub(crate) async fn append(&self, body: Body) -> Result<()> {
        self.write(body, Duration::ZERO).await.map(|_| ())
    }

    /// Appends the entry of a write that is about to be made, on the condition that a third of the
    /// lease is left; a lease that is still the run's own is renewed for it once.
    pub(crate) async fn permit(&self, body: Body) -> Result<()> {
        let hold =
            self.hold().ok_or_else(|| Error::new(code::LOCK_LOST, "the run holds no lock"))?;
        let needed = hold.lease / 3;
        match self.write(body.clone(), needed).await {
            Err(error) if *error.code() == code::LOCK_LEASE_SHORT => {
                self.0.ledger.renew(&hold).await?;
                self.write(body, needed).await.map(|_| ())
            }
            other => other.map(|_| ()),
        }
    }

    async fn write(&self, body: Body, lease_left: Duration) -> Result<Record> {
        let hold = self.hold();
        let fence = hold.as_ref().map(|hold| hold.fence);
        let guard = hold.map_or(Guard::Open, |hold| Guard::Holder {
            run: hold.run,
            fence: hold.fence,
            lease_left,
        });
        let inner = &self.0;
        // Also when the append fails: nobody can tell then whether the entry is there.
        if body.lock_effect() == LockEffect::Touch {
            self.set_touched();
        }
        let entry = Entry::new(inner.target.clone(), inner.run, inner.actor.clone(), fence, body);
        let record = inner.ledger.append(&inner.target, &entry, guard).await?;
        self.lock_stretch().push(&record, &entry.body);
        self.step(&record, entry);
        Ok(record)
    }

    fn lock_stretch(&self) -> MutexGuard<'_, Stretch> {
        self.0.stretch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this process has written last.
    pub(crate) fn stretch(&self) -> Stretch {
        self.lock_stretch().clone()
    }

    /// Leaves in the chain of each target that is locked along that the run's entries come after
    /// `head`, the present end of its own chain.
    pub(crate) async fn point_along(&self, head: &Head) -> Result<()> {
        let Some(hold) = self.hold() else { return Ok(()) };
        for (name, fence) in &hold.also {
            let body = Body::LockedAlong { with: hold.target.clone(), head: head.clone() };
            let actor = self.0.actor.clone();
            let entry = Entry::new(name.clone(), hold.run, actor, Some(*fence), body);
            let guard = Guard::Holder { run: hold.run, fence: *fence, lease_left: Duration::ZERO };
            let record = self.0.ledger.append(name, &entry, guard).await?;
            self.step(&record, entry);
        }
        Ok(())
    }

    /// Reports an entry that is already durable.
    pub(crate) fn step(&self, record: &Record, entry: Entry) {
        self.0.events.step(|| {
            let head = Head { seq: record.seq, hash: record.hash.clone() };
            EventBody::Step { head, entry: Box::new(entry) }
        });
    }

    pub(crate) fn progress(&self, stage: Option<&StageId>, message: String) {
        self.0.events.progress(|| EventBody::Progress {
            target: self.0.target.clone(),
            run: self.0.run,
            stage: stage.cloned(),
            message,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidate::Candidate;
    use crate::ledger::{GatePhase, Mode};
    use crate::process::ProcessIdentity;

    fn written(entries: impl IntoIterator<Item = (u64, Body)>) -> Stretch {
        let mut stretch = Stretch::default();
        for (seq, body) in entries {
            stretch.push(&record(seq, &(seq - 1).to_string(), &seq.to_string()), &body);
        }
        stretch
    }

    fn record(seq: u64, prev: &str, hash: &str) -> Record {
        Record { seq, prev: Digest::of(prev), hash: Digest::of(hash), entry: String::new() }
    }

    fn opened() -> Body {
        Body::Opened {
            mode: Mode::Ship,
            candidate: Candidate::new(),
            fingerprint: Digest::zeros(),
            intent: Digest::zeros(),
            arguments: serde_json::Value::Null,
            process: ProcessIdentity::current(),
        }
    }

    #[test]
    fn only_what_it_wrote_without_a_gap_is_known() {
        let queued = || Body::Queued { ticket: 1 };
        let alone = written([(5, opened()), (6, queued()), (7, queued())]);
        assert_eq!((alone.opened, alone.last), (Some(5), 7));
        assert_eq!([3, 4, 5, 7, 9].map(|seq| alone.known_after(seq)), [3, 7, 7, 7, 9]);

        let others = written([(5, opened()), (6, queued()), (8, queued()), (9, queued())]);
        assert_eq!((others.opened, others.last), (None, 9));
        assert_eq!([5, 6, 7, 8].map(|seq| others.known_after(seq)), [5, 6, 9, 9]);

        assert_eq!([0, 5].map(|seq| Stretch::default().known_after(seq)), [0, 5]);
    }

    /// A server may have lost its newest entries, and others may have written as many since.
    #[test]
    fn an_entry_behind_one_of_others_is_not_known() {
        let queued = || Body::Queued { ticket: 1 };
        let mut own = written([(5, opened()), (6, queued()), (7, queued())]);
        own.push(&record(8, "another 7", "8"), &queued());
        assert_eq!((own.opened, own.last), (None, 8));
        assert_eq!([5, 6, 7].map(|seq| own.known_after(seq)), [5, 6, 8]);
    }

    #[test]
    fn a_chain_that_ends_otherwise_is_not_known() {
        let own = written([(5, opened()), (6, Body::Queued { ticket: 1 })]);
        let record = |seq, hash: &str| record(seq, "", hash);
        assert!(own.ends_with(&[record(6, "6")]));
        // Somebody has written since; the end was lost; another end came into its place.
        assert!(!own.ends_with(&[record(6, "6"), record(7, "7")]));
        assert!(!own.ends_with(&[]));
        assert!(!own.ends_with(&[record(6, "another")]));
    }

    #[test]
    fn what_is_heard_is_read_again() {
        let stage = StageId::new("s").unwrap();
        let waived = Body::Waived { stage, phase: GatePhase::Admission, waiver: 1 };
        let told = written([(5, opened()), (6, waived), (7, Body::Queued { ticket: 1 })]);
        assert_eq!((told.opened, told.last), (None, 7));
        assert_eq!([4, 5, 6].map(|seq| told.known_after(seq)), [4, 5, 7]);
    }
}
