//! What is sent, and what becomes of it.

use gatekit_core::{Deployer as _, Effect, Location, Rollout};
use gatekit_emulators::Trouble;
use gatekit_supabase::functions::{Deploy, Function};
use serde_json::json;

use super::world::{World, code};

#[tokio::test]
async fn a_function_is_deployed_by_one_call() {
    let world = World::with_hello();
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, receipt) = run.ship().await;
    assert_eq!(world.called("DeployFunction"), 1);
    assert_eq!((world.called("BundleFunction"), world.called("BulkUpdateFunctions")), (0, 0));
    assert!(world.has("hello", "new"));
    assert_eq!(world.told("hello", "version"), receipt.functions[0].version);
    assert_eq!(receipt.functions[0].version, 2);
    assert_eq!(deploy.observe(&run.cx, &change, &receipt).await.unwrap(), Rollout::Settled);
    let live = deploy.live(&run.cx).await.unwrap().unwrap();
    let checksum = world.told("hello", "ezbr_sha256");
    assert_eq!(live.release, format!("hello@{}", &checksum.as_str().unwrap()[..12]));
}

#[tokio::test]
async fn two_functions_switch_together() {
    let world = World::with_two();
    let deploy = world.deploy(&["hello", "world"]);
    let (sender, before) = std::sync::mpsc::channel();
    world.emulator.before_next("BulkUpdateFunctions", move |project| {
        sender.send(project.effects()).unwrap();
    });
    world.run(&deploy).ship().await;
    let calls = world.calls();
    let writes: Vec<_> =
        calls.iter().filter(|it| !it.starts_with("List") && !it.starts_with("Get")).collect();
    assert_eq!(writes, [&"BundleFunction", &"BundleFunction", &"BulkUpdateFunctions"]);
    assert_eq!(before.recv().unwrap(), 2, "somebody's two, and none of the run until then");
    assert_eq!(world.emulator.with_project(|it| it.effects()), 3, "one effect for both");
    assert!(world.has("hello", "new") && world.has("world", "new world"));
}

#[tokio::test]
async fn a_function_that_is_live_already_is_not_sent_again() {
    let world = World::with_two();
    let hello = world.deploy(&["hello"]);
    world.run(&hello).ship().await;
    let both = world.deploy(&["hello", "world"]);
    world.run(&both).ship().await;
    assert_eq!(world.told("hello", "version"), 2, "as it was");
    let calls = world.emulator.calls();
    let bundled: Vec<_> = calls.iter().filter(|it| it.operation == "BundleFunction").collect();
    assert_eq!(bundled.iter().map(|it| it.query("slug")).collect::<Vec<_>>(), [Some("world")]);
    let again = world.run(&both);
    let change = again.plan().await.unwrap();
    assert_eq!(again.locate(&change, None).await, Location::After);
}

#[tokio::test]
async fn verify_jwt_is_as_configured_and_else_as_it_is() {
    for (live, configured, said, becomes) in [
        (Some(true), None, None, true),
        (Some(false), None, None, false),
        (Some(true), Some(false), None, false),
        (Some(false), Some(true), None, true),
        (Some(false), Some(false), Some(true), true),
        (None, None, None, true),
        (None, Some(false), None, false),
    ] {
        let world = World::new();
        world.write("supabase/functions/hello/index.ts", "new");
        if let Some(verify_jwt) = live {
            world.emulator.with_project(|it| it.deploy("hello", "old", verify_jwt));
        }
        if let Some(verify_jwt) = configured {
            let text = format!("[functions.hello]\nverify_jwt = {verify_jwt}\n");
            world.write("supabase/config.toml", text);
        }
        let function = Function::new("hello").unwrap();
        let function = said.map_or(function.clone(), |it| function.with_verify_jwt(it));
        let deploy =
            Deploy::new(&world.project(), world.root.path(), world.keep.path(), [function]);
        let deploy = deploy.unwrap();
        world.run(&deploy).ship().await;
        let case = (live, configured, said);
        assert_eq!(world.told("hello", "verify_jwt"), becomes, "{case:?}");
        let sent = world.emulator.calls().into_iter().find(|it| it.operation == "DeployFunction");
        assert_eq!(sent.unwrap().metadata()["verify_jwt"], becomes, "{case:?}: always sent");
    }
}

#[tokio::test]
async fn verify_jwt_that_changes_silently_is_a_failure() {
    for slugs in [&["hello"][..], &["hello", "world"]] {
        let world = World::with_two();
        world.emulator.with_project(|it| it.turn_jwt_to(false));
        let deploy = world.deploy(slugs);
        let run = world.run(&deploy);
        let (change, error) = run.fail().await;
        assert_eq!(code(&error), ("functions.verify_jwt", Effect::Done));
        assert_ne!(run.locate(&change, None).await, Location::After);
    }
}

#[tokio::test]
async fn verify_jwt_that_the_api_does_not_tell_stops_the_plan() {
    let world = World::with_hello();
    world.emulator.with_project(|it| it.told_mut("hello").unwrap().remove("verify_jwt"));
    let deploy = world.deploy(&["hello"]);
    let error = world.run(&deploy).plan().await.unwrap_err();
    assert_eq!(code(&error), ("functions.verify_jwt", Effect::None));
}

/// Gives a function another status.
fn turn(world: &World, status: &str) {
    world
        .emulator
        .with_project(|it| it.told_mut("hello").unwrap().insert("status".into(), status.into()));
}

#[tokio::test]
async fn a_function_that_is_throttled_is_neither_deployed_nor_put_back() {
    let world = World::with_hello();
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, receipt) = run.ship().await;
    turn(&world, "THROTTLED");
    let throttled = Location::Between("`hello` is THROTTLED".into());
    assert_eq!(run.locate(&change, Some(&receipt)).await, throttled);
    assert_eq!(run.locate(&change, None).await, throttled, "nor is it somebody else's");
    let rollout = deploy.observe(&run.cx, &change, &receipt).await.unwrap();
    assert!(matches!(rollout, Rollout::Failed(_)), "{rollout:?}");
    run.undo(&change, Some(&receipt)).await.unwrap();
    assert!(world.has("hello", "old"));
    assert_eq!(run.locate(&change, Some(&receipt)).await, throttled, "the old one is not served");
    turn(&world, "ACTIVE");
    assert_eq!(run.locate(&change, Some(&receipt)).await, Location::Before);
}

#[tokio::test]
async fn a_function_that_was_throttled_before_may_be_so_again() {
    let world = World::with_hello();
    turn(&world, "THROTTLED");
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let change = run.plan().await.unwrap();
    assert_eq!(run.locate(&change, None).await, Location::Before);
    turn(&world, "ACTIVE");
    assert_eq!(run.locate(&change, None).await, Location::Before);
}

#[tokio::test]
async fn a_function_that_is_removed_is_not_there() {
    let world = World::with_hello();
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, receipt) = run.ship().await;
    turn(&world, "REMOVED");
    let location = run.locate(&change, Some(&receipt)).await;
    assert!(matches!(location, Location::Unknown(_)), "{location}");
    let change = run.plan().await.unwrap();
    assert_eq!(change.functions[0].before, None);
    assert_eq!(run.locate(&change, None).await, Location::Before);
    assert_eq!(deploy.live(&run.cx).await.unwrap(), None);
}

#[tokio::test]
async fn a_file_that_was_changed_after_the_plan_is_not_sent() {
    for slugs in [&["hello"][..], &["hello", "world"]] {
        let world = World::with_two();
        let deploy = world.deploy(slugs);
        let run = world.run(&deploy);
        let change = run.plan().await.unwrap();
        world.write("supabase/functions/hello/index.ts", "tampered");
        let error = run.apply(&change, None).await.unwrap_err();
        assert_eq!(code(&error), ("functions.changed", Effect::None));
        assert!(world.has("hello", "old"));
        assert_eq!(world.called("DeployFunction") + world.called("BundleFunction"), 0);
    }
}

#[tokio::test]
async fn what_is_approved_is_all_that_is_sent() {
    let world = World::with_hello();
    let scope = async || {
        let deploy = world.deploy(&["hello"]);
        let run = world.run(&deploy);
        deploy.plan(&run.cx).await.unwrap().scope
    };
    let first = scope().await;
    world.emulator.with_project(|it| it.deploy("hello", "others", false));
    assert_eq!(scope().await, first, "what is live is no part of it");
    for (path, content) in [
        ("supabase/functions/hello/index.ts", "import './a.ts'"),
        ("supabase/functions/hello/a.ts", "changed"),
        ("supabase/functions/hello/deno.json", "{}"),
        ("supabase/config.toml", "[functions.hello]\nverify_jwt = false"),
    ] {
        let before = if path.ends_with("index.ts") { first.clone() } else { scope().await };
        world.write("supabase/functions/hello/a.ts", "a");
        let before = if path.ends_with("a.ts") { scope().await } else { before };
        world.write(path, content);
        assert_ne!(scope().await, before, "{path}");
    }
}

#[tokio::test]
async fn somebody_else_who_deploys_after_the_plan_is_not_overwritten() {
    for (slugs, at, effect) in [
        (&["hello"][..], None, Effect::None),
        (&["hello", "world"], None, Effect::None),
        // While it bundles.
        (&["hello", "world"], Some("BundleFunction"), Effect::Unknown),
    ] {
        let world = World::with_two();
        let deploy = world.deploy(slugs);
        let run = world.run(&deploy);
        let change = run.plan().await.unwrap();
        let theirs = |it: &mut gatekit_emulators::Project| it.deploy("hello", "theirs", true);
        match at {
            Some(operation) => world.emulator.before_next(operation, theirs),
            None => world.emulator.with_project(theirs),
        }
        let error = run.apply(&change, None).await.unwrap_err();
        assert_eq!(code(&error), ("functions.elsewhere", effect));
        assert!(world.has("hello", "theirs"));
        run.undo(&change, None).await.unwrap();
        assert!(world.has("hello", "theirs"), "nor by the way back");
        assert!(matches!(run.locate(&change, None).await, Location::Elsewhere(_)));
    }
}

#[tokio::test]
async fn somebody_else_who_deploys_while_the_api_is_waited_for_is_not_overwritten() {
    for slugs in [&["hello"][..], &["hello", "world"]] {
        let world = World::with_two();
        world.inject("DeployFunction", Trouble::Throttled, 1);
        world.inject("BulkUpdateFunctions", Trouble::Throttled, 1);
        let deploy = world.deploy(slugs);
        let run = world.run(&deploy);
        let change = run.plan().await.unwrap();
        let theirs = |it: &mut gatekit_emulators::Project| it.deploy("hello", "theirs", true);
        let operation = if slugs.len() == 1 { "DeployFunction" } else { "BulkUpdateFunctions" };
        world.emulator.before_next(operation, theirs);
        let error = run.apply(&change, None).await.unwrap_err();
        let effect = if slugs.len() == 1 { Effect::None } else { Effect::Unknown };
        assert_eq!(code(&error), ("functions.elsewhere", effect), "what was bundled, was bundled");
        assert!(world.has("hello", "theirs"));
    }
}

#[tokio::test]
async fn somebody_else_who_deploys_right_after_is_seen() {
    let world = World::with_hello();
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let change = run.plan().await.unwrap();
    let theirs = |it: &mut gatekit_emulators::Project| it.deploy("hello", "theirs", true);
    world.emulator.before_later("ListFunctions", 1, theirs);
    let error = run.apply(&change, None).await.unwrap_err();
    assert_eq!(code(&error), ("functions.elsewhere", Effect::Done));
    assert!(world.has("hello", "theirs"));
}

#[tokio::test]
async fn a_change_is_of_one_project() {
    let (world, other) = (World::with_hello(), World::with_hello());
    let (deploy, elsewhere) = (world.deploy(&["hello"]), other.deploy(&["hello"]));
    let change = world.run(&deploy).plan().await.unwrap();
    let error = other.run(&elsewhere).apply(&change, None).await.unwrap_err();
    assert_eq!(code(&error), ("supabase.config", Effect::None));
}

#[test]
fn a_deploy_has_functions_each_of_them_once() {
    let world = World::new();
    let hello = || Function::new("hello").unwrap();
    for functions in [vec![], vec![hello(), hello().with_verify_jwt(false)]] {
        let error = Deploy::new(&world.project(), ".", "keep", functions).unwrap_err();
        assert_eq!((error.code().as_str(), error.effect()), ("functions.config", Effect::None));
    }
    let error = world.project_at("http://127.0.0.1:1", "x");
    assert!(format!("{error:?}").contains("abcdefghijklmnopqrst"));
    let deploy = world.deploy(&["hello"]);
    let functions = json!([{ "slug": "hello", "import_map": null, "verify_jwt": null }]);
    assert_eq!(deploy.describe()["functions"], functions);
}
