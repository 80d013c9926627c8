//! Rolling back ends where it began, from wherever it starts.

use std::fs;

use gatekit_core::{Location, Reversibility, Rollback as _, Rollout};
use gatekit_local::{PreviousRelease, ReleaseDir};

use crate::world::{SLEEP, World, alive, eventually, kill};

#[tokio::test]
async fn every_half_way_state_ends_before_with_exactly_the_old_service() {
    for step in 0..=5 {
        let world = World::new();
        let one = world.ship(&world.deployer("one", SLEEP)).await;
        let old = world.leader();
        let two = world.deployer("two", SLEEP);
        let change = world.plan(&two).await;
        let _ = world.stop_after(&two, &change, step).await;
        let calls = world.roll_back(&two, &change, None).await;
        let located = world.locate(&two, &change, None).await;
        assert_eq!(located, Location::Before, "step {step}");
        assert_eq!(world.current_file(), "one", "step {step}");
        assert_eq!(world.pids(), [world.leader()], "step {step}: exactly one");
        assert_eq!(world.service_json()["release"], *one.change.wish.release.unwrap().as_str());
        assert!(!world.root().join("previous").exists(), "step {step}: as it was");
        if step <= 1 {
            assert!(calls.is_empty() && alive(old), "the old service was never stopped");
        }
        // Again: nothing more to do.
        assert!(world.roll_back(&two, &change, None).await.is_empty());
    }
}

#[tokio::test]
async fn the_first_release_is_rolled_back_to_nothing() {
    let world = World::new();
    let one = world.deployer("one", SLEEP);
    let shipped = world.ship(&one).await;
    let rollback = PreviousRelease::of(&one);
    assert_eq!(rollback.reversibility(&shipped.change), Reversibility::Free);
    world.roll_back(&one, &shipped.change, Some(&shipped.receipt)).await;
    assert_eq!(world.locate(&one, &shipped.change, None).await, Location::Before);
    assert!(fs::symlink_metadata(world.root().join("current")).is_err());
    assert!(world.pids().is_empty());
    let back = rollback.observe_back(&world.plan_cx(), &shipped.change, None).await.unwrap();
    assert_eq!(back, Rollout::Settled);
}

#[tokio::test]
async fn a_failed_start_is_rolled_back_to_the_old_service() {
    let world = World::new();
    world.ship(&world.deployer("one", SLEEP)).await;
    let two = world.deployer("two", "exit 7");
    let shipped = world.try_ship(&two).await.unwrap();
    assert!(matches!(world.observe(&two, &shipped).await, Rollout::Failed(_)));
    world.roll_back(&two, &shipped.change, Some(&shipped.receipt)).await;
    assert_eq!(world.locate(&two, &shipped.change, None).await, Location::Before);
    let rollback = PreviousRelease::of(&two);
    let cx = world.plan_cx();
    loop {
        match rollback.observe_back(&cx, &shipped.change, None).await.unwrap() {
            Rollout::InProgress { poll_after } => tokio::time::sleep(poll_after).await,
            end => break assert_eq!(end, Rollout::Settled),
        }
    }
}

#[tokio::test]
async fn a_stop_is_undone_by_a_start_and_a_start_by_a_stop() {
    let world = World::new();
    let one = world.deployer("one", SLEEP);
    world.ship(&one).await;
    let stop = world.ship(&world.stopped()).await;
    world.roll_back(&world.stopped(), &stop.change, Some(&stop.receipt)).await;
    assert_eq!(world.pids(), [world.leader()]);

    kill(world.leader());
    eventually("dead", || world.pids().is_empty());
    let start = world.ship(&one).await;
    world.roll_back(&one, &start.change, Some(&start.receipt)).await;
    assert!(world.pids().is_empty());
    assert_eq!(world.current_file(), "one");
    assert_eq!(world.locate(&one, &start.change, None).await, Location::Before);
}

#[tokio::test]
async fn somebody_elses_release_is_not_touched() {
    let world = World::new();
    world.app("three", &[("file", "three")]);
    world.ship(&world.deployer("one", SLEEP)).await;
    let two = world.deployer("two", SLEEP);
    let shipped = world.ship(&two).await;
    world.ship(&world.deployer("three", SLEEP)).await;
    let before = world.snapshot();
    for receipt in [None, Some(&shipped.receipt)] {
        assert!(world.roll_back(&two, &shipped.change, receipt).await.is_empty());
    }
    assert_eq!(world.snapshot(), before);
    // The same release, started by another run, is somebody else's too.
    world.ship(&two).await;
    assert!(world.roll_back(&two, &shipped.change, Some(&shipped.receipt)).await.is_empty());
}

#[tokio::test]
async fn several_releases_are_undone_one_after_the_other_without_receipts_or_sources() {
    let world = World::new();
    world.app("three", &[("file", "three")]);
    let mut changes = Vec::new();
    for app in ["one", "two", "three"] {
        changes.push(world.ship(&world.deployer(app, SLEEP)).await.change);
        fs::remove_dir_all(world.path(app)).unwrap();
    }
    let existing = ReleaseDir::existing(world.root()).unwrap();
    for (change, left) in changes[1..].iter().rev().zip(["two", "one"]) {
        assert_eq!(world.locate(&existing, change, None).await, Location::After);
        world.roll_back(&existing, change, None).await;
        assert_eq!(world.locate(&existing, change, None).await, Location::Before);
        assert_eq!(world.current_file(), left);
    }
    assert_eq!(world.pids(), [world.leader()]);
}

#[tokio::test]
async fn a_pruned_release_is_a_one_way_change() {
    let world = World::new();
    let one = world.ship(&world.deployer("one", SLEEP)).await.change.wish.release.unwrap();
    let two = world.deployer("two", SLEEP);
    let shipped = world.ship(&two).await;
    let rollback = PreviousRelease::of(&two);
    assert_eq!(rollback.reversibility(&shipped.change), Reversibility::Free);
    fs::remove_dir_all(world.root().join("releases").join(one.as_str())).unwrap();
    let back = rollback.reversibility(&shipped.change);
    assert!(matches!(back, Reversibility::OneWay(why) if why.contains("pruned")));
    let leader = world.leader();
    let cx = world.hold(&world.plan_cx()).await;
    let error = rollback.roll_back(&cx, &shipped.change, None).await.unwrap_err();
    assert_eq!(error.code(), &gatekit_local::code::NO_RELEASE);
    assert!(alive(leader), "what cannot be undone is left running");
}
