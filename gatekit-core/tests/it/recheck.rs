//! What is asked again under the lock, and what is told to whom at what time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::testing::{Call, Fate, Interceptor, intercepted};
use gatekit_core::{
    Evidence, OnInterrupt, Outcome, Pipeline, Rollout, StageId, Verdict, enforced, gate_fn,
};
use serde_json::Value;

use crate::world::*;

/// Counts the plans that are made.
#[derive(Debug, Default)]
struct Plans(Arc<AtomicUsize>);

#[async_trait]
impl Interceptor for Plans {
    async fn before(&self, _: &StageId, call: Call, _: Option<&Value>, _: Option<&Value>) -> Fate {
        if call == Call::Plan {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Fate::Happens
    }

    async fn after(&self, _: &StageId, _: Call) {}
}

/// Takes longer to apply than the run has time.
#[derive(Debug)]
struct SlowToApply;

#[async_trait]
impl Interceptor for SlowToApply {
    async fn before(&self, _: &StageId, call: Call, _: Option<&Value>, _: Option<&Value>) -> Fate {
        if call == Call::Apply {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        Fate::Happens
    }

    async fn after(&self, _: &StageId, _: Call) {}
}

/// A plan may take long, and evidence ages meanwhile.
#[tokio::test]
async fn aged_evidence_is_the_last_that_is_asked_for_before_the_first_write() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let plans = Arc::new(AtomicUsize::new(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (made, told) = (Arc::clone(&plans), Arc::clone(&seen));
    let fresh = gate_fn("fresh", move |_| {
        told.lock().unwrap().push(made.load(Ordering::SeqCst));
        async { Ok(Verdict::pass([Evidence::read("fresh", "", Value::Null)])) }
    });
    let pipeline = Pipeline::to(TARGET)
        .gate(enforced(fresh.unwrap()))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let counts: Arc<dyn Interceptor> = Arc::new(Plans(Arc::clone(&plans)));
    let report = bench.engine().ship(&intercepted(&pipeline, &counts), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(*seen.lock().unwrap(), [1, 2], "asked after the plan under the lock");
    assert_eq!(plans.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_with_patience_waits_also_for_what_it_has_to_wait_for_under_the_lock() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    // It waits oftener than a run begins anew for other reasons.
    let says = [Says::Pass, Says::Wait].into_iter().cycle().take(10).chain([Says::Pass]);
    let pipeline = Pipeline::to(TARGET)
        .gate(enforced(gate("window", says).ageing()))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let engine = bench.engine().with_patience(Duration::from_secs(3600));
    let report = engine.ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let granted = bench.kinds().await.into_iter().filter(|kind| *kind == "granted").count();
    assert_eq!(granted, 1);
}

/// A deploy that has used up the time of the run is looked at all the same.
#[tokio::test(start_paused = true)]
async fn where_a_late_deploy_stands_is_found_out_with_time_to_spare() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let slow: Arc<dyn Interceptor> = Arc::new(SlowToApply);
    let engine = bench.engine().with_deadline(Duration::from_secs(2));
    let report = engine.ship(&intercepted(&plain(&world), &slow), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let left = world.lock().left_to_locate.clone();
    assert!(!left.is_empty() && left.iter().all(|left| !left.is_zero()), "{left:?}");
}

#[tokio::test]
async fn who_asked_for_a_release_is_who_opened_the_run_whoever_carries_it() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    world.lock().rollouts = [Rollout::InProgress { poll_after: Duration::from_secs(1) }].into();
    let who = gate_fn("who", async |cx| {
        Ok(Verdict::pass([Evidence::read("cx", "", cx.requester().into())]))
    });
    let pipeline = Pipeline::to(TARGET)
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(who.unwrap()))
        .on_interrupt(OnInterrupt::LeaveForResume)
        .build()
        .unwrap();
    let running = bench.engine().with_actor("ann").ship(&pipeline, candidate("v2"));
    while world.writes().is_empty() {
        tokio::task::yield_now().await;
    }
    running.interrupter().interrupt();
    let left = running.await;
    assert_eq!(left.outcome, Outcome::Interrupted, "{left:?}");
    world.lock().rollouts.clear();
    let report = bench.engine().with_actor("bea").resume(&pipeline, left.run.unwrap()).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let proofs = bench.bodies().await.into_iter().filter_map(|body| match body {
        gatekit_core::ledger::Body::Verdict { verdict: Verdict::Pass(proof), .. } => Some(proof),
        _ => None,
    });
    let told: Vec<_> = proofs.map(|proof| proof.evidence()[0].facts().clone()).collect();
    assert_eq!(told, ["ann"]);
}
