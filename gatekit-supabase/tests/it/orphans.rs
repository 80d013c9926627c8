//! Versions that were applied, and that no file has.

use std::sync::Arc;

use gatekit_core::ledger::{Ledger as _, MemoryLedger};
use gatekit_core::{Candidate, Engine, Outcome, Pipeline, Replan, RunReport, enforced, on};
use gatekit_peers::Via;
use gatekit_supabase::code;
use gatekit_supabase::migrations::{Down, Orphans, Remains, Repair, RestoreRows, Unattended};
use tokio::time::{Duration, Instant};

use super::world::{World, end, engine, version, why};

const BOTH: [Via; 2] = [Via::Server, Via::Pooler];

const TABLE: &str = "supabase_migrations.schema_migrations";

fn orphans(world: &World, unattended: Unattended) -> Orphans {
    Orphans::of(&world.push().leaving_orphans()).unwrap().unattended(unattended)
}

fn pipeline(world: &World, orphans: Orphans, is_good: bool) -> Pipeline {
    let push = world.push().leaving_orphans();
    let repair = Repair::orphans(&orphans).unwrap();
    let (down, back) = (Down::of(&push), RestoreRows::of(&repair));
    let pipeline = Pipeline::to("test/db")
        .gate(enforced(orphans))
        .deploy(push)
        .rollback_with(down)
        .recover(on(code::ORPHANED).deploy(repair).rollback_with(back).then(Replan).at_most(2));
    let pipeline = if is_good { pipeline } else { pipeline.verify(world.fails_after("")) };
    pipeline.build().unwrap()
}

async fn ship(world: &World, orphans: Orphans) -> RunReport {
    engine().ship(&pipeline(world, orphans, true), Candidate::new()).await
}

/// A database with one migration, of which the next is pending.
async fn world(via: Via) -> World {
    let world = World::via(via);
    world.file(1, "create table a ();");
    world.down(1, "drop table a;");
    assert_eq!(end(&world.ship().await).1, "");
    world.file(2, "create table b ();");
    world.down(2, "drop table b;");
    world
}

/// Adds a version that no file has.
async fn orphan(world: &World, number: u32, name: &str, statements: &str) {
    let version = version(number);
    world
        .run(&format!(
            "INSERT INTO {TABLE} (version, name, statements) VALUES ('{version}', {name}, {statements})"
        ))
        .await;
}

fn files(world: &World) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(world.folder())
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter(|it| it != "down")
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn orphans_of_which_nothing_is_there_are_removed_and_the_push_goes_on() {
    for via in BOTH {
        let world = world(via).await;
        // The first would make what is pending older than the newest that is applied.
        orphan(
            &world,
            5,
            "'x'",
            "array['create table x (i int)', 'create index xi on x (i)', '-- done']",
        )
        .await;
        orphan(&world, 3, "NULL", "array['create or replace function public.f() returns int language sql as $$ select 1 $$']").await;
        let ledger = Arc::new(MemoryLedger::new());
        let pipeline = pipeline(&world, orphans(&world, Unattended::none().reverted()), true);
        let report = Engine::new(Arc::clone(&ledger) as _).ship(&pipeline, Candidate::new()).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        let rows = world.history().await;
        assert_eq!(rows.len(), 2);
        assert!(rows[1].starts_with(&version(2)), "{rows:?}");
        assert_eq!(world.tables().await, ["a", "b"]);
        let journal = ledger.read(&"test/db".parse().unwrap(), 0, 1000).await.unwrap();
        let journal = format!("{journal:?}");
        for step in ["recovering", "repair", "table `x`: does not exist", "create table x (i int)"]
        {
            assert!(journal.contains(step), "{step} is journalled");
        }
        let again = ship(&world, orphans(&world, Unattended::none())).await;
        assert_eq!(end(&again), (Outcome::Unchanged, ""), "{via:?}: {}", why(&again));
    }
}

#[tokio::test]
async fn orphans_are_removed_also_where_nothing_is_pending() {
    let world = world(Via::Server).await;
    assert_eq!(end(&world.ship().await).1, "");
    orphan(&world, 5, "'x'", "array['create table x ()']").await;
    let report = ship(&world, orphans(&world, Unattended::none().reverted())).await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    assert_eq!(world.history().await.len(), 2);
}

#[tokio::test]
async fn what_a_run_has_repaired_is_restored_when_it_is_undone() {
    for via in BOTH {
        for pending in [true, false] {
            let world = world(via).await;
            if !pending {
                assert_eq!(end(&world.ship().await).1, "");
            }
            orphan(&world, 5, "'x'", "array['create table x ()', NULL]").await;
            let before = world.history().await;
            let tables = world.tables().await;
            let allowed = orphans(&world, Unattended::none().reverted());
            let report = engine().ship(&pipeline(&world, allowed, false), Candidate::new()).await;
            assert_eq!(
                end(&report),
                (Outcome::RolledBack, "verify.failed"),
                "{via:?}: {}",
                why(&report)
            );
            assert_eq!(world.history().await, before, "{via:?}");
            assert_eq!(world.tables().await, tables, "{via:?}");
        }
    }
}

#[tokio::test]
async fn what_is_not_allowed_without_a_person_is_refused_with_what_a_person_runs() {
    for via in BOTH {
        let world = world(via).await;
        orphan(&world, 5, "'x'", "array['create table x ()']").await;
        orphan(&world, 6, "'y'", "array['create table y ()']").await;
        let before = world.history().await;
        for unattended in [Unattended::none(), Unattended::none().reverted_on("preview/*")] {
            let candidate = Candidate::new().with_input("branch", "main");
            let pipeline = pipeline(&world, orphans(&world, unattended), true);
            let report = engine().ship(&pipeline, candidate).await;
            assert_eq!(report.outcome, Outcome::Refused, "{}", why(&report));
            let told = why(&report);
            assert!(told.contains("migration.orphans_absent"), "{told}");
            let verb = format!("repair --status reverted {} {}", version(5), version(6));
            assert!(told.contains(&verb), "{told}");
            assert_eq!(world.history().await, before);
        }
        let previews = orphans(&world, Unattended::none().reverted_on("preview/*"));
        let candidate = Candidate::new().with_input("branch", "preview/7");
        let report = engine().ship(&pipeline(&world, previews, true), candidate).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    }
}

/// Whatever the pipeline does not ask: the repair itself does not do it.
#[tokio::test]
async fn a_recovery_without_the_gate_does_no_more_than_is_allowed() {
    for (statements, told) in [
        ("array['create table x ()']", "nothing of them is in the database"),
        ("array['create table a ()']", "the database has them"),
        ("NULL", "cannot be told"),
    ] {
        let world = world(Via::Server).await;
        orphan(&world, 5, "'x'", statements).await;
        let before = world.history().await;
        let repair = Repair::orphans(&orphans(&world, Unattended::none())).unwrap();
        let back = RestoreRows::of(&repair);
        let pipeline = Pipeline::to("test/db")
            .deploy(world.push().leaving_orphans())
            .irreversible("a migration is mended by the next one")
            .recover(on(code::ORPHANED).deploy(repair).rollback_with(back).then(Replan))
            .build()
            .unwrap();
        let report = engine().ship(&pipeline, Candidate::new()).await;
        assert_eq!(end(&report), (Outcome::RolledBack, "migration.orphaned"), "{}", why(&report));
        assert!(why(&report).contains(told), "{}", why(&report));
        assert_eq!(world.history().await, before);
        assert_eq!(world.tables().await, ["a"]);
    }
}

#[tokio::test]
async fn orphans_that_are_all_there_become_files_and_the_run_is_refused() {
    for via in BOTH {
        let world = world(via).await;
        world.run("create table x (i int); create view xv as select ';' as a;").await;
        orphan(
            &world,
            5,
            "'x y'",
            "array['-- theirs\ncreate table x (i int)', 'create view xv as select '';'' as a']",
        )
        .await;
        let before = (world.history().await, world.tables().await);
        let quiet = ship(&world, orphans(&world, Unattended::none().reverted())).await;
        assert_eq!(quiet.outcome, Outcome::Refused, "{}", why(&quiet));
        assert!(why(&quiet).contains("migration.orphans_present"), "{}", why(&quiet));
        assert_eq!(files(&world).len(), 2, "nobody has asked for files");
        let report = ship(&world, orphans(&world, Unattended::none()).writing_files()).await;
        assert_eq!(report.outcome, Outcome::Refused, "{}", why(&report));
        let name = format!("{}_x y.sql", version(5));
        for part in ["migration.orphans_present", "commit these files, ship again", &name] {
            assert!(why(&report).contains(part), "{}", why(&report));
        }
        let text = std::fs::read_to_string(world.folder().join(&name)).unwrap();
        assert_eq!(
            text,
            "-- theirs\ncreate table x (i int);\n\ncreate view xv as select ';' as a;\n"
        );
        assert_eq!((world.history().await, world.tables().await), before, "{via:?}");
        // They are committed: what is pending is older now than what is applied.
        let push = world.push().including_out_of_order();
        let report = engine().ship(&super::world::pipeline(push), Candidate::new()).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
    }
}

#[tokio::test]
async fn a_file_that_is_there_is_never_written_over() {
    let world = world(Via::Server).await;
    world.run("create table x (); create table y ();").await;
    orphan(&world, 5, "'x'", "array['create table x ()']").await;
    orphan(&world, 6, "'../y'", "array['create table y ()']").await;
    let report = ship(&world, orphans(&world, Unattended::none()).writing_files()).await;
    assert_eq!(report.outcome, Outcome::Refused, "{}", why(&report));
    assert!(why(&report).contains("no files are written"), "{}", why(&report));
    assert_eq!(files(&world).len(), 2, "all or none");
    world.run(&format!("UPDATE {TABLE} SET name = 'y' WHERE version = '{}'", version(6))).await;
    let orphans = orphans(&world, Unattended::none());
    let diagnosis = orphans.diagnose(Instant::now() + Duration::from_secs(20)).await.unwrap();
    std::fs::create_dir(world.folder().join(format!("{}_y.sql", version(6)))).unwrap();
    let error = orphans.write_files(&diagnosis).unwrap_err();
    assert_eq!(error.code().as_str(), "migration.not_written");
    assert_eq!(files(&world).len(), 3, "all or none");
}

#[tokio::test]
async fn what_nobody_can_tell_is_for_a_person() {
    for (statements, there) in [
        ("NULL", ""),
        ("'{}'", ""),
        ("array['-- nothing']", ""),
        ("array['insert into a default values']", ""),
        ("array['create table x ()', 'alter table x add i int']", ""),
        ("array['create table x ()', 'create table y ()']", "create table x ();"),
        ("array['create table x ()']", "create schema s; create table s.x ();"),
        ("array['create or replace view v as select 1']", "create view v as select 1;"),
        ("array['create table x ()', 'drop table x']", ""),
        ("array['set search_path = s', 'create table x ()']", ""),
    ] {
        let world = world(Via::Server).await;
        world.run(there).await;
        orphan(&world, 5, "'x'", statements).await;
        let before = world.history().await;
        let allowed = orphans(&world, Unattended::none().reverted()).writing_files();
        let report = ship(&world, allowed).await;
        assert_eq!(report.outcome, Outcome::Refused, "{statements}: {}", why(&report));
        assert!(
            why(&report).contains("migration.orphans_unclear"),
            "{statements}: {}",
            why(&report)
        );
        assert!(why(&report).contains("operator"), "{statements}: {}", why(&report));
        assert_eq!(world.history().await, before, "{statements}");
        assert_eq!(files(&world).len(), 2, "{statements}");
    }
    // One that is there and one that is not are not one conclusion.
    let world = world(Via::Server).await;
    orphan(&world, 5, "'x'", "array['create table x ()']").await;
    orphan(&world, 6, "'y'", "array['create table a ()']").await;
    let report = ship(&world, orphans(&world, Unattended::none().reverted())).await;
    assert!(why(&report).contains("migration.orphans_unclear"), "{}", why(&report));
    let orphans = orphans(&world, Unattended::none());
    let diagnosis = orphans.diagnose(Instant::now() + Duration::from_secs(20)).await.unwrap();
    assert_eq!(diagnosis.remains(), Some(Remains::Unclear));
    assert_eq!(diagnosis.orphans[0].remains, Remains::Nothing);
    assert_eq!(diagnosis.orphans[1].remains, Remains::Everything);
    assert_eq!(orphans.write_files(&diagnosis).unwrap_err().code(), &code::ORPHANS_UNCLEAR);
}

/// Who goes on applying versions that no file has, is not followed for ever.
#[tokio::test]
async fn a_run_repairs_at_most_twice() {
    let world = world(Via::Server).await;
    orphan(&world, 5, "'x'", "array['create table x ()']").await;
    // Each time a row leaves, another comes.
    world
        .run(&format!(
            "create function again() returns trigger language plpgsql as $$ begin \
                insert into {TABLE} (version, name, statements) \
                values ((old.version::bigint + 1)::text, 'again', array['create table x ()']); \
                return null; end $$; \
             create trigger again after delete on {TABLE} for each row \
                when (old.version > '{}') execute function again()",
            version(4)
        ))
        .await;
    let ledger = Arc::new(MemoryLedger::new());
    let pipeline = pipeline(&world, orphans(&world, Unattended::none().reverted()), true);
    let report = Engine::new(Arc::clone(&ledger) as _).ship(&pipeline, Candidate::new()).await;
    assert_ne!(report.outcome, Outcome::Released);
    assert!(why(&report).contains("as often as it may in one run: 2"), "{}", why(&report));
    let journal = ledger.read(&"test/db".parse().unwrap(), 0, 1000).await.unwrap();
    let begun = journal.iter().filter(|it| format!("{it:?}").contains("recovering")).count();
    assert_eq!(begun, 2);
    assert_eq!(world.tables().await, ["a"]);
}

/// What is in strings may be a secret, and is in the history alone.
#[tokio::test]
async fn what_orphans_say_is_not_journalled() {
    let world = world(Via::Server).await;
    orphan(&world, 5, "'x'", "array['create table x (a text default ''CANARY'')']").await;
    for unattended in [Unattended::none(), Unattended::none().reverted()] {
        let ledger = Arc::new(MemoryLedger::new());
        let pipeline = pipeline(&world, orphans(&world, unattended), false);
        let report = Engine::new(Arc::clone(&ledger) as _).ship(&pipeline, Candidate::new()).await;
        let journal = ledger.read(&"test/db".parse().unwrap(), 0, 1000).await.unwrap();
        let journal = format!("{journal:?} {report:?}");
        assert!(journal.contains("create table x (a text default '"), "{journal}");
        assert!(!journal.contains("CANARY"), "{journal}");
    }
}
