//! What a file that allows no transaction leaves behind when it fails, and who else may finish it.

use std::time::Duration;

use gatekit_core::testing::plan_context;
use gatekit_core::{Candidate, Deployer as _, Location, Outcome, RunReport, TargetName};
use gatekit_peers::Via;
use gatekit_supabase::migrations::{Detail, FolderReader, Proof, Push, Repair, list};

use super::alone::{indexes, progress, reader, table};
use super::down::ship_and_undo;
use super::repair;
use super::world::{World, end, engine, pipeline, version, why};

/// The key of the lock on the migrations of a database.
const LOCK: i64 = 0x6761_7465_6b69_7401;

const HALF: &str =
    "create index concurrently i on a (i); create unique index concurrently u on a (i);";

fn impatient(world: &World) -> Push {
    world.push().lock_timeout(Duration::from_millis(300))
}

async fn ship(push: Push) -> RunReport {
    engine().ship(&pipeline(push), Candidate::new()).await
}

#[tokio::test]
async fn a_way_back_that_fails_forgets_nothing_of_the_way_there() {
    let world = World::new();
    table(&world).await;
    world.file(1, HALF);
    world.down(1, "drop index concurrently nope; drop index concurrently i;");
    let report = ship_and_undo(&world).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    assert_eq!(progress(&world).await, [format!("{} up 1 true", version(1))]);
    assert_eq!(indexes(&world).await, ["i", "u bad"]);
}

#[tokio::test]
async fn steps_that_are_done_of_a_statement_are_not_told_as_nothing() {
    for statement in ["drop index concurrently j;", "reindex index concurrently j;"] {
        let world = World::new();
        table(&world).await;
        world.run("create index j on a (i)").await;
        world.file(1, statement);
        let reading = reader(&world).await;
        let report = ship(impatient(&world)).await;
        assert_eq!(report.outcome, Outcome::Stuck, "{statement} {}", why(&report));
        assert!(why(&report).contains("55P03"), "{statement} {}", why(&report));
        assert_eq!(progress(&world).await, [format!("{} up 0 true", version(1))], "{statement}");
        drop(reading);
        let report = ship(world.push()).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{statement} {}", why(&report));
        assert_eq!(progress(&world).await, Vec::<String>::new());
    }
}

/// Without a name nobody can look for it.
#[tokio::test]
async fn an_index_without_a_name_that_is_left_behind_is_not_told_as_nothing() {
    let world = World::new();
    table(&world).await;
    world.file(1, "create unique index concurrently on a (i);");
    let report = world.ship().await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    assert_eq!(indexes(&world).await, ["a_i_idx bad"]);
    assert_eq!(progress(&world).await, [format!("{} up 0 true", version(1))]);
    let report = world.ship().await;
    assert!(why(&report).contains("migration.cannot_tell"), "{}", why(&report));
}

#[tokio::test]
async fn a_statement_in_steps_that_is_refused_at_once_leaves_nothing() {
    let world = World::new();
    world.file(1, "reindex index concurrently nope;");
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.failed"), "{}", why(&report));
    assert_eq!(progress(&world).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_somebody_else_has_finished_is_finished() {
    let world = World::new();
    table(&world).await;
    world.file(1, HALF);
    assert_eq!(world.ship().await.outcome, Outcome::Stuck);
    let first = world.texts("SELECT 'i'::regclass::oid::text").await;
    let statements = HALF.trim_end_matches(';').replace("; ", "','");
    world
        .run("delete from a where ctid = '(0,1)'; drop index u; create unique index u on a (i)")
        .await;
    world
        .run(&format!(
            "create table supabase_migrations.schema_migrations
                 (version text primary key, statements text[], name text);
             insert into supabase_migrations.schema_migrations
                 values ('{}', array['{statements}'], 'm1')",
            version(1)
        ))
        .await;
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Unchanged, ""), "{}", why(&report));
    assert_eq!(world.texts("SELECT 'i'::regclass::oid::text").await, first);
    world.file(2, "create table b ();");
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
}

#[tokio::test]
async fn a_repair_that_is_taken_back_leaves_how_far_a_file_is() {
    let world = World::new();
    table(&world).await;
    world.file(1, HALF);
    assert_eq!(world.ship().await.outcome, Outcome::Stuck);
    let half = progress(&world).await;
    let proof = Proof::objects().or_probe(version(1), "select true");
    let applied = Repair::applied(world.database(), world.folder(), [version(1)], proof).unwrap();
    let report = repair::run(&repair::failing(&world, applied, "select 1")).await;
    assert_eq!(end(&report), (Outcome::RolledBack, "verify.failed"), "{}", why(&report));
    assert_eq!(world.history().await, Vec::<String>::new());
    assert_eq!(progress(&world).await, half);
}

#[tokio::test]
async fn what_was_for_a_session_that_is_gone_is_not_gone_on_without() {
    let world = World::new();
    table(&world).await;
    let sets = "select set_config('search_path', 'app', false)";
    world.run("create schema app; create table app.a (i int)").await;
    let file = format!(
        "-- pg-delta: transaction=false\n{sets};\ncreate unique index concurrently u on public.a (i);\ncreate index concurrently j on a (i);"
    );
    world.file(1, &file);
    assert_eq!(world.ship().await.outcome, Outcome::Stuck);
    world.run("delete from a where ctid = '(0,1)'").await;
    let report = world.ship().await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    assert!(why(&report).contains("migration.session_gone"), "{}", why(&report));
    assert_eq!(indexes(&world).await, ["u bad"]);
}

#[tokio::test]
async fn a_role_that_another_client_of_a_pooler_has_set_is_not_the_files() {
    let world = World::via(Via::Pooler);
    let name = world.direct().rsplit('/').next().unwrap();
    let role = format!("role_{}", name.split('?').next().unwrap());
    world.run(&format!("create role {role}; grant create on schema public to {role}")).await;
    world.file(1, "create table mine ();");
    let other = super::world::client(&world.url).await;
    other.batch_execute(&format!("set role {role}")).await.unwrap();
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    let owner =
        world.texts("SELECT tableowner::text FROM pg_tables WHERE tablename = 'mine'").await;
    assert_ne!(owner, [role]);
}

#[tokio::test]
async fn what_is_recorded_is_seen_while_somebody_else_has_the_lock() {
    let world = World::new();
    world.file(1, "create table a ();");
    let push = world.push().turn_timeout(Duration::from_millis(100));
    let target = TargetName::new("test/db").unwrap();
    let cx = plan_context(&target, Candidate::new(), &push.id(), Duration::from_secs(20));
    let planned = push.plan(&cx).await.unwrap();
    let other = world.client().await;
    other.batch_execute(&format!("select pg_advisory_lock({LOCK})")).await.unwrap();
    let unseen = push.locate(&cx, &planned.change, None).await.unwrap();
    assert!(matches!(unseen, Location::Unknown(_)), "{unseen}");
    other.batch_execute(&format!("select pg_advisory_unlock({LOCK})")).await.unwrap();
    assert_eq!(ship(push.clone()).await.outcome, Outcome::Released);
    other.batch_execute(&format!("select pg_advisory_lock({LOCK})")).await.unwrap();
    assert_eq!(push.locate(&cx, &planned.change, None).await.unwrap(), Location::After);
}

#[tokio::test]
async fn files_that_are_no_migrations_by_their_names_are_told() {
    let world = World::new();
    world.file(1, "create table a ();");
    for name in ["20260101000000-rls.sql", "20260102000000_b.SQL", "README.md"] {
        std::fs::write(world.folder().join(name), "create table b ();").unwrap();
    }
    let misnamed = ["20260101000000-rls.sql", "20260102000000_b.SQL"];
    for detail in [Detail::Versions, Detail::Texts] {
        let reader = FolderReader::of(world.folder());
        let patience = Duration::from_secs(20);
        let listed = list(&world.database(), &reader, detail, patience).await.unwrap();
        assert_eq!(listed.misnamed, misnamed);
    }
    let push = world.push();
    let target = TargetName::new("test/db").unwrap();
    let cx = plan_context(&target, Candidate::new(), &push.id(), Duration::from_secs(20));
    let summary = push.plan(&cx).await.unwrap().summary;
    assert!(summary.ends_with(&format!("their names: {}", misnamed.join(", "))), "{summary}");
}
