//! What a push does when nothing is in its way, and what it refuses.

use gatekit_core::{Candidate, Outcome, Pipeline, enforced};
use gatekit_peers::Via;
use gatekit_supabase::Database;
use gatekit_supabase::migrations::{Destructive, Push};

use super::world::{World, end, engine, pipeline, version, why};

#[tokio::test]
async fn files_are_applied_and_recorded_as_the_cli_does() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        world.file(1, "-- one\ncreate table a (i int);\ninsert into a values (1);\n");
        world.file(2, "-- nothing yet\n");
        world.file(3, "create function f() returns int language sql begin atomic; select 1; end;");
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        assert_eq!(
            world.history().await,
            [
                format!(
                    "{} m1 {{\"-- one\ncreate table a (i int)\",\"insert into a values (1)\"}}",
                    version(1)
                ),
                format!("{} m2 {{\"-- nothing yet\"}}", version(2)),
                format!(
                    "{} m3 {{\"create function f() returns int language sql begin atomic; select 1; end\"}}",
                    version(3)
                ),
            ]
        );
        assert_eq!(world.texts("SELECT i::text FROM a").await, ["1"]);
        let again = world.ship().await;
        assert_eq!(end(&again), (Outcome::Unchanged, ""), "{via:?}: {}", why(&again));
        world.file(4, "create table b ();");
        assert_eq!(end(&world.ship().await).0, Outcome::Released);
        assert_eq!(world.tables().await, ["a", "b"]);
    }
}

#[tokio::test]
async fn a_history_that_does_not_fit_is_refused_with_what_is_wrong() {
    let world = World::new();
    world.file(1, "create table a ();");
    world.file(3, "create table c ();");
    assert_eq!(end(&world.ship().await).0, Outcome::Released);
    let refused = async |code: &str, says: &str| {
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Failed, code), "{}", why(&report));
        assert!(why(&report).contains(says), "{}", why(&report));
        assert_eq!(world.tables().await, ["a", "c"]);
    };
    world.file(2, "create table b ();");
    refused("migration.out_of_order", &version(2)).await;
    world.file(1, "create table a (i int);");
    refused("migration.drifted", &version(1)).await;
    std::fs::remove_file(world.file(1, "")).unwrap();
    refused("migration.orphaned", &version(1)).await;
    world.file(1, "create table a ();");
    let push = world.push().including_out_of_order();
    let report = engine().ship(&pipeline(push), Candidate::new()).await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    assert_eq!(world.tables().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn what_would_be_half_done_is_refused_before_anything_is_touched() {
    let world = World::new();
    for (sql, code) in [
        (
            "create type t as enum ('a'); commit; begin; create table a ();",
            "migration.transaction_control",
        ),
        ("create table a (); create index concurrently i on a (i);", "migration.mixed"),
        ("vacuum; DISCARD /**/ ALL;", "migration.non_transactional"),
        ("create table a (); copy a from stdin;\n1\n\\.\n", "migration.copy_data"),
        ("\\i other.sql\n", "migration.meta_command"),
        ("select '\0'", "migration.nul"),
    ] {
        world.file(1, sql);
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Failed, code), "{}", why(&report));
    }
    assert_eq!(world.tables().await, Vec::<String>::new());
    assert_eq!(world.history().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_connection_that_others_can_listen_to_has_to_be_asked_for() {
    let error = Database::at("postgres://u:CANARY@h/d?sslmode=disable").unwrap_err();
    assert_eq!(error.code().as_str(), "database.plaintext");
    let world = World::new();
    let url = world.url.replace("?sslmode=disable", "");
    let push = Push::new(Database::at(&url).unwrap(), world.folder()).unwrap();
    world.file(1, "create table a ();");
    let report = engine().ship(&pipeline(push), Candidate::new()).await;
    assert_eq!(end(&report), (Outcome::Failed, "database.tls"), "{}", why(&report));
    // What the URL itself must not say is no way on.
    let next = format!("{:?}", report.failure.unwrap().next);
    assert!(next.contains("allow plaintext") && !next.contains("sslmode"), "{next}");
}

/// Errors and what is journalled go to many.
#[tokio::test]
async fn a_password_is_never_told() {
    let world = World::new();
    world.file(1, "create table a ();");
    let url = world.url.replace("://gatekit@", "://nobody:CANARY@");
    assert!(url.contains("CANARY"));
    let push = Push::new(Database::without_tls(&url).unwrap(), world.folder()).unwrap();
    assert!(!format!("{push:?}").contains("CANARY"));
    let report = engine().ship(&pipeline(push), Candidate::new()).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(!format!("{report:?}").contains("CANARY"), "{report:?}");
}

/// A file may set what it likes for itself.
#[tokio::test]
async fn what_a_file_sets_ends_with_it() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        world.file(1, "create schema s; set search_path = s; set role none; create table a ();");
        world.file(2, "create table b ();");
        let report = world.ship().await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
        assert_eq!(world.tables().await, ["b"], "{via:?}");
        assert_eq!(world.history().await.len(), 2);
    }
}

/// Only what is pending is judged.
#[tokio::test]
async fn what_would_destroy_something_is_not_pushed_unseen() {
    let world = World::new();
    world.file(1, "create table a ();");
    let ship = async || {
        let push = world.push();
        let gate = enforced(Destructive::of(push.clone()).unwrap());
        let pipeline = Pipeline::to("test/db").gate(gate).deploy(push);
        let pipeline = pipeline.irreversible("a migration is mended by the next one").build();
        engine().ship(&pipeline.unwrap(), Candidate::new()).await
    };
    assert_eq!(end(&ship().await), (Outcome::Released, ""));
    world.file(2, "drop table a;");
    let report = ship().await;
    assert_eq!(report.outcome, Outcome::Refused, "{}", why(&report));
    assert!(why(&report).contains("migration.destructive"), "{}", why(&report));
    assert_eq!(world.tables().await, ["a"]);
    assert_eq!(end(&world.ship().await), (Outcome::Released, ""));
    assert_eq!(end(&ship().await), (Outcome::Unchanged, ""));
}
