//! Versions that bundling takes, and that nobody leaves behind.

use gatekit_core::{Effect, Location};
use gatekit_emulators::{Injection, Trouble};

use super::world::{World, code};

/// Whether the API takes another deploy of `hello`: it does not after a version that was taken and left.
async fn takes_another(world: &World) {
    world.write("supabase/functions/hello/index.ts", "newer");
    let deploy = world.deploy(&["hello"]);
    world.run(&deploy).ship().await;
    assert!(world.has("hello", "newer"));
}

#[tokio::test]
async fn where_one_cannot_be_bundled_the_others_leave_no_version_behind() {
    for (trouble, expected) in [
        (Trouble::Denied, ("supabase.forbidden", Effect::Done)),
        (Trouble::NotImplemented, ("supabase.unsupported", Effect::Done)),
    ] {
        let world = World::with_two();
        world.emulator.inject(Injection::of(trouble, "BundleFunction", 1).after(1));
        let deploy = world.deploy(&["hello", "world"]);
        let run = world.run(&deploy);
        let (change, error) = run.fail().await;
        assert_eq!(code(&error), expected);
        assert!(world.has("hello", "new") && world.has("world", "old"));
        let location = run.locate(&change, None).await;
        assert!(matches!(location, Location::Between(_)), "{location}");
        run.undo(&change, None).await.unwrap();
        assert!(world.has("hello", "old") && world.has("world", "old"));
        takes_another(&world).await;
    }
}

#[tokio::test]
async fn a_bundle_whose_answer_was_lost_is_made_again_and_the_newest_is_switched_to() {
    for trouble in [Trouble::CutAfter, Trouble::Empty] {
        let world = World::with_two();
        world.inject("BundleFunction", trouble, 1);
        let deploy = world.deploy(&["hello", "world"]);
        let run = world.run(&deploy);
        if trouble == Trouble::Empty {
            let (change, error) = run.fail().await;
            assert_eq!(code(&error), ("supabase.unknown_value", Effect::Unknown));
            let receipt = run.apply(&change, None).await.unwrap();
            assert_eq!(receipt.functions[0].version, 3);
        } else {
            let (_, receipt) = run.ship().await;
            assert_eq!(receipt.functions[0].version, 3);
        }
        assert_eq!(world.told("hello", "version"), 3);
        assert_eq!(world.told("world", "version"), 2);
        takes_another(&world).await;
    }
}

#[tokio::test]
async fn what_was_bundled_to_compare_leaves_no_version_behind() {
    for switches in [1, 2] {
        let world = World::with_hello();
        world.inject("DeployFunction", Trouble::CutAfter, 1);
        world.inject("BulkUpdateFunctions", Trouble::CutBefore, switches - 1);
        let deploy = world.deploy(&["hello"]);
        world.run(&deploy).ship().await;
        assert_eq!(world.called("BulkUpdateFunctions"), switches as usize);
        takes_another(&world).await;
    }
}
