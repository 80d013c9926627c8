//! Killed holders, lost locks, interrupts: no false success, no lost target.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::{Body, Entry, Guard, LockState};
use gatekit_core::{OnInterrupt, Outcome, Pipeline, Rollout, code, enforced};
use tokio::sync::Notify;

use crate::ledgers::{FailsRenewals, audit, failing};
use crate::world::*;

fn verified(world: &World, says: Says) -> Pipeline {
    Pipeline::to(TARGET)
        .gate(enforced(gate("before", [Says::Pass])))
        .deploy(fake(world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(gate("after", [says])))
        .build()
        .unwrap()
}

/// The ledger goes away at every append in turn, and at every append of the resume that follows:
/// a holder that died there. What the next one finds must come to a true end.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_at_any_append_comes_to_a_true_end() {
    for says in [Says::Pass, Says::Fail] {
        let mut paths = 0;
        for first in 1.. {
            let (bench, world, died) = die(&says, first).await;
            if !died {
                break;
            }
            paths += 1;
            come_to_an_end(&bench, &world, &says, (first, 0)).await;
            for second in 1.. {
                let (bench, world, _) = die(&says, first).await;
                if !resume_dies(&bench, &verified(&world, says.clone()), second).await {
                    break;
                }
                paths += 1;
                come_to_an_end(&bench, &world, &says, (first, second)).await;
            }
        }
        assert!(paths > 40, "{paths} paths");
    }
}

/// Ships until the ledger goes away; tells whether it did.
async fn die(says: &Says, at: usize) -> (Bench, World, bool) {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let ledger = failing(&bench, at);
    let report = engine(Arc::clone(&ledger) as _)
        .ship(&verified(&world, says.clone()), candidate("v2"))
        .await;
    let died = ledger.dead().is_err();
    if died {
        assert!(!matches!(report.outcome, Outcome::Released | Outcome::RolledBack), "{report:?}");
        bench.leases_lapse();
    }
    (bench, world, died)
}

/// Resumes until the ledger goes away again; tells whether it did.
async fn resume_dies(bench: &Bench, pipeline: &Pipeline, at: usize) -> bool {
    let ledger = failing(bench, at);
    let engine = engine(Arc::clone(&ledger) as _);
    if let Some(run) = bench.last_opened().await {
        let report = engine.resume(pipeline, run).await;
        if ledger.dead().is_err() {
            let ended = matches!(report.outcome, Outcome::Released | Outcome::RolledBack);
            assert!(!ended, "{report:?}");
            bench.leases_lapse();
            return true;
        }
    }
    false
}

async fn come_to_an_end(bench: &Bench, world: &World, says: &Says, at: (usize, usize)) {
    let engine = bench.engine();
    let outcome = match bench.last_opened().await {
        Some(run) => {
            let report = engine.resume(&verified(world, says.clone()), run).await;
            report.outcome
        }
        None => Outcome::Unchanged,
    };
    let state = bench.state().await;
    assert_eq!(state.state, LockState::Free, "{at:?}: {outcome:?}");
    match (outcome, says) {
        (Outcome::Released, Says::Pass) => assert_eq!(world.live(), "v2", "{at:?}"),
        (Outcome::RolledBack, Says::Fail) => assert_eq!(world.live(), "v1", "{at:?}"),
        // It died before it was opened.
        (Outcome::Unchanged, _) => assert!(bench.kinds().await.is_empty(), "{at:?}"),
        other => panic!("{at:?}: {other:?} {:?}", bench.bodies().await),
    }
    audit(bench, &[world]).await;
}

/// Design §8.2: a holder that was overtaken while it slept cannot write.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_does_not_write() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let (waiting, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    world.lock().apply = Apply::WaitsBeforePermit(Arc::clone(&waiting), Arc::clone(&go_on));
    // Its keeper renews through a ledger that is already gone, as if the process were stopped.
    let ledger = FailsRenewals::hanging(&bench);
    let lease = Duration::from_millis(400);
    let zombie = engine(ledger).with_lease(lease).unwrap().ship(&plain(&world), candidate("v2"));
    waiting.notified().await;
    let run = zombie.run();
    tokio::time::sleep(lease * 2).await;
    world.lock().apply = Apply::Lands;
    let report = bench.engine().resume(&plain(&world), run).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let written = world.writes();
    go_on.notify_one();
    let report = zombie.await;
    assert_eq!(report.outcome, Outcome::Stuck);
    assert_eq!(report.failure.unwrap().code, code::LOCK_LOST);
    assert_eq!(world.writes(), written, "the zombie wrote");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_run_cannot_resume_a_suspect_target_and_ships_are_refused() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let suspect = suspect(&bench, &world).await;
    let report = bench.engine().ship(&plain(&world), candidate("v3")).await;
    assert_eq!(report.failure.as_ref().unwrap().code, code::LOCK_SUSPECT);
    assert_eq!(report.outcome.exit_code(), 4);
    let report = bench.engine().resume(&plain(&world), report.run.unwrap()).await;
    assert_eq!((report.outcome, code_of(&report)), (Outcome::Stuck, Some("resume.nothing")));
    assert_eq!(bench.state().await.run, Some(suspect));
}

/// A run that was interrupted after it had touched the target, and left.
async fn suspect(bench: &Bench, world: &World) -> gatekit_core::RunId {
    world.lock().rollouts = [Rollout::InProgress { poll_after: Duration::from_millis(10) }].into();
    let pipeline = leaving(world);
    let running = bench.engine().ship(&pipeline, candidate("v2"));
    let (run, interrupter) = (running.run(), running.interrupter());
    while world.live() != "v2" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    interrupter.interrupt();
    let report = running.await;
    assert_eq!(report.outcome, Outcome::Interrupted, "{report:?}");
    assert_eq!(report.outcome.exit_code(), 130);
    assert_eq!(bench.state().await.state, LockState::Suspect);
    world.lock().rollouts.clear();
    run
}

fn leaving(world: &World) -> Pipeline {
    Pipeline::to(TARGET)
        .on_interrupt(OnInterrupt::LeaveForResume)
        .deploy(fake(world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_that_was_left_is_resumed_at_once() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let run = suspect(&bench, &world).await;
    let report = bench.engine().resume(&plain(&world), run).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(world.writes(), ["fake:v2"], "its own effect was found, not repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_unwinds_what_was_begun() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    world.lock().rollouts = [Rollout::InProgress { poll_after: Duration::from_millis(10) }].into();
    let pipeline = Pipeline::to(TARGET)
        .on_interrupt(OnInterrupt::Unwind)
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let running = bench.engine().ship(&pipeline, candidate("v2"));
    let interrupter = running.interrupter();
    while world.live() != "v2" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    interrupter.interrupt();
    let report = running.await;
    assert_eq!(report.outcome, Outcome::RolledBack);
    assert_eq!(report.failure.unwrap().code, code::RUN_INTERRUPTED);
    assert_eq!(world.live(), "v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_before_anything_is_touched_just_stops_and_can_be_resumed() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let slow = gate("slow", [Says::Hangs, Says::Pass]);
    let hangs = Pipeline::to(TARGET)
        .gate(enforced(slow.clone()))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let running = bench.engine().ship(&hangs, candidate("v2"));
    let run = running.run();
    while slow.times() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.interrupter().interrupt();
    let report = running.await;
    assert_eq!(report.outcome, Outcome::Interrupted);
    assert!(world.writes().is_empty());
    assert_eq!(bench.state().await.state, LockState::Free);
    let report = bench.engine().resume(&hangs, run).await;
    assert_eq!(report.outcome, Outcome::Released);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_handle_drops_no_apply() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let (waiting, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    world.lock().apply = Apply::WaitsBeforePermit(Arc::clone(&waiting), Arc::clone(&go_on));
    let running = bench.engine().ship(&plain(&world), candidate("v2"));
    waiting.notified().await;
    drop(running);
    go_on.notify_one();
    while bench.kinds().await.last() != Some(&"closed") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.live(), "v2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_answers_at_once_and_leaves_the_journal_as_it_is() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let (waiting, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    world.lock().apply = Apply::WaitsBeforePermit(Arc::clone(&waiting), Arc::clone(&go_on));
    let engine = bench.engine().with_lease(Duration::from_millis(900)).unwrap();
    let running = engine.ship(&plain(&world), candidate("v2"));
    waiting.notified().await;
    running.interrupter().interrupt();
    running.interrupter().interrupt();
    let report = running.await;
    assert_eq!(report.outcome, Outcome::Interrupted);
    assert_eq!(bench.kinds().await.last(), Some(&"applying"));
    assert_eq!(bench.state().await.state, LockState::Mutating, "the call is still in flight");
    go_on.notify_one();
    let lapses = async {
        while bench.state().await.state != LockState::Suspect {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), lapses).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_pipeline_cannot_resume_but_can_still_be_rolled_back() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let run = suspect(&bench, &world).await;
    let other = verified(&world, Says::Pass);
    let report = bench.engine().resume(&other, run).await;
    assert_eq!(report.failure.unwrap().code, code::RESUME_FINGERPRINT);
    assert_eq!(report.outcome, Outcome::Stuck);
    let decision = Some(gatekit_core::ledger::Decision::RollBack);
    let report = bench.engine().reconcile(&other, run, decision, "another build").await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert_eq!(world.live(), "v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_entries_of_a_newer_build_is_left_to_that_build() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let run = suspect(&bench, &world).await;
    let fence = bench.state().await.fence;
    // What an older build reads of a newer one's entry.
    let unknown = |fence| Entry::new(target(), run, "newer", Some(fence), Body::Unknown);
    let guard = Guard::Holder { run, fence, lease_left: Duration::ZERO };
    let refused = bench.ledger.append(&target(), &unknown(fence), guard).await;
    assert!(refused.is_err(), "nobody holds it");
    let claim = gatekit_core::ledger::Claim::new(target(), run, "newer");
    let hold = bench.ledger.take_over(&claim, Duration::from_millis(300)).await.unwrap();
    let guard = Guard::Holder { run, fence: hold.fence, lease_left: Duration::ZERO };
    bench.ledger.append(&target(), &unknown(hold.fence), guard).await.unwrap();
    bench.leases_lapse();
    let report = bench.engine().resume(&leaving(&world), run).await;
    assert_eq!(report.failure.unwrap().code, code::RESUME_NEWER);
    assert_eq!(bench.state().await.state, LockState::Suspect);
}

/// Two people resume one parked run at the same moment: it goes on once, and neither of them writes
/// an end into a run that the other is carrying on.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_resumed_twice_at_once_goes_on_once() {
    for _ in 0..10 {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        let pipeline = Pipeline::to(TARGET)
            .gate(enforced(gate("approval", [Says::Wait, Says::Pass])))
            .deploy(fake(&world))
            .rollback_with(Back(world.clone()))
            .build()
            .unwrap();
        let run = bench.engine().ship(&pipeline, candidate("v2")).await.run.unwrap();
        let (one, two) = (bench.engine(), bench.engine());
        let (one, two) = (one.resume(&pipeline, run), two.resume(&pipeline, run));
        let (one, two) = tokio::join!(one.wait(), two.wait());
        let released = [&one, &two].iter().filter(|it| it.outcome == Outcome::Released).count();
        assert!(released >= 1, "{one:?}\n{two:?}");
        assert_eq!(world.writes(), ["fake:v2"]);
        assert_eq!(bench.state().await.state, LockState::Free);
        let again = bench.engine().resume(&pipeline, run).await;
        assert_eq!(again.outcome, Outcome::Unchanged, "{again:?}");
        let pending = bench.engine().pending(&target()).await.unwrap();
        assert!(pending.is_none(), "{pending:?}");
    }
}

/// The rejection was journalled, and the process died before it could unwind: the rollout may look
/// settled by the time somebody resumes.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_rejected_at_a_pause_is_unwound_by_a_resume() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    world.lock().rollouts = [Rollout::Paused(gatekit_core::Pause::at("hook"))].into();
    // opened, granted, applying, calling, applied, answered: the next append finds no ledger.
    let ledger = failing(&bench, 7);
    let report = engine(Arc::clone(&ledger) as _).ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert_eq!(bench.kinds().await.last(), Some(&"answered"));
    bench.leases_lapse();
    world.lock().rollouts = [Rollout::Settled].into();
    let report = bench.engine().resume(&plain(&world), report.run.unwrap()).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::DEPLOY_PAUSE_REJECTED);
    assert_eq!(world.live(), "v1");
}

/// Planning and asking gates needs no lock and no ticket: the journal tells that somebody is at it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_still_at_its_gates_is_not_pending() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let hangs = Pipeline::to(TARGET)
        .gate(enforced(gate("slow", [Says::Hangs])))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let running = bench.engine().ship(&hangs, candidate("v2"));
    while bench.last_opened().await.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(bench.engine().pending(&target()).await.unwrap().is_none());
    running.interrupter().interrupt();
    assert_eq!(running.await.outcome, Outcome::Interrupted);
    assert!(bench.engine().pending(&target()).await.unwrap().is_some(), "it was left");
}

/// Nobody looked at the second change under the lock but the process that died.
#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_run_begins_no_change_that_could_not_be_undone() {
    let (bench, one, two) = (Bench::new(), World::with_live("v1"), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .deploy(fake(&one))
        .rollback_with(Back(one.clone()))
        .deploy(Fake { id: "second", world: two.clone() })
        .rollback_with(Back(two.clone()))
        .build()
        .unwrap();
    // opened, granted, applying, calling, applied, settled: the next append finds no ledger.
    let report = engine(failing(&bench, 7) as _).ship(&pipeline, candidate("v2")).await;
    assert_eq!(bench.kinds().await.last(), Some(&"settled"), "{report:?}");
    bench.leases_lapse();
    two.lock().one_way = Some("drops a table".into());
    let report = bench.engine().resume(&pipeline, report.run.unwrap()).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::ROLLBACK_ONE_WAY);
    assert!(two.writes().is_empty());
    assert_eq!((one.live(), two.live()), ("v1".into(), "v1".into()));
}
