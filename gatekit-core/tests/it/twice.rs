//! Two processes that go on with one run.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{
    Acquired, Body, Claim, Decision, Entry, Guard, Ledger as _, LockState, MemoryLedger, Mode,
};
use gatekit_core::{
    ApplyContext, Code, Digest, Evidence, Finding, Freshness, Gate, NextAction, Outcome, Pipeline,
    PlanContext, Result, Reversibility, Rollback, Rollout, RunId, StageId, Verb, Verdict, code,
    enforced,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::ledgers::failing;
use crate::world::*;

/// A gate that passes, or fails, when it is told to.
#[derive(Debug, Clone, Default)]
struct Slow {
    asked: Arc<Notify>,
    go_on: Arc<Notify>,
    fails: bool,
}

#[async_trait]
impl Gate for Slow {
    fn id(&self) -> StageId {
        StageId::new("approval").unwrap()
    }

    fn describe(&self) -> Value {
        json!({})
    }

    fn fresh_for(&self) -> Freshness {
        Freshness::BoundToCandidate
    }

    async fn check(&self, _: &PlanContext) -> Result<Verdict> {
        self.asked.notify_one();
        self.go_on.notified().await;
        if self.fails {
            return Ok(Verdict::Fail(Finding::new(Code::new("test.finding"), "because")));
        }
        Ok(Verdict::pass([Evidence::read("test", b"seen", json!({}))]))
    }
}

fn gated(world: &World, approval: impl Gate) -> Pipeline {
    verified(world, approval, Says::Fail)
}

/// A rollback that is held up.
#[derive(Debug)]
struct SlowBack(Back, Slow);

#[async_trait]
impl Rollback<Fake> for SlowBack {
    fn reversibility(&self, change: &(String, String)) -> Reversibility {
        Rollback::<Fake>::reversibility(&self.0, change)
    }

    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &(String, String),
        receipt: Option<&String>,
    ) -> Result<()> {
        Rollback::<Fake>::roll_back(&self.0, cx, change, receipt).await
    }

    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &(String, String),
        receipt: Option<&String>,
    ) -> Result<Rollout> {
        self.1.asked.notify_one();
        self.1.go_on.notified().await;
        Rollback::<Fake>::observe_back(&self.0, cx, change, receipt).await
    }
}

/// Held up when it is verified, and when it is undone.
fn held_up(world: &World, slow: Slow) -> Pipeline {
    Pipeline::to(TARGET)
        .deploy(fake(world))
        .rollback_with(SlowBack(Back(world.clone()), slow.clone()))
        .verify(enforced(slow))
        .build()
        .unwrap()
}

fn verified(world: &World, approval: impl Gate, after: Says) -> Pipeline {
    Pipeline::to(TARGET)
        .gate(enforced(approval))
        .deploy(fake(world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(gate("after", [after])))
        .build()
        .unwrap()
}

/// One is slow with its gates; meanwhile the other takes the run to its end.
#[tokio::test]
async fn a_run_that_was_ended_by_another_process_does_not_begin_again() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let parked =
        bench.engine().ship(&gated(&world, gate("approval", [Says::Wait])), candidate("v2"));
    let run = parked.run();
    assert_eq!(parked.await.outcome, Outcome::Waiting);

    let slow = Slow::default();
    let late = bench.engine().resume(&gated(&world, slow.clone()), run);
    slow.asked.notified().await;
    let report = bench.engine().resume(&gated(&world, gate("approval", [Says::Pass])), run).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    let writes = world.writes();
    slow.go_on.notify_one();
    // Neither who was late nor who asks again takes it for a success.
    let again = bench.engine().resume(&gated(&world, gate("approval", [Says::Pass])), run).await;
    for report in [late.await, again] {
        assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
        assert_eq!(report.failure.unwrap().code, code::RESUME_NOTHING);
        assert_eq!(report.next, [NextAction::verb(Verb::Log, &[])]);
    }
    assert_eq!(world.writes(), writes);
    assert_eq!(bench.state().await.run, None);
    let ends = bench.kinds().await.into_iter().filter(|kind| *kind == "closed").count();
    assert_eq!(ends, 1, "a run ends once");
}

/// Who ships is told what came of it, and by no means a success because there is nothing left to do.
#[tokio::test]
async fn a_ship_that_another_process_ended_tells_that_end() {
    for (approval, after, end) in [
        (Says::Fail, Says::Pass, Outcome::Refused),
        (Says::Pass, Says::Fail, Outcome::RolledBack),
        (Says::Pass, Says::Pass, Outcome::Released),
    ] {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        let slow = Slow::default();
        let ship = verified(&world, slow.clone(), after.clone());
        let ship = bench.engine().ship(&ship, candidate("v2"));
        slow.asked.notified().await;
        let other = verified(&world, gate("approval", [approval]), after);
        let report = bench.engine().resume(&other, ship.run()).await;
        assert_eq!(report.outcome, end, "{report:?}");
        let entries = bench.kinds().await.len();
        slow.go_on.notify_one();
        let report = ship.await;
        assert_eq!(report.outcome, end, "{report:?}");
        assert_eq!(report.failure.is_none(), end == Outcome::Released);
        assert_eq!(report.live.map(|live| live.release), Some(world.live()));
        assert_eq!(bench.state().await.state, LockState::Free);
        let ends = bench.kinds().await.into_iter().skip(entries);
        assert!(!ends.collect::<Vec<_>>().contains(&"closed"), "a run ends once");
        let back = bench.engine().roll_back(&other, None, "why").await;
        assert_eq!(back.failure.unwrap().code, code::ROLLBACK_NOTHING, "it is released once");
    }
}

/// They share the run's ticket, and only one of them can be granted by it.
#[tokio::test(start_paused = true)]
async fn who_was_not_granted_by_the_ticket_of_both_does_not_say_that_the_run_has_failed() {
    let (ledger, world) = (Arc::new(MemoryLedger::new()), World::with_live("v1"));
    let first = Claim::new(target(), RunId::generate(), "first");
    ledger.enqueue(&first).await.unwrap();
    let lease = Duration::from_secs(3600);
    let Acquired::Granted(hold) = ledger.acquire(&first, lease).await.unwrap() else { panic!() };
    let both_wait = async |times: usize| loop {
        let queued = ledger.read_kind(&target(), "queued", None, 9).await.unwrap();
        if queued.len() == times {
            return;
        }
        tokio::task::yield_now().await;
    };
    let ship = engine(Arc::clone(&ledger) as _).ship(&plain(&world), candidate("v2"));
    both_wait(1).await;
    let resume = engine(Arc::clone(&ledger) as _).resume(&plain(&world), ship.run());
    both_wait(2).await;
    assert!(ledger.release(&hold).await.unwrap());
    let (ship, resume) = tokio::join!(ship.wait(), resume.wait());
    assert_eq!(ship.outcome, Outcome::Released, "{ship:?}");
    assert!(
        matches!(resume.outcome, Outcome::Released | Outcome::Unchanged),
        "{ship:?}\n{resume:?}"
    );
    assert_eq!(world.writes(), ["fake:v2"]);
    assert_eq!(ledger.read_kind(&target(), "closed", None, 9).await.unwrap().len(), 1);
    let state = ledger.state(&target()).await.unwrap();
    assert_eq!((state.state, state.queue.len()), (LockState::Free, 0));
}

/// One is slow with its gates; meanwhile the other has touched the target, and vanished.
#[tokio::test]
async fn who_is_refused_while_another_has_touched_the_target_does_not_say_that_nothing_was() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let slow = Slow { fails: true, ..Slow::default() };
    let ship = bench.engine().ship(&gated(&world, slow.clone()), candidate("v2"));
    slow.asked.notified().await;
    // continued, verdict, granted, applying, calling: the next append finds no ledger.
    let dying = engine(failing(&bench, 6));
    let report = dying.resume(&gated(&world, gate("approval", [Says::Pass])), ship.run()).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert_eq!(bench.kinds().await.last(), Some(&"calling"));
    bench.leases_lapse();
    slow.go_on.notify_one();
    let report = ship.await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert!(!report.next.is_empty());
    assert_eq!(bench.state().await.state, LockState::Suspect);
}

#[tokio::test]
async fn a_parked_run_that_a_process_goes_on_with_is_nobody_elses_to_resume() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let parked = gated(&world, gate("approval", [Says::Wait]));
    let run = bench.engine().ship(&parked, candidate("v2")).await.run.unwrap();
    let pending = async || bench.engine().pending(&target()).await.unwrap().map(|it| it.run);
    assert_eq!(pending().await, Some(run));
    let slow = Slow::default();
    let resumed = bench.engine().resume(&gated(&world, slow.clone()), run);
    slow.asked.notified().await;
    assert_eq!(pending().await, None, "it is at its gates");
    slow.go_on.notify_one();
    assert_eq!(resumed.await.outcome, Outcome::RolledBack);
}

/// Whatever a person accepted: that is no success for who asked for a release.
#[tokio::test]
async fn a_ship_whose_target_a_person_has_freed_is_stuck() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let slow = Slow::default();
    let ship = bench.engine().ship(&gated(&world, slow.clone()), candidate("v2"));
    let run = ship.run();
    slow.asked.notified().await;
    let other = gated(&world, gate("approval", [Says::Pass]));
    let report = engine(failing(&bench, 6)).resume(&other, run).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    bench.leases_lapse();
    let freed = bench.engine().reconcile(&other, run, Some(Decision::Override), "it is dead").await;
    assert_eq!(freed.outcome, Outcome::Overridden, "{freed:?}");
    slow.go_on.notify_one();
    let report = ship.await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::RESUME_NOTHING);
}

/// It waits for the lease of whoever holds the target, who may come to an end before it lapses.
#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_take_over_what_has_ended_meanwhile_tells_that_end() {
    for goes_back in [false, true] {
        let (bench, world) = (Bench::new(), World::with_live("v0"));
        for version in ["v1", "v2"] {
            let slow = Slow::default();
            slow.go_on.notify_one();
            let report = bench.engine().ship(&held_up(&world, slow), candidate(version)).await;
            assert_eq!(report.outcome, Outcome::Released, "{report:?}");
        }
        let slow = Slow::default();
        let pipeline = held_up(&world, slow.clone());
        let first = match goes_back {
            false => bench.engine().ship(&pipeline, candidate("v3")),
            true => bench.engine().roll_back(&pipeline, None, "why"),
        };
        slow.asked.notified().await;
        let (told, hears) = mpsc::channel();
        let second = bench.engine().reporter(Tells(told)).resume(&pipeline, first.run());
        assert!(hears.recv().unwrap().contains("waiting for its lease to lapse"));
        slow.go_on.notify_one();
        assert_eq!(first.await.outcome, Outcome::Released);
        let report = second.await;
        assert_eq!(report.outcome, Outcome::Unchanged, "{report:?}");
        assert_eq!(report.failure.unwrap().code, code::RESUME_NOTHING);
    }
}

/// Like the resume of a ship: only one of them goes on, and says so at once.
#[tokio::test]
async fn a_rollback_under_way_is_not_carried_on_by_a_second_process() {
    let (bench, world) = (Bench::new(), World::default());
    for version in ["v1", "v2"] {
        let report = bench.engine().ship(&plain(&world), candidate(version)).await;
        assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    }
    let to = bench.ledger.read_kind(&target(), "opened", None, 9).await.unwrap();
    let runs: Vec<_> = to.iter().map(|record| record.decode().unwrap().run).collect();
    let [undone, to] = runs[..] else { panic!("{runs:?}") };
    // A rollback that was granted its target, and has not begun to write.
    let claim = Claim::new(target(), RunId::generate(), "somebody");
    let mode = Mode::RollBack { to, undo: vec![undone], reason: "why".to_owned() };
    let opened = Body::Opened {
        mode,
        candidate: candidate("v1"),
        fingerprint: plain(&world).fingerprint().clone(),
        intent: Digest::of("intent"),
        arguments: Value::Null,
        process: claim.process.clone(),
    };
    let entry = Entry::new(target(), claim.run, "somebody", None, opened);
    bench.ledger.append(&target(), &entry, Guard::Open).await.unwrap();
    bench.ledger.enqueue(&claim).await.unwrap();
    bench.ledger.acquire(&claim, Duration::from_secs(60)).await.unwrap();
    let entries = bench.kinds().await.len();
    let engine = bench.engine().with_queue_timeout(Duration::ZERO);
    let report = engine.resume(&plain(&world), claim.run).await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::LOCK_HELD);
    assert_eq!(bench.kinds().await.len(), entries, "nothing is journalled about it");
    assert!(bench.state().await.queue.is_empty());
}

/// Whatever was refused meanwhile: it still waits.
#[tokio::test]
async fn a_parked_run_is_found_behind_any_number_of_refused_ones() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let waits = gated(&world, gate("approval", [Says::Wait]));
    let parked = bench.engine().ship(&waits, candidate("v2")).await;
    let refused = gated(&world, gate("approval", [Says::Fail]));
    for _ in 0..40 {
        let report = bench.engine().ship(&refused, candidate("v3")).await;
        assert_eq!(report.outcome, Outcome::Refused);
    }
    let pending = bench.engine().pending(&target()).await.unwrap();
    assert_eq!(pending.map(|pending| pending.run), parked.run);
}
