//! Pauses of a rollout that do not end with their answer.

use std::time::Duration;

use gatekit_core::{Go, Location, Outcome, Pause, Pipeline, Rollout, code, enforced};

use crate::world::*;

/// A pipeline whose gate lets the rollout go on from every pause.
fn pausing(world: &World) -> Pipeline {
    Pipeline::to(TARGET)
        .deploy(fake(world))
        .rollback_with(Back(world.clone()))
        .at_pause([enforced(gate("pause", [Says::Pass]))])
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_pause_that_goes_on_for_ever_ends_at_the_deadline() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    world.lock().rollouts = [Rollout::Paused(Pause::at("hook"))].into();
    world.lock().located = Some(Location::Before);
    let engine = bench.engine().with_deadline(Duration::from_millis(1500));
    let running = engine.ship(&pausing(&world), candidate("v2"));
    let report = tokio::time::timeout(Duration::from_secs(20), running.wait()).await.unwrap();
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::DEPLOY_DEADLINE);
    let answers = world.lock().answers.len();
    assert!((1..=3).contains(&answers), "not one after the other: {answers}");
}

/// A backend may be slow to show that it was answered.
#[tokio::test]
async fn a_pause_that_is_still_shown_after_its_answer_is_waited_for() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let paused = Rollout::Paused(Pause::at("hook"));
    world.lock().rollouts = [paused.clone(), paused, Rollout::Settled].into();
    let report = bench.engine().ship(&pausing(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(world.lock().answers, [Go::Continue], "it was answered once");
}

#[tokio::test]
async fn each_of_several_pauses_is_answered() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let paused = |hook| Rollout::Paused(Pause::at(hook));
    world.lock().rollouts = [paused("one"), paused("two"), Rollout::Settled].into();
    let report = bench.engine().ship(&pausing(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(world.lock().answers, [Go::Continue, Go::Continue]);
}
