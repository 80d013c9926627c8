//! What a file that allows no transaction does to its session, and what becomes of that.

use gatekit_core::{Candidate, Outcome};

use super::alone::{indexes, progress, table};
use super::world::{World, end, engine, pipeline, version, why};

const DIRECTIVE: &str = "-- pg-delta: transaction=false\n";

#[tokio::test]
async fn how_far_a_file_is_is_kept_whoever_it_acts_as() {
    for acts_as in ["set role", "set session authorization"] {
        let world = World::new();
        table(&world).await;
        let role = world.texts("select 'role_' || current_database()").await.remove(0);
        world.run(&format!("create role {role}; grant all on schema public to {role}; alter table a owner to {role}")).await;
        world.file(
            1,
            &format!(
                "{acts_as} {role}; set search_path = public, pg_catalog; \
                 create index concurrently i on a (i); create unique index concurrently u on a (i);"
            ),
        );
        let report = world.ship().await;
        assert!(why(&report).contains("statement: 4 of 4"), "{}", why(&report));
        assert_eq!(indexes(&world).await, ["i", "u bad"]);
        assert_eq!(progress(&world).await, [format!("{} up 3 true", version(1))]);
        world.run("delete from a where ctid = '(0,1)'").await;
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{acts_as}: {}", why(&report));
        let owners = "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class \
                      WHERE relname IN ('i', 'u')";
        assert_eq!(world.texts(owners).await, [role.as_str()], "the settings are made again");
        world.run(&format!("drop owned by {role}; drop role {role}")).await;
    }
}

/// Each statement in a transaction of its own writes how far the file is, as who has opened the session.
#[tokio::test]
async fn how_far_a_file_is_is_kept_with_a_statement_whoever_that_acts_as() {
    for acts_as in ["set role", "set session authorization"] {
        let world = World::new();
        let role = world.texts("select 'role_' || current_database()").await.remove(0);
        world.run(&format!("create role {role}; grant all on schema public to {role}")).await;
        let tables = "create table a (); create table b ();";
        world.file(1, &format!("{DIRECTIVE}{acts_as} {role}; {tables}"));
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{acts_as}: {}", why(&report));
        let owners = "SELECT tableowner::text FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(world.texts(owners).await, [role.as_str(), role.as_str()]);
        world.run(&format!("drop owned by {role}; drop role {role}")).await;
    }
}

/// Also when nothing but its row in the history is left to be written.
#[tokio::test]
async fn a_lock_that_the_file_lets_go_is_missed_before_the_next_write() {
    for (sql, tables) in [
        ("select pg_advisory_unlock_all(); create table a ();", &[][..]),
        ("create table a (); select pg_advisory_unlock_all();", &["a"]),
    ] {
        let world = World::new();
        world.file(1, &format!("{DIRECTIVE}{sql}"));
        let report = world.ship().await;
        assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
        assert!(why(&report).contains("[migration.lock_lost]"), "{}", why(&report));
        assert_eq!(world.tables().await, tables);
        assert_eq!(world.history().await, Vec::<String>::new());
        // What let it go is done.
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
        assert_eq!(world.tables().await, ["a"]);
        assert_eq!(world.history().await.len(), 1);
    }
}

#[tokio::test]
async fn a_session_that_is_ended_leaves_what_is_done_and_is_gone_on_with() {
    let first = "create table a ();";
    for (by_the_file, second) in
        [(true, "select pg_terminate_backend(pg_backend_pid());"), (false, "select pg_sleep(20);")]
    {
        let world = World::new();
        let path = world.file(1, &format!("{DIRECTIVE}{first} {second} create table b ();"));
        let running = engine().ship(&pipeline(world.push()), Candidate::new());
        if !by_the_file {
            let pid = world.works_at("select pg_sleep").await;
            world.run(&format!("select pg_terminate_backend({pid})")).await;
        }
        let report = running.await;
        assert_eq!(report.outcome, Outcome::Stuck, "{by_the_file}: {}", why(&report));
        assert!(!why(&report).contains("cannot_tell"), "{}", why(&report));
        assert_eq!(world.tables().await, ["a"]);
        assert_eq!(progress(&world).await, [format!("{} up 1 false", version(1))]);
        assert_eq!(world.history().await, Vec::<String>::new());
        std::fs::write(path, format!("{DIRECTIVE}{first} create table b ();")).unwrap();
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
        assert_eq!(world.tables().await, ["a", "b"]);
        assert_eq!(progress(&world).await, Vec::<String>::new());
    }
}
