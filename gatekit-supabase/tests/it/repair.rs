//! Repairs that remove rows of the history, and bring them back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::{Ledger as _, MemoryLedger};
use gatekit_core::{Candidate, Engine, Outcome, Pipeline, RunReport};
use gatekit_peers::Via;
use gatekit_supabase::code;
use gatekit_supabase::migrations::{Repair, RestoreRows};

use super::world::{World, end, engine, version, why};

pub(crate) const BOTH: [Via; 2] = [Via::Server, Via::Pooler];

/// A history as the hosted service may have it: more columns, and rows that say nothing.
const HOSTED: &str = "
    create schema supabase_migrations;
    create table supabase_migrations.schema_migrations (
        version text not null primary key, statements text[], name text,
        created_by text, idempotency_key text unique, rollback text[], at timestamptz default now(),
        size double precision, raw bytea, says json, long int generated always as (length(version)) stored,
        number int generated always as identity
    );
    insert into supabase_migrations.schema_migrations values
        ('20260101000001', null, null, null, null, null, null, null, null, null),
        ('20260101000002', '{}', '', 'me', 'key', '{\"drop table x\",NULL,\"\"}', '2026-01-01 10:00:00.123456+05',
            0.1, '\\x00ff', '{\"b\":1,  \"a\": 2}'),
        ('20260101000003', array['it''s {\"quoted\", } \\ back', NULL, E'line\\nbreak ü'], 'x', 'you', 'other',
            '[3:4]={a,b}', 'infinity', 'NaN', '', 'null');
    delete from supabase_migrations.schema_migrations where version = '20260101000001';
    insert into supabase_migrations.schema_migrations (version, at) values ('20260101000001', null);";

pub(crate) const TABLE: &str = "supabase_migrations.schema_migrations";

pub(crate) fn pipeline(repair: Repair) -> Pipeline {
    let back = RestoreRows::of(&repair);
    Pipeline::to("test/db").deploy(repair).rollback_with(back).build().unwrap()
}

/// One whose verification fails after `sql`, so that it is undone.
pub(crate) fn failing(world: &World, repair: Repair, sql: &'static str) -> Pipeline {
    let back = RestoreRows::of(&repair);
    let pipeline = Pipeline::to("test/db").deploy(repair).rollback_with(back);
    pipeline.verify(world.fails_after(sql)).build().unwrap()
}

pub(crate) async fn run(pipeline: &Pipeline) -> RunReport {
    engine().ship(pipeline, Candidate::new()).await
}

pub(crate) fn reverted(world: &World, numbers: &[u32]) -> Repair {
    Repair::reverted(world.database(), numbers.iter().map(|it| version(*it))).unwrap()
}

/// Every row, whole.
async fn rows(world: &World) -> Vec<String> {
    world.texts(&format!("SELECT m::text FROM {TABLE} m ORDER BY version")).await
}

pub(crate) async fn shipped(via: Via, numbers: u32) -> World {
    let world = World::via(via);
    for number in 1..=numbers {
        world.file(number, &format!("create table t{number} (); select 'CANARY{number}';"));
    }
    assert_eq!(end(&world.ship().await).1, "");
    world
}

#[tokio::test]
async fn rows_are_removed_and_nothing_else() {
    for via in BOTH {
        let world = shipped(via, 3).await;
        let before = world.history().await;
        let repair = pipeline(reverted(&world, &[1, 3]));
        let preview = engine().preview(&repair, Candidate::new(), true).await.unwrap();
        let shown = &preview.scopes[0].summary;
        for part in [&*version(1), "m1", "`create table t1 ()` and 1 more", &*version(3)] {
            assert!(shown.contains(part), "{shown}");
        }
        assert_eq!(world.history().await, before, "a preview writes nothing");
        let report = run(&repair).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        assert_eq!(world.history().await, [before[1].clone()]);
        assert_eq!(world.tables().await, ["t1", "t2", "t3"]);
        let again = run(&repair).await;
        assert_eq!(end(&again), (Outcome::Unchanged, ""), "{via:?}: {}", why(&again));
    }
}

/// The Supabase CLI empties the history then.
#[test]
fn no_version_and_no_digits_are_refused() {
    let database = || gatekit_supabase::Database::without_tls("postgres://u@h/d").unwrap();
    let none = Repair::reverted(database(), Vec::<String>::new()).unwrap_err();
    assert_eq!(none.code().as_str(), "migration.no_versions");
    let none = Repair::applied(
        database(),
        "m",
        Vec::<String>::new(),
        gatekit_supabase::migrations::Proof::objects(),
    );
    assert_eq!(none.unwrap_err().code(), &code::NO_VERSIONS);
    for odd in ["", " ", "abc", "2026-01-01", "20260101000000 ", "1; drop table x", "%", "١"] {
        let error = Repair::reverted(database(), [&version(1), odd]).unwrap_err();
        assert_eq!(error.code(), &code::VERSION, "{odd:?}");
    }
}

#[tokio::test]
async fn an_unknown_version_leaves_the_others_as_they_are() {
    for via in BOTH {
        let world = World::via(via);
        let report = run(&pipeline(reverted(&world, &[1]))).await;
        assert_eq!(end(&report), (Outcome::Failed, "migration.unknown_version"), "no table");
        let world = shipped(via, 1).await;
        for numbers in [&[7][..], &[1, 7]] {
            let report = run(&pipeline(reverted(&world, numbers))).await;
            assert_eq!(end(&report), (Outcome::Failed, "migration.unknown_version"), "{via:?}");
            let told = why(&report);
            assert!(told.contains(&version(7)) && !told.contains(&version(1)), "{told}");
            assert_eq!(world.history().await.len(), 1);
        }
    }
}

#[tokio::test]
async fn rows_come_back_byte_for_byte() {
    for via in BOTH {
        let world = World::via(via);
        world.run(HOSTED).await;
        // What a session writes depends on it.
        world
            .run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET DateStyle = ''SQL, DMY''', current_database()); \
                  EXECUTE format('ALTER DATABASE %I SET bytea_output = ''escape''', current_database()); \
                  EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -5', current_database()); END $$")
            .await;
        let before = rows(&world).await;
        assert_eq!(before.len(), 3);
        let report = run(&failing(&world, reverted(&world, &[1, 2, 3]), "")).await;
        assert_eq!(
            end(&report),
            (Outcome::RolledBack, "verify.failed"),
            "{via:?}: {}",
            why(&report)
        );
        assert_eq!(rows(&world).await, before, "{via:?}");
        let nulls = world
            .texts(&format!(
                "SELECT version FROM {TABLE} WHERE statements IS NULL AND name IS NULL AND at IS NULL"
            ))
            .await;
        assert_eq!(nulls, [version(1)]);
    }
}

/// As old versions of the CLI have made it.
#[tokio::test]
async fn a_table_of_versions_alone_is_repaired_and_restored() {
    for via in BOTH {
        for extends in [false, true] {
            let world = World::via(via);
            world
                .run(&format!(
                    "create schema supabase_migrations; \
                     create table {TABLE} (version text not null primary key); \
                     insert into {TABLE} values ('{}'), ('{}')",
                    version(1),
                    version(2)
                ))
                .await;
            let before = world.texts(&format!("SELECT version FROM {TABLE} ORDER BY 1")).await;
            // As a push makes what the table lacks.
            let sql = if extends {
                "alter table supabase_migrations.schema_migrations add statements text[], add name text"
            } else {
                ""
            };
            let report = run(&failing(&world, reverted(&world, &[2]), sql)).await;
            let told = why(&report);
            assert_eq!(end(&report), (Outcome::RolledBack, "verify.failed"), "{via:?}: {told}");
            let after = world.texts(&format!("SELECT version FROM {TABLE} ORDER BY 1")).await;
            assert_eq!(after, before);
        }
    }
}

#[tokio::test]
async fn rows_that_somebody_has_changed_since_the_plan_are_refused() {
    for via in BOTH {
        for change in
            ["SET name = 'theirs'", "SET statements = NULL", "SET version = version || '9'"]
        {
            let world = shipped(via, 2).await;
            let lock = hold(&world).await;
            let running = engine().ship(&pipeline(reverted(&world, &[1, 2])), Candidate::new());
            waits(&world).await;
            world.run(&format!("UPDATE {TABLE} {change} WHERE version = '{}'", version(2))).await;
            let theirs = world.history().await;
            lock.batch_execute("ROLLBACK").await.unwrap();
            let report = running.await;
            // It is somebody else's now, and nobody but a person says what is to be.
            assert_eq!(report.outcome, Outcome::Stuck, "{via:?} {change}: {}", why(&report));
            assert!(why(&report).contains("[migration.elsewhere]"), "{}", why(&report));
            assert_eq!(world.history().await, theirs, "{via:?} {change}");
        }
    }
}

/// Holds the lock on the history, as a push does.
pub(crate) async fn hold(world: &World) -> tokio_postgres::Client {
    let client = world.client().await;
    client.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(7449363237590103041)").await.unwrap();
    client
}

/// Waits until somebody asks for that lock, and asks again: each time ends with a `ROLLBACK`.
pub(crate) async fn waits(world: &World) {
    let mut seen = BTreeMap::<String, BTreeSet<String>>::new();
    let asked = async {
        while !seen.values().any(|starts| starts.len() >= 4) {
            let sql = "SELECT pid || ' ' || query_start FROM pg_stat_activity \
                       WHERE datname = current_database() AND query = 'ROLLBACK'";
            for row in world.texts(sql).await {
                let (pid, start) = row.split_once(' ').unwrap();
                seen.entry(pid.to_owned()).or_default().insert(start.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
}

#[tokio::test]
async fn what_somebody_has_changed_since_is_not_restored_over() {
    for via in BOTH {
        let world = shipped(via, 2).await;
        let sql = "insert into supabase_migrations.schema_migrations (version, name) \
                   values ('20260101000002', 'theirs')";
        let report = run(&failing(&world, reverted(&world, &[1, 2]), sql)).await;
        assert_eq!(end(&report), (Outcome::Stuck, "rollback.elsewhere"), "{}", why(&report));
        let left = world.history().await;
        assert!(left.len() == 1 && left[0].contains("theirs"), "{via:?}: {left:?}");
    }
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_not_made_up() {
    for sql in [
        "UPDATE supabase_migrations.gatekit_repairs SET row_before = replace(row_before, 'm1', 'm9')",
        "UPDATE supabase_migrations.gatekit_repairs SET row_before = NULL",
    ] {
        let world = shipped(Via::Server, 1).await;
        let report = run(&failing(&world, reverted(&world, &[1]), sql)).await;
        assert_eq!(report.outcome, Outcome::Stuck);
        assert!(why(&report).contains("is not kept any more"), "{}", why(&report));
        assert_eq!(world.history().await, Vec::<String>::new());
    }
}

/// What writes the history besides, as a trigger, is found before it is committed.
#[tokio::test]
async fn rows_that_are_not_what_was_written_are_not_committed() {
    let world = shipped(Via::Server, 1).await;
    let before = world.history().await;
    world
        .run(&format!(
            "create function keep() returns trigger language plpgsql as $$ begin return null; end $$; \
             create trigger keep before delete on {TABLE} for each row execute function keep()"
        ))
        .await;
    let report = run(&pipeline(reverted(&world, &[1]))).await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.history"), "{}", why(&report));
    assert_eq!(world.history().await, before);
    assert_eq!(
        world
            .texts("SELECT coalesce(to_regclass('supabase_migrations.gatekit_repairs')::text, '-')")
            .await,
        ["-"]
    );
}

#[tokio::test]
async fn a_push_under_way_is_waited_for_and_its_rows_are_seen() {
    for via in BOTH {
        let world = shipped(via, 1).await;
        world.file(2, "create table t2 (); select pg_sleep(1);");
        let push = engine().ship(&super::world::pipeline(world.push()), Candidate::new());
        world.works_at("select pg_sleep").await;
        let report = run(&pipeline(reverted(&world, &[1]))).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        assert_eq!(end(&push.await), (Outcome::Released, ""));
        let left = world.history().await;
        assert!(left.len() == 1 && left[0].starts_with(&version(2)), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repairs_at_once_remove_a_row_once() {
    for via in BOTH {
        let world = shipped(via, 2).await;
        let lock = hold(&world).await;
        let runs: Vec<_> = (0..4)
            .map(|_| engine().ship(&pipeline(reverted(&world, &[2])), Candidate::new()))
            .collect();
        waits(&world).await;
        lock.batch_execute("ROLLBACK").await.unwrap();
        let mut released = 0;
        for run in runs {
            let report = run.await;
            let (outcome, code) = end(&report);
            released += usize::from(outcome == Outcome::Released);
            let good = matches!(outcome, Outcome::Released | Outcome::Unchanged)
                || code == "migration.elsewhere"
                || why(&report).contains("[migration.elsewhere]");
            assert!(good, "{via:?}: {}", why(&report));
        }
        assert_eq!(released, 1, "{via:?}");
        assert_eq!(world.history().await.len(), 1);
    }
}

/// The statements may have secrets in them: they stay where they are.
#[tokio::test]
async fn what_rows_say_is_not_journalled() {
    let world = shipped(Via::Server, 1).await;
    let ledger = Arc::new(MemoryLedger::new());
    let engine = Engine::new(Arc::clone(&ledger) as _);
    let report = engine.ship(&failing(&world, reverted(&world, &[1]), ""), Candidate::new()).await;
    assert_eq!(report.outcome, Outcome::RolledBack);
    let target = "test/db".parse().unwrap();
    let lines = ledger.read(&target, 0, 1000).await.unwrap();
    let journal = format!("{lines:?} {report:?}");
    assert!(journal.contains("create table t1 ()"), "the rows are shown");
    assert!(!journal.contains("CANARY"), "{journal}");
    assert!(world.history().await[0].contains("CANARY1"));
}
