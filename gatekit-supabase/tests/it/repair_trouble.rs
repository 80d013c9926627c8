//! Repairs in trouble: killed, cut off, kept waiting.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::MemoryLedger;
use gatekit_core::testing::{apply_context, plan_context};
use gatekit_core::{
    ApplyContext, Candidate, Deployer as _, Engine, Outcome, PlanContext, Rollback as _, StageId,
};
use gatekit_peers::Via;
use gatekit_supabase::migrations::RestoreRows;

use super::repair::{BOTH, TABLE, hold, pipeline, reverted, shipped, waits};
use super::world::{end, engine, why};

/// What a run would be given.
async fn contexts() -> (PlanContext, ApplyContext) {
    let (target, stage) = ("test/db".parse().unwrap(), StageId::new("repair").unwrap());
    let plan = plan_context(&target, Candidate::new(), &stage, Duration::from_secs(60));
    let ledger = Arc::new(MemoryLedger::new());
    let apply = apply_context(&plan, ledger, Duration::from_secs(60)).await.unwrap();
    (plan, apply)
}

/// Nothing but the lock keeps a push and a repair apart.
#[tokio::test]
async fn nothing_is_written_or_restored_while_somebody_has_the_lock() {
    for via in BOTH {
        let world = shipped(via, 2).await;
        let before = world.history().await;
        let repair = reverted(&world, &[2]);
        let (plan, apply) = contexts().await;
        let change = repair.plan(&plan).await.unwrap().change;
        let lock = hold(&world).await;
        let kept = async {
            waits(&world).await;
            assert_eq!(world.history().await, before, "{via:?}");
            lock.batch_execute("ROLLBACK").await.unwrap();
        };
        let (receipt, ()) = tokio::join!(repair.apply(&apply, &change, None), kept);
        let receipt = receipt.unwrap();
        assert_eq!(world.history().await.len(), 1);
        let lock = hold(&world).await;
        let kept = async {
            waits(&world).await;
            assert_eq!(world.history().await.len(), 1, "{via:?}");
            lock.batch_execute("ROLLBACK").await.unwrap();
        };
        let back = RestoreRows::of(&repair);
        let (undone, ()) = tokio::join!(back.roll_back(&apply, &change, Some(&receipt)), kept);
        undone.unwrap();
        assert_eq!(world.history().await, before);
    }
}

#[tokio::test]
async fn a_row_of_which_nothing_is_kept_is_told_by_its_code() {
    let world = shipped(Via::Server, 2).await;
    let repair = reverted(&world, &[1, 2]);
    let (plan, apply) = contexts().await;
    let change = repair.plan(&plan).await.unwrap().change;
    let receipt = repair.apply(&apply, &change, None).await.unwrap();
    world.run("UPDATE supabase_migrations.gatekit_repairs SET row_before = '{}'").await;
    let error = RestoreRows::of(&repair).roll_back(&apply, &change, Some(&receipt)).await;
    assert_eq!(error.unwrap_err().code().as_str(), "migration.not_kept");
    assert_eq!(world.history().await, Vec::<String>::new());
}

#[test]
fn a_repair_that_is_killed_at_any_moment_is_resumed_with_what_is_true() {
    use tokio::runtime::Builder;
    let runtime = || Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for via in BOTH {
        let mut random = fastrand::Rng::with_seed(13);
        for _ in 0..5 {
            let world = runtime().block_on(shipped(via, 2));
            // The server takes its time over the row, so that there is a middle to be killed in.
            runtime().block_on(world.run(&format!(
                "create function slow() returns trigger language plpgsql as \
                 $$ begin perform pg_sleep(0.15); return old; end $$; \
                 create trigger slow before delete on {TABLE} for each row execute function slow()"
            )));
            let engine = Engine::new(Arc::new(MemoryLedger::new()))
                .with_deadline(Duration::from_secs(60))
                .with_lease(Duration::from_secs(1))
                .unwrap();
            let moment = Duration::from_millis(random.u64(..400));
            let dies = runtime();
            let id = dies.block_on(async {
                let running = engine.ship(&pipeline(reverted(&world, &[1, 2])), Candidate::new());
                tokio::time::sleep(moment).await;
                running.run()
            });
            dies.shutdown_background();
            runtime().block_on(async {
                let rows = world.history().await.len();
                assert!(rows == 0 || rows == 2, "all or none: {rows}");
                let repair = pipeline(reverted(&world, &[1, 2]));
                let mut report = engine.resume(&repair, id).await;
                if report.outcome == Outcome::Refused {
                    report = engine.ship(&repair, Candidate::new()).await;
                }
                let good = [Outcome::Released, Outcome::Unchanged].contains(&report.outcome);
                assert!(good, "{via:?} {moment:?}: {:?} {}", end(&report), why(&report));
                assert_eq!(world.history().await.len(), 0, "{via:?} {moment:?}");
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_whose_answer_is_lost_is_read_and_never_guessed() {
    for via in BOTH {
        let world = shipped(via, 1).await;
        world
            .run(&format!(
                "create function slow() returns trigger language plpgsql as \
                 $$ begin perform pg_sleep(1); return null; end $$; \
                 create constraint trigger slow after delete on {TABLE} deferrable initially deferred \
                 for each row execute function slow()"
            ))
            .await;
        let running = engine().ship(&pipeline(reverted(&world, &[1])), Candidate::new());
        // In the middle of its commit.
        let pid = world.works_at("COMMIT").await;
        world.run(&format!("SELECT pg_terminate_backend({pid})")).await;
        let report = running.await;
        let told = why(&report);
        assert_eq!(end(&report), (Outcome::RolledBack, "database.unreachable"), "{via:?}: {told}");
        assert_eq!(world.history().await.len(), 1, "{via:?}");
    }
}
