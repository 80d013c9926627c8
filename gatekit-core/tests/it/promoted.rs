//! What is promoted from another target.

use std::time::Duration;

use gatekit_core::ledger::Decision;
use gatekit_core::{
    Candidate, Digest, Engine, GateSlot, Outcome, Pipeline, PromotedFrom, RunReport, code, enforced,
};

use crate::world::*;

const HOUR: Duration = Duration::from_secs(3600);

fn artifact(text: &str) -> Candidate {
    candidate(text).with_artifact("image", Digest::of(text))
}

fn staging(world: &World) -> Pipeline {
    let staging = Pipeline::to("staging/app").deploy(fake(world));
    staging.rollback_with(Back(world.clone())).build().unwrap()
}

fn promoted(soak: Duration) -> GateSlot {
    enforced(PromotedFrom::new("staging/app").unwrap().soak(soak))
}

/// What a ship of `text` to a target comes to that is promoted to after `soak`.
async fn promotes(engine: &Engine, text: &str, soak: Duration) -> RunReport {
    let world = World::with_live("v0");
    engine.ship(&gated(&world, promoted(soak)), artifact(text)).await
}

#[tokio::test]
async fn what_is_live_elsewhere_for_long_enough_is_promoted() {
    let (bench, world, staging) = (Bench::new(), World::with_live("v1"), World::with_live("v1"));
    let first = self::staging(&staging);
    let promoted = |soak| gated(&world, self::promoted(soak));
    let engine = bench.engine();
    let never = engine.ship(&promoted(Duration::ZERO), artifact("v2")).await;
    assert_eq!(never.outcome, Outcome::Refused, "{never:?}");
    assert!(never.failure.unwrap().to_string().contains("promotion.not_live"));
    assert_eq!(engine.ship(&first, artifact("v2")).await.outcome, Outcome::Released);
    let other = engine.ship(&promoted(Duration::ZERO), artifact("v3")).await;
    assert_eq!(other.outcome, Outcome::Refused, "{other:?}");
    let label = engine.ship(&promoted(Duration::ZERO), candidate("v2")).await;
    assert_eq!(code_of(&label), Some("gate.inconclusive"), "{label:?}");
    let soaks = engine.ship(&promoted(HOUR), artifact("v2")).await;
    assert_eq!(soaks.outcome, Outcome::Waiting, "{soaks:?}");
    assert!(names(&soaks, &code::PROMOTION_SOAKING), "{soaks:?}");
    let report = engine.ship(&promoted(Duration::ZERO), artifact("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    // What is live there is not what the journal released last.
    staging.lock().apply = Apply::LosesAnswer;
    staging.lock().rollback_fails = true;
    let stuck = engine.ship(&first, artifact("v4")).await;
    assert_eq!(stuck.outcome, Outcome::Stuck, "{stuck:?}");
    world.lock().live = "v1".to_owned();
    let suspect = engine.ship(&promoted(Duration::ZERO), artifact("v2")).await;
    assert_eq!(code_of(&suspect), Some("gate.inconclusive"), "{suspect:?}");
    let run = stuck.run.unwrap();
    let freed = engine.reconcile(&first, run, Some(Decision::Override), "r").await;
    assert_eq!(freed.outcome, Outcome::Overridden, "{freed:?}");
    assert_eq!(code_of(&freed), Some(code::RECONCILE_OVERRIDDEN.as_str()), "{freed:?}");
    let unknown = engine.ship(&promoted(Duration::ZERO), artifact("v2")).await;
    assert_eq!(code_of(&unknown), Some("gate.inconclusive"), "{unknown:?}");
}

/// A release that was away does not prove itself meanwhile.
#[tokio::test]
async fn what_was_brought_back_has_to_prove_itself_anew() {
    let (bench, world) = (Bench::new(), World::with_live("v0"));
    let (engine, staging) = (bench.engine(), staging(&world));
    let soak = Duration::from_millis(700);
    for text in ["a", "b"] {
        assert_eq!(engine.ship(&staging, artifact(text)).await.outcome, Outcome::Released);
    }
    tokio::time::sleep(soak).await;
    let back = engine.roll_back(&staging, None, "b is bad").await;
    assert_eq!((back.outcome, world.live()), (Outcome::Released, "a".to_owned()));
    let soaks = promotes(&engine, "a", HOUR).await;
    assert!(names(&soaks, &code::PROMOTION_SOAKING), "{soaks:?}");
    // The soak of a that was over before it was replaced.
    let soaks = promotes(&engine, "a", soak).await;
    assert!(names(&soaks, &code::PROMOTION_SOAKING), "{soaks:?}");
    tokio::time::sleep(soak).await;
    // A failure in between, which was unwound: it was away once more.
    world.lock().located = Some(gatekit_core::Location::Before);
    let failed = engine.ship(&staging, artifact("c")).await;
    assert_eq!(failed.outcome, Outcome::RolledBack, "{failed:?}");
    world.lock().located = None;
    let soaks = promotes(&engine, "a", soak).await;
    assert!(names(&soaks, &code::PROMOTION_SOAKING), "{soaks:?}");
    assert_eq!(promotes(&engine, "a", Duration::ZERO).await.outcome, Outcome::Released);
}

/// Put there by hand, and verified by a ship that had nothing to do.
#[tokio::test]
async fn what_a_ship_found_live_is_promoted_and_what_it_replaced_is_not() {
    let (bench, world) = (Bench::new(), World::with_live("v0"));
    let (engine, staging) = (bench.engine(), staging(&world));
    assert_eq!(engine.ship(&staging, artifact("a")).await.outcome, Outcome::Released);
    world.lock().live = "c".to_owned();
    assert_eq!(engine.ship(&staging, artifact("c")).await.outcome, Outcome::Unchanged);
    let gone = promotes(&engine, "a", Duration::ZERO).await;
    assert!(names(&gone, &code::PROMOTION_NOT_LIVE), "{gone:?}");
    let there = promotes(&engine, "c", Duration::ZERO).await;
    assert_eq!(there.outcome, Outcome::Released, "{there:?}");
    let soaks = promotes(&engine, "c", HOUR).await;
    assert!(names(&soaks, &code::PROMOTION_SOAKING), "{soaks:?}");
}

/// However many runs have come to nothing since.
#[tokio::test]
async fn an_override_is_not_forgotten() {
    let (bench, world) = (Bench::new(), World::with_live("v0"));
    let (engine, staging) = (bench.engine(), staging(&world));
    assert_eq!(engine.ship(&staging, artifact("a")).await.outcome, Outcome::Released);
    world.lock().apply = Apply::LosesAnswer;
    world.lock().rollback_fails = true;
    let stuck = engine.ship(&staging, artifact("b")).await;
    assert_eq!(stuck.outcome, Outcome::Stuck, "{stuck:?}");
    let run = stuck.run.unwrap();
    let freed = engine.reconcile(&staging, run, Some(Decision::Override), "r").await;
    assert_eq!(freed.outcome, Outcome::Overridden, "{freed:?}");
    let refuses = Pipeline::to("staging/app")
        .gate(enforced(gate("never", [Says::Fail])))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    for _ in 0..40 {
        assert_eq!(engine.ship(&refuses, artifact("c")).await.outcome, Outcome::Refused);
    }
    let unknown = promotes(&engine, "a", Duration::ZERO).await;
    assert_eq!(code_of(&unknown), Some("gate.inconclusive"), "{unknown:?}");
}

/// What was interrupted by something else has to prove itself anew, however well it did before.
#[tokio::test]
async fn what_a_ship_found_again_was_away_meanwhile() {
    let soak = Duration::from_millis(300);
    for freed in [true, false] {
        let (bench, world) = (Bench::new(), World::with_live("v0"));
        let (engine, staging) = (bench.engine(), staging(&world));
        assert_eq!(engine.ship(&staging, artifact("a")).await.outcome, Outcome::Released);
        tokio::time::sleep(soak).await;
        if freed {
            world.lock().apply = Apply::LosesAnswer;
            world.lock().rollback_fails = true;
            let stuck = engine.ship(&staging, artifact("b")).await.run.unwrap();
            let freed = engine.reconcile(&staging, stuck, Some(Decision::Override), "r").await;
            assert_eq!(freed.outcome, Outcome::Overridden, "{freed:?}");
        } else {
            world.lock().live = "b".to_owned();
            assert_eq!(engine.ship(&staging, artifact("b")).await.outcome, Outcome::Unchanged);
        }
        world.lock().live = "a".to_owned();
        assert_eq!(engine.ship(&staging, artifact("a")).await.outcome, Outcome::Unchanged);
        let soaks = promotes(&engine, "a", soak).await;
        assert!(names(&soaks, &code::PROMOTION_SOAKING), "{freed}: {soaks:?}");
        tokio::time::sleep(soak).await;
        // To find it once more is no interruption.
        assert_eq!(engine.ship(&staging, artifact("a")).await.outcome, Outcome::Unchanged);
        assert_eq!(promotes(&engine, "a", soak).await.outcome, Outcome::Released, "{freed}");
    }
}

/// Nothing was ever released there: it was found, each night anew.
#[tokio::test]
async fn what_is_only_ever_found_ripens() {
    let (bench, world) = (Bench::new(), World::with_live("a"));
    let (engine, staging) = (bench.engine(), staging(&world));
    let soak = Duration::from_millis(300);
    for _ in 0..3 {
        assert_eq!(engine.ship(&staging, artifact("a")).await.outcome, Outcome::Unchanged);
        tokio::time::sleep(soak / 2).await;
    }
    assert_eq!(promotes(&engine, "a", soak).await.outcome, Outcome::Released);
    // A failure that was unwound: it was away.
    world.lock().located = Some(gatekit_core::Location::Before);
    let failed = engine.ship(&staging, artifact("c")).await;
    assert_eq!(failed.outcome, Outcome::RolledBack, "{failed:?}");
    let soaks = promotes(&engine, "a", soak).await;
    assert!(names(&soaks, &code::PROMOTION_SOAKING), "{soaks:?}");
}
