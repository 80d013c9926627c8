//! Groups: names of their own, and everything else shared with their pipeline.

use std::collections::BTreeSet;

use gatekit_core::ledger::{Body, LockState};
use gatekit_core::{Go, OnInterrupt, Outcome, Pause, Pipeline, Rollout, code, enforced};
use serde_json::Value;

use crate::ledgers::failing;
use crate::world::*;

/// Two groups, one inside of a third, of stages that have the same ids of their own.
fn grouped(web: &World, db: &World, after: Says) -> Pipeline {
    Pipeline::to(TARGET)
        .group("web", |web_group| {
            web_group
                .gate(enforced(gate("before", [Says::Pass])))
                .deploy(fake(web))
                .rollback_with(Back(web.clone()))
                .at_pause([enforced(gate("pause", [Says::Pass]))])
                .verify(enforced(gate("after", [Says::Pass])))
        })
        .group("data", |data| {
            data.group("db", |db_group| db_group.deploy(fake(db)).rollback_with(Back(db.clone())))
                .verify(enforced(gate("after", [after])))
        })
        .build()
        .unwrap()
}

fn worlds() -> (World, World) {
    (World::with_live("v1"), World::with_live("v1"))
}

/// Every value under a key `stage`, wherever it is in the journal.
async fn journalled_stages(bench: &Bench) -> BTreeSet<String> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    if let (true, Some(stage)) = (key == "stage", value.as_str()) {
                        found.insert(stage.to_owned());
                    }
                    collect(value, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for body in bench.bodies().await {
        collect(&serde_json::to_value(body).unwrap(), &mut found);
    }
    found
}

fn set(stages: &[&str]) -> BTreeSet<String> {
    stages.iter().map(|stage| (*stage).to_owned()).collect()
}

#[tokio::test]
async fn the_names_of_its_groups_are_before_an_id_wherever_it_is_seen() {
    let (bench, (web, db)) = (Bench::new(), worlds());
    web.lock().rollouts = [Rollout::Paused(Pause::at("hook")), Rollout::Settled].into();
    let scripted = gate("before", [Says::Pass]);
    let told = std::sync::Arc::clone(&scripted.stages);
    let with_gate = Pipeline::to(TARGET)
        .group("web", |p| {
            p.gate(enforced(scripted)).deploy(fake(&web)).rollback_with(Back(web.clone()))
        })
        .build()
        .unwrap();
    assert!(with_gate.live().await.unwrap().is_some());
    assert_eq!(web.lock().stages, set(&["web/fake"]), "also outside of a run");
    let report = bench.engine().ship(&grouped(&web, &db, Says::Fail), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert!(report.failure.unwrap().to_string().contains("`data/after`"));
    assert_eq!((web.live(), db.live()), ("v1".into(), "v1".into()));
    let stages = ["web/before", "web/fake", "web/pause", "web/after", "data/db/fake", "data/after"];
    assert_eq!(journalled_stages(&bench).await, set(&stages));
    assert_eq!(web.lock().stages, set(&["web/fake"]), "deployer and rollback");
    assert_eq!(db.lock().stages, set(&["data/db/fake"]));
    assert_eq!(web.lock().answers, [Go::Continue]);
    let report = bench.engine().ship(&with_gate, candidate("v3")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(*told.lock().unwrap(), set(&["web/before"]));
}

#[tokio::test]
async fn the_gates_of_a_group_at_the_head_are_asked_before_the_queue() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .group("checks", |checks| checks.gate(enforced(gate("green", [Says::Pass]))))
        .gate(enforced(gate("approved", [Says::Fail])))
        .group("web", |web| web.deploy(fake(&world)).rollback_with(Back(world.clone())))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!((report.outcome, report.fence), (Outcome::Refused, None));
    assert_eq!(bench.kinds().await, ["opened", "verdict", "verdict", "closed"]);
    assert!(world.writes().is_empty());
}

#[tokio::test]
async fn groups_share_run_lock_and_unwinding_with_what_is_outside() {
    let (bench, (web, db)) = (Bench::new(), worlds());
    let outside = World::with_live("v1");
    let pipeline = Pipeline::to(TARGET)
        .group("web", |p| p.deploy(fake(&web)).rollback_with(Back(web.clone())))
        .deploy(fake(&outside))
        .rollback_with(Back(outside.clone()))
        .group("db", |p| p.deploy(fake(&db)).rollback_with(Back(db.clone())))
        .verify(enforced(gate("after", [Says::Fail])))
        .build()
        .unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::RolledBack);
    let bodies = bench.bodies().await;
    let stages = |pick: fn(&Body) -> Option<String>| bodies.iter().filter_map(pick).collect();
    let begun: Vec<_> = stages(|body| match body {
        Body::Applying { stage, .. } => Some(stage.to_string()),
        _ => None,
    });
    let undone: Vec<_> = stages(|body| match body {
        Body::RolledBack { stage, .. } => Some(stage.to_string()),
        _ => None,
    });
    assert_eq!(begun, ["web/fake", "fake", "db/fake"]);
    assert_eq!(undone, ["db/fake", "fake", "web/fake"]);
    assert_eq!(bench.kinds().await.iter().filter(|kind| **kind == "granted").count(), 1);
    assert_eq!(bench.state().await.state, LockState::Free);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grouped_run_that_dies_is_resumed_and_rolled_back_like_any_other() {
    let (bench, (web, db)) = (Bench::new(), worlds());
    let pipeline = grouped(&web, &db, Says::Pass);
    // The second deploy has begun when the ledger goes away.
    let report = engine(failing(&bench, 9) as _).ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert_eq!((web.live(), db.live()), ("v2".into(), "v1".into()));
    bench.leases_lapse();
    let rebuilt = grouped(&web, &db, Says::Pass);
    let report = bench.engine().resume(&rebuilt, report.run.unwrap()).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(web.writes(), ["fake:v2"], "what had settled was kept");
    let report = bench.engine().ship(&rebuilt, candidate("v3")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let report = bench.engine().roll_back(&rebuilt, None, "v3 is broken").await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!((web.live(), db.live()), ("v2".into(), "v2".into()));
}

#[test]
fn the_names_of_groups_are_part_of_the_fingerprint() {
    let world = World::default();
    let named = |name: &str| {
        Pipeline::to(TARGET)
            .group(name, |p| p.deploy(fake(&world)).rollback_with(Back(world.clone())))
            .build()
            .unwrap()
    };
    assert_eq!(named("web").fingerprint(), named("web").fingerprint());
    assert_ne!(named("web").fingerprint(), named("app").fingerprint());
    assert_ne!(named("web").fingerprint(), plain(&world).fingerprint());
}

#[test]
fn a_bad_name_of_a_group_is_told_when_the_pipeline_is_built() {
    let world = World::default();
    let long = "x".repeat(198);
    for name in ["", "a b", "/web", "web/", "..", "wéb", &*long] {
        let build = |inside: bool| {
            let pipeline = Pipeline::to(TARGET);
            let deployed = if inside {
                pipeline.group("outer", |p| {
                    p.group(name, |p| p.deploy(fake(&world)).rollback_with(Back(world.clone())))
                })
            } else {
                pipeline.group(name, |p| p.deploy(fake(&world)).rollback_with(Back(world.clone())))
            };
            deployed.on_interrupt(OnInterrupt::Unwind).build()
        };
        for inside in [false, true] {
            let error = build(inside).unwrap_err();
            assert_eq!(error.code(), &code::CONFIG_NAME, "{name:?}: {error}");
        }
    }
}

#[test]
fn two_stages_of_one_full_id_are_told_wherever_they_stand() {
    let world = World::default();
    let twice = Pipeline::to(TARGET)
        .group("web", |p| p.deploy(fake(&world)).rollback_with(Back(world.clone())))
        .group("web", |p| p.verify(enforced(gate("fake", [Says::Pass]))))
        .build();
    let error = twice.unwrap_err();
    assert_eq!(error.code(), &code::CONFIG_DUPLICATE_STAGE);
    assert!(error.to_string().contains("`web/fake`"), "{error}");
    let apart = Pipeline::to(TARGET)
        .group("web", |p| p.deploy(fake(&world)).rollback_with(Back(world.clone())))
        .group("web", |p| p.verify(enforced(gate("after", [Says::Pass]))))
        .build();
    assert!(apart.is_ok(), "a group may be written in two parts");
}

/// They would be attached to nothing, and nobody would be asked.
#[test]
fn gates_of_a_pause_before_the_first_deploy_of_their_group_are_told() {
    let world = World::default();
    let error = Pipeline::to(TARGET)
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .group("web", |p| p.at_pause([enforced(gate("pause", [Says::Pass]))]))
        .build()
        .unwrap_err();
    assert_eq!(error.code(), &code::CONFIG_PIPELINE);
}

/// A list that happens to be empty would let everything pass.
#[test]
fn a_set_without_gates_is_told() {
    let none = Vec::<gatekit_core::GateSlot>::new;
    let builder = |world: &World| {
        let builder = Pipeline::to(TARGET).deploy(fake(world));
        builder.rollback_with(Back(world.clone()))
    };
    let world = World::default();
    let gated = Pipeline::to(TARGET).gates(none());
    let gated = gated.deploy(fake(&world)).rollback_with(Back(world.clone()));
    for builder in [gated, builder(&world).verify_all(none()), builder(&world).at_pause(none())] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.code(), &code::CONFIG_PIPELINE, "{error}");
    }
}
