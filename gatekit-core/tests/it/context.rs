//! What contexts tell and give, in an engine and outside.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Hold;
use gatekit_core::testing::{apply_context, overheard, plan_context};
use gatekit_core::{
    Candidate, Event, EventBody, Evidence, Gate, LastRelease, Outcome, Pipeline, PlanContext,
    Reporter, Result, Rollout, StageId, Verdict, code, enforced,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::ledgers::FailsRenewals;
use crate::world::{
    Back, Bench, Says, TARGET, World, candidate, engine, fake, gate, plain, target,
};

const LEASE: Duration = Duration::from_secs(60);

fn plan() -> PlanContext {
    plan_context(&target(), Candidate::new(), &StageId::new("fake").unwrap(), LEASE)
}

#[tokio::test]
async fn a_run_that_gets_no_lock_does_not_stay_in_the_queue() {
    let (bench, first, second) = (Bench::new(), plan(), plan());
    let held = apply_context(&first, Arc::clone(&bench.ledger), LEASE).await.unwrap();
    for refused in [&first, &second] {
        let error = apply_context(refused, Arc::clone(&bench.ledger), LEASE).await.unwrap_err();
        assert_eq!(error.code(), &code::LOCK_HELD);
    }
    assert!(bench.state().await.queue.is_empty());
    let hold = Hold::new(target(), held.run(), held.fence().unwrap(), LEASE);
    assert!(bench.ledger.release(&hold).await.unwrap());
    let again = apply_context(&first, Arc::clone(&bench.ledger), LEASE).await.unwrap();
    assert_eq!(again.run(), held.run());
    assert!(again.fence().unwrap() > held.fence().unwrap(), "as a run that is resumed");
    assert_eq!(held.permit("write").await.unwrap_err().code(), &code::LOCK_LOST);
}

/// As long as nobody else came, a lease that is too short for a write, or over, is still one's own.
#[tokio::test]
async fn a_permit_renews_a_lease_that_is_too_short_for_its_write() {
    let (bench, plan) = (Bench::new(), plan());
    let held = apply_context(&plan, Arc::clone(&bench.ledger), LEASE).await.unwrap();
    bench.leases_lapse();
    drop(held.permit("write").await.unwrap());
    let left = bench.state().await.lease_left.unwrap();
    assert!(left > LEASE / 2, "{left:?}");
}

#[derive(Debug)]
struct Tells(mpsc::Sender<String>);

impl Reporter for Tells {
    fn event(&mut self, event: &Event) {
        if let EventBody::Progress { message, .. } = &event.event {
            self.0.send(message.clone()).unwrap();
        }
    }
}

#[test]
fn progress_is_overheard() {
    let (sender, receiver) = mpsc::channel();
    overheard(plan(), Tells(sender)).progress("half of it");
    assert_eq!(receiver.recv_timeout(LEASE).unwrap(), "half of it");
}

/// A gate that never answers, and gives its token away.
#[derive(Debug, Clone, Default)]
struct Given(Arc<Mutex<Option<CancellationToken>>>);

#[async_trait]
impl Gate for Given {
    fn id(&self) -> StageId {
        StageId::new("after").unwrap()
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        *self.0.lock().unwrap() = Some(cx.cancellation().clone());
        std::future::pending().await
    }
}

/// Nobody waits for the answer any more; what a stage began elsewhere has to learn of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lock_cancels_what_is_under_way() {
    let (bench, world, given) = (Bench::new(), World::with_live("v1"), Given::default());
    let pipeline = Pipeline::to(TARGET)
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(given.clone()))
        .build()
        .unwrap();
    let ledger = FailsRenewals::hanging(&bench);
    let engine = engine(ledger).with_deadline(LEASE).with_lease(Duration::from_millis(400));
    let report = engine.unwrap().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::LOCK_LOST);
    let token = given.0.lock().unwrap().take().unwrap();
    tokio::time::timeout(Duration::from_secs(10), token.cancelled()).await.unwrap();
}

/// What a gate was told of the last release.
#[derive(Debug, Clone, Default)]
struct Told(Arc<Mutex<Option<LastRelease>>>);

#[async_trait]
impl Gate for Told {
    fn id(&self) -> StageId {
        StageId::new("told").unwrap()
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        *self.0.lock().unwrap() = cx.last_release().cloned();
        Ok(Verdict::pass([Evidence::read("test", b"seen", json!({"told": true}))]))
    }
}

#[tokio::test]
async fn a_stage_is_told_of_the_last_release_and_of_its_evidence() {
    let (bench, world, told) = (Bench::new(), World::with_live("v1"), Told::default());
    let pipeline = Pipeline::to(TARGET)
        .gates([enforced(told.clone()), enforced(gate("before", [Says::Pass]))])
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let first = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(first.outcome, Outcome::Released, "{first:?}");
    assert!(told.0.lock().unwrap().is_none(), "there was no release before");
    let next = bench.engine().ship(&pipeline, candidate("v3")).await;
    assert_eq!(next.outcome, Outcome::Released, "{next:?}");
    let last = told.0.lock().unwrap().take().unwrap();
    assert_eq!((Some(last.run), last.candidate), (first.run, candidate("v2")));
    let before = (StageId::new("before").unwrap(), json!({"ok": 1}));
    assert!(last.facts.contains(&before), "{:?}", last.facts);
}

/// It waited in the queue while the one before it was released.
#[tokio::test]
async fn a_stage_is_told_of_a_release_that_was_made_while_the_run_waited() {
    let (bench, world, told) = (Bench::new(), World::with_live("v1"), Told::default());
    let first = bench.engine().ship(&plain(&world), candidate("v2")).await;
    assert_eq!(first.outcome, Outcome::Released, "{first:?}");
    let under_way = Rollout::InProgress { poll_after: Duration::from_millis(10) };
    world.lock().rollouts = [under_way].into();
    let ahead = bench.engine().with_deadline(LEASE).ship(&plain(&world), candidate("v3"));
    while world.live() != "v3" {
        tokio::task::yield_now().await;
    }
    let builder = Pipeline::to(TARGET).deploy(fake(&world)).rollback_with(Back(world.clone()));
    let pipeline = builder.verify(enforced(told.clone())).build().unwrap();
    let waits = bench.engine().ship(&pipeline, candidate("v4"));
    while !bench.kinds().await.contains(&"queued") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.lock().rollouts.clear();
    let ahead = ahead.await;
    assert_eq!(ahead.outcome, Outcome::Released, "{ahead:?}");
    let report = waits.await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(told.0.lock().unwrap().take().map(|last| last.run), ahead.run);
}
