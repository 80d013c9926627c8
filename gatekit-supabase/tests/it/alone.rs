//! Files that allow no transaction.

use std::time::Duration;

use gatekit_core::{Candidate, Outcome};
use gatekit_peers::Via;
use tokio_postgres::Client;

use super::down::ship_and_undo;
use super::world::{World, end, engine, killed_at, lives, pipeline, version, why};

const INDEXES: &str =
    "SELECT indexrelid::regclass::text || CASE WHEN indisvalid THEN '' ELSE ' bad' END
    FROM pg_index WHERE indrelid = 'a'::regclass ORDER BY 1";

/// A table with two rows that are alike.
pub(super) async fn table(world: &World) {
    world.run("create table a (i int); insert into a values (1), (1)").await;
}

pub(super) async fn indexes(world: &World) -> Vec<String> {
    world.texts(INDEXES).await
}

/// How far files are: nothing where there is no such table.
pub(super) async fn progress(world: &World) -> Vec<String> {
    let there = "SELECT tablename::text FROM pg_tables WHERE tablename = 'gatekit_progress'";
    if world.texts(there).await.is_empty() {
        return Vec::new();
    }
    let row = "version || ' ' || way || ' ' || done || ' ' || (begun IS NOT NULL)";
    world.texts(&format!("SELECT {row} FROM supabase_migrations.gatekit_progress")).await
}

/// Reads the table for as long as it lives: no index of it can be finished meanwhile.
pub(super) async fn reader(world: &World) -> Client {
    let reader = world.client().await;
    reader.batch_execute("begin isolation level repeatable read; select * from a").await.unwrap();
    reader
}

#[tokio::test]
async fn statements_without_a_transaction_are_applied_and_recorded() {
    let world = World::new();
    table(&world).await;
    world.file(1, "create index concurrently i on a (i);");
    world.file(2, "set maintenance_work_mem = '2MB'; vacuum a; -- done\n");
    world.file(3, "create table b ();");
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    assert_eq!(indexes(&world).await, ["i"]);
    assert_eq!(world.history().await.len(), 3);
    assert_eq!(world.tables().await, ["a", "b"], "no table of gatekit's own is left");
    assert_eq!(progress(&world).await, Vec::<String>::new());
    assert_eq!(end(&world.ship().await), (Outcome::Unchanged, ""));
}

#[tokio::test]
async fn a_pooler_that_has_no_sessions_is_refused_before_anything_is_done() {
    let world = World::via(Via::Pooler);
    table(&world).await;
    world.file(1, "create index concurrently i on a (i);");
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Failed, "migration.pooled"), "{}", why(&report));
    assert_eq!(indexes(&world).await, Vec::<String>::new());
    assert_eq!(world.history().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_fails_halfway_is_gone_on_with_and_nothing_is_done_twice() {
    let world = World::new();
    table(&world).await;
    let unique = "create unique index concurrently u on a (i);";
    let path = world.file(1, &format!("create index concurrently i on a (i); {unique} vacuum a;"));
    let report = world.ship().await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    for part in ["migration.failed", "statement: 2 of 3", "sqlstate: 23505"] {
        assert!(why(&report).contains(part), "{part} in {}", why(&report));
    }
    assert_eq!(indexes(&world).await, ["i", "u bad"]);
    assert_eq!(progress(&world).await, [format!("{} up 1 true", version(1))]);
    assert_eq!(world.history().await, Vec::<String>::new());
    let first = world.texts("SELECT 'i'::regclass::oid::text").await;
    // Until what is in the way is gone, it stays as it is.
    assert_eq!(world.ship().await.outcome, Outcome::Stuck);
    assert_eq!(progress(&world).await, [format!("{} up 1 true", version(1))]);
    world.run("delete from a where ctid = '(0,1)'").await;
    // What comes after what is done may be mended.
    std::fs::write(&path, format!("create index concurrently i on a (i); {unique} analyze a;"))
        .unwrap();
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Failed, "migration.mixed"), "{}", why(&report));
    std::fs::write(&path, format!("create index concurrently i on a (i); {unique}")).unwrap();
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    assert_eq!(indexes(&world).await, ["i", "u"]);
    assert_eq!(world.texts("SELECT 'i'::regclass::oid::text").await, first, "built once");
    assert_eq!(progress(&world).await, Vec::<String>::new());
    assert_eq!(world.history().await.len(), 1);
}

#[tokio::test]
async fn what_is_done_must_be_the_beginning_of_the_file() {
    let world = World::new();
    table(&world).await;
    let bad = "create unique index concurrently u on a (i);";
    world.file(1, &format!("create index concurrently i on a (i); {bad}"));
    assert_eq!(world.ship().await.outcome, Outcome::Stuck);
    for other in [
        "create index concurrently j on a (i);".to_owned(),
        format!("create index concurrently j on a (i); {bad}"),
        "create table b ();".to_owned(),
    ] {
        world.file(1, &other);
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Failed, "migration.unfinished"), "{}", why(&report));
    }
    std::fs::remove_file(world.folder().join(format!("{}_m1.sql", version(1)))).unwrap();
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Failed, "migration.unfinished"), "{}", why(&report));
    assert_eq!(indexes(&world).await, ["i", "u bad"]);
}

#[tokio::test]
async fn a_first_statement_that_the_server_refuses_leaves_nothing() {
    let world = World::new();
    world.file(1, "create index concurrently i on nope (i);");
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.failed"), "{}", why(&report));
    assert_eq!(progress(&world).await, Vec::<String>::new());
    world.file(1, "create table a ();");
    assert_eq!(end(&world.ship().await), (Outcome::Released, ""));
}

/// Each of them is done or not, with how far the file is in the same transaction.
#[tokio::test]
async fn a_file_that_asks_for_no_transaction_goes_on_after_the_last_statement_that_is_done() {
    let world = World::new();
    let directive = "-- pg-delta: transaction=false\n";
    world.file(1, &format!("{directive}create table a (); create table b (); select 1/0;"));
    let report = world.ship().await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    assert!(why(&report).contains("statement: 3 of 3"), "{}", why(&report));
    assert_eq!(world.tables().await, ["a", "b"]);
    assert_eq!(progress(&world).await, [format!("{} up 2 false", version(1))]);
    world.file(1, &format!("{directive}create table a (); create table b (); create table c ();"));
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    assert_eq!(world.tables().await, ["a", "b", "c"]);
    assert_eq!(progress(&world).await, Vec::<String>::new());
}

/// The server goes on with it, and nobody hears of its end.
#[test]
fn an_index_that_was_being_built_when_the_process_died_is_found() {
    let world = World::new();
    let reading = lives();
    let reader = reading.block_on(async {
        table(&world).await;
        reader(&world).await
    });
    world.file(1, "create index concurrently i on a (i); create index concurrently j on a (i);");
    let (engine, run) = killed_at(&world, "create index concurrently i");
    drop((reader, reading));
    lives().block_on(async {
        let report = engine.resume(&pipeline(world.push()), run).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
        assert_eq!(indexes(&world).await, ["i", "j"]);
        assert_eq!(world.history().await.len(), 1);
        assert_eq!(progress(&world).await, Vec::<String>::new());
    });
}

#[tokio::test]
async fn an_index_that_was_stopped_is_built_again() {
    let world = World::new();
    table(&world).await;
    world.file(1, "create index concurrently i on a (i);");
    let reader = reader(&world).await;
    // What is left of the first is dropped by the second, which waits for the reader, too.
    for (by_interrupt, at) in
        [(true, "create index concurrently i"), (false, "DROP INDEX CONCURRENTLY i")]
    {
        let engine =
            if by_interrupt { engine() } else { engine().with_deadline(Duration::from_secs(3)) };
        let running = engine.ship(&pipeline(world.push()), Candidate::new());
        let interrupter = running.interrupter();
        world.works_at(at).await;
        if by_interrupt {
            interrupter.interrupt();
        }
        let report = running.await;
        assert_eq!(report.outcome, Outcome::Stuck, "{by_interrupt}: {}", why(&report));
        assert_eq!(indexes(&world).await, ["i bad"]);
        assert_eq!(progress(&world).await, [format!("{} up 0 true", version(1))]);
    }
    drop(reader);
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    assert_eq!(indexes(&world).await, ["i"]);
}

/// It says that it has nothing to do, and the index is of no use.
#[tokio::test]
async fn an_index_that_is_there_and_not_valid_is_no_success() {
    let world = World::new();
    table(&world).await;
    let left =
        world.client().await.batch_execute("create unique index concurrently i on a (i)").await;
    assert!(left.is_err());
    world.file(1, "create index concurrently if not exists i on a (i);");
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.failed"), "{}", why(&report));
    assert!(why(&report).contains("is not valid"), "{}", why(&report));
    assert_eq!(world.history().await, Vec::<String>::new());
}

/// What is there from before is not taken for what failed.
#[tokio::test]
async fn an_index_of_somebody_else_is_not_taken_for_the_files() {
    let world = World::new();
    table(&world).await;
    world.run("create index i on a ((i + 1))").await;
    world.file(1, "create index concurrently i on a (i);");
    for _ in 0..2 {
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::RolledBack, "migration.failed"), "{}", why(&report));
        assert!(why(&report).contains("42P07"), "{}", why(&report));
    }
}

/// Nothing in the database shows it that can be read as its own.
#[test]
fn a_statement_that_shows_nothing_is_not_guessed_at() {
    let world = World::new();
    let reading = lives();
    let reader = reading.block_on(async {
        world.run("create table a (i int) partition by list (i); create table q partition of a for values in (1)").await;
        reader(&world).await
    });
    world.file(1, "alter table a detach partition q concurrently;");
    let (engine, run) = killed_at(&world, "alter table a detach");
    drop((reader, reading));
    lives().block_on(async {
        let report = engine.resume(&pipeline(world.push()), run).await;
        assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
        assert!(why(&report).contains("migration.cannot_tell"), "{}", why(&report));
        assert_eq!(progress(&world).await, [format!("{} up 0 true", version(1))]);
        assert_eq!(world.history().await, Vec::<String>::new());
    });
}

#[tokio::test]
async fn two_pushes_of_one_file_apply_it_once() {
    let world = World::new();
    table(&world).await;
    let reader = reader(&world).await;
    world.file(1, "create index concurrently i on a (i);");
    let first = engine().ship(&pipeline(world.push()), Candidate::new());
    world.works_at("create index concurrently i").await;
    let impatient = world.push().turn_timeout(Duration::from_millis(300));
    let report = engine().ship(&pipeline(impatient), Candidate::new()).await;
    assert!(why(&report).contains("migration.locked"), "{report:?} {}", why(&report));
    assert!(why(&report).contains("of the server"), "who holds it: {}", why(&report));
    let second = engine().ship(&pipeline(world.push()), Candidate::new());
    drop(reader);
    let report = first.await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    let report = second.await;
    // It may have planned, or planned again, when the other was done.
    let good =
        [(Outcome::Released, ""), (Outcome::Unchanged, ""), (Outcome::Refused, "plan.changed")];
    assert!(good.contains(&end(&report)), "{report:?} {}", why(&report));
    assert_eq!(indexes(&world).await, ["i"]);
    assert_eq!(world.history().await.len(), 1);
}

#[tokio::test]
async fn what_was_applied_without_a_transaction_is_taken_back_so() {
    let world = World::new();
    table(&world).await;
    world.file(1, "create index concurrently i on a (i); create index concurrently j on a (i);");
    world.down(1, "drop index concurrently if exists j; drop index concurrently if exists i;");
    let report = ship_and_undo(&world).await;
    assert_eq!(end(&report), (Outcome::RolledBack, "verify.failed"), "{}", why(&report));
    assert_eq!(indexes(&world).await, Vec::<String>::new());
    assert_eq!(world.history().await, Vec::<String>::new());
    assert_eq!(progress(&world).await, Vec::<String>::new());
    // Also what is half applied.
    world.file(
        1,
        "create index concurrently i on a (i); create unique index concurrently j on a (i);",
    );
    let report = ship_and_undo(&world).await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.failed"), "{}", why(&report));
    assert_eq!(indexes(&world).await, Vec::<String>::new());
    assert_eq!(progress(&world).await, Vec::<String>::new());
}
