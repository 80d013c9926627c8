//! Errors after a write: each tells what was written, whatever went wrong then.

use gatekit_core::Effect;
use gatekit_emulators::{Injection, Trouble};
use gatekit_supabase::functions::FunctionsChange;

use super::world::{World, code};

/// Lets nobody read what was made of the files of a change, from the next call of an operation on.
fn spoil(world: &World, operation: &str, change: &FunctionsChange) {
    let path = world.keep.path().join(format!("bundles/{}.json", change.functions[0].source));
    world.emulator.before_next(operation, move |_| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "no JSON").unwrap();
    });
}

#[tokio::test]
async fn what_cannot_be_read_after_a_write_hides_no_write() {
    for (slugs, operation, trouble, effect) in [
        (&["hello"][..], "DeployFunction", Some(Trouble::CutAfter), Effect::Unknown),
        (&["hello", "world"], "BundleFunction", None, Effect::Unknown),
        (&["hello", "world"], "BulkUpdateFunctions", Some(Trouble::CutAfter), Effect::Unknown),
        (&["hello", "world"], "BulkUpdateFunctions", None, Effect::Done),
    ] {
        let world = World::with_two();
        if let Some(trouble) = trouble {
            world.inject(operation, trouble, 1);
        }
        let deploy = world.deploy(slugs);
        let run = world.run(&deploy);
        let change = run.plan().await.unwrap();
        spoil(&world, operation, &change);
        let error = run.apply(&change, None).await.unwrap_err();
        assert_eq!(code(&error), ("functions.keep", effect), "{operation} {trouble:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_after_a_way_back_hides_no_write() {
    for (trouble, effect) in [(Some(Trouble::CutAfter), Effect::Unknown), (None, Effect::Done)] {
        let world = World::with_two();
        let deploy = world.deploy(&["hello", "world"]);
        let run = world.run(&deploy);
        let (change, receipt) = run.ship().await;
        if let Some(trouble) = trouble {
            world.inject("UpdateFunction", trouble, 1);
        }
        spoil(&world, "UpdateFunction", &change);
        let error = run.undo(&change, Some(&receipt)).await.unwrap_err();
        assert_eq!(code(&error), ("functions.keep", effect), "{trouble:?}");
    }
}

#[tokio::test]
async fn a_refused_read_after_a_write_hides_no_write() {
    let world = World::with_hello();
    world.emulator.inject(Injection::of(Trouble::Denied, "ListFunctions", 1).after(2));
    let deploy = world.deploy(&["hello"]);
    let (_, error) = world.run(&deploy).fail().await;
    assert_eq!(code(&error), ("supabase.forbidden", Effect::Done));
}
