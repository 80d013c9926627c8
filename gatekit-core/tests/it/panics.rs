//! User code that panics where the engine does not call a stage for its own sake.

use std::sync::Arc;

use async_trait::async_trait;
use gatekit_core::ledger::LockState;
use gatekit_core::testing::{Call, Fate, Interceptor, intercepted};
use gatekit_core::{
    ApplyContext, Outcome, Pipeline, PlanContext, Result, Reversibility, Rollback, Rollout,
    StageId, code,
};
use serde_json::Value;

use crate::world::*;

#[derive(Debug)]
struct PanicsIn(Call);

#[async_trait]
impl Interceptor for PanicsIn {
    async fn before(&self, _: &StageId, call: Call, _: Option<&Value>, _: Option<&Value>) -> Fate {
        assert_ne!(call, self.0, "on purpose");
        Fate::Happens
    }

    async fn after(&self, _: &StageId, _: Call) {}
}

/// What is live is asked for the report alone.
#[tokio::test]
async fn a_good_release_is_released_although_nobody_can_tell_what_is_live() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let panics: Arc<dyn Interceptor> = Arc::new(PanicsIn(Call::Live));
    let report = bench.engine().ship(&intercepted(&plain(&world), &panics), candidate("v2")).await;
    assert_eq!((report.outcome, report.live), (Outcome::Released, None), "{:?}", report.failure);
    assert_eq!(bench.state().await.state, LockState::Free);
}

#[derive(Debug)]
struct Undecided(Back);

#[async_trait]
impl Rollback<Fake> for Undecided {
    fn reversibility(&self, _: &(String, String)) -> Reversibility {
        panic!("on purpose");
    }

    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &(String, String),
        receipt: Option<&String>,
    ) -> Result<()> {
        Rollback::<Fake>::roll_back(&self.0, cx, change, receipt).await
    }

    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &(String, String),
        receipt: Option<&String>,
    ) -> Result<Rollout> {
        Rollback::<Fake>::observe_back(&self.0, cx, change, receipt).await
    }
}

#[tokio::test]
async fn a_rollback_that_panics_when_it_is_asked_whether_it_can_fails_before_the_first_write() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let builder = Pipeline::to(TARGET).deploy(fake(&world));
    let pipeline = builder.rollback_with(Undecided(Back(world.clone()))).build().unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Failed, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::ENGINE_PANIC);
    assert_eq!((bench.kinds().await, world.writes().len()), (vec!["opened", "closed"], 0));
}
