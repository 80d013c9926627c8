//! Calls that land after their caller was told otherwise.

use std::time::Duration;

use gatekit_core::{Deployer as _, Effect, Location};
use gatekit_emulators::{Injection, Trouble};
use gatekit_supabase::functions::Deploy;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::world::{World, code};

/// A deploy by which the server may go on for a while with what was given up.
fn patient(world: &World, slugs: &[&str], lateness: u64) -> Deploy {
    world.deploy(slugs).with_lateness(Duration::from_secs(lateness))
}

const OPERATIONS: [(&[&str], &str); 2] =
    [(&["hello"], "DeployFunction"), (&["hello", "world"], "BulkUpdateFunctions")];

#[tokio::test]
async fn a_deploy_that_lands_after_the_gateway_gave_up_is_waited_for() {
    let mut cases = JoinSet::new();
    for (slugs, operation) in OPERATIONS {
        for status in [None, Some(502), Some(504), Some(524)] {
            cases.spawn(async move {
                let world = World::with_two();
                world.emulator.land_late(operation, Duration::from_secs(11), status);
                // What may be repeated is repeated, in vain.
                if operation == "BulkUpdateFunctions" {
                    world.inject(operation, Trouble::CutBefore, 100);
                }
                let deploy = patient(&world, slugs, 20);
                world.run(&deploy).ship().await;
                assert!(world.has("hello", "new"), "{operation} {status:?}");
                if operation == "DeployFunction" {
                    assert_eq!(world.called(operation), 1, "{status:?}: it is not sent again");
                }
            });
        }
    }
    cases.join_all().await;
}

#[tokio::test]
async fn nobody_says_that_the_old_is_live_while_a_deploy_may_still_land() {
    let world = World::with_hello();
    world.emulator.land_late("DeployFunction", Duration::from_secs(6), Some(504));
    // As if the process had gone, right after its call.
    world.emulator.inject(Injection::of(Trouble::Denied, "ListFunctions", 1).after(2));
    let deploy = patient(&world, &["hello"], 30);
    let run = world.run(&deploy);
    let (change, error) = run.fail().await;
    assert_eq!(code(&error), ("supabase.forbidden", Effect::Unknown));
    assert!(world.has("hello", "old"));
    let location = run.locate(&change, None).await;
    assert!(matches!(location, Location::Unknown(_)), "{location}");
    // Another process goes on, waits for it, and does not send it again.
    let receipt = run.apply(&change, None).await.unwrap();
    assert_eq!(world.called("DeployFunction"), 1);
    assert_eq!(run.locate(&change, Some(&receipt)).await, Location::After);
    run.undo(&change, Some(&receipt)).await.unwrap();
    assert!(world.has("hello", "old"));
}

#[tokio::test]
async fn what_did_not_land_in_its_time_has_not_landed() {
    let world = World::with_hello();
    world.inject("DeployFunction", Trouble::CutBefore, 1);
    world.emulator.inject(Injection::of(Trouble::Denied, "ListFunctions", 1).after(2));
    let deploy = patient(&world, &["hello"], 4);
    let run = world.run(&deploy);
    let (change, _) = run.fail().await;
    let begun = Instant::now();
    assert!(matches!(run.locate(&change, None).await, Location::Unknown(_)));
    // The time of a call in these tests is two seconds.
    while run.locate(&change, None).await != Location::Before {
        assert!(begun.elapsed() < Duration::from_secs(20));
        sleep(Duration::from_millis(100)).await;
    }
    let receipt = run.apply(&change, None).await.unwrap();
    assert_eq!(world.called("DeployFunction"), 2, "it is sent again after its time alone");
    assert_eq!(run.locate(&change, Some(&receipt)).await, Location::After);
}

#[tokio::test]
async fn a_doubt_that_outlives_the_deadline_stays_one() {
    for (slugs, operation) in OPERATIONS {
        let world = World::with_two();
        world.inject(operation, Trouble::CutBefore, 100);
        let deploy = patient(&world, slugs, 3600);
        let run = world.run_within(&deploy, Duration::from_secs(12));
        let (change, error) = run.fail().await;
        assert_eq!(code(&error), ("functions.cannot_tell", Effect::Unknown), "{operation}");
        let location = deploy.locate(&run.cx, &change, None).await.unwrap();
        assert!(matches!(location, Location::Unknown(_)), "{location}");
        if operation == "DeployFunction" {
            let error = run.apply(&change, None).await.unwrap_err();
            assert_eq!(code(&error), ("functions.cannot_tell", Effect::Unknown), "by another");
            assert_eq!(world.called(operation), 1);
        }
    }
}
