//! Statements that fail, servers that go away, and processes that die.

use std::time::Duration;

use gatekit_core::{Candidate, Engine, Outcome, RunId};
use gatekit_peers::{Proxy, Via};
use gatekit_supabase::migrations::Push;
use gatekit_supabase::{Database, code};

use super::world::{World, end, engine, killed_at, lives, pipeline, version, why};

#[tokio::test]
async fn a_statement_that_fails_is_told_with_its_place_and_nothing_of_its_file_stays() {
    let world = World::new();
    world.file(1, "create table a (i int);");
    world.file(2, "create table b ();\n\ninsert into a\n\tvalues (1), (nope);\n");
    let report = world.ship().await;
    // What was before stays: a migration has no way back.
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    let told = why(&report);
    for part in [
        "migration.failed",
        "_m2.sql",
        "statement: 2 of 2",
        "line: 4",
        "column: 15",
        "sqlstate: 42703",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(told.contains("values (1), (nope);\n\t             ^"), "{told}");
    assert_eq!(world.tables().await, ["a"]);
    assert_eq!(world.history().await.len(), 1);
}

/// Errors are journalled: what strings and rows say may be a secret.
#[tokio::test]
async fn what_a_file_or_a_row_says_is_not_told() {
    let world = World::new();
    world.run("create table a (t text unique); insert into a values ('CANARY')").await;
    for sql in [
        "insert into a values ('CANARY');",
        "select 'CANARY'::int;",
        "alter role gatekit password 'CANARY' nonsense;",
        "alter role gatekit 'CANARY';",
        "alter role gatekit password $$CANARY$$ nonsense;",
        "create table b (i int unique deferrable initially deferred, t text); \
         insert into b values (1, 'CANARY'), (1, 'CANARY');",
    ] {
        world.file(1, sql);
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::RolledBack, "migration.failed"), "{}", why(&report));
        assert!(!format!("{report:?} {}", why(&report)).contains("CANARY"), "{report:?}");
    }
}

/// What is read under the lock is younger than the lock, whatever the database has by default.
#[tokio::test]
async fn an_isolation_that_reads_what_is_old_changes_nothing() {
    let world = World::new();
    let name = world.texts("select current_database()::text").await.remove(0);
    let isolation = "default_transaction_isolation = 'repeatable read'";
    world.run(&format!("alter database {name} set {isolation}")).await;
    world.file(
        1,
        "do $$ begin assert current_setting('transaction_isolation') = 'read committed'; end $$;",
    );
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
}

/// Who adds a row by hand has applied nothing.
#[tokio::test]
async fn a_row_that_says_nothing_is_not_taken_for_the_file() {
    let world = World::new();
    world.file(1, "create table a (); select pg_sleep(1);");
    world.file(2, "create table b ();");
    world.run("create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text)").await;
    let running = engine().ship(&pipeline(world.push()), Candidate::new());
    world.works_at("select pg_sleep").await;
    let row = version(2);
    world
        .run(&format!(
            "insert into supabase_migrations.schema_migrations (version) values ('{row}')"
        ))
        .await;
    let report = running.await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    assert_eq!(world.tables().await, ["a"]);
}

/// A first file that fails has touched nothing.
#[tokio::test]
async fn a_first_file_that_fails_leaves_the_target_free() {
    let world = World::new();
    world.file(1, "select 1/0;");
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.failed"), "{}", why(&report));
    world.file(1, "select 1;");
    assert_eq!(end(&world.ship().await).0, Outcome::Released);
}

#[tokio::test]
async fn a_constraint_that_fails_at_the_end_rolls_the_file_back() {
    let world = World::new();
    world.file(
        1,
        "create table a (i int unique deferrable initially deferred); insert into a values (1), (1);",
    );
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.failed"), "{}", why(&report));
    assert!(why(&report).contains("23505"), "{}", why(&report));
    assert_eq!(world.tables().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_file_that_waits_too_long_for_a_lock_is_given_up() {
    let world = World::new();
    world.run("create table a (i int)").await;
    let reader = world.client().await;
    reader.batch_execute("begin; select * from a").await.unwrap();
    world.file(1, "alter table a add j int;");
    let push = world.push().lock_timeout(Duration::from_millis(200));
    let report = engine().ship(&pipeline(push), Candidate::new()).await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.failed"), "{}", why(&report));
    assert!(why(&report).contains("sqlstate: 55P03"), "{}", why(&report));
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_given_up() {
    let world = World::new();
    world.file(1, "create table a (); select pg_sleep(30);");
    let push = world.push().statement_timeout(Duration::from_millis(200));
    let report = engine().ship(&pipeline(push), Candidate::new()).await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.failed"), "{}", why(&report));
    assert!(why(&report).contains("sqlstate: 57014"), "{}", why(&report));
    assert_eq!(world.tables().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_interrupt_stops_the_statement_and_nothing_of_the_file_stays() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        world.file(1, "create table a (); select pg_sleep(30);");
        let running = engine().ship(&pipeline(world.push()), Candidate::new());
        let interrupter = running.interrupter();
        world.works_at("select pg_sleep").await;
        let begun = std::time::Instant::now();
        interrupter.interrupt();
        let report = running.await;
        assert!(begun.elapsed() < Duration::from_secs(15), "{via:?}");
        let told = format!("{report:?}");
        assert_eq!(report.outcome, Outcome::RolledBack, "{told}");
        assert_eq!(world.tables().await, Vec::<String>::new(), "{via:?}");
        assert_eq!(world.history().await, Vec::<String>::new(), "{via:?}");
    }
}

#[tokio::test]
async fn a_file_that_takes_longer_than_there_is_time_is_stopped() {
    let world = World::new();
    world.file(1, "create table a (); select pg_sleep(30);");
    let engine = engine().with_deadline(Duration::from_secs(2));
    let report = engine.ship(&pipeline(world.push()), Candidate::new()).await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.deadline"), "{}", why(&report));
    assert_eq!(world.tables().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_database_that_cannot_be_written_or_read_is_told_as_it_is() {
    let world = World::new();
    world.file(1, "create table a ();");
    let name = world.texts("select current_database()::text").await.remove(0);
    world.run(&format!("alter database {name} set default_transaction_read_only = on")).await;
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::RolledBack, "database.read_only"), "{}", why(&report));
    let client = world.client().await;
    client.batch_execute("set default_transaction_read_only = off").await.unwrap();
    client.batch_execute(&format!("alter database {name} reset all")).await.unwrap();
    world.run("create schema supabase_migrations").await;
    world.run("create table supabase_migrations.schema_migrations (version int)").await;
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Failed, "migration.history"), "{}", why(&report));
    let elsewhere = async |url: &str, code: &str| {
        let push = Push::new(Database::without_tls(url).unwrap(), world.folder()).unwrap();
        let report = engine().ship(&pipeline(push), Candidate::new()).await;
        assert_eq!(end(&report), (Outcome::Failed, code), "{}", why(&report));
    };
    elsewhere(&world.url.replace("/of_", "/none_"), "database.missing").await;
    elsewhere(&world.url.replace("gatekit@", "nobody:x@"), "database.login").await;
    assert_eq!(Database::at("mysql://h/d").unwrap_err().code().as_str(), "database.url");
}

/// What was sent is gone, and nobody says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_is_given_up_and_the_history_is_read_by_another() {
    let world = World::new();
    world.file(1, "create table a (); select pg_sleep(1); select 1;");
    let proxy = Proxy::before(&world.url).await.unwrap();
    let url = proxy.url(&world.url).unwrap();
    let push = Push::new(Database::without_tls(&url).unwrap(), world.folder()).unwrap();
    let engine = engine().with_deadline(Duration::from_secs(4));
    let running = engine.ship(&pipeline(push), Candidate::new());
    world.works_at("select pg_sleep").await;
    proxy.silence();
    let report = running.await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.deadline"), "{}", why(&report));
    assert_eq!(world.tables().await, Vec::<String>::new());
    assert_eq!(world.history().await, Vec::<String>::new());
}

/// Whatever cuts the connection, the history is read and not guessed.
#[tokio::test]
async fn a_connection_that_is_cut_leaves_a_file_applied_or_not() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        world.file(1, "create table a (); select pg_sleep(20);");
        let running = engine().ship(&pipeline(world.push()), Candidate::new());
        let pid = world.works_at("select pg_sleep").await;
        world.run(&format!("select pg_terminate_backend({pid})")).await;
        let report = running.await;
        let told = why(&report);
        assert_eq!(report.outcome, Outcome::RolledBack, "{via:?}: {told}");
        assert!(!told.contains("cannot_tell"), "{told}");
        assert_eq!(world.tables().await, Vec::<String>::new());
    }
}

/// The server goes on with what a process had asked for that is gone: with one statement left, it even
/// is the last. What is resumed waits for it, and then reads.
#[test]
fn a_push_that_is_killed_is_resumed_with_what_is_true() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        let (engine, run) = killed(&world);
        lives().block_on(async {
            let report = engine.resume(&pipeline(world.push()), run).await;
            assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
            assert_eq!(world.history().await.len(), 3);
            assert_eq!(world.tables().await, ["a", "b", "c"]);
            assert!(world.history().await[1].starts_with(&version(2)));
        });
    }
}

/// What was approved is not what lies there by then.
#[test]
fn a_push_that_is_killed_does_not_go_on_with_other_files() {
    let world = World::new();
    let (engine, run) = killed(&world);
    world.file(3, "drop table a;");
    lives().block_on(async {
        let report = engine.resume(&pipeline(world.push()), run).await;
        assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
        assert!(why(&report).contains(code::CHANGED.as_str()), "{}", why(&report));
        assert!(world.tables().await.contains(&"a".to_owned()));
    });
}

/// A push of three files, whose process died at the second.
fn killed(world: &World) -> (Engine, RunId) {
    world.file(1, "create table a ();");
    world.file(2, "create table b (); select pg_sleep(2); insert into a default values;");
    world.file(3, "create table c ();");
    killed_at(world, "select pg_sleep")
}
