//! Answers that are lost, and calls that are not sent twice.

use gatekit_core::{Effect, Location};
use gatekit_emulators::{Injection, Trouble};

use super::world::{World, code};

#[tokio::test]
async fn a_deploy_whose_answer_was_lost_is_found_and_not_sent_again() {
    for trouble in [Trouble::CutAfter, Trouble::Silent, Trouble::Empty] {
        let world = World::with_hello();
        world.inject("DeployFunction", trouble, 1);
        let deploy = world.deploy(&["hello"]);
        let run = world.run(&deploy);
        let (change, receipt) = run.ship().await;
        assert_eq!(world.called("DeployFunction"), 1, "{trouble}");
        assert_eq!(world.called("BundleFunction"), 1, "{trouble}: to compare");
        assert_eq!(world.emulator.with_project(|it| it.effects()), 2);
        assert_eq!((world.told("hello", "version"), receipt.functions[0].version), (3.into(), 3));
        run.undo(&change, Some(&receipt)).await.unwrap();
        assert!(world.has("hello", "old"));
    }
}

#[tokio::test]
async fn a_deploy_that_did_not_arrive_cannot_be_told() {
    let world = World::with_hello();
    world.inject("DeployFunction", Trouble::CutBefore, 1);
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, error) = run.fail().await;
    assert_eq!(code(&error), ("functions.cannot_tell", Effect::Unknown));
    assert_eq!(world.called("DeployFunction"), 1, "not sent again");
    assert_eq!(run.locate(&change, None).await, Location::Before);
}

#[tokio::test]
async fn what_was_deployed_under_a_lost_answer_may_be_somebody_elses() {
    let world = World::with_hello();
    world.inject("DeployFunction", Trouble::CutBefore, 1);
    let theirs = |it: &mut gatekit_emulators::Project| it.deploy("hello", "theirs", true);
    world.emulator.before_next("DeployFunction", theirs);
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, error) = run.fail().await;
    assert_eq!(code(&error), ("functions.cannot_tell", Effect::Unknown));
    assert!(matches!(run.locate(&change, None).await, Location::Unknown(_)));
    let error = run.undo(&change, None).await.unwrap_err();
    assert_eq!(code(&error), ("functions.cannot_tell", Effect::Unknown), "it has bundled");
    assert!(world.has("hello", "theirs"), "it is not touched");
}

#[tokio::test]
async fn bundles_that_are_never_the_same_do_not_tell() {
    let world = World::with_hello();
    world.emulator.with_project(gatekit_emulators::Project::bundle_unstably);
    world.inject("DeployFunction", Trouble::CutAfter, 1);
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, error) = run.fail().await;
    assert_eq!(code(&error), ("functions.cannot_tell", Effect::Unknown));
    assert!(matches!(run.locate(&change, None).await, Location::Unknown(_)));
}

#[tokio::test]
async fn a_run_that_was_killed_after_its_call_finds_its_effect() {
    let world = World::with_hello();
    // Nothing more is answered: as if the process had gone.
    let after = |operation: &str| Injection::of(Trouble::Denied, operation, 1).after(1);
    world.inject("DeployFunction", Trouble::CutAfter, 1);
    world.emulator.inject(after("ListFunctions").after(2));
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, error) = run.fail().await;
    assert_eq!(code(&error), ("supabase.forbidden", Effect::Unknown));
    assert!(matches!(run.locate(&change, None).await, Location::Unknown(_)));
    let receipt = run.apply(&change, None).await.unwrap();
    assert_eq!(world.called("DeployFunction"), 1);
    assert_eq!(run.locate(&change, Some(&receipt)).await, Location::After);
    assert_eq!(run.locate(&change, None).await, Location::After);
}

#[tokio::test]
async fn a_switch_whose_answer_was_lost_is_found() {
    for (trouble, calls) in [(Trouble::CutAfter, 1), (Trouble::Silent, 1), (Trouble::CutBefore, 2)]
    {
        let world = World::with_two();
        world.inject("BulkUpdateFunctions", trouble, 1);
        let deploy = world.deploy(&["hello", "world"]);
        world.run(&deploy).ship().await;
        assert_eq!(world.called("BulkUpdateFunctions"), calls, "{trouble}");
        assert_eq!(world.emulator.with_project(|it| it.effects()), 3, "{trouble}: one effect");
    }
}

#[tokio::test]
async fn somebody_else_who_deploys_under_a_lost_switch_is_not_overwritten() {
    let world = World::with_two();
    world.inject("BulkUpdateFunctions", Trouble::CutBefore, 1);
    let theirs = |it: &mut gatekit_emulators::Project| it.deploy("world", "theirs", true);
    world.emulator.before_next("BulkUpdateFunctions", theirs);
    let deploy = world.deploy(&["hello", "world"]);
    let (_, error) = world.run(&deploy).fail().await;
    assert_eq!(code(&error), ("functions.elsewhere", Effect::Unknown));
    assert!(world.has("world", "theirs") && world.has("hello", "old"));
}

#[tokio::test]
async fn a_way_back_whose_answer_was_lost_is_found() {
    for operation in ["UpdateFunction", "DeleteFunction"] {
        for (trouble, calls) in [(Trouble::CutAfter, 1), (Trouble::CutBefore, 2)] {
            let world = World::with_hello();
            world.write("supabase/functions/fresh/index.ts", "fresh");
            world.inject(operation, trouble, 1);
            let deploy = world.deploy(&["hello", "fresh"]);
            let run = world.run(&deploy);
            let (change, receipt) = run.ship().await;
            run.undo(&change, Some(&receipt)).await.unwrap();
            assert_eq!(run.locate(&change, Some(&receipt)).await, Location::Before);
            assert_eq!(world.called(operation), calls, "{operation} {trouble}");
        }
    }
}
