//! What is in the folder beside what is applied.

use std::time::Duration;

use gatekit_core::Outcome;
use gatekit_supabase::migrations::{Agreement, Detail, FolderReader, MigrationRow, list};
use gatekit_supabase::{Database, code};

use super::world::{World, end, version};

const PATIENCE: Duration = Duration::from_secs(30);

async fn listed(world: &World, detail: Detail) -> Vec<MigrationRow> {
    let folder = FolderReader::of(world.folder());
    list(&world.database(), &folder, detail, PATIENCE).await.unwrap().rows
}

fn shown(row: &MigrationRow) -> (String, bool, bool, Option<Agreement>) {
    (row.version.clone(), row.local, row.remote, row.agreement)
}

#[tokio::test]
async fn a_list_tells_what_is_here_what_is_there_and_what_was_edited() {
    let world = World::new();
    world.file(1, "create table a ();");
    world.file(2, "create table b ();");
    world.file(3, "create table c ();");
    world.file(4, "create table d ();");
    assert_eq!(end(&world.ship().await).0, Outcome::Released);
    std::fs::remove_file(world.file(2, "")).unwrap();
    world.file(3, "create table c (i int);");
    world.file(5, "create table e ();");
    let of = "supabase_migrations.schema_migrations";
    world.run(&format!("update {of} set statements = null where version = '{}'", version(4))).await;
    let rows = listed(&world, Detail::Versions).await;
    let known: Vec<_> = rows.iter().map(shown).collect();
    let [one, two, three, four, five] = [1, 2, 3, 4, 5].map(version);
    assert_eq!(
        known,
        [
            (one.clone(), true, true, None),
            (two.clone(), false, true, None),
            (three.clone(), true, true, None),
            (four.clone(), true, true, None),
            (five.clone(), true, false, None),
        ]
    );
    assert_eq!(rows[1].name.as_deref(), Some("m2"), "of the history alone");
    assert_eq!(rows[4].time, "2026-01-01 00:00:05");
    let known: Vec<_> = listed(&world, Detail::Texts).await.iter().map(shown).collect();
    assert_eq!(
        known,
        [
            (one, true, true, Some(Agreement::Same)),
            (two, false, true, None),
            (three, true, true, Some(Agreement::Edited)),
            (four, true, true, Some(Agreement::Untold)),
            (five, true, false, None),
        ]
    );
}

#[tokio::test]
async fn a_database_without_a_history_has_applied_nothing_and_stays_as_it_is() {
    let world = World::new();
    let name = world.texts("select current_database()::text").await.remove(0);
    world.run(&format!("alter database {name} set default_transaction_read_only = on")).await;
    world.file(1, "create table a ();");
    for detail in [Detail::Versions, Detail::Texts] {
        let known: Vec<_> = listed(&world, detail).await.iter().map(shown).collect();
        assert_eq!(known, [(version(1), true, false, None)]);
    }
    let schemas = "select nspname::text from pg_namespace where nspname = 'supabase_migrations'";
    assert_eq!(world.texts(schemas).await, Vec::<String>::new());
}

/// The statements of thousands of migrations are megabytes.
#[tokio::test]
async fn statements_are_read_only_when_they_are_asked_for() {
    let world = World::new();
    world.file(1, "create table a ();");
    assert_eq!(end(&world.ship().await).0, Outcome::Released);
    let role = format!("lister_{}", std::process::id());
    world
        .run(&format!(
            "create role {role} login password 'x'; grant usage on schema supabase_migrations to {role}; \
             grant select (version, name) on supabase_migrations.schema_migrations to {role}"
        ))
        .await;
    let url = world.url.replace("gatekit@", &format!("{role}:x@"));
    let (database, folder) =
        (Database::without_tls(&url).unwrap(), FolderReader::of(world.folder()));
    let versions = list(&database, &folder, Detail::Versions, PATIENCE).await;
    assert_eq!(versions.unwrap().rows.len(), 1);
    let texts = list(&database, &folder, Detail::Texts, PATIENCE).await.unwrap_err();
    assert_eq!(texts.code(), &code::DATABASE_DENIED, "{texts}");
}

#[tokio::test]
async fn a_list_that_waits_for_others_ends_in_time() {
    let world = World::new();
    world.file(1, "create table a ();");
    assert_eq!(end(&world.ship().await).0, Outcome::Released);
    let other = world.client().await;
    let lock = "begin; lock table supabase_migrations.schema_migrations";
    other.batch_execute(lock).await.unwrap();
    let (database, folder) = (world.database(), FolderReader::of(world.folder()));
    for detail in [Detail::Versions, Detail::Texts] {
        let listing = list(&database, &folder, detail, Duration::from_millis(500));
        let listed = tokio::time::timeout(PATIENCE, listing).await;
        assert_eq!(listed.unwrap().unwrap_err().code(), &code::DATABASE_UNREACHABLE);
    }
}
