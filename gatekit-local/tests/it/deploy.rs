//! Shipping, shipping again, stopping, pruning.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use gatekit_core::{Deployer as _, Effect, Location};
use gatekit_local::{ReleaseDir, code};

use crate::world::{SLEEP, World, alive, eventually, kill};

#[tokio::test]
async fn a_ship_replaces_the_service_and_journals_every_write() {
    let world = World::new();
    let first = world.ship(&world.deployer("one", SLEEP)).await;
    let old = world.leader();
    let two = world.deployer("two", SLEEP);
    let cx = world.plan_cx();
    let change = two.plan(&cx).await.unwrap().change;
    assert_eq!(change.before, first.change.wish);
    assert_eq!(world.locate(&two, &change, None).await, Location::Before);
    let cx = world.hold(&cx).await;
    let receipt = two.apply(&cx, &change, None).await.unwrap();
    let calls = ["stage release", "stop service", "switch link", "start service", "prune releases"];
    assert_eq!(world.calls(&cx).await, calls);
    assert_eq!(world.locate(&two, &change, Some(&receipt)).await, Location::After);
    assert!(!alive(old));
    assert_eq!(world.current_file(), "two");
    let previous = fs::read_link(world.root().join("previous")).unwrap();
    assert_eq!(
        previous,
        std::path::Path::new("releases").join(first.change.wish.release.unwrap().as_str())
    );

    // Again, as a resumed run would: nothing to do, with and without the receipt.
    for earlier in [None, Some(&receipt)] {
        assert_eq!(two.apply(&cx, &change, earlier).await.unwrap(), receipt);
    }
    assert_eq!(world.calls(&cx).await.len(), calls.len());
    assert_eq!(world.pids(), [world.leader()], "exactly one process");
}

#[tokio::test]
async fn planning_and_looking_write_nothing() {
    let world = World::new();
    let one = world.deployer("one", SLEEP);
    let change = world.plan(&one).await;
    world.locate(&one, &change, None).await;
    one.live(&world.plan_cx()).await.unwrap();
    assert!(world.snapshot().is_empty());
    world.ship(&one).await;
    let before = world.snapshot();
    let change = world.plan(&world.deployer("two", SLEEP)).await;
    world.locate(&one, &change, None).await;
    assert_eq!(world.snapshot(), before);
}

#[tokio::test]
async fn a_crash_after_any_step_is_gone_on_from() {
    for step in 0..4 {
        let world = World::new();
        world.ship(&world.deployer("one", SLEEP)).await;
        let two = world.deployer("two", SLEEP);
        let change = world.plan(&two).await;
        // What the steps leave behind is made by a run that gets no further.
        let _ = world.stop_after(&two, &change, step).await;
        assert_ne!(world.locate(&two, &change, None).await, Location::After, "step {step}");
        let cx = world.hold(&world.plan_cx()).await;
        let receipt = two.apply(&cx, &change, None).await.unwrap();
        let located = world.locate(&two, &change, Some(&receipt)).await;
        assert_eq!(located, Location::After, "step {step}");
        assert_eq!(world.pids(), [world.leader()], "step {step}");
        assert_eq!(world.current_file(), "two");
    }
}

#[tokio::test]
async fn a_staged_release_needs_its_source_no_more() {
    let world = World::new();
    let two = world.deployer("two", SLEEP);
    let change = world.plan(&two).await;
    let _ = world.stop_after(&two, &change, 1).await;
    fs::remove_dir_all(world.path("two")).unwrap();
    let cx = world.hold(&world.plan_cx()).await;
    two.apply(&cx, &change, None).await.unwrap();
    assert_eq!(world.current_file(), "two");
}

#[tokio::test]
async fn a_dead_service_is_started_again_by_the_same_release() {
    let world = World::new();
    let one = world.deployer("one", SLEEP);
    let first = world.ship(&one).await;
    kill(world.leader());
    eventually("dead", || world.pids().is_empty());
    let change = world.plan(&one).await;
    assert_eq!(
        (change.before.runs.clone(), change.before.release.clone()),
        (None, change.wish.runs.clone())
    );
    assert_eq!(world.locate(&one, &change, None).await, Location::Before);
    let again = world.ship(&one).await;
    assert_ne!(again.receipt.token, first.receipt.token);
    assert!(!world.root().join("previous").exists(), "a restart has no previous release");
}

#[tokio::test]
async fn another_runs_start_of_the_same_release_is_not_this_runs_effect() {
    let world = World::new();
    let one = world.deployer("one", SLEEP);
    let first = world.ship(&one).await;
    world.ship(&world.stopped()).await;
    world.ship(&one).await;
    let located = world.locate(&one, &first.change, Some(&first.receipt)).await;
    assert!(matches!(located, Location::Elsewhere(_)), "{located}");
    assert_eq!(world.locate(&one, &first.change, None).await, Location::After);
}

#[tokio::test]
async fn another_runs_stop_is_not_this_runs_effect() {
    let world = World::new();
    let one = world.deployer("one", SLEEP);
    world.ship(&one).await;
    let first = world.ship(&world.stopped()).await;
    let located = world.locate(&world.stopped(), &first.change, Some(&first.receipt)).await;
    assert_eq!(located, Location::After);
    world.ship(&one).await;
    world.ship(&world.stopped()).await;
    let located = world.locate(&world.stopped(), &first.change, Some(&first.receipt)).await;
    assert!(matches!(located, Location::Elsewhere(_)), "{located}");
    assert_eq!(world.locate(&world.stopped(), &first.change, None).await, Location::After);
}

#[tokio::test]
async fn a_refusal_tells_whether_the_service_was_stopped_before() {
    for (steps, effect) in
        [(0, Effect::None), (1, Effect::None), (2, Effect::Done), (3, Effect::Done)]
    {
        let world = World::new();
        world.ship(&world.deployer("one", SLEEP)).await;
        let two = world.deployer("two", SLEEP);
        let change = world.plan(&two).await;
        let error = world.stop_after(&two, &change, steps).await.unwrap_err();
        assert_eq!(error.code(), &gatekit_core::code::LOCK_LOST);
        assert_eq!(error.effect(), effect, "after {steps} steps");
        assert_eq!(world.pids().is_empty(), effect == Effect::Done, "after {steps} steps");
    }
}

#[tokio::test]
async fn a_third_release_is_not_touched() {
    let world = World::new();
    world.app("three", &[("file", "three")]);
    world.ship(&world.deployer("one", SLEEP)).await;
    let two = world.deployer("two", SLEEP);
    let change = world.plan(&two).await;
    world.ship(&world.deployer("three", SLEEP)).await;
    let before = world.snapshot();
    assert!(matches!(world.locate(&two, &change, None).await, Location::Elsewhere(_)));
    let cx = world.hold(&world.plan_cx()).await;
    let error = two.apply(&cx, &change, None).await.unwrap_err();
    assert_eq!(error.code(), &code::ELSEWHERE);
    assert_eq!(world.snapshot(), before);
}

#[tokio::test]
async fn the_current_link_is_never_missing() {
    let world = World::new();
    world.ship(&world.deployer("one", SLEEP)).await;
    let (done, file) = (AtomicBool::new(false), world.root().join("current/file"));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read = 0;
            while !done.load(Ordering::Relaxed) {
                let text = fs::read_to_string(&file).unwrap();
                assert!(text == "one" || text == "two");
                read += 1;
            }
            read
        });
        let shipping = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                for _ in 0..4 {
                    world.ship(&world.deployer("two", SLEEP)).await;
                    world.ship(&world.deployer("one", SLEEP)).await;
                }
            });
        });
        let shipped = shipping.join();
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 100);
        shipped.unwrap();
    });
}

#[tokio::test]
async fn a_root_that_can_be_no_directory_is_told_before_anything_is_written() {
    let world = World::new();
    let app = world.app("app", &[("file", "one")]);
    let file = world.path("a file");
    fs::write(&file, "kept").unwrap();
    let deployer = ReleaseDir::new(file.join("root"), app, SLEEP).unwrap();
    let error = deployer.plan(&world.plan_cx()).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::IO, Effect::None), "{error}");
    assert_eq!(fs::read_to_string(file).unwrap(), "kept");
}

#[tokio::test]
async fn stopping_keeps_the_link_and_is_a_change_like_any_other() {
    let world = World::new();
    let one = world.ship(&world.deployer("one", SLEEP)).await;
    let stop = world.ship(&world.stopped()).await;
    assert_eq!(stop.change.wish.release, one.change.wish.release);
    assert_eq!(stop.receipt.token, None);
    assert!(world.pids().is_empty());
    assert_eq!(world.current_file(), "one");
    let again = world.plan(&world.stopped()).await;
    assert_eq!(world.locate(&world.stopped(), &again, None).await, Location::After);
}

#[tokio::test]
async fn pruning_spares_what_is_named_and_clears_staging() {
    let world = World::new();
    fs::create_dir_all(world.root().join("staging/left-by-another-run/x")).unwrap();
    let mut ids = Vec::new();
    for number in 0..5 {
        let name = format!("app{number}");
        world.app(&name, &[("file", &name)]);
        let shipped = world.ship(&world.deployer(&name, SLEEP).with_keep(1)).await;
        ids.push(shipped.change.wish.release.unwrap());
    }
    // `current`, `previous`, and what `previous` named before: a rollback restores that link.
    let kept: Vec<_> =
        world.stopped().releases().unwrap().into_iter().map(|kept| kept.id).collect();
    assert_eq!(kept, [ids[4].clone(), ids[3].clone(), ids[2].clone()]);
    assert_eq!(fs::read_dir(world.root().join("staging")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(world.root().join("releases")).unwrap().count(), 6);
    assert_eq!(fs::read_dir(world.root().join("logs")).unwrap().count(), 3);
}

#[tokio::test]
async fn a_kept_release_is_returned_to_without_its_source() {
    let world = World::new();
    let one = world.ship(&world.deployer("one", SLEEP)).await.change.wish.release.unwrap();
    world.ship(&world.deployer("two", SLEEP)).await;
    fs::remove_dir_all(world.path("one")).unwrap();
    let back = ReleaseDir::kept(world.root(), one.clone()).unwrap();
    world.ship(&back.with_settle(std::time::Duration::ZERO)).await;
    assert_eq!(world.current_file(), "one");

    let existing = ReleaseDir::existing(world.root()).unwrap();
    assert_eq!(existing.live(&world.plan_cx()).await.unwrap().unwrap().release, one.as_str());
    let error = existing.plan(&world.plan_cx()).await.unwrap_err();
    assert_eq!(error.code(), &code::NOTHING_TO_SHIP);
    let gone = ReleaseDir::kept(world.root(), "0123456789abcdef".parse().unwrap()).unwrap();
    assert_eq!(gone.plan(&world.plan_cx()).await.unwrap_err().code(), &code::NO_RELEASE);
}

#[tokio::test]
async fn a_label_is_kept_until_another_is_given() {
    let world = World::new();
    let label = async |version: Option<&str>| {
        let one = world.deployer("one", SLEEP).with_version(version.map(str::to_owned));
        world.ship(&one).await;
        world.ship(&world.stopped()).await;
        one.releases().unwrap().remove(0).version
    };
    assert_eq!(label(Some("1.0")).await.as_deref(), Some("1.0"));
    assert_eq!(label(None).await.as_deref(), Some("1.0"));
    assert_eq!(label(Some("1.1")).await.as_deref(), Some("1.1"));
}

#[test]
fn the_description_names_what_matters_and_is_stable() {
    let world = World::new();
    let describe = |app: &str, start: &str| world.deployer(app, start).describe();
    assert_eq!(describe("one", SLEEP), describe("two", SLEEP));
    assert_ne!(describe("one", SLEEP), describe("one", "exec sleep 1"));
    assert_ne!(describe("one", SLEEP), world.stopped().describe());
}
