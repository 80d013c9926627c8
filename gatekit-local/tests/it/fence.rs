//! Nobody writes with an overtaken fence, and nobody writes beside somebody else.

use std::fs::{self, File};
use std::time::Duration;

use gatekit_core::{Candidate, Deployer as _, Effect, Location, Rollback as _, RunId};
use gatekit_local::{PreviousRelease, code};
use serde_json::json;

use crate::world::{SLEEP, World, write_json};

fn overtake(world: &World) {
    let newer = json!({ "v": 1, "fence": 99, "run": RunId::generate() });
    write_json(&world.root().join("fence.json"), &newer);
}

#[tokio::test]
async fn an_overtaken_fence_can_do_nothing() {
    let world = World::new();
    world.ship(&world.deployer("one", SLEEP)).await;
    let two = world.deployer("two", SLEEP);
    let change = world.plan(&two).await;
    let cx = world.hold(&world.plan_cx()).await;
    let kept = world.service_json();
    let overtaken = |error: gatekit_core::Error| {
        assert_eq!(error.code(), &gatekit_core::code::LOCK_LOST);
        assert_eq!(error.effect(), Effect::None);
        assert!(error.to_failure().next.len() > 1, "what if the ledger was replaced?");
    };
    // Stage, then with a staged release stop, then switch, then start.
    overtake(&world);
    let nothing = world.snapshot();
    overtaken(two.apply(&cx, &change, None).await.unwrap_err());
    let stop = world.plan(&world.stopped()).await;
    overtaken(world.stopped().apply(&cx, &stop, None).await.unwrap_err());
    assert_eq!(world.snapshot(), nothing);
    assert_eq!(world.service_json(), kept);

    // Switching and starting are all that is left once the service is dead.
    crate::world::kill(world.leader());
    crate::world::eventually("dead", || world.pids().is_empty());
    let revive = world.plan(&world.deployer("one", SLEEP)).await;
    overtaken(world.deployer("one", SLEEP).apply(&cx, &revive, None).await.unwrap_err());
    let rollback = PreviousRelease::of(&two);
    overtaken(rollback.roll_back(&cx, &change, None).await.unwrap_err());
    assert_eq!(world.snapshot(), nothing);
    assert!(world.pids().is_empty());
}

#[tokio::test]
async fn a_writer_paused_between_permit_and_write_is_refused_once_overtaken() {
    let world = World::new();
    world.ship(&world.deployer("one", SLEEP)).await;
    let two = world.deployer("two", SLEEP);
    let change = world.plan(&two).await;
    let cx = world.hold(&world.plan_cx()).await;
    let lock = File::open(world.root().join("fence.lock")).unwrap();
    lock.lock().unwrap();
    let apply = two.apply(&cx, &change, None);
    let overtaking = async {
        while world.calls(&cx).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        overtake(&world);
        drop(lock);
    };
    let (applied, ()) = tokio::join!(apply, overtaking);
    assert_eq!(applied.unwrap_err().code(), &gatekit_core::code::LOCK_LOST);
    assert_eq!(world.calls(&cx).await, ["stage release"]);
    assert_eq!(two.releases().unwrap().len(), 1, "it was permitted, and not written");
    assert_eq!(world.locate(&two, &change, None).await, Location::Before);
}

/// The one that took over may find nothing to write: the old holder, stopped after its permit, must
/// be shut out all the same.
#[tokio::test]
async fn a_holder_is_shut_out_by_one_that_writes_nothing() {
    let world = World::new();
    world.ship(&world.deployer("one", SLEEP)).await;
    let two = world.deployer("two", SLEEP);
    let change = world.plan(&two).await;
    let cx = world.hold(&world.plan_cx()).await;
    let lock = File::open(world.root().join("fence.lock")).unwrap();
    lock.lock().unwrap();
    let mut apply = Box::pin(two.apply(&cx, &change, None));
    let permitted = async {
        while world.calls(&cx).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        applied = &mut apply => panic!("nobody holds it back: {applied:?}"),
        () = permitted => {}
    }
    // From here on the old holder is not polled: it is stopped.
    drop(lock);
    world.lapse(&cx).await;
    let newer = world.hold(&world.plan_cx()).await;
    two.fence_off(&newer).await.unwrap();
    two.fence_off(&newer).await.unwrap();
    assert_eq!(apply.await.unwrap_err().code(), &gatekit_core::code::LOCK_LOST);
    assert_eq!(two.releases().unwrap().len(), 1, "the old holder wrote");
    assert_eq!(world.locate(&two, &change, None).await, Location::Before);
}

/// A holder that was stopped in the middle of a write cannot be overtaken at the root.
#[tokio::test]
async fn nobody_is_shut_out_while_he_writes() {
    let world = World::new();
    world.ship(&world.deployer("one", SLEEP)).await;
    let one = world.deployer("one", SLEEP);
    let lock = File::open(world.root().join("fence.lock")).unwrap();
    lock.lock().unwrap();
    let cx = world.plan_cx_of(Candidate::new(), Duration::from_millis(300));
    let cx = world.hold(&cx).await;
    let nothing = world.snapshot();
    assert_eq!(one.fence_off(&cx).await.unwrap_err().code(), &code::BUSY);
    assert_eq!(world.snapshot(), nothing);
    drop(lock);
    world.release(cx).await;
    let cx = world.hold(&world.plan_cx()).await;
    one.fence_off(&cx).await.unwrap();
}

#[tokio::test]
async fn a_hanging_writer_is_waited_for_until_the_deadline() {
    let world = World::new();
    world.ship(&world.deployer("one", SLEEP)).await;
    let lock = File::open(world.root().join("fence.lock")).unwrap();
    lock.lock().unwrap();
    let two = world.deployer("two", SLEEP);
    let change = world.plan(&two).await;
    let cx = world.plan_cx_of(Candidate::new(), Duration::from_millis(300));
    let cx = world.hold(&cx).await;
    let error = two.apply(&cx, &change, None).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::BUSY, Effect::None));
    assert!(error.is_temporary() && !error.to_failure().next.is_empty());
}

#[tokio::test]
async fn the_service_does_not_inherit_the_lock() {
    let world = World::new();
    world.ship(&world.deployer("one", SLEEP)).await;
    File::open(world.root().join("fence.lock")).unwrap().try_lock().unwrap();
    let fds = fs::read_dir(format!("/proc/{}/fd", world.leader())).unwrap();
    let names = fds.map(|fd| fs::read_link(fd.unwrap().path()).unwrap());
    assert!(names.into_iter().all(|name| !name.ends_with("fence.lock")));
}
