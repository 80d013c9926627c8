//! Shipping: what counts as a success, and what does not.

use std::time::Duration;

use gatekit_core::ledger::LockState;
use gatekit_core::{
    Go, Live, Location, Outcome, Pause, Pipeline, Rollout, advisory, code, enforced,
};

use crate::world::*;

#[tokio::test]
async fn a_candidate_that_is_live_and_verified_is_released() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .gate(enforced(gate("before", [Says::Pass])))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(gate("after", [Says::Pass])))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(report.live, Some(Live::new("v2", Some("v2".into()))));
    assert_eq!(report.failure, None);
    assert_eq!(world.writes(), ["fake:v2"]);
    assert_eq!(bench.state().await.state, LockState::Free);
    assert_eq!(
        bench.kinds().await,
        [
            "opened", "verdict", "granted", "applying", "calling", "applied", "settled", "verdict",
            "closed"
        ],
    );
}

#[tokio::test]
async fn what_was_live_already_stays_when_the_rest_is_undone() {
    let (bench, there, new) = (Bench::new(), World::with_live("v2"), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .deploy(Fake { id: "there", world: there.clone() })
        .rollback_with(Back(there.clone()))
        .deploy(Fake { id: "new", world: new.clone() })
        .rollback_with(Back(new.clone()))
        .verify(enforced(gate("after", [Says::Fail])))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert_eq!((there.live().as_str(), new.live().as_str()), ("v2", "v1"));
    assert!(there.writes().is_empty());
}

#[tokio::test]
async fn what_is_live_already_is_unchanged_and_not_written_again() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let report = bench.engine().ship(&plain(&world), candidate("v1")).await;
    assert_eq!(report.outcome, Outcome::Unchanged);
    assert_eq!(report.outcome.exit_code(), 0);
    assert!(world.writes().is_empty());
    assert_eq!(bench.kinds().await, ["opened", "granted", "settled", "closed"]);
}

#[tokio::test]
async fn unchanged_but_not_verified_is_refused() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(gate("after", [Says::Fail])))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v1")).await;
    assert_eq!(report.outcome, Outcome::Refused);
    assert_eq!(report.failure.unwrap().code, code::VERIFY_FAILED);
    assert!(world.writes().is_empty(), "nothing begun, nothing undone");
}

#[tokio::test]
async fn an_enforced_gate_that_does_not_pass_refuses_before_anything_is_touched() {
    for (says, expected) in [
        (Says::Fail, code::GATE_FAILED),
        (Says::Inconclusive, code::GATE_INCONCLUSIVE),
        (Says::Errs, code::GATE_INCONCLUSIVE),
        (Says::Panics, code::GATE_INCONCLUSIVE),
    ] {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        let pipeline = Pipeline::to(TARGET)
            .gates([
                enforced(gate("one", [Says::Pass])),
                enforced(gate("two", [says.clone()])),
                advisory(gate("three", [Says::Fail])),
            ])
            .deploy(fake(&world))
            .rollback_with(Back(world.clone()))
            .build()
            .unwrap();
        let report = bench.engine().ship(&pipeline, candidate("v2")).await;
        assert_eq!(report.outcome, Outcome::Refused, "{says:?}");
        assert_eq!(report.failure.unwrap().code, expected, "{says:?}");
        assert!(world.writes().is_empty());
        assert_eq!(report.fence, None, "nobody holds a lock for a gate");
    }
}

#[tokio::test]
async fn a_gate_that_hangs_is_inconclusive_at_the_deadline() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .gate(enforced(gate("hangs", [Says::Hangs])))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let engine = bench.engine().with_deadline(Duration::from_millis(100));
    let report = engine.ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Refused);
    let failure = report.failure.unwrap();
    assert_eq!(failure.code, code::GATE_INCONCLUSIVE);
    assert!(failure.to_string().contains(code::GATE_DEADLINE.as_str()), "{failure}");
}

#[tokio::test]
async fn an_advisory_gate_stops_nothing() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .gate(advisory(gate("one", [Says::Fail])))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .verify(advisory(gate("two", [Says::Errs])))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released);
    assert_eq!(bench.kinds().await.iter().filter(|kind| **kind == "verdict").count(), 2);
}

#[tokio::test]
async fn a_gate_that_says_wait_parks_and_resume_goes_on() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .gate(enforced(gate("approval", [Says::Wait, Says::Pass])))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Waiting);
    assert_eq!(report.outcome.exit_code(), 75);
    assert_eq!(bench.state().await.state, LockState::Free, "nobody holds a lock while waiting");
    let pending = bench.engine().pending(&target()).await.unwrap().unwrap();
    assert_eq!((Some(pending.run), pending.touched), (report.run, false));
    let report = bench.engine().resume(&pipeline, pending.run).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert!(bench.engine().pending(&target()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_verify_gate_that_says_wait_is_asked_again() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let warms_up = gate("warm", [Says::Wait, Says::Pass]);
    let pipeline = Pipeline::to(TARGET)
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(warms_up.clone()))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(warms_up.times(), 2);
}

#[tokio::test]
async fn a_verify_gate_that_never_stops_to_wait_is_inconclusive_at_the_deadline() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(gate("cold", [Says::Wait])))
        .build()
        .unwrap();
    let engine = bench.engine().with_deadline(Duration::from_secs(2));
    let report = engine.ship(&pipeline, candidate("v2")).await;
    assert_eq!((report.outcome, world.live()), (Outcome::RolledBack, "v1".to_owned()));
    let failure = report.failure.unwrap();
    assert_eq!(failure.code, code::VERIFY_FAILED);
    assert!(failure.to_string().contains("inconclusive"), "{failure} {failure:?}");
}

#[tokio::test]
async fn aged_evidence_is_asked_for_again_under_the_lock_and_bound_evidence_is_not() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let ages = gate("ages", [Says::Pass, Says::Fail]).ageing();
    let bound = gate("bound", [Says::Pass]);
    let pipeline = Pipeline::to(TARGET)
        .gates([enforced(ages.clone()), enforced(bound.clone())])
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Refused);
    assert_eq!((ages.times(), bound.times()), (2, 1));
    assert!(world.writes().is_empty());
    assert_eq!(bench.state().await.state, LockState::Free);
}

#[tokio::test]
async fn a_wait_under_the_lock_gives_the_lock_back() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .gate(enforced(gate("window", [Says::Pass, Says::Wait, Says::Pass]).ageing()))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Waiting, "{report:?}");
    let state = bench.state().await;
    assert_eq!((state.state, state.queue.len()), (LockState::Free, 0));
    let report = bench.engine().resume(&pipeline, report.run.unwrap()).await;
    assert_eq!(report.outcome, Outcome::Released);
}

#[tokio::test]
async fn another_scope_under_the_lock_is_refused() {
    #[derive(Debug)]
    struct Moves(World);
    #[async_trait::async_trait]
    impl gatekit_core::Gate for Moves {
        fn id(&self) -> gatekit_core::StageId {
            gatekit_core::StageId::new("moves").unwrap()
        }
        fn describe(&self) -> serde_json::Value {
            serde_json::Value::Null
        }
        async fn check(
            &self,
            _: &gatekit_core::PlanContext,
        ) -> gatekit_core::Result<gatekit_core::Verdict> {
            self.0.lock().scope_salt += 1;
            let seen = gatekit_core::Evidence::read("t", b"x", serde_json::Value::Null);
            Ok(gatekit_core::Verdict::pass([seen]))
        }
    }
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .gate(enforced(Moves(world.clone())))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Refused);
    assert_eq!(report.failure.unwrap().code, code::PLAN_CHANGED);
    assert!(world.writes().is_empty());
}

#[tokio::test]
async fn one_way_under_rollback_with_is_refused_before_the_first_write() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    world.lock().one_way = Some("drops a table".into());
    let report = bench.engine().ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Refused);
    assert_eq!(report.failure.unwrap().code, code::ROLLBACK_ONE_WAY);
    assert!(world.writes().is_empty());
    assert!(!bench.kinds().await.contains(&"applying"));
}

/// Design §8.1: each of these is a "success" that scripts report.
#[tokio::test]
async fn no_rollout_that_went_wrong_is_a_success() {
    let cases = [
        (Rollout::Failed("why".into()), code::DEPLOY_FAILED),
        (
            Rollout::RolledBack { by: "breaker".into(), why: "unhealthy".into() },
            code::DEPLOY_ROLLED_BACK,
        ),
        (Rollout::Superseded { by: "someone".into() }, code::DEPLOY_SUPERSEDED),
        (Rollout::NothingRan, code::DEPLOY_NOTHING_RAN),
        (Rollout::InProgress { poll_after: Duration::ZERO }, code::DEPLOY_DEADLINE),
        (Rollout::Settled, code::DEPLOY_NOT_LIVE),
    ];
    for (rollout, expected) in cases {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        world.lock().rollouts = [rollout.clone()].into();
        // Whatever the rollout says, the old release is what is live.
        world.lock().located = Some(Location::Before);
        let engine = bench.engine().with_deadline(Duration::from_millis(300));
        let report = engine.ship(&plain(&world), candidate("v2")).await;
        assert_eq!(report.outcome, Outcome::RolledBack, "{rollout:?}");
        assert_eq!(report.failure.unwrap().code, expected, "{rollout:?}");
    }
}

/// The mirror image: a good release is not a failure because its rollout was slow to say so.
#[tokio::test]
async fn a_release_that_is_live_is_released_however_gloomy_its_rollout_was() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    world.lock().rollouts = [Rollout::Failed("a stale read".into())].into();
    let report = bench.engine().ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released);
    assert_eq!(world.live(), "v2");
}

#[tokio::test]
async fn somebody_elses_release_is_neither_a_success_nor_touched() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    world.lock().located = Some(Location::Elsewhere(Live::new("theirs", None)));
    let report = bench.engine().ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Stuck);
    assert_eq!(report.failure.unwrap().code, code::ROLLBACK_ELSEWHERE);
    assert_eq!(world.writes(), ["fake:v2"], "no write back over their release");
    assert_eq!(bench.state().await.state, LockState::Suspect);
}

#[tokio::test]
async fn a_failed_write_is_judged_by_where_the_target_stands() {
    for (apply, live_after) in
        [(Apply::Refuses, "v1"), (Apply::LosesAnswer, "v1"), (Apply::Panics, "v1")]
    {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        world.lock().apply = apply.clone();
        let report = bench.engine().ship(&plain(&world), candidate("v2")).await;
        assert_eq!(report.outcome, Outcome::RolledBack, "{apply:?}");
        assert_eq!(world.live(), live_after, "{apply:?}");
        assert_eq!(report.live, Some(Live::new("v1", Some("v1".into()))));
        let writes = world.writes();
        match apply {
            Apply::Refuses => assert!(writes.is_empty(), "nothing landed, nothing is undone"),
            _ => assert_eq!(writes, ["fake:v2", "back:v1"]),
        }
    }
}

#[tokio::test]
async fn unwinding_undoes_all_that_was_begun_newest_first_the_failed_one_included() {
    let bench = Bench::new();
    let (one, two) = (World::with_live("v1"), World::with_live("v1"));
    let second = Fake { id: "second", world: two.clone() };
    let pipeline = Pipeline::to(TARGET)
        .deploy(fake(&one))
        .rollback_with(Back(one.clone()))
        .deploy(second)
        .rollback_with(Back(two.clone()))
        .verify(enforced(gate("after", [Says::Fail])))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::RolledBack);
    assert_eq!((one.live(), two.live()), ("v1".into(), "v1".into()));
    let undone: Vec<_> = bench
        .bodies()
        .await
        .into_iter()
        .filter_map(|body| match body {
            gatekit_core::ledger::Body::RolledBack { stage, .. } => Some(stage.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(undone, ["second", "fake"]);
}

#[tokio::test]
async fn an_irreversible_change_that_fails_verification_is_stuck_and_stops_the_queue() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .deploy(fake(&world))
        .irreversible("it drops a table")
        .verify(enforced(gate("after", [Says::Fail])))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Stuck);
    assert_eq!(report.outcome.exit_code(), 4);
    assert_eq!(report.failure.unwrap().code, code::DEPLOY_IRREVERSIBLE);
    assert!(!report.next.is_empty());
    assert_eq!(world.writes(), ["fake:v2"]);
    let report = bench.engine().ship(&plain(&world), candidate("v3")).await;
    assert_eq!(report.outcome, Outcome::Stuck);
    assert_eq!(report.failure.unwrap().code, code::LOCK_SUSPECT);
    assert_eq!(world.writes(), ["fake:v2"], "no grant over a suspect target");
}

#[tokio::test]
async fn a_rollback_that_fails_is_stuck() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    world.lock().apply = Apply::LosesAnswer;
    world.lock().rollback_fails = true;
    let report = bench.engine().ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Stuck);
    assert!(report.live.is_some(), "who has to act is told what is live");
    assert_eq!(report.failure.unwrap().code, code::ROLLBACK_STUCK);
    assert_eq!(bench.state().await.state, LockState::Suspect);
    world.lock().rollback_fails = false;
    let report = bench.engine().resume(&plain(&world), report.run.unwrap()).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "resume goes on unwinding");
    assert_eq!(world.live(), "v1");
}

#[tokio::test]
async fn a_pause_is_answered_by_its_gates() {
    for (says, outcome, go) in [
        (Some(Says::Pass), Outcome::Released, Go::Continue),
        (Some(Says::Fail), Outcome::RolledBack, Go::RollBack),
        (None, Outcome::RolledBack, Go::RollBack),
    ] {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        world.lock().rollouts = [Rollout::Paused(Pause::at("hook")), Rollout::Settled].into();
        let builder = Pipeline::to(TARGET).deploy(fake(&world)).rollback_with(Back(world.clone()));
        let builder = match says {
            Some(says) => builder.at_pause([enforced(gate("pause", [says]))]),
            None => builder,
        };
        let report = bench.engine().ship(&builder.build().unwrap(), candidate("v2")).await;
        // In this world the write stays in place when the answer is to roll back: it is unwound.
        assert_eq!((report.outcome, &*world.lock().answers), (outcome, &[go][..]), "{report:?}");
    }
}

#[tokio::test]
async fn a_candidate_that_began_before_the_live_one_is_superseded() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let waits = Pipeline::to(TARGET)
        .gate(enforced(gate("approval", [Says::Wait, Says::Pass])))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let older = bench.engine().ship(&waits, candidate("v2")).await;
    assert_eq!(older.outcome, Outcome::Waiting);
    let newer = bench.engine().ship(&plain(&world), candidate("v3")).await;
    assert_eq!(newer.outcome, Outcome::Released);
    let older = bench.engine().resume(&waits, older.run.unwrap()).await;
    assert_eq!(older.outcome, Outcome::Superseded);
    assert_eq!(older.failure.unwrap().code, code::LINEAGE_OLDER);
    assert_eq!(older.outcome.exit_code(), 1);
    assert_eq!(world.live(), "v3");
}

#[tokio::test]
async fn two_ships_at_once_take_turns() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = plain(&world);
    let (one, two) = (bench.engine(), bench.engine());
    let first = one.ship(&pipeline, candidate("v2"));
    let second = two.ship(&pipeline, candidate("v2"));
    let (first, second) = tokio::join!(first.wait(), second.wait());
    let mut outcomes = [first.outcome.as_str(), second.outcome.as_str()];
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["released", "unchanged"], "{first:?} {second:?}");
    assert_eq!(world.writes(), ["fake:v2"]);
}

/// The backend could not be told to roll back, and the write is in place: still no success.
#[tokio::test]
async fn what_was_rejected_at_a_pause_is_rejected_even_if_the_answer_fails() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    world.lock().rollouts = [Rollout::Paused(Pause::at("hook")), Rollout::Settled].into();
    world.lock().answer_fails = true;
    let report = bench.engine().ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::DEPLOY_PAUSE_REJECTED);
    assert_eq!(world.live(), "v1");
}

#[tokio::test]
async fn a_deadline_may_be_as_long_as_anybody_likes() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let engine = bench.engine().with_deadline(Duration::MAX).with_queue_timeout(Duration::MAX);
    let report = engine.ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    world.lock().apply = Apply::LosesAnswer;
    world.lock().located = None;
    let report = engine.ship(&plain(&world), candidate("v3")).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
}
