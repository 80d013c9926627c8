//! Statements that are sent before the answers to those before them, and what is read between files.

use std::fmt::Write as _;
use std::time::Duration;

use gatekit_core::{Candidate, Outcome};
use gatekit_peers::Via;
use gatekit_supabase::Database;
use gatekit_supabase::migrations::Push;
use tokio::time::{Instant, sleep};

use super::relay::Relay;
use super::world::{World, end, engine, killed_at, lives, pipeline, version, why};

/// The key of the lock that a push holds.
const KEY: i64 = 7_449_363_237_590_103_041;

/// Who holds it.
pub(super) fn held() -> String {
    format!(
        "SELECT pid::text FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1
            AND (classid::bigint << 32 | objid::bigint) = {KEY}
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
}

#[tokio::test]
async fn many_statements_are_done_in_their_order() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        // More than are under way at once, and one that is more than all of these may be.
        let mut file = "create table t (i serial, said int, text text);\n".to_owned();
        for number in 1..=40 {
            writeln!(file, "insert into t (said) values ({number});").unwrap();
        }
        writeln!(file, "insert into t (said, text) values (41, '{}');", "x".repeat(3 << 20))
            .unwrap();
        writeln!(file, "insert into t (said) values (42);").unwrap();
        world.file(1, &file);
        world.file(2, "-- nothing but this\n");
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        let wrong = "SELECT i::text FROM t WHERE i <> said OR length(text) <> 3 << 20";
        assert_eq!(world.texts(wrong).await, [""; 0], "{via:?}");
        assert_eq!(world.texts("SELECT count(*)::text FROM t").await, ["42"], "{via:?}");
    }
}

#[tokio::test]
async fn the_first_that_fails_is_told_and_not_what_fails_because_of_it() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        world.file(1, "create table a ();\n\nselect 1 / 0;\nselect nope;\nselect 3;\n");
        let report = world.ship().await;
        let ended = (Outcome::RolledBack, "migration.failed");
        assert_eq!(end(&report), ended, "{via:?}: {}", why(&report));
        for said in ["2 of 4", "line: 3", "22012"] {
            assert!(why(&report).contains(said), "{via:?}: {said}: {}", why(&report));
        }
        assert_eq!(world.tables().await, [""; 0], "{via:?}");
    }
}

/// Nor does anything work on that was sent after it.
#[tokio::test]
async fn a_savepoint_does_not_hide_what_failed() {
    let world = World::new();
    world.run("create sequence seen").await;
    world.file(1, "savepoint s;\nselect 1 / 0;\nrollback to s;\nselect nextval('seen');\n");
    world.file(2, "select nextval('seen');");
    let report = world.ship().await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{}", why(&report));
    assert!(why(&report).contains("2 of 4"), "{}", why(&report));
    assert_eq!(world.texts("SELECT is_called::text FROM seen").await, ["false"]);
    world.file(1, "savepoint s;\ncreate table a ();\nrollback to s;\ncreate table b ();\n");
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    assert_eq!(world.tables().await, ["b"]);
}

/// Rows are not read again while nobody else writes any.
#[tokio::test]
async fn a_history_that_stays_is_known_by_its_sum() {
    let world = World::new();
    world.file(1, "create table t1 ();");
    assert_eq!(end(&world.ship().await).0, Outcome::Released);
    let relay = Relay::open(&world.url).await;
    let read = async |files: std::ops::RangeInclusive<u32>| {
        for number in files {
            world.file(number, &format!("create table t{number} ();"));
        }
        let before = relay.times_said("THEN statements END");
        let database = Database::without_tls(&relay.url).unwrap();
        let push = Push::new(database, world.folder()).unwrap();
        let report = engine().ship(&pipeline(push), Candidate::new()).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
        relay.times_said("THEN statements END") - before
    };
    let (one, many) = (read(2..=2).await, read(3..=12).await);
    assert!(one > 0);
    assert_eq!(many, one);
    // Nine times it went on with the next file.
    assert_eq!(relay.times_said("COMMIT; BEGIN"), 9);
    assert_eq!(world.history().await.len(), 12);
}

/// Only the functions of the server are asked, whatever else fits better.
#[tokio::test]
async fn functions_of_users_are_not_called() {
    let world = World::new();
    world
        .run(
            "create table hijacked (i int);
            create function hashtextextended(text, int) returns bigint language plpgsql as
                'begin insert into hijacked values (1); return pg_catalog.hashtextextended($1, $2::bigint); end'",
        )
        .await;
    world.file(1, "create table a ();");
    world.file(2, "create table b ();");
    assert_eq!(end(&world.ship().await), (Outcome::Released, ""));
    assert_eq!(world.texts("SELECT i::text FROM hijacked").await, [""; 0]);
}

/// Does something while a push of two files works at the first, and ships them.
async fn meanwhile(sql: &str) -> (World, gatekit_core::RunReport) {
    let world = World::new();
    world.file(1, "create table a ();");
    assert_eq!(end(&world.ship().await).0, Outcome::Released);
    world.file(2, "create table b ();");
    world.file(3, "select pg_sleep(1);");
    world.file(4, "create table d ();");
    let running = engine().ship(&pipeline(world.push()), Candidate::new());
    world.works_at("select pg_sleep").await;
    world.run(sql).await;
    let report = running.await;
    (world, report)
}

#[tokio::test]
async fn a_file_that_somebody_else_applies_meanwhile_is_not_applied_again() {
    let (world, report) = meanwhile(&format!(
        "BEGIN; create table d (); INSERT INTO supabase_migrations.schema_migrations \
         (version, name, statements) VALUES ('{}', 'm4', ARRAY['create table d ()']); COMMIT",
        version(4)
    ))
    .await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    assert_eq!(world.history().await.len(), 4);
}

#[tokio::test]
async fn a_version_that_somebody_takes_away_meanwhile_is_found() {
    let taken = format!(
        "DELETE FROM supabase_migrations.schema_migrations WHERE version = '{}'",
        version(1)
    );
    let (world, report) = meanwhile(&taken).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    assert!(why(&report).contains("[migration.elsewhere]"), "{}", why(&report));
    assert_eq!(world.tables().await, ["a", "b"]);
}

/// Only the end sees what a row says that was known to be there.
#[tokio::test]
async fn a_row_that_somebody_rewrites_meanwhile_is_no_success() {
    let (_world, report) = meanwhile(&format!(
        "UPDATE supabase_migrations.schema_migrations SET statements = ARRAY['create table x ()'] \
         WHERE version = '{}'",
        version(2)
    ))
    .await;
    assert_ne!(report.outcome, Outcome::Released, "{}", why(&report));
}

#[tokio::test]
async fn a_history_that_is_dropped_meanwhile_is_no_success() {
    let (world, report) = meanwhile("DROP SCHEMA supabase_migrations CASCADE").await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    assert!(why(&report).contains("[migration.elsewhere]"), "{}", why(&report));
    assert_eq!(world.tables().await, ["a", "b"]);
}

/// Whatever was sent ahead, the server does not work for long for a process that is gone.
#[test]
fn what_a_process_leaves_behind_lets_the_lock_go() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        // More than what systems take for a process that does not read.
        let much = "x".repeat(500_000);
        world.file(1, &format!("create table a ();\nselect pg_sleep(60);\nselect '{much}';\n"));
        let (_engine, _run) = killed_at(&world, "select pg_sleep");
        lives().block_on(async {
            assert_eq!(world.texts(&held()).await.len(), 1, "{via:?}");
            let since = Instant::now();
            while !world.texts(&held()).await.is_empty() {
                assert!(since.elapsed() < Duration::from_secs(30), "{via:?}: it is still held");
                sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(world.tables().await, [""; 0], "{via:?}");
        });
    }
}

/// Nothing that a file can say ends its transaction: what is between says so here.
#[tokio::test]
async fn a_transaction_that_ended_before_its_end_gets_no_row() {
    for (via, end) in [Via::Server, Via::Pooler]
        .into_iter()
        .flat_map(|via| ["commit       ", "rollback     ", "end and chain"].map(|end| (via, end)))
    {
        let world = World::via(via);
        world.file(1, "create table a ();\nselect 424242;\ncreate table c ();");
        world.file(2, "create table d ();");
        let relay = Relay::that_twists(&world.url, Some(["select 424242", end])).await;
        let database = Database::without_tls(&relay.url).unwrap();
        let push = Push::new(database, world.folder()).unwrap();
        let report = engine().ship(&pipeline(push), Candidate::new()).await;
        assert!(
            why(&report).contains("ended its transaction by itself"),
            "{via:?}, {end}: {}",
            why(&report)
        );
        assert_eq!(world.history().await, [""; 0], "{via:?}, {end}");
        assert!(!world.tables().await.contains(&"d".to_owned()), "{via:?}, {end}");
    }
}

/// Whatever a file has set that changes how texts are read.
#[tokio::test]
async fn what_a_file_says_is_recorded_as_it_says_it() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        let said = [
            "set standard_conforming_strings = off",
            "set client_encoding to 'latin1'",
            "select 'it''s', E'\\'', 'a\\\\', $$\\ ' \"$$, 'é ü 漢字 😀', 'tab\tand\r\nline'",
            "create table \"é\" (text text default '\\\\')",
        ];
        for number in [1, 2] {
            let file = said.join(";\n").replace("table \"é\"", &format!("table \"é{number}\""));
            world.file(number, &file);
        }
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        for (at, text) in said.iter().enumerate().take(3) {
            let sql = format!(
                "SELECT statements[{}] FROM supabase_migrations.schema_migrations ORDER BY version",
                at + 1
            );
            assert_eq!(world.texts(&sql).await, [*text, *text], "{via:?}");
        }
    }
}

#[tokio::test]
async fn what_the_server_does_not_record_is_not_applied() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        world.file(1, "create table a ();");
        assert_eq!(end(&world.ship().await).0, Outcome::Released, "{via:?}");
        world
            .run(
                "create function keep() returns trigger language plpgsql as 'begin return null; end';
                create trigger keep before insert on supabase_migrations.schema_migrations
                    for each row execute function keep()",
            )
            .await;
        world.file(2, "create table b ();");
        world.file(3, "create table c ();");
        let report = world.ship().await;
        let ended = (Outcome::RolledBack, "migration.history");
        assert_eq!(end(&report), ended, "{via:?}: {}", why(&report));
        assert!(why(&report).contains("the triggers and rules"), "{via:?}: {}", why(&report));
        assert_eq!(world.tables().await, ["a"], "{via:?}");
        assert_eq!(world.history().await.len(), 1, "{via:?}");
    }
}

/// Nor can a file hide what failed: what is between goes back to a savepoint here.
#[tokio::test]
async fn a_failure_that_the_server_goes_on_after_is_not_told_as_nothing_done() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        world.file(1, "create table a ();\nsavepoint s;\nselect 1 / 0;\nselect 424242;");
        world.file(2, "create table b ();");
        let relay = Relay::that_twists(&world.url, Some(["select 424242", "rollback to s"])).await;
        let database = Database::without_tls(&relay.url).unwrap();
        let push = Push::new(database, world.folder()).unwrap();
        let report = engine().ship(&pipeline(push), Candidate::new()).await;
        assert_eq!(report.outcome, Outcome::Stuck, "{via:?}: {}", why(&report));
        assert!(why(&report).contains("hidden that it failed"), "{via:?}: {}", why(&report));
        assert_eq!(world.tables().await, ["a"], "{via:?}");
        assert_eq!(world.history().await.len(), 1, "{via:?}");
    }
}

/// Also for one whose transaction was begun with the end of the one before, and when its row is written.
#[tokio::test]
async fn limits_are_those_of_the_push_for_each_file() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        let settings = [
            ("lock_timeout", "3s"),
            ("statement_timeout", "7s"),
            ("idle_in_transaction_session_timeout", "1min"),
            ("client_connection_check_interval", "5s"),
        ];
        let is = |names: &[usize]| {
            let is = |at: &usize| {
                let (name, value) = settings[*at];
                format!("assert current_setting('{name}') = '{value}', '{name}';")
            };
            names.iter().map(is).collect::<String>()
        };
        let trigger = format!(
            "create function look() returns trigger language plpgsql as
                $look$ begin {} return new; end $look$;
            create trigger look before insert on supabase_migrations.schema_migrations
                for each row execute function look();",
            is(&[0, 2, 3])
        );
        world.file(1, &trigger);
        for number in [2, 3] {
            world.file(number, &format!("do $$ begin {} end $$;", is(&[0, 1, 2, 3])));
        }
        let (lock, statement) = (Duration::from_secs(3), Duration::from_secs(7));
        let push = world.push().lock_timeout(lock).statement_timeout(statement);
        let report = engine().ship(&pipeline(push), Candidate::new()).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
    }
}

/// By the message that would have begun the next file.
#[tokio::test]
async fn a_commit_that_is_refused_is_told_and_the_next_file_is_not_begun() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        world.file(1, "create table a ();");
        let twice = "create table b (i int unique deferrable initially deferred); \
                     insert into b values (1), (1);";
        world.file(2, twice);
        world.file(3, "create table c ();");
        let report = world.ship().await;
        assert_ne!(report.outcome, Outcome::Released, "{via:?}: {}", why(&report));
        for said in
            ["[migration.failed]", "the server refused to commit the file", "23505", "m2.sql"]
        {
            assert!(why(&report).contains(said), "{via:?}: {said}: {}", why(&report));
        }
        assert_eq!(world.tables().await, ["a"], "{via:?}");
        assert_eq!(world.history().await.len(), 1, "{via:?}");
    }
}

/// Whatever is wrong with what was asked after it.
#[tokio::test]
async fn a_commit_is_done_although_the_next_file_cannot_be_begun() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        world.file(1, "select 1;");
        assert_eq!(end(&world.ship().await).0, Outcome::Released, "{via:?}");
        // The history is gone with the commit of this one.
        world.file(
            2,
            "create table a (i int);
            create function f() returns trigger language plpgsql as
                'begin alter table supabase_migrations.schema_migrations rename to gone; return null; end';
            create constraint trigger t after insert on a deferrable initially deferred
                for each row execute function f();
            insert into a values (1);",
        );
        world.file(3, "create table b ();");
        let report = world.ship().await;
        assert_eq!(report.outcome, Outcome::Stuck, "{via:?}: {}", why(&report));
        assert!(why(&report).contains("[migration.elsewhere]"), "{via:?}: {}", why(&report));
        assert_eq!(world.tables().await, ["a"], "{via:?}");
    }
}

#[tokio::test]
async fn the_lock_that_somebody_else_gets_between_two_files_is_waited_for() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        world.file(1, "create table a (); select pg_sleep(1);");
        world.file(2, "create table b ();");
        let running = engine().ship(&pipeline(world.push()), Candidate::new());
        let other = async {
            world.works_at("select pg_sleep").await;
            let client = world.client().await;
            // It stands in the queue of the server: it has the lock with the end of the first file.
            client.batch_execute(&format!("SELECT pg_advisory_lock({KEY})")).await.unwrap();
            let seen = world.tables().await;
            sleep(Duration::from_millis(500)).await;
            assert_eq!(world.tables().await, seen, "{via:?}");
            seen
        };
        let (report, seen) = tokio::join!(running, other);
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        assert_eq!(seen, ["a"], "{via:?}");
        assert_eq!(world.tables().await, ["a", "b"], "{via:?}");
    }
}
