//! Ledgers that are busy for a while, and runs that have to wait.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use gatekit_core::ledger::{Claim, Ledger as _, MemoryLedger};
use gatekit_core::{
    Engine, OnInterrupt, Outcome, Pipeline, Rollout, RunId, RunReport, code, enforced,
};

use crate::ledgers::{BUSY, FailsRenewals};
use crate::world::*;

const LEASE: Duration = Duration::from_millis(900);

/// One renewal is due at a third of the lease: there is time for another.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_cannot_be_renewed_at_once_is_not_lost() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let under_way = Rollout::InProgress { poll_after: LEASE };
    world.lock().rollouts = [under_way.clone(), under_way, Rollout::Settled].into();
    let engine = engine(FailsRenewals::busy(&bench, 2)).with_lease(LEASE).unwrap();
    let report =
        engine.with_deadline(Duration::from_secs(30)).ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_can_never_be_renewed_is_lost_when_it_lapses() {
    for code in [BUSY, code::ENGINE_PANIC] {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        world.lock().rollouts = [Rollout::InProgress { poll_after: LEASE }].into();
        let ledger = FailsRenewals::with(&bench, usize::MAX, code);
        let engine = engine(ledger).with_lease(LEASE).unwrap();
        let running =
            engine.with_deadline(Duration::from_secs(60)).ship(&plain(&world), candidate("v2"));
        let report = tokio::time::timeout(Duration::from_secs(30), running.wait()).await.unwrap();
        assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
        assert_eq!(report.failure.unwrap().code, code::LOCK_LOST);
    }
}

/// The run's own connection may not have noticed that there is no ledger any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_lost_in_a_ledger_that_is_gone() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    world.lock().rollouts = [Rollout::InProgress { poll_after: LEASE }].into();
    let engine = engine(FailsRenewals::gone(&bench)).with_lease(LEASE).unwrap();
    let running =
        engine.with_deadline(Duration::from_secs(60)).ship(&plain(&world), candidate("v2"));
    let report = tokio::time::timeout(Duration::from_secs(30), running.wait()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::LOCK_LOST);
}

/// Whoever overtook this process holds the lock: asking again would be trying one's luck.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_said_to_be_lost_is_lost() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    world.lock().rollouts = [Rollout::InProgress { poll_after: LEASE }, Rollout::Settled].into();
    let engine = engine(FailsRenewals::with(&bench, 1, code::LOCK_LOST)).with_lease(LEASE).unwrap();
    let report =
        engine.with_deadline(Duration::from_secs(30)).ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::LOCK_LOST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_for_as_long_as_the_run_goes_on() {
    let bench = Bench::new();
    is_renewed(bench.engine(), &bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_soon_after_the_ledger_was_busy() {
    let bench = Bench::new();
    is_renewed(engine(FailsRenewals::busy(&bench, 2)), &bench).await;
}

/// Its handles need more of a runtime than timers.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_in_a_ledger_that_is_reached_over_the_network() {
    let bench = Bench::new();
    let renewed = is_renewed(engine(FailsRenewals::networked(&bench)), &bench);
    tokio::time::timeout(LEASE * 60, renewed).await.unwrap();
}

/// Those who wait may have taken the last connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_where_no_other_connection_is_to_be_had() {
    let bench = Bench::new();
    is_renewed(engine(FailsRenewals::alone(&bench)), &bench).await;
}

async fn is_renewed(engine: Engine, bench: &Bench) {
    let world = World::with_live("v1");
    let under_way = Rollout::InProgress { poll_after: LEASE };
    world.lock().rollouts = [under_way.clone(), under_way.clone(), under_way].into();
    world.lock().rollouts.push_back(Rollout::Settled);
    let engine = engine.with_lease(LEASE).unwrap().with_deadline(LEASE * 60);
    let running = engine.ship(&plain(&world), candidate("v2"));
    // After the second poll the first lease would be over.
    while world.lock().rollouts.len() > 1 {
        tokio::time::sleep(LEASE / 10).await;
    }
    let left = bench.state().await.lease_left;
    assert!(left.is_some_and(|left| !left.is_zero()), "{left:?}");
    let report = running.await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_waits_for_a_busy_ledger() {
    let report = taken_over(|bench| FailsRenewals::busy(bench, 2)).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_waits_for_a_holder_that_may_be_alive() {
    let report = taken_over(|bench| FailsRenewals::with(bench, 2, code::LOCK_HELD)).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_that_fails_for_good_is_not_tried_again() {
    let report = taken_over(|bench| FailsRenewals::with(bench, 1, code::LEDGER_ENTRY)).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::LEDGER_ENTRY);
}

/// Whoever holds it may have asked for a lease that ends in no calendar.
#[tokio::test]
async fn a_takeover_from_a_holder_with_an_endless_lease_waits() {
    let (ledger, world) = (Arc::new(MemoryLedger::new()), World::with_live("v1"));
    let engine = engine(Arc::clone(&ledger) as _);
    let (pipeline, run) = left(engine.clone(), &world).await;
    ledger.take_over(&Claim::new(target(), run, "somebody"), Duration::MAX).await.unwrap();
    let running = engine.resume(&pipeline, run);
    let interrupter = running.interrupter();
    let (report, ()) = tokio::join!(running.wait(), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        interrupter.interrupt();
    });
    assert_eq!(report.outcome, Outcome::Interrupted, "{report:?}");
}

/// What a resume comes to of a run that was left in the middle of its deploy.
async fn taken_over(ledger: impl FnOnce(&Bench) -> Arc<FailsRenewals>) -> RunReport {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let (pipeline, run) = left(bench.engine(), &world).await;
    engine(ledger(&bench)).resume(&pipeline, run).await
}

/// A run that was left in the middle of its deploy.
async fn left(engine: Engine, world: &World) -> (Pipeline, RunId) {
    world.lock().rollouts = [Rollout::InProgress { poll_after: LEASE }].into();
    let pipeline = Pipeline::to(TARGET)
        .deploy(fake(world))
        .rollback_with(Back(world.clone()))
        .on_interrupt(OnInterrupt::LeaveForResume)
        .build()
        .unwrap();
    let left = engine.ship(&pipeline, candidate("v2"));
    while world.writes().is_empty() {
        tokio::task::yield_now().await;
    }
    left.interrupter().interrupt();
    let left = left.await;
    assert_eq!(left.outcome, Outcome::Interrupted, "{left:?}");
    world.lock().rollouts.clear();
    (pipeline, left.run.unwrap())
}

/// A permit asks again for a lease that is too short, and for nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_permit_that_the_ledger_does_not_give_is_not_asked_for_again() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let engine = engine(FailsRenewals::refusing(&bench, "calling", code::LEDGER_ENTRY));
    let report = engine.ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert!(world.writes().is_empty(), "{report:?}");
}

/// Nothing was touched, and that is true whether or not it could be written down.
#[tokio::test]
async fn a_refusal_that_cannot_be_journalled_is_a_refusal_still() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let engine = engine(FailsRenewals::refusing(&bench, "closed", code::LEDGER_ENTRY));
    let pipeline = Pipeline::to(TARGET)
        .gate(enforced(gate("never", [Says::Fail])))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let report = engine.ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    let failure = report.failure.unwrap();
    assert_eq!(failure.code, code::GATE_FAILED);
    let causes = failure.causes.join("; ");
    assert!(causes.contains("the journal could not be written"), "{causes}");
}

/// The ledger writes the entry of a takeover, not the engine.
#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_is_told_as_all_that_is_journalled() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let (pipeline, run) = left(bench.engine(), &world).await;
    let before = bench.kinds().await.len();
    let (sender, told) = mpsc::channel();
    let report = bench.engine().reporter(Tells(sender)).resume(&pipeline, run).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let journalled = bench.kinds().await.split_off(before);
    assert_eq!(journalled.first(), Some(&"resumed"));
    let told: Vec<_> = told.try_iter().filter(|told| journalled.contains(&&**told)).collect();
    assert_eq!(told, journalled);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_the_queue_is_told_behind_whom() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let holder = Claim::new(target(), RunId::generate(), "the holder");
    bench.ledger.enqueue(&holder).await.unwrap();
    bench.ledger.acquire(&holder, Duration::from_secs(60)).await.unwrap();
    let (sender, told) = mpsc::channel();
    let engine = bench.engine().reporter(Tells(sender)).with_queue_timeout(LEASE);
    let report = engine.ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Waiting, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::QUEUE_TIMEOUT);
    let told: Vec<_> = told.try_iter().filter(|message| message.contains("the holder")).collect();
    assert_eq!(told.len(), 1, "once, as nothing has changed since: {told:?}");
}

/// A ledger that knows nothing of others' doings.
#[tokio::test]
async fn a_waiter_asks_again_soon_but_not_at_once() {
    let bench = Bench::new();
    let claim = Claim::new(target(), RunId::generate(), "a waiter");
    let waits = async |longest| {
        let since = Instant::now();
        FailsRenewals::busy(&bench, 0).wait_for_turn(&claim, longest).await;
        since.elapsed()
    };
    let waited = waits(Duration::from_secs(60)).await;
    assert!(waited >= Duration::from_millis(100), "{waited:?}");
    assert!(waited < Duration::from_secs(30), "{waited:?}");
    assert!(waits(Duration::from_millis(20)).await >= Duration::from_millis(20));
}
