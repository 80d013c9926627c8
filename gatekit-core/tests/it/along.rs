//! Targets that a pipeline locks along with its own.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::{Body, Decision, LockState};
use gatekit_core::{
    Action, Outcome, Pipeline, PipelineBuilder, RunReport, TargetName, code, enforced,
};
use tokio::sync::Notify;

use crate::ledgers::{LocksLess, failing};
use crate::world::*;

fn along() -> TargetName {
    TargetName::new(ALONG).unwrap()
}

/// An application that is released together with a database.
fn with_db(world: &World) -> Pipeline {
    Pipeline::to(TARGET)
        .also_lock([ALONG])
        .deploy(fake(world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(gate("after", [Says::Pass])))
        .build()
        .unwrap()
}

/// The database alone.
fn db_alone(world: &World) -> Pipeline {
    Pipeline::to(ALONG).deploy(fake(world)).rollback_with(Back(world.clone())).build().unwrap()
}

/// The entries of the database's journal.
async fn db_bodies(bench: &Bench) -> Vec<Body> {
    let records = bench.ledger.read(&along(), 0, 100).await.unwrap();
    records.iter().map(|record| record.decode().unwrap().body).collect()
}

/// The database's journal leads to the entry of the run's journal after which the run touched it.
async fn points(bench: &Bench, times: usize) {
    let records = bench.ledger.read(&target(), 0, 100).await.unwrap();
    let bodies = db_bodies(bench).await;
    let heads = bodies.iter().filter_map(|body| match body {
        Body::LockedAlong { with, head } if *with == target() => Some(head),
        _ => None,
    });
    let before: Vec<_> = heads
        .map(|head| {
            let record = &records[usize::try_from(head.seq).unwrap() - 1];
            assert_eq!(record.hash, head.hash);
            record.decode().unwrap().body.kind()
        })
        .collect();
    assert_eq!(before.len(), times, "{bodies:?}");
    assert!(before.iter().all(|kind| ["granted", "resumed"].contains(kind)), "{before:?}");
}

#[tokio::test]
async fn nobody_ships_to_a_target_that_a_run_has_locked_along() {
    let (bench, world, db) = (Bench::new(), World::with_live("v1"), World::with_live("d1"));
    let shipped = bench.engine().ship(&db_alone(&db), candidate("d2")).await;
    assert_eq!(shipped.outcome, Outcome::Released, "{shipped:?}");
    let (waits, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    world.lock().apply = Apply::WaitsBeforePermit(Arc::clone(&waits), Arc::clone(&go_on));
    let ship = bench.engine().ship(&with_db(&world), candidate("v2"));
    waits.notified().await;
    let state = bench.ledger.state(&along()).await.unwrap();
    let told = (state.state, state.run, state.along_with);
    assert_eq!(told, (LockState::Mutating, Some(ship.run()), Some(target())));
    points(&bench, 1).await;

    let impatient = bench.engine().with_queue_timeout(Duration::ZERO);
    let parked = impatient.ship(&db_alone(&db), candidate("d3")).await;
    assert_eq!(parked.outcome, Outcome::Waiting, "{parked:?}");
    let failure = parked.failure.unwrap();
    assert!(
        failure.to_string().contains(&ship.run().to_string()),
        "it names the holder: {failure}"
    );
    assert_eq!(db.live(), "d2");

    go_on.notify_one();
    let report = ship.await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let fences = world.lock().along.clone();
    assert_eq!(fences, [state.fence], "the deployer is told the fence of the other target");
    assert!(Some(state.fence) != report.fence, "which is its own: {report:?}");
    let report = bench.engine().resume(&db_alone(&db), parked.run.unwrap()).await;
    assert_eq!((report.outcome, db.live()), (Outcome::Released, "d3".into()), "{report:?}");
}

/// What the pipeline of the database tells of a run that is not its own.
fn is_sent_to_the_application(report: &RunReport) {
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    let failure = report.failure.as_ref().unwrap();
    assert_eq!(failure.code, code::LOCK_SUSPECT);
    assert!(failure.to_string().contains(TARGET), "{failure}");
    assert!(failure.next.iter().any(|next| sends_to_the_application(&next.action)), "{failure:?}");
}

fn sends_to_the_application(action: &Action) -> bool {
    matches!(action, Action::Outside(what) if what.contains(TARGET))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_locked_along_is_suspect_until_the_run_is_settled_where_it_belongs() {
    for resumes in [true, false] {
        let (bench, world, db) = (Bench::new(), World::with_live("v1"), World::with_live("d1"));
        // Opened, granted, locked along, applying, calling: the receipt finds no ledger.
        let died = engine(failing(&bench, 6) as _).ship(&with_db(&world), candidate("v2")).await;
        assert_eq!((died.outcome, world.live()), (Outcome::Stuck, "v2".into()), "{died:?}");
        let run = died.run.unwrap();
        bench.leases_lapse();
        let state = bench.ledger.state(&along()).await.unwrap();
        assert_eq!((state.state, state.run), (LockState::Suspect, Some(run)));

        is_sent_to_the_application(&bench.engine().ship(&db_alone(&db), candidate("d2")).await);
        let report = bench.engine().reconcile(&db_alone(&db), run, None, "").await;
        is_sent_to_the_application(&report);
        let override_it = Some(Decision::Override);
        let report = bench.engine().reconcile(&db_alone(&db), run, override_it, "why").await;
        is_sent_to_the_application(&report);
        assert!(bench.engine().pending(&along()).await.unwrap().is_none(), "nothing of its own");
        let preview = bench.engine().preview(&db_alone(&db), candidate("d2"), false).await.unwrap();
        assert_eq!(preview.stop.unwrap().0, Outcome::Stuck);
        let report = bench.engine().resume(&db_alone(&db), run).await;
        let failure = report.failure.unwrap();
        let told = (report.outcome, &failure.code);
        assert_eq!(
            told,
            (Outcome::Stuck, &code::RESUME_ELSEWHERE),
            "it may have touched the database"
        );
        assert!(
            failure.next.iter().any(|next| sends_to_the_application(&next.action)),
            "{failure:?}"
        );
        assert!(db.writes().is_empty());

        let pending = bench.engine().pending(&target()).await.unwrap().unwrap();
        assert_eq!((pending.run, pending.touched), (run, true));
        let report = if resumes {
            bench.engine().resume(&with_db(&world), run).await
        } else {
            let roll_back = Some(Decision::RollBack);
            bench.engine().reconcile(&with_db(&world), run, roll_back, "why").await
        };
        let expected = if resumes { Outcome::Released } else { Outcome::RolledBack };
        assert_eq!(report.outcome, expected, "{report:?}");
        points(&bench, 2).await;
        let report = bench.engine().ship(&db_alone(&db), candidate("d2")).await;
        assert_eq!((report.outcome, db.live()), (Outcome::Released, "d2".into()), "{report:?}");
    }
}

#[tokio::test]
async fn the_run_of_one_pipeline_is_settled_by_another_that_locks_less() {
    let (bench, world, db) = (Bench::new(), World::with_live("v1"), World::with_live("d1"));
    let died = engine(failing(&bench, 6) as _).ship(&with_db(&world), candidate("v2")).await;
    bench.leases_lapse();
    let run = died.run.unwrap();
    let report = bench.engine().resume(&plain(&world), run).await;
    assert_eq!(report.failure.unwrap().code, code::RESUME_FINGERPRINT, "it is another pipeline");
    let override_it = Some(Decision::Override);
    let report = bench.engine().reconcile(&plain(&world), run, override_it, "why").await;
    assert_eq!(report.outcome, Outcome::Overridden, "{report:?}");
    let report = bench.engine().ship(&db_alone(&db), candidate("d2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
}

#[tokio::test]
async fn a_rollback_locks_along_what_the_ship_did() {
    let (bench, world) = (Bench::new(), World::with_live("v0"));
    for version in ["v1", "v2"] {
        let report = bench.engine().ship(&with_db(&world), candidate(version)).await;
        assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    }
    let report = bench.engine().roll_back(&with_db(&world), None, "why").await;
    assert_eq!((report.outcome, world.live()), (Outcome::Released, "v1".into()), "{report:?}");
    points(&bench, 3).await;
}

/// What the undone run had locked along is touched again, although the pipeline locks less by now.
#[tokio::test]
async fn a_rollback_by_a_pipeline_that_locks_less_locks_what_the_ship_had() {
    let (bench, world, db) = (Bench::new(), World::with_live("v0"), World::with_live("d1"));
    for version in ["v1", "v2"] {
        let report = bench.engine().ship(&with_db(&world), candidate(version)).await;
        assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    }
    let (waits, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    db.lock().apply = Apply::WaitsBeforePermit(Arc::clone(&waits), Arc::clone(&go_on));
    let ship = bench.engine().ship(&db_alone(&db), candidate("d2"));
    waits.notified().await;
    let impatient = bench.engine().with_queue_timeout(Duration::ZERO);
    let report = impatient.roll_back(&plain(&world), None, "why").await;
    assert_eq!((report.outcome, world.live()), (Outcome::Waiting, "v2".into()), "{report:?}");
    go_on.notify_one();
    assert_eq!(ship.await.outcome, Outcome::Released);
    let report = bench.engine().resume(&plain(&world), report.run.unwrap()).await;
    assert_eq!((report.outcome, world.live()), (Outcome::Released, "v1".into()), "{report:?}");
    points(&bench, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_its_own_waits_until_what_is_locked_along_is_settled() {
    let (bench, world, db) = (Bench::new(), World::with_live("v1"), World::with_live("d1"));
    let asks = gate("window", [Says::Wait, Says::Pass]);
    let gated = Pipeline::to(ALONG).gate(enforced(asks)).deploy(fake(&db));
    let gated = gated.rollback_with(Back(db.clone())).build().unwrap();
    let parked = bench.engine().ship(&gated, candidate("d2")).await;
    assert_eq!(parked.outcome, Outcome::Waiting, "{parked:?}");
    let died = engine(failing(&bench, 6) as _).ship(&with_db(&world), candidate("v2")).await;
    bench.leases_lapse();
    let pending = bench.engine().pending(&along()).await.unwrap();
    assert!(pending.is_none(), "it would meet the suspect target, and end: {pending:?}");
    let report = bench.engine().resume(&with_db(&world), died.run.unwrap()).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let pending = bench.engine().pending(&along()).await.unwrap().unwrap();
    let report = bench.engine().resume(&gated, pending.run).await;
    assert_eq!((report.outcome, db.live()), (Outcome::Released, "d2".into()), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shipped_while_what_is_to_be_locked_along_is_suspect() {
    let (bench, world, db) = (Bench::new(), World::with_live("v1"), World::with_live("d1"));
    let died = engine(failing(&bench, 5) as _).ship(&db_alone(&db), candidate("d2")).await;
    assert_eq!((died.outcome, db.live()), (Outcome::Stuck, "d2".into()), "{died:?}");
    bench.leases_lapse();
    let preview = bench.engine().preview(&with_db(&world), candidate("v2"), false).await.unwrap();
    let report = bench.engine().ship(&with_db(&world), candidate("v2")).await;
    for (outcome, failure) in [preview.stop.unwrap(), (report.outcome, report.failure.unwrap())] {
        assert_eq!((outcome, &failure.code), (Outcome::Stuck, &code::LOCK_SUSPECT));
        assert!(failure.to_string().contains(ALONG), "{failure}");
    }
    assert!(world.writes().is_empty());
}

/// As a ledger of somebody else may, that was made before there was such a claim.
#[tokio::test]
async fn a_ledger_that_does_not_lock_what_is_claimed_ships_nothing() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let ledger = Arc::new(LocksLess(Arc::clone(&bench.ledger)));
    let report = engine(ledger).ship(&with_db(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Failed, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::LEDGER_GUARD);
    assert!(world.writes().is_empty());
    assert_eq!(bench.state().await.state, LockState::Free);
}

#[test]
fn what_is_locked_along_is_part_of_the_fingerprint_and_never_the_target_itself() {
    let world = World::default();
    let built = |more: &[&str]| {
        let builder: PipelineBuilder<_> = Pipeline::to(TARGET).also_lock(more.iter().copied());
        builder.deploy(fake(&world)).rollback_with(Back(world.clone())).build()
    };
    let fingerprint = |more: &[&str]| built(more).unwrap().fingerprint().clone();
    assert_eq!(fingerprint(&[]), *plain(&world).fingerprint());
    assert_ne!(fingerprint(&[ALONG]), fingerprint(&[]));
    assert_eq!(fingerprint(&[ALONG, "a"]), fingerprint(&["a", ALONG, "a"]), "a set");
    assert_eq!(*built(&[TARGET]).unwrap_err().code(), code::CONFIG_PIPELINE);
    assert_eq!(*built(&["no name"]).unwrap_err().code(), code::CONFIG_NAME);
}
