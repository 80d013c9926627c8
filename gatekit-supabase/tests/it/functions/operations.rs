//! The list of operations is what is called.

use std::collections::BTreeSet;
use std::time::Duration;

use gatekit_core::testing::plan_context;
use gatekit_core::{Candidate, Gate as _, StageId};
use gatekit_emulators::Supabase;
use gatekit_supabase::operations::{self, Need};
use gatekit_supabase::secrets::Present;
use serde_json::Value;

use super::recorded::specification;
use super::world::{World, target};

/// A path with the names in it again.
fn template(path: &str) -> String {
    let path = path.replace(Supabase::PROJECT, "{ref}");
    let named =
        ["hello", "fresh"].into_iter().find(|slug| path.contains(&format!("/functions/{slug}")));
    named.map_or(path.clone(), |slug| path.replace(slug, "{function_slug}"))
}

#[tokio::test]
async fn what_is_listed_is_called_and_nothing_else() {
    let world = World::with_hello();
    world.write("supabase/functions/fresh/index.ts", "fresh");
    let stage = StageId::new("secrets").unwrap();
    let cx = plan_context(&target(), Candidate::new(), &stage, Duration::from_secs(20));
    Present::of(&world.project(), "secrets", ["A"]).unwrap().check(&cx).await.unwrap();
    for slugs in [&["hello", "fresh"][..], &["hello"]] {
        let deploy = world.deploy(slugs);
        let run = world.run(&deploy);
        let (change, receipt) = run.ship().await;
        run.undo(&change, Some(&receipt)).await.unwrap();
    }
    let calls = world.emulator.calls();
    let called: BTreeSet<_> =
        calls.iter().map(|it| format!("{} {}", it.method, template(&it.path))).collect();
    let listed: BTreeSet<_> = operations::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(called, listed);
}

#[test]
fn the_specification_has_what_is_listed_and_the_scopes() {
    let Some(specification) = specification() else { return };
    for operation in operations::ALL {
        let method = operation.method.as_str().to_lowercase();
        let told = &specification["paths"][operation.path][&method];
        assert!(told.is_object(), "{operation}");
        let scope = told["x-oauth-scope"].as_str();
        assert_eq!(scope, Some(operation.scope), "{operation}");
        assert_ne!(told["deprecated"], Value::Bool(true), "{operation}");
    }
    assert!(operations::ALL.iter().any(|it| it.need == Need::Optional));
}
