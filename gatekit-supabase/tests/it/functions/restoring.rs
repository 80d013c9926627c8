//! The way back.

use std::time::Duration;

use gatekit_core::{Effect, Location, Reversibility, Rollback as _};
use gatekit_emulators::Trouble;
use gatekit_supabase::functions::Restore;

use super::world::{World, code};

#[tokio::test]
async fn the_artefact_of_before_comes_back_byte_for_byte() {
    for slugs in [&["hello"][..], &["hello", "world"]] {
        let world = World::with_two();
        world.emulator.with_project(|it| {
            let told = it.told_mut("hello").unwrap();
            told.insert("verify_jwt".into(), false.into());
            told.insert("import_map_path".into(), "supabase/functions/import_map.json".into());
            told.insert("import_map".into(), true.into());
            told.insert("name".into(), "Hello & World".into());
        });
        world.write("supabase/config.toml", "[functions.hello]\nverify_jwt = true");
        let before = slugs.iter().map(|it| world.body(it)).collect::<Vec<_>>();
        let fields = [
            "verify_jwt",
            "entrypoint_path",
            "import_map_path",
            "import_map",
            "name",
            "ezbr_sha256",
        ];
        let told = |world: &World| fields.map(|field| world.told("hello", field));
        let told_before = told(&world);
        let deploy = world.deploy(slugs);
        let run = world.run(&deploy);
        let (change, receipt) = run.ship().await;
        assert_eq!(Restore::of(&deploy).reversibility(&change), Reversibility::Free);
        run.undo(&change, Some(&receipt)).await.unwrap();
        assert_eq!(slugs.iter().map(|it| world.body(it)).collect::<Vec<_>>(), before);
        assert_eq!(told(&world), told_before);
        assert_eq!(world.told("hello", "version"), 3, "as a new version");
        assert_eq!(run.locate(&change, Some(&receipt)).await, Location::Before);
    }
}

#[tokio::test]
async fn a_function_that_was_not_there_is_removed() {
    let world = World::with_hello();
    world.write("supabase/functions/fresh/index.ts", "fresh");
    let deploy = world.deploy(&["hello", "fresh"]);
    let run = world.run(&deploy);
    let (change, receipt) = run.ship().await;
    assert!(world.has("fresh", "fresh"));
    run.undo(&change, Some(&receipt)).await.unwrap();
    assert_eq!(world.body("fresh"), None);
    assert!(world.has("hello", "old"));
    assert_eq!(run.locate(&change, None).await, Location::Before);
}

#[tokio::test]
async fn without_a_body_there_is_no_way_back() {
    for trouble in [Trouble::Denied, Trouble::Unknown, Trouble::NotImplemented] {
        let world = World::with_hello();
        world.inject("GetFunctionBody", trouble, 1);
        no_way_back(&world, "could not be kept").await;
    }
    let world = World::with_hello();
    world.emulator.with_project(gatekit_emulators::Project::garble_bodies);
    no_way_back(&world, "not what its checksum is of").await;
}

#[tokio::test]
async fn what_is_no_artefact_is_not_kept_as_one() {
    for body in ["", "EZBR", "<html>sign in, and try again</html>"] {
        let world = World::with_hello();
        world.emulator.with_project(|it| {
            it.told_mut("hello").unwrap().remove("ezbr_sha256");
            it.set_body("hello", body);
        });
        no_way_back(&world, "is no artefact").await;
    }
    let world = World::with_hello();
    world.emulator.with_project(|it| {
        it.told_mut("hello").unwrap().remove("ezbr_sha256");
        it.set_body("hello", "ESZIP_V2, and so on");
    });
    let deploy = world.deploy(&["hello"]);
    let (change, _) = world.run(&deploy).ship().await;
    assert_eq!(Restore::of(&deploy).reversibility(&change), Reversibility::Free);
}

#[tokio::test]
async fn an_artefact_that_is_too_large_is_not_kept() {
    let world = World::with_hello();
    world.emulator.with_project(|it| it.set_body("hello", vec![b'E'; 64 * 1024 * 1024 + 1]));
    no_way_back(&world, "cannot be understood").await;
    assert_eq!(world.called("GetFunctionBody"), 1, "nor asked for once more");
}

#[tokio::test]
async fn an_artefact_may_take_longer_than_an_answer() {
    let world = World::with_hello();
    let mut body = b"EZBR".to_vec();
    // 64 bytes in 50 ms.
    body.resize(4096, 0);
    world.emulator.with_project(|it| {
        it.told_mut("hello").unwrap().remove("ezbr_sha256");
        it.set_body("hello", body);
    });
    world.inject("GetFunctionBody", Trouble::Slow, 1);
    let deploy = world.deploy_within(Duration::from_secs(2), Duration::from_secs(30));
    let change = world.run(&deploy).plan().await.unwrap();
    assert_eq!(Restore::of(&deploy).reversibility(&change), Reversibility::Free);
    assert_eq!(world.called("GetFunctionBody"), 1);
}

async fn no_way_back(world: &World, why: &str) {
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, receipt) = run.ship().await;
    let back = Restore::of(&deploy).reversibility(&change);
    assert!(matches!(&back, Reversibility::OneWay(told) if told.contains(why)), "{back:?}");
    let error = run.undo(&change, Some(&receipt)).await.unwrap_err();
    assert_eq!(code(&error), ("functions.no_way_back", Effect::None));
    assert!(world.has("hello", "new"));
}

#[tokio::test]
async fn a_body_that_cannot_be_read_for_a_while_is_no_reason_to_go_without() {
    let world = World::with_hello();
    world.inject("GetFunctionBody", Trouble::ServerError, 1);
    let deploy = world.deploy(&["hello"]);
    let (change, _) = world.run(&deploy).ship().await;
    assert_eq!(Restore::of(&deploy).reversibility(&change), Reversibility::Free);
}

#[tokio::test]
async fn an_artefact_that_was_tampered_with_is_not_put_back() {
    let world = World::with_hello();
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, receipt) = run.ship().await;
    let folder = world.keep.path().join("artefacts");
    let kept = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    std::fs::write(kept, "EZBR of somebody else").unwrap();
    let back = Restore::of(&deploy).reversibility(&change);
    assert!(matches!(back, Reversibility::OneWay(_)), "{back:?}");
    let error = run.undo(&change, Some(&receipt)).await.unwrap_err();
    assert_eq!(code(&error), ("functions.no_way_back", Effect::None));
    // Planned anew, it is kept anew.
    world.emulator.with_project(|it| it.deploy("hello", "old", true));
    let change = run.plan().await.unwrap();
    assert_eq!(Restore::of(&deploy).reversibility(&change), Reversibility::Free);
}

#[tokio::test]
async fn a_function_that_somebody_removed_is_not_put_back() {
    let world = World::with_two();
    let deploy = world.deploy(&["hello", "world"]);
    let run = world.run(&deploy);
    let (change, receipt) = run.ship().await;
    world.emulator.with_project(|it| it.remove("world"));
    assert!(matches!(run.locate(&change, Some(&receipt)).await, Location::Unknown(_)));
    let error = run.undo(&change, Some(&receipt)).await.unwrap_err();
    assert_eq!(code(&error), ("functions.cannot_tell", Effect::None));
    assert!(world.has("hello", "new"), "nor the other one");
}

#[tokio::test]
async fn verify_jwt_that_changes_on_the_way_back_is_a_failure() {
    let world = World::with_hello();
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, receipt) = run.ship().await;
    world.emulator.with_project(|it| it.turn_jwt_to(false));
    let error = run.undo(&change, Some(&receipt)).await.unwrap_err();
    assert_eq!(code(&error), ("functions.verify_jwt", Effect::Done));
    assert_ne!(run.locate(&change, Some(&receipt)).await, Location::Before);
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_replaced() {
    let world = World::with_hello();
    let folder = world.keep.path().join("artefacts");
    std::fs::write(folder, "a file in its place").unwrap();
    let deploy = world.deploy(&["hello"]);
    let error = world.run(&deploy).plan().await.unwrap_err();
    assert_eq!(code(&error), ("functions.keep", Effect::None));
}

#[tokio::test]
async fn an_artefact_that_goes_during_the_way_back_ends_it() {
    let world = World::with_hello();
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, receipt) = run.ship().await;
    let folder = world.keep.path().join("artefacts");
    world.emulator.before_next("ListFunctions", move |_| std::fs::remove_dir_all(folder).unwrap());
    let error = run.undo(&change, Some(&receipt)).await.unwrap_err();
    assert_eq!(code(&error), ("functions.not_kept", Effect::None));
    assert!(world.has("hello", "new"));
}

/// The artefact is the same on both sides: what the list tells is no sign that it was put back.
#[tokio::test]
async fn verify_jwt_alone_is_put_back_after_an_answer_was_lost() {
    for trouble in [Trouble::CutBefore, Trouble::CutAfter, Trouble::Silent] {
        let world = World::with_hello();
        let deploy = world.deploy(&["hello"]);
        world.run(&deploy).ship().await;
        world.write("supabase/config.toml", "[functions.hello]\nverify_jwt = false");
        let run = world.run(&deploy);
        let (change, receipt) = run.ship().await;
        assert_eq!(world.told("hello", "verify_jwt"), false);
        world.inject("UpdateFunction", trouble, 1);
        run.undo(&change, Some(&receipt)).await.unwrap();
        assert_eq!(run.locate(&change, Some(&receipt)).await, Location::Before, "{trouble}");
        assert_eq!(world.told("hello", "verify_jwt"), true, "{trouble}");
    }
}
