//! The row of a file: what keeps it away, and what is told then.

use std::time::Duration;

use gatekit_core::{Candidate, Outcome};
use gatekit_peers::Via;
use gatekit_supabase::Database;
use gatekit_supabase::migrations::Push;
use tokio::time::{Instant, sleep};

use super::ahead::held;
use super::alone::{indexes, progress, table};
use super::down::ship_and_undo;
use super::relay::Relay;
use super::world::{World, end, engine, pipeline, version, why};

/// What does `body` for each row of the history, before it is done.
async fn trigger(world: &World, before: &str, body: &str) {
    world
        .run(&format!(
            "create function keep() returns trigger language plpgsql as 'begin {body}; end';
            create trigger keep before {before} on supabase_migrations.schema_migrations
                for each row execute function keep()"
        ))
        .await;
}

/// A world whose history has one file, which is of no table.
async fn begun(via: Via) -> World {
    let world = World::via(via);
    world.file(1, "select 1;");
    assert_eq!(end(&world.ship().await).0, Outcome::Released, "{via:?}");
    world
}

#[tokio::test]
async fn a_row_that_is_rewritten_on_its_way_undoes_its_file() {
    for via in [Via::Server, Via::Pooler] {
        let world = begun(via).await;
        trigger(&world, "insert", "new.version = ''20270101000000''; return new").await;
        world.file(2, "create table b ();");
        let report = world.ship().await;
        let ended = (Outcome::RolledBack, "migration.history");
        assert_eq!(end(&report), ended, "{via:?}: {}", why(&report));
        assert_eq!(world.tables().await, [""; 0], "{via:?}");
        assert_eq!(world.history().await.len(), 1, "{via:?}");
    }
}

#[tokio::test]
async fn a_row_that_is_gone_again_undoes_its_file() {
    for via in [Via::Server, Via::Pooler] {
        let gone = "delete from supabase_migrations.schema_migrations where version = new.version";
        let trigger = format!(
            "create function gone() returns trigger language plpgsql as 'begin {gone}; return null; end';
            create trigger gone after insert on supabase_migrations.schema_migrations
                for each row execute function gone()"
        );
        let rule = format!(
            "create rule gone as on insert to supabase_migrations.schema_migrations do also {gone}"
        );
        for sql in [trigger, rule] {
            let world = begun(via).await;
            world.run(&sql).await;
            world.file(2, "create table b ();");
            world.file(3, "create table c ();");
            let report = world.ship().await;
            let ended = (Outcome::RolledBack, "migration.history");
            assert_eq!(end(&report), ended, "{via:?}, {sql}: {}", why(&report));
            assert_eq!(world.tables().await, [""; 0], "{via:?}, {sql}");
            assert_eq!(world.history().await.len(), 1, "{via:?}, {sql}");
        }
    }
}

/// What is done stays, and so does how far it is: nothing is done twice when the row can be written.
#[tokio::test]
async fn a_file_without_a_transaction_whose_row_is_kept_away_is_not_done() {
    for file in [
        "create index concurrently i on a (i);",
        "-- pg-delta: transaction=false\n\
        create index i on a (i);",
    ] {
        let world = begun(Via::Server).await;
        table(&world).await;
        trigger(&world, "insert", "return null").await;
        world.file(2, file);
        let report = world.ship().await;
        let ended = (Outcome::Stuck, "deploy.irreversible");
        assert!(why(&report).contains("[migration.history]"), "{file}: {}", why(&report));
        assert_eq!(end(&report), ended, "{file}: {}", why(&report));
        assert_eq!(world.history().await.len(), 1, "{file}");
        assert_eq!(progress(&world).await, [format!("{} up 1 false", version(2))], "{file}");
        let built = world.texts("SELECT 'i'::regclass::oid::text").await;
        world.run("drop trigger keep on supabase_migrations.schema_migrations").await;
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{file}: {}", why(&report));
        assert_eq!(world.texts("SELECT 'i'::regclass::oid::text").await, built, "{file}");
        assert_eq!(world.history().await.len(), 2, "{file}");
        assert_eq!(progress(&world).await, [""; 0], "{file}");
    }
}

#[tokio::test]
async fn what_is_taken_back_and_keeps_its_row_is_not_taken_back() {
    for (file, down) in [
        ("create table b ();", "drop table b;"),
        ("create index concurrently i on a (i);", "drop index concurrently i;"),
    ] {
        let world = begun(Via::Server).await;
        table(&world).await;
        trigger(&world, "delete", "return null").await;
        world.file(2, file);
        world.down(2, down);
        let report = ship_and_undo(&world).await;
        assert_eq!(report.outcome, Outcome::Stuck, "{file}: {}", why(&report));
        assert!(why(&report).contains("does not make the row"), "{file}: {}", why(&report));
        assert_eq!(world.history().await.len(), 2, "{file}");
        if file.contains("concurrently") {
            assert_eq!(indexes(&world).await, [""; 0]);
            assert_eq!(progress(&world).await, [format!("{} down 1 false", version(2))]);
        } else {
            assert_eq!(world.tables().await, ["a", "b"]);
        }
    }
}

/// As the Supabase CLI does, which knows nothing of the lock.
#[tokio::test]
async fn a_file_that_somebody_else_records_while_it_is_applied_is_theirs() {
    for via in [Via::Server, Via::Pooler] {
        let world = begun(via).await;
        world.file(2, "create table b (); select pg_sleep(1);");
        let running = engine().ship(&pipeline(world.push()), Candidate::new());
        let other = async {
            world.works_at("select pg_sleep").await;
            let row = format!("('{}', 'm2', ARRAY['create table b ()'])", version(2));
            let table = "supabase_migrations.schema_migrations (version, name, statements)";
            world.run(&format!("INSERT INTO {table} VALUES {row}")).await;
        };
        let (report, ()) = tokio::join!(running, other);
        assert_ne!(report.outcome, Outcome::Released, "{via:?}: {}", why(&report));
        assert!(why(&report).contains("[migration.elsewhere]"), "{via:?}: {}", why(&report));
        assert_eq!(world.tables().await, [""; 0], "{via:?}");
    }
}

#[tokio::test]
async fn a_file_that_sets_its_transaction_to_read_alone_is_told_that() {
    let world = begun(Via::Server).await;
    world.file(2, "select set_config('transaction_read_only', 'on', true);");
    let report = world.ship().await;
    let ended = (Outcome::RolledBack, "database.read_only");
    assert_eq!(end(&report), ended, "{}", why(&report));
    assert!(why(&report).contains("the file has set so"), "{}", why(&report));
}

/// A pooler may have lost the server when it tells an error, and keep its client.
#[tokio::test]
async fn a_commit_whose_answer_somebody_between_loses_is_read() {
    let world = begun(Via::Server).await;
    // Its end is said apart from its statements.
    world.file(
        2,
        "create table b (i int);
        create function f() returns trigger language plpgsql as
            'begin perform pg_sleep(0.3); return null; end';
        create constraint trigger t after insert on b deferrable initially deferred
            for each row execute function f();
        insert into b values (1);",
    );
    world.file(3, "create table c ();");
    let relay = Relay::that_loses_commits(&world.url).await;
    let database = Database::without_tls(&relay.url).unwrap();
    let push = Push::new(database, world.folder()).unwrap();
    let report = engine().ship(&pipeline(push), Candidate::new()).await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    // That of the last file was lost, too.
    assert_eq!(relay.lost(), 2);
    assert_eq!(world.tables().await, ["b", "c"]);
    assert_eq!(world.history().await.len(), 3);
}

/// Also of one that is sent with its file.
#[tokio::test]
async fn an_interrupt_lets_a_commit_end() {
    for via in [Via::Server, Via::Pooler] {
        let world = begun(via).await;
        world.file(
            2,
            "create table b (i int);
            create function f() returns trigger language plpgsql as
                'begin perform pg_sleep(2); return null; end';
            create constraint trigger t after insert on b deferrable initially deferred
                for each row execute function f();
            insert into b values (1);",
        );
        world.file(3, "create table c ();");
        let running = engine().ship(&pipeline(world.push()), Candidate::new());
        let interrupter = running.interrupter();
        world.works_at("RESET SESSION AUTHORIZATION").await;
        sleep(Duration::from_millis(300)).await;
        interrupter.interrupt();
        let report = running.await;
        assert_eq!(report.outcome, Outcome::Stuck, "{via:?}: {}", why(&report));
        assert_eq!(world.tables().await, ["b"], "{via:?}");
        assert_eq!(world.history().await.len(), 2, "{via:?}");
    }
}

#[tokio::test]
async fn a_history_that_somebody_has_locked_keeps_no_lock_from_others() {
    for via in [Via::Server, Via::Pooler] {
        let world = begun(via).await;
        world.file(2, "create table b (); select pg_sleep(1);");
        world.file(3, "create table c ();");
        let running = engine().ship(&pipeline(world.push()), Candidate::new());
        let other = async {
            world.works_at("select pg_sleep").await;
            let other = world.client().await;
            let table = "supabase_migrations.schema_migrations";
            other.batch_execute(&format!("BEGIN; LOCK TABLE {table}")).await.unwrap();
            for is_held in [true, false, true] {
                let since = Instant::now();
                while world.texts(&held()).await.is_empty() == is_held {
                    assert!(since.elapsed() < Duration::from_secs(9), "{via:?}: {is_held}");
                    sleep(Duration::from_millis(20)).await;
                }
            }
            other.batch_execute("ROLLBACK").await.unwrap();
        };
        let (report, ()) = tokio::join!(running, other);
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        assert_eq!(world.tables().await, ["b", "c"], "{via:?}");
    }
}
