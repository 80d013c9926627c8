//! Two processes that go on with one run.

use std::sync::Arc;

use async_trait::async_trait;
use gatekit_core::{
    Evidence, Freshness, Gate, Outcome, Pipeline, PlanContext, Result, StageId, Verdict, code,
    enforced,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::world::*;

/// A gate that passes when it is told to.
#[derive(Debug, Clone, Default)]
struct Slow {
    asked: Arc<Notify>,
    go_on: Arc<Notify>,
}

#[async_trait]
impl Gate for Slow {
    fn id(&self) -> StageId {
        StageId::new("approval").unwrap()
    }

    fn describe(&self) -> Value {
        json!({})
    }

    fn fresh_for(&self) -> Freshness {
        Freshness::BoundToCandidate
    }

    async fn check(&self, _: &PlanContext) -> Result<Verdict> {
        self.asked.notify_one();
        self.go_on.notified().await;
        Ok(Verdict::pass([Evidence::read("test", b"seen", json!({}))]))
    }
}

fn gated(world: &World, approval: impl Gate) -> Pipeline {
    Pipeline::to(TARGET)
        .gate(enforced(approval))
        .deploy(fake(world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(gate("after", [Says::Fail])))
        .build()
        .unwrap()
}

/// One is slow with its gates; meanwhile the other takes the run to its end.
#[tokio::test]
async fn a_run_that_was_ended_by_another_process_does_not_begin_again() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let parked =
        bench.engine().ship(&gated(&world, gate("approval", [Says::Wait])), candidate("v2"));
    let run = parked.run();
    assert_eq!(parked.await.outcome, Outcome::Waiting);

    let slow = Slow::default();
    let late = bench.engine().resume(&gated(&world, slow.clone()), run);
    slow.asked.notified().await;
    let report = bench.engine().resume(&gated(&world, gate("approval", [Says::Pass])), run).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    let writes = world.writes();
    slow.go_on.notify_one();
    let report = late.await;
    assert_eq!(report.outcome, Outcome::Unchanged, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::RESUME_NOTHING);
    assert_eq!(world.writes(), writes);
    assert_eq!(bench.state().await.run, None);
}

/// Whatever was refused meanwhile: it still waits.
#[tokio::test]
async fn a_parked_run_is_found_behind_any_number_of_refused_ones() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let waits = gated(&world, gate("approval", [Says::Wait]));
    let parked = bench.engine().ship(&waits, candidate("v2")).await;
    let refused = gated(&world, gate("approval", [Says::Fail]));
    for _ in 0..40 {
        let report = bench.engine().ship(&refused, candidate("v3")).await;
        assert_eq!(report.outcome, Outcome::Refused);
    }
    let pending = bench.engine().pending(&target()).await.unwrap();
    assert_eq!(pending.map(|pending| pending.run), parked.run);
}
