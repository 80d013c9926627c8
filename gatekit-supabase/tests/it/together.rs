//! Several at once.

use std::time::Duration;

use gatekit_core::{Candidate, Outcome};
use gatekit_peers::Via;
use gatekit_supabase::code;

use super::world::{World, end, engine, pipeline, why};

/// Each of a ledger of its own, as different machines without a common one have them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_pushes_at_once_apply_every_file_once() {
    for via in [Via::Server, Via::Pooler] {
        let world = World::via(via);
        for number in 1..=5 {
            world.file(number, &format!("create table t{number} (); select pg_sleep(0.05);"));
        }
        let pushes: Vec<_> =
            (0..8).map(|_| engine().ship(&pipeline(world.push()), Candidate::new())).collect();
        for push in pushes {
            let report = push.await;
            let good = [Outcome::Released, Outcome::Unchanged].contains(&report.outcome);
            assert!(good, "{via:?}: {:?} {}", end(&report), why(&report));
        }
        assert_eq!(world.history().await.len(), 5);
        assert_eq!(world.tables().await, ["t1", "t2", "t3", "t4", "t5"]);
    }
}

#[tokio::test]
async fn somebody_elses_migration_since_the_plan_is_found_under_the_lock() {
    let world = World::new();
    world.file(1, "create table a ();");
    assert_eq!(end(&world.ship().await).0, Outcome::Released);
    world.file(2, "create table b (); select pg_sleep(1);");
    world.file(3, "create table c ();");
    let running = engine().ship(&pipeline(world.push()), Candidate::new());
    world.works_at("select pg_sleep").await;
    world
        .run("INSERT INTO supabase_migrations.schema_migrations (version, name) VALUES ('20270101000000', 'theirs')")
        .await;
    let report = running.await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    assert!(why(&report).contains("[migration.elsewhere]"), "{}", why(&report));
    assert_eq!(world.tables().await, ["a", "b"]);
}

/// One that is asked for meanwhile waits for its end, and finds that nothing is left to do.
#[tokio::test]
async fn a_push_under_way_is_waited_for() {
    let world = World::new();
    world.file(1, "create table a (); select pg_sleep(1);");
    let first = engine().ship(&pipeline(world.push()), Candidate::new());
    world.works_at("select pg_sleep").await;
    let second = engine().ship(&pipeline(world.push()), Candidate::new()).await;
    assert_eq!(end(&second), (Outcome::Unchanged, ""), "{}", why(&second));
    assert_eq!(end(&first.await), (Outcome::Released, ""));
}

#[tokio::test]
async fn who_holds_the_lock_is_told() {
    let world = World::new();
    world.file(1, "create table a ();");
    world.file(2, "create table b ();");
    let other = world.client().await;
    let lock = "begin; set application_name = 'another'; select pg_advisory_xact_lock(7449363237590103041)";
    other.batch_execute(lock).await.unwrap();
    let pid: i32 = other.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let push = world.push().turn_timeout(Duration::from_millis(300));
    let report = engine().ship(&pipeline(push), Candidate::new()).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    assert!(why(&report).contains(code::LOCKED.as_str()), "{}", why(&report));
    assert!(
        why(&report).contains(&format!("process {pid} of the server, `another`")),
        "{}",
        why(&report)
    );
    assert_eq!(world.tables().await, Vec::<String>::new());
}
