//! Repairs that say a file is applied: only with proof.

use gatekit_core::{Candidate, Outcome};
use gatekit_peers::Via;
use gatekit_supabase::migrations::{Proof, Repair};

use super::repair::{failing, pipeline, run};
use super::world::{World, end, engine, version, why};

const BOTH: [Via; 2] = [Via::Server, Via::Pooler];

const FILE: &str = "
    -- everything that can be looked up
    create schema s;
    create extension if not exists plpgsql;
    create type s.mood as enum ('a');
    create domain d as text;
    create sequence q;
    create table s.t (i int, m s.mood);
    create table \"Odd\"\"Name\" ();
    create unique index concurrently_not on s.t (i);
    create view v as select 1 as a;
    create materialized view mv as select 1 as a;
    create function f() returns trigger language plpgsql as $$ begin return new; end $$;
    create procedure p() language sql as $$ select 1 $$;
    create trigger g before insert on s.t for each row execute function f();
    create policy \"may read\" on s.t for select using (true);
    -- done";

fn applied(world: &World, number: u32, proof: Proof) -> Repair {
    Repair::applied(world.database(), world.folder(), [version(number)], proof).unwrap()
}

#[tokio::test]
async fn a_file_whose_objects_all_exist_is_told_to_be_applied() {
    for via in BOTH {
        let world = World::via(via);
        world.file(1, FILE);
        world.run(FILE).await;
        let report = run(&pipeline(applied(&world, 1, Proof::objects()))).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        // As a push would have written it: nothing is pending, and nothing has drifted.
        let pushed = world.ship().await;
        assert_eq!(end(&pushed), (Outcome::Unchanged, ""), "{via:?}: {}", why(&pushed));
        assert_eq!(world.history().await.len(), 1);
        let again = run(&pipeline(applied(&world, 1, Proof::objects()))).await;
        assert_eq!(end(&again), (Outcome::Unchanged, ""), "{via:?}: {}", why(&again));
    }
}

#[tokio::test]
async fn each_object_that_does_not_exist_is_told_and_nothing_is_repaired() {
    let world = World::new();
    world.file(1, FILE);
    world.run(FILE).await;
    for (drop, told) in [
        ("drop policy \"may read\" on s.t", "policy `may read` on `s.t`: does not exist"),
        ("drop trigger g on s.t", "trigger `g` on `s.t`: does not exist"),
        ("drop procedure p()", "function `p`: does not exist"),
        ("drop function f()", "function `f`: does not exist"),
        ("drop materialized view mv", "materialized view `mv`: does not exist"),
        ("drop view v", "view `v`: does not exist"),
        ("drop index s.concurrently_not", "index `concurrently_not` on `s.t`: does not exist"),
        ("drop table \"Odd\"\"Name\"", "table `Odd\"Name`: does not exist"),
        ("drop table s.t", "table `s.t`: does not exist"),
        ("drop sequence q", "sequence `q`: does not exist"),
        ("drop domain d", "type `d`: does not exist"),
        ("drop type s.mood", "type `s.mood`: does not exist"),
        ("drop schema s", "schema `s`: does not exist"),
    ] {
        world.run(drop).await;
        let report = run(&pipeline(applied(&world, 1, Proof::objects()))).await;
        assert_eq!(
            end(&report),
            (Outcome::Failed, "migration.unproven"),
            "{drop}: {}",
            why(&report)
        );
        assert!(why(&report).contains(told), "{drop}: {}", why(&report));
        assert_eq!(world.history().await, Vec::<String>::new());
    }
}

/// What is there may be another: more than its name was not seen.
#[tokio::test]
async fn what_proves_nothing_is_not_taken_for_proof() {
    let world = World::new();
    world
        .run(
            "create table t (); create table t2 (i int); insert into t2 values (1), (1); \
             create function f() returns int language sql as 'select 1'; \
             create function g() returns int language sql as 'select 1'; \
             create function g(int) returns int language sql as 'select 1'; \
             create schema other; create table other.u (); create view w as select 1;",
        )
        .await;
    // Fails, and leaves an index that is not valid.
    let broken =
        world.client().await.batch_execute("create unique index concurrently i on t2 (i)").await;
    assert!(broken.is_err());
    for (sql, told) in [
        (
            "create or replace function f() returns int language sql as 'select 2'",
            "replaces one that does",
        ),
        ("create function g(text) returns int language sql as 'select 1'", "need not be it"),
        ("create table u ()", "need not be it"),
        ("create unique index i on t2 (i)", "need not be it"),
        ("create table w ()", "table `w`: does not exist"),
        (
            "create table t (); alter table t add a int",
            "`alter table t add a int`: cannot be looked up",
        ),
        ("create table t (); insert into t default values", "cannot be looked up"),
        ("create table t (); create table t3 ()", "table `t3`: does not exist"),
        ("-- nothing", "it creates nothing"),
        ("", "it creates nothing"),
    ] {
        world.file(1, sql);
        let report = run(&pipeline(applied(&world, 1, Proof::objects()))).await;
        assert_eq!(
            end(&report),
            (Outcome::Failed, "migration.unproven"),
            "{sql}: {}",
            why(&report)
        );
        assert!(why(&report).contains(told), "{sql}: {}", why(&report));
        assert_eq!(world.history().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_probe_proves_by_one_true_and_by_nothing_else() {
    for via in BOTH {
        let world = World::via(via);
        world.file(1, "insert into plans values (1)");
        world
            .run("create table plans (i int); insert into plans values (1); create sequence q;")
            .await;
        for (probe, code, told) in [
            ("select count(*) = 2 from plans", "migration.unproven", "the probe gives false"),
            ("select null::boolean", "migration.unproven", "the probe gives nothing"),
            ("select true where false", "migration.probe", "0 rows"),
            ("select true from generate_series(1, 2)", "migration.probe", "2 rows"),
            ("select true, true", "migration.probe", "2 columns"),
            ("select 1", "migration.probe", "neither true nor false"),
            ("select 'true'", "migration.probe", "neither true nor false"),
            ("select true from nope", "migration.probe", "42P01"),
            ("select 'CANARY'::int = 1", "migration.probe", "22P02"),
            ("", "migration.probe", "0 rows"),
            ("select true; select true", "migration.probe", "42601"),
            ("insert into plans values (2) returning true", "migration.probe", "25006"),
            (
                "with x as (delete from plans returning true) select * from x",
                "migration.probe",
                "25006",
            ),
            ("select nextval('q') > 0", "migration.probe", "25006"),
            ("commit", "migration.probe", "0 rows"),
        ] {
            let repair = applied(&world, 1, Proof::objects().or_probe(version(1), probe));
            let report = run(&pipeline(repair)).await;
            assert_eq!(end(&report), (Outcome::Failed, code), "{via:?} {probe}: {}", why(&report));
            assert!(why(&report).contains(told), "{probe}: {}", why(&report));
            assert!(!why(&report).contains("CANARY"), "{}", why(&report));
            assert_eq!(world.texts("SELECT i::text FROM plans").await, ["1"], "{via:?} {probe}");
            assert_eq!(world.history().await, Vec::<String>::new());
        }
        // Of another version: the file's own objects do not prove it.
        let repair = applied(&world, 1, Proof::objects().or_probe(version(2), "select true"));
        assert_eq!(end(&run(&pipeline(repair)).await).1, "migration.unproven");
        let repair = applied(
            &world,
            1,
            Proof::objects().or_probe(version(1), "select count(*) = 1 from plans"),
        );
        let report = run(&pipeline(repair)).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        assert_eq!(world.history().await.len(), 1);
    }
}

#[tokio::test]
async fn a_version_without_a_file_leaves_the_others_as_they_are() {
    let world = World::new();
    world.file(1, "create table a ();");
    world.run("create table a ()").await;
    let both = [version(1), version(2)];
    let repair = Repair::applied(world.database(), world.folder(), both, Proof::objects()).unwrap();
    let report = run(&pipeline(repair)).await;
    assert_eq!(end(&report), (Outcome::Failed, "migration.unknown_version"), "{}", why(&report));
    assert!(why(&report).contains(&version(2)), "{}", why(&report));
    assert_eq!(world.history().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_was_true_at_the_plan_is_looked_up_again_under_the_lock() {
    let world = World::new();
    world.file(1, "create table a ();");
    world.run("create table a (); create table b ()").await;
    let lock = super::repair::hold(&world).await;
    let repair = pipeline(applied(&world, 1, Proof::objects()));
    let running = engine().ship(&repair, Candidate::new());
    super::repair::waits(&world).await;
    lock.batch_execute("DROP TABLE a; COMMIT").await.unwrap();
    let report = running.await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.unproven"), "{}", why(&report));
    assert_eq!(world.history().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_file_that_was_edited_since_the_plan_is_refused() {
    let world = World::new();
    let file = world.file(1, "create table a ();");
    world.run("create table a ()").await;
    let lock = super::repair::hold(&world).await;
    let repair = pipeline(applied(&world, 1, Proof::objects()));
    let running = engine().ship(&repair, Candidate::new());
    super::repair::waits(&world).await;
    std::fs::write(file, "create table a (); -- edited").unwrap();
    lock.batch_execute("ROLLBACK").await.unwrap();
    let report = running.await;
    assert_eq!(end(&report), (Outcome::RolledBack, "migration.changed"), "{}", why(&report));
    assert_eq!(world.history().await, Vec::<String>::new());
}

/// A row of an old CLI has no statements: the repair gives it some, and gives them back.
#[tokio::test]
async fn a_row_that_says_nothing_is_made_to_say_what_the_file_does() {
    for via in BOTH {
        let world = World::via(via);
        world.file(1, "create table a ();");
        world
            .run(&format!(
                "create table a (); create schema supabase_migrations; \
                 create table supabase_migrations.schema_migrations \
                    (version text primary key, note text not null); \
                 insert into supabase_migrations.schema_migrations values ('{}', 'kept')",
                version(1)
            ))
            .await;
        let note = "SELECT version || note FROM supabase_migrations.schema_migrations";
        let report = run(&failing(&world, applied(&world, 1, Proof::objects()), "")).await;
        assert_eq!(
            end(&report),
            (Outcome::RolledBack, "verify.failed"),
            "{via:?}: {}",
            why(&report)
        );
        let kept = [format!("{}kept", version(1))];
        assert_eq!(world.texts(note).await, kept);
        let report = run(&pipeline(applied(&world, 1, Proof::objects()))).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        assert_eq!(world.texts(note).await, kept);
        assert_eq!(world.history().await, [format!("{} m1 {{\"create table a ()\"}}", version(1))]);
    }
}

#[tokio::test]
async fn a_row_that_was_added_goes_again_when_the_run_is_undone() {
    for via in BOTH {
        let world = World::via(via);
        world.file(1, "create table a ();");
        world.run("create table a ()").await;
        let report = run(&failing(&world, applied(&world, 1, Proof::objects()), "")).await;
        assert_eq!(
            end(&report),
            (Outcome::RolledBack, "verify.failed"),
            "{via:?}: {}",
            why(&report)
        );
        assert_eq!(world.history().await, Vec::<String>::new());
        assert_eq!(world.tables().await, ["a"]);
    }
}
