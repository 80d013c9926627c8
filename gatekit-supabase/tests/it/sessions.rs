//! The connection that is kept from a call to the next.

use std::path::Path;
use std::time::Duration;

use gatekit_core::testing::plan_context;
use gatekit_core::{
    Candidate, Deployer as _, Evidence, Location, Outcome, Pipeline, PlanContext, Verdict,
    enforced, gate_fn,
};
use gatekit_peers::{Cluster, Programs, Via};
use gatekit_supabase::Database;
use gatekit_supabase::migrations::{Detail, FolderReader, Orphans, Proof, Push, Repair, list};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, timeout};

use super::relay::Relay;
use super::world::{World, end, engine, lives, pipeline, version, why};

const PATIENCE: Duration = Duration::from_secs(30);

/// The connections of gatekit to the database.
const OURS: &str = "datname = current_database() AND application_name = 'gatekit'";

async fn world(via: Via) -> World {
    let world = World::via(via);
    world.file(1, "create table a ();");
    assert_eq!(end(&world.ship().await), (Outcome::Released, ""));
    world
}

async fn look(database: &Database, folder: &Path) {
    let folder = FolderReader::of(folder);
    list(database, &folder, Detail::Versions, PATIENCE).await.unwrap();
}

fn context(push: &Push) -> PlanContext {
    plan_context(&"test/db".parse().unwrap(), Candidate::new(), &push.id(), PATIENCE)
}

/// Waits until the server says so.
async fn until(world: &World, condition: &str) {
    let sql = format!("SELECT 'yes' WHERE {condition}");
    let said = async {
        while world.texts(&sql).await.is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, said).await.unwrap();
}

/// Whether the session that asks does not hold that lock.
fn unlocked(key: u32) -> String {
    let held = format!("objid = {key} and objsubid = 1 and pid = pg_backend_pid()");
    format!("not exists (select from pg_locks where locktype = 'advisory' and {held})")
}

/// Waits until so much time has passed since the last answer that the next call makes sure first.
async fn idle(world: &World) {
    let long = "state_change < clock_timestamp() - interval '1.5 s'";
    until(world, &format!("EXISTS (SELECT FROM pg_stat_activity WHERE {OURS} AND {long})")).await;
}

#[tokio::test]
async fn pushes_with_nothing_to_do_take_one_connection() {
    for via in [Via::Server, Via::Pooler] {
        let world = world(via).await;
        let relay = Relay::open(&world.url).await;
        let database = Database::without_tls(&relay.url).unwrap();
        for _ in 0..2 {
            let push = Push::new(database.clone(), world.folder()).unwrap();
            let report = engine().ship(&pipeline(push), Candidate::new()).await;
            assert_eq!(end(&report), (Outcome::Unchanged, ""), "{via:?}: {}", why(&report));
        }
        assert_eq!(relay.connections(), 1, "{via:?}");
    }
}

#[tokio::test]
async fn the_connection_to_look_by_is_made_while_the_last_file_is_applied() {
    for via in [Via::Server, Via::Pooler] {
        let world = world(via).await;
        world.file(2, "create table b ();");
        world.file(3, "select pg_sleep(1);");
        let relay = Relay::open(&world.url).await;
        let database = Database::without_tls(&relay.url).unwrap();
        let push = Push::new(database, world.folder()).unwrap();
        let running = engine().ship(&pipeline(push), Candidate::new());
        let seen = async {
            world.works_at("select pg_sleep").await;
            sleep(Duration::from_millis(500)).await;
            relay.connections()
        };
        let (report, seen) = tokio::join!(running, seen);
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        assert_eq!((seen, relay.connections()), (2, 2), "{via:?}");
    }
}

#[tokio::test]
async fn every_look_takes_the_connection_of_the_one_before() {
    let world = world(Via::Server).await;
    let relay = Relay::open(&world.url).await;
    let database = Database::without_tls(&relay.url).unwrap();
    let push = Push::new(database.clone(), world.folder()).unwrap();
    let cx = context(&push);
    for detail in [Detail::Versions, Detail::Texts] {
        list(&database, &FolderReader::of(world.folder()), detail, PATIENCE).await.unwrap();
    }
    Orphans::of(&push).unwrap().diagnose(Instant::now() + PATIENCE).await.unwrap();
    let repair = Repair::applied(database, world.folder(), [version(1)], Proof::objects()).unwrap();
    let change = repair.plan(&cx).await.unwrap().change;
    repair.locate(&cx, &change, None).await.unwrap();
    push.live(&cx).await.unwrap();
    assert_eq!(relay.connections(), 1);
}

/// Those that a pooler has, and has not noticed yet to be gone.
#[tokio::test]
async fn connections_that_were_cut_together_are_passed_over() {
    let world = world(Via::Pooler).await;
    world.file(2, "create table b ();");
    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = super::world::client(&world.url).await;
        client.batch_execute("BEGIN").await.unwrap();
        clients.push(client);
    }
    for client in clients {
        client.batch_execute("COMMIT").await.unwrap();
    }
    let others = "datname = current_database() AND pid <> pg_backend_pid()";
    let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}");
    world.run(&sql).await;
    let report = world.ship().await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    assert_eq!(world.tables().await, ["a", "b"]);
}

#[tokio::test]
async fn a_connection_that_was_ended_between_plan_and_apply_is_made_anew() {
    for via in [Via::Server, Via::Pooler] {
        let world = world(via).await;
        world.file(2, "create table b ();");
        let url = world.direct().to_owned();
        let ends = gate_fn("ends", move |_| {
            let url = url.clone();
            async move {
                let sql =
                    format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}");
                super::world::client(&url).await.batch_execute(&sql).await.unwrap();
                Ok(Verdict::pass([Evidence::read(
                    "the connections",
                    "ended",
                    json!({ "ended": true }),
                )]))
            }
        });
        let pipeline = Pipeline::to("test/db").gate(enforced(ends.unwrap())).deploy(world.push());
        let pipeline = pipeline.irreversible("a migration is mended by the next one");
        let report = engine().ship(&pipeline.build().unwrap(), Candidate::new()).await;
        assert_eq!(end(&report), (Outcome::Released, ""), "{via:?}: {}", why(&report));
        assert_eq!(world.tables().await, ["a", "b"]);
    }
}

#[tokio::test]
async fn a_server_that_was_restarted_is_connected_to_again() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let mut cluster = Cluster::start(&Programs::find(&folder).unwrap(), &[]).unwrap();
    let database = Database::without_tls(&format!("{}/postgres", cluster.url())).unwrap();
    let files = tempfile::TempDir::new().unwrap();
    look(&database, files.path()).await;
    cluster.crash().unwrap();
    cluster.go_on().unwrap();
    look(&database, files.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_fell_silent_is_made_anew() {
    for waits in [false, true] {
        let world = world(Via::Server).await;
        let relay = Relay::open(&world.url).await;
        let database = Database::without_tls(&relay.url).unwrap();
        look(&database, world.folder()).await;
        if waits {
            idle(&world).await;
        }
        relay.silence();
        look(&database, world.folder()).await;
        assert_eq!(relay.connections(), 2);
    }
}

/// The server would give it, and keep it for a client that does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_is_not_asked_for_where_no_answer_may_come() {
    let world = world(Via::Server).await;
    let relay = Relay::open(&world.url).await;
    let push = Push::new(Database::without_tls(&relay.url).unwrap(), world.folder()).unwrap();
    let push = push.turn_timeout(Duration::from_secs(2));
    let cx = context(&push);
    let change = push.plan(&cx).await.unwrap().change;
    idle(&world).await;
    relay.lose_answers();
    assert_eq!(push.locate(&cx, &change, None).await.unwrap(), Location::After);
}

/// Nobody reads what the server says to it.
#[test]
fn a_connection_whose_runtime_stands_still_or_is_gone_is_made_anew() {
    let world = lives().block_on(world(Via::Server));
    for is_gone in [false, true] {
        let database = world.database();
        let before = Builder::new_current_thread().enable_all().build().unwrap();
        before.block_on(look(&database, world.folder()));
        let before = (!is_gone).then_some(before);
        lives().block_on(look(&database, world.folder()));
        drop(before);
    }
}

#[tokio::test]
async fn what_a_file_leaves_in_its_session_is_not_there_for_the_next_push() {
    let world = world(Via::Server).await;
    let push = world.push();
    world.file(2, "create temporary table left_over (); select pg_advisory_lock(77);");
    let report = engine().ship(&pipeline(push.clone()), Candidate::new()).await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
    let nothing = format!("to_regclass('pg_temp.left_over') is null and {}", unlocked(77));
    world.file(3, &format!("do $$ begin assert {nothing}; end $$;"));
    let report = engine().ship(&pipeline(push), Candidate::new()).await;
    assert_eq!(end(&report), (Outcome::Released, ""), "{}", why(&report));
}

#[tokio::test]
async fn what_a_probe_leaves_in_its_session_is_not_there_for_the_next_call() {
    let world = world(Via::Server).await;
    world.run("update supabase_migrations.schema_migrations set name = 'other'").await;
    let (database, cx) = (world.database(), context(&world.push()));
    for probe in ["select pg_advisory_lock(78) is not null", &format!("select {}", unlocked(78))] {
        let proof = Proof::objects().or_probe(version(1), probe);
        let repair = Repair::applied(database.clone(), world.folder(), [version(1)], proof);
        let planned = repair.unwrap().plan(&cx).await;
        assert!(planned.is_ok(), "{probe}: {planned:?}");
    }
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed() {
    let world = world(Via::Server).await;
    let database = world.database();
    look(&database, world.folder()).await;
    let closed = format!("NOT EXISTS (SELECT FROM pg_stat_activity WHERE {OURS})");
    until(&world, &closed).await;
    drop(database);
}
