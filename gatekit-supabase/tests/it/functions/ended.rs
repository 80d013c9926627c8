//! Whole runs of the engine, and what people do about them afterwards.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::Decision;
use gatekit_core::{
    Candidate, Code, Engine, Evidence, Finding, Outcome, Pipeline, Verdict, enforced, gate_fn,
};
use gatekit_emulators::Trouble;
use gatekit_supabase::functions::{Deploy, Function, Restore};
use serde_json::json;

use super::world::World;

/// Deploys functions, and finds that they work, or that they do not.
fn pipeline(deploy: Deploy, works: bool) -> Pipeline {
    let back = Restore::of(&deploy);
    let gate = gate_fn("works", move |_| async move {
        let seen = Evidence::read("the functions", "work", json!({ "work": works }));
        Ok(match works {
            true => Verdict::pass([seen]),
            false => Verdict::Fail(Finding::new(Code::new("test.ill"), "they do not work")),
        })
    });
    let deployed = Pipeline::to("test/functions").deploy(deploy).rollback_with(back);
    deployed.verify(enforced(gate.unwrap())).build().unwrap()
}

fn engine(world: &World) -> Engine {
    Engine::new(Arc::clone(&world.ledger) as _).with_deadline(Duration::from_secs(60))
}

fn candidate(version: &str) -> Candidate {
    Candidate::new().with_version(version)
}

#[tokio::test]
async fn the_release_before_is_rolled_back_to_by_its_verb() {
    for slugs in [&["hello"][..], &["hello", "world"]] {
        let world = World::with_two();
        let engine = engine(&world);
        for version in ["one", "two", "three"] {
            world.write("supabase/functions/hello/index.ts", version);
            let report =
                engine.ship(&pipeline(world.deploy(slugs), true), candidate(version)).await;
            assert_eq!(report.outcome, Outcome::Released, "{report:?}");
        }
        for version in ["two", "one"] {
            let back = engine.roll_back(&pipeline(world.deploy(slugs), true), None, "a test").await;
            assert_eq!(back.outcome, Outcome::Released, "{back:?}");
            assert!(world.has("hello", version));
        }
    }
}

#[tokio::test]
async fn nobody_confirms_the_old_release_while_another_may_still_land() {
    let world = World::with_hello();
    world.inject("DeployFunction", Trouble::CutBefore, 1);
    let deploy = |lateness| world.deploy(&["hello"]).with_lateness(Duration::from_secs(lateness));
    let patient = || pipeline(deploy(3600), true);
    let hurried = engine(&world).with_deadline(Duration::from_secs(4));
    let report = hurried.ship(&patient(), candidate("two")).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    let (engine, run) = (engine(&world), report.run.unwrap());
    for decision in [None, Some(Decision::ConfirmOld), Some(Decision::Adopt)] {
        let report = engine.reconcile(&patient(), run, decision, "a test").await;
        assert_eq!(report.outcome, Outcome::Stuck, "{decision:?} {report:?}");
    }
    // Once it cannot land any more.
    let mut tries = 0;
    loop {
        let decision = Some(Decision::ConfirmOld);
        let settled = engine.reconcile(&pipeline(deploy(0), true), run, decision, "a test").await;
        if settled.outcome == Outcome::RolledBack {
            break;
        }
        tries += 1;
        assert!(tries < 20, "{settled:?}");
    }
    assert!(world.has("hello", "old"));
}

/// Somebody has deployed the same files, of which this machine knows nothing.
#[tokio::test]
async fn the_same_artefact_as_a_newer_version_is_rolled_back() {
    for slugs in [&["hello"][..], &["hello", "world"]] {
        let world = World::with_two();
        let elsewhere = tempfile::tempdir().unwrap();
        let functions = slugs.iter().map(|slug| Function::new(*slug).unwrap());
        let theirs = Deploy::new(&world.project(), world.root.path(), elsewhere.path(), functions);
        let theirs = theirs.unwrap();
        world.run(&theirs).ship().await;
        let body = world.body("hello");
        let engine = engine(&world);
        let report = engine.ship(&pipeline(world.deploy(slugs), false), candidate("two")).await;
        assert_eq!(world.told("hello", "version"), 3, "it was deployed once more");
        assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
        assert_eq!(world.body("hello"), body);
        // Another run finds it live.
        let report = engine.ship(&pipeline(world.deploy(slugs), true), candidate("two")).await;
        assert_eq!(report.outcome, Outcome::Unchanged, "{report:?}");
    }
}
