//! Pushes that are killed, and connections that are cut, at any moment: what is told is what is true.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::MemoryLedger;
use gatekit_core::{Candidate, Engine, Outcome};
use gatekit_peers::Via;
use tokio::runtime::{Builder, Runtime};

use super::world::{World, end, pipeline, why};

/// How many pushes each test kills. Each waits for a lease that nobody renews.
const KILLS: u64 = 6;

/// How long a push of the files takes, about, in milliseconds.
const PUSH: u64 = 400;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Three files, of which none may be applied in part or twice.
fn world(via: Via) -> World {
    let world = World::via(via);
    world.file(1, "create table counts (file int); select pg_sleep(0.05);");
    for number in 2..=3 {
        let sql = format!(
            "create table t{number} (); select pg_sleep(0.05); insert into counts values ({number});"
        );
        world.file(number, &sql);
    }
    world
}

/// How many files are applied, if that is all that there is to see: their rows, their tables, and what they
/// have counted.
async fn applied(world: &World) -> usize {
    let rows = world.history().await.len();
    let tables = ["counts", "t2", "t3"];
    assert_eq!(world.tables().await, tables[..rows], "{rows} rows");
    if rows > 0 {
        let counted = world.texts("SELECT file::text FROM counts ORDER BY 1").await;
        assert_eq!(counted, ["2", "3"][..rows - 1]);
    }
    rows
}

#[test]
fn a_push_that_is_killed_at_any_moment_is_resumed_with_what_is_true() {
    for via in [Via::Server, Via::Pooler] {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..KILLS {
            let world = world(via);
            let engine = Engine::new(Arc::new(MemoryLedger::new()))
                .with_deadline(Duration::from_secs(60))
                .with_lease(Duration::from_secs(1))
                .unwrap();
            let moment = Duration::from_millis(random.u64(..PUSH));
            let dies = runtime();
            let run = dies.block_on(async {
                let running = engine.ship(&pipeline(world.push()), Candidate::new());
                tokio::time::sleep(moment).await;
                running.run()
            });
            dies.shutdown_background();
            runtime().block_on(async {
                applied(&world).await;
                let mut report = engine.resume(&pipeline(world.push()), run).await;
                // Killed before it was opened.
                if report.outcome == Outcome::Refused {
                    report = engine.ship(&pipeline(world.push()), Candidate::new()).await;
                }
                let good = [Outcome::Released, Outcome::Unchanged].contains(&report.outcome);
                assert!(good, "{via:?} {moment:?}: {:?} {}", end(&report), why(&report));
                assert_eq!(applied(&world).await, 3, "{via:?} {moment:?}");
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_whose_connections_are_cut_at_any_moment_tells_what_is_true() {
    for via in [Via::Server, Via::Pooler] {
        let mut random = fastrand::Rng::with_seed(12);
        for _ in 0..KILLS {
            let world = world(via);
            let engine = super::world::engine();
            let running = engine.ship(&pipeline(world.push()), Candidate::new());
            let moment = Duration::from_millis(random.u64(..PUSH));
            tokio::time::sleep(moment).await;
            world
                .run(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
                .await;
            let report = running.await;
            let files = applied(&world).await;
            let expected = match report.outcome {
                Outcome::Released => 3..=3,
                Outcome::RolledBack | Outcome::Failed => 0..=0,
                // Some are applied, and have no way back.
                Outcome::Stuck => 1..=3,
                _ => 9..=9,
            };
            let told = format!("{via:?} {moment:?}: {:?} {}", end(&report), why(&report));
            assert!(expected.contains(&files), "{files} files, {told}");
        }
    }
}
