//! What the API refuses, and how it fails.

use std::time::Duration;

use gatekit_core::{Deployer as _, Effect, NextAction};
use gatekit_emulators::{Injection, Trouble};
use tokio::time::Instant;

use super::world::{TOKEN, World, code};

#[tokio::test]
async fn each_refusal_has_a_code_and_names_the_operation() {
    for (trouble, expected) in [
        (Trouble::Expired, ("supabase.unauthorized", Effect::None)),
        (Trouble::Denied, ("supabase.forbidden", Effect::None)),
        (Trouble::Unknown, ("supabase.not_found", Effect::None)),
        (Trouble::NotImplemented, ("supabase.unsupported", Effect::None)),
        (Trouble::Empty, ("supabase.answer", Effect::None)),
    ] {
        let world = World::with_hello();
        world.inject("ListFunctions", trouble, 1);
        let deploy = world.deploy(&["hello"]);
        let error = world.run(&deploy).plan().await.unwrap_err();
        assert_eq!(code(&error), expected);
        assert!(error.to_string().contains("GET /v1/projects/{ref}/functions"), "{error}");
    }
}

#[tokio::test]
async fn a_refused_deploy_has_done_nothing() {
    for (trouble, expected) in [
        (Trouble::Expired, ("supabase.unauthorized", Effect::None)),
        (Trouble::Denied, ("supabase.forbidden", Effect::None)),
        (Trouble::NotImplemented, ("supabase.unsupported", Effect::None)),
        (Trouble::ServerError, ("supabase.unavailable", Effect::Unknown)),
    ] {
        let world = World::with_hello();
        world.inject("DeployFunction", trouble, 1);
        let deploy = world.deploy(&["hello"]);
        let (_, error) = world.run(&deploy).fail().await;
        assert_eq!(code(&error), expected);
        assert_eq!(world.called("DeployFunction"), 1);
        if trouble == Trouble::Denied {
            let next = format!("{:?}", error.to_failure().next);
            assert!(next.contains("edge_functions:write"), "{next}");
        }
    }
}

#[tokio::test]
async fn a_project_that_is_full_takes_no_other_function() {
    for slugs in [&["fresh"][..], &["hello", "fresh"]] {
        let world = World::with_hello();
        world.write("supabase/functions/fresh/index.ts", "fresh");
        world.emulator.with_project(|it| it.limit_functions(1));
        let deploy = world.deploy(slugs);
        let run = world.run(&deploy);
        let (change, error) = run.fail().await;
        let effect = if slugs.len() == 1 { Effect::None } else { Effect::Done };
        assert_eq!(code(&error), ("supabase.function_limit", effect));
        run.undo(&change, None).await.unwrap();
        assert!(world.has("hello", "old") && world.body("fresh").is_none());
    }
}

#[tokio::test]
async fn what_the_api_refuses_otherwise_is_told_in_its_words() {
    let world = World::with_hello();
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let change = run.plan().await.unwrap();
    // Planned by somebody whose entrypoint is another one.
    let text = serde_json::to_string(&change).unwrap();
    let text = text.replace("hello/index.ts\",\"import_map", "hello/other.ts\",\"import_map");
    let error = run.apply(&serde_json::from_str(&text).unwrap(), None).await.unwrap_err();
    assert_eq!(code(&error), ("supabase.refused", Effect::None));
    assert!(error.to_string().contains("Entrypoint path does not exist"), "{error}");
}

#[tokio::test]
async fn reads_are_tried_again_and_slow_answers_are_waited_for() {
    for trouble in [Trouble::ServerError, Trouble::CutBefore, Trouble::CutAfter, Trouble::Slow] {
        let world = World::with_hello();
        world.inject("ListFunctions", trouble, 2);
        let deploy = world.deploy(&["hello"]);
        world.run(&deploy).plan().await.unwrap();
        let calls = if trouble == Trouble::Slow { 1 } else { 3 };
        assert_eq!(world.called("ListFunctions"), calls, "{trouble}");
    }
}

#[tokio::test]
async fn who_asks_too_often_waits_as_long_as_the_api_says() {
    for operation in ["ListFunctions", "DeployFunction", "BundleFunction", "BulkUpdateFunctions"] {
        let world = World::with_two();
        world.inject(operation, Trouble::Throttled, 1);
        let slugs =
            if operation == "DeployFunction" { &["hello"][..] } else { &["hello", "world"] };
        let deploy = world.deploy(slugs);
        let begun = Instant::now();
        world.run(&deploy).ship().await;
        assert!(begun.elapsed() >= Duration::from_secs(1), "{operation}");
    }
}

#[tokio::test]
async fn there_is_no_waiting_beyond_the_deadline() {
    let world = World::with_hello();
    world.inject("ListFunctions", Trouble::Throttled, 1000);
    let deploy = world.deploy(&["hello"]);
    let stage = deploy.id();
    let cx = gatekit_core::testing::plan_context(
        &super::world::target(),
        gatekit_core::Candidate::new(),
        &stage,
        Duration::from_millis(1500),
    );
    let error = deploy.plan(&cx).await.unwrap_err();
    assert_eq!(code(&error), ("supabase.rate_limited", Effect::None));
    assert!(error.is_temporary());
    assert!(world.called("ListFunctions") <= 2, "it waited in between");
}

#[tokio::test]
async fn a_pause_without_end_is_not_waited_for() {
    for operation in ["ListFunctions", "DeployFunction"] {
        let world = World::with_hello();
        world.emulator.ask_for_patience(u64::MAX);
        // Its own pauses are longer than a second by then.
        world.inject(
            operation,
            Trouble::ServerError,
            if operation == "ListFunctions" { 3 } else { 0 },
        );
        world.inject(operation, Trouble::Throttled, 1);
        let deploy = world.deploy(&["hello"]);
        let run = world.run(&deploy);
        let error = match run.plan().await {
            Ok(change) => run.apply(&change, None).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(code(&error), ("supabase.rate_limited", Effect::None), "{operation}");
    }
}

#[tokio::test]
async fn an_api_that_cannot_be_reached_is_told_so() {
    let world = World::with_hello();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let functions = [gatekit_supabase::functions::Function::new("hello").unwrap()];
    let project = world.project_at(&format!("http://{closed}"), TOKEN);
    let deploy = gatekit_supabase::functions::Deploy::new(
        &project,
        world.root.path(),
        world.keep.path(),
        functions,
    );
    let deploy = deploy.unwrap();
    let stage = deploy.id();
    let soon = Duration::from_millis(500);
    let candidate = gatekit_core::Candidate::new();
    let cx = gatekit_core::testing::plan_context(&super::world::target(), candidate, &stage, soon);
    let error = deploy.plan(&cx).await.unwrap_err();
    assert_eq!(code(&error), ("supabase.unreachable", Effect::None));
}

#[tokio::test]
async fn what_is_not_known_of_an_answer_is_left_alone_and_what_is_missing_is_named() {
    for (field, value, expected) in [
        ("mood", Some("good".into()), None),
        ("status", Some("FROZEN".into()), Some(("supabase.unknown_value", Effect::None))),
        ("status", None, Some(("supabase.unknown_value", Effect::None))),
        ("version", None, Some(("supabase.answer", Effect::None))),
        ("version", Some("two".into()), Some(("supabase.answer", Effect::None))),
        ("id", None, Some(("supabase.answer", Effect::None))),
        ("ezbr_sha256", Some("CANARY".into()), Some(("supabase.answer", Effect::None))),
        ("import_map", None, None),
        ("ezbr_sha256", None, None),
    ] {
        let world = World::with_hello();
        world.emulator.with_project(|it| {
            let told = it.told_mut("hello").unwrap();
            match value {
                Some(value) => drop(told.insert(field.to_owned(), value)),
                None => drop(told.remove(field)),
            }
        });
        let deploy = world.deploy(&["hello"]);
        let planned = world.run(&deploy).plan().await;
        assert_eq!(planned.as_ref().err().map(code), expected, "{field}");
    }
}

/// What it tells of others is for others.
#[tokio::test]
async fn a_function_that_nobody_understands_is_in_the_way_of_no_other() {
    for (field, value) in [("status", "FROZEN"), ("version", "two"), ("ezbr_sha256", "CANARY")] {
        let world = World::with_two();
        world.emulator.with_project(|it| {
            it.told_mut("world").unwrap().insert(field.to_owned(), value.into());
        });
        let deploy = world.deploy(&["hello"]);
        let run = world.run(&deploy);
        let (change, receipt) = run.ship().await;
        run.undo(&change, Some(&receipt)).await.unwrap();
        let both = world.deploy(&["hello", "world"]);
        let error = world.run(&both).plan().await.unwrap_err();
        assert_eq!(error.effect(), Effect::None, "{field}: but of its own");
    }
}

/// Older functions have no checksum until they are deployed again.
#[tokio::test]
async fn a_function_without_a_checksum_has_a_way_back() {
    let world = World::with_hello();
    world.emulator.with_project(|it| drop(it.told_mut("hello").unwrap().remove("ezbr_sha256")));
    let before = world.body("hello");
    let deploy = world.deploy(&["hello"]);
    let run = world.run(&deploy);
    let (change, receipt) = run.ship().await;
    run.undo(&change, Some(&receipt)).await.unwrap();
    assert_eq!(world.body("hello"), before);
    assert_eq!(run.locate(&change, Some(&receipt)).await, gatekit_core::Location::Before);
}

#[tokio::test]
async fn the_token_is_shown_nowhere() {
    let world = World::with_hello();
    // The API repeats it, and says what was wrong with it.
    world.emulator.repeat_token();
    world.emulator.inject(Injection::of(Trouble::Expired, "DeployFunction", 1));
    let deploy = world.deploy(&["hello"]);
    let (change, error) = world.run(&deploy).fail().await;
    assert_eq!(code(&error), ("supabase.unauthorized", Effect::None));
    let says = format!("{error}");
    assert!(says.contains("withheld"), "{says}");
    let project = world.project();
    let shown = format!("{deploy:?} {project:?} {change:?} {}", deploy.describe());
    assert!(!shown.contains("CANARY"), "{shown}");
    for entry in walk(world.keep.path()) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(
            !bytes.windows(TOKEN.len()).any(|it| it == TOKEN.as_bytes()),
            "{}",
            entry.display()
        );
    }
    let next: Vec<NextAction> = error.to_failure().next;
    assert!(!format!("{next:?}").contains("CANARY"));
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    entries.flat_map(|it| if it.is_dir() { walk(&it) } else { vec![it] }).collect()
}

#[test]
fn a_project_has_a_reference_of_twenty_letters() {
    let management = gatekit_supabase::Management::new(&"token".into()).unwrap();
    assert!(management.project("abcdefghijklmnopqrst").is_ok());
    for bad in ["", "abc", "abcdefghijklmnopqrsT", "abcdefghijklmnopqrs/", "abcdefghijklmnopqrstu"]
    {
        assert_eq!(
            code(&management.project(bad).unwrap_err()),
            ("supabase.config", Effect::None),
            "{bad}"
        );
    }
}
