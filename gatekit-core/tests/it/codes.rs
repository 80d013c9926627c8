//! Codes of mistakes in what users write.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::testing::{apply_context, plan_context};
use gatekit_core::{
    ApplyContext, Deployer, Go, Live, Location, NextAction, Outcome, Pause, Pipeline, PlanContext,
    Planned, Result, Rollout, RunId, StageId, Verb, Verdict, code,
};
use serde_json::{Value, json};

use crate::world::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Its change is a map whose keys JSON cannot have, and it cannot answer a pause.
#[derive(Debug)]
struct Wrong;

#[async_trait]
impl Deployer for Wrong {
    type Change = BTreeMap<(u8, u8), u8>;
    type Receipt = ();

    fn id(&self) -> StageId {
        StageId::new("wrong").unwrap()
    }

    fn describe(&self) -> Value {
        json!({})
    }

    async fn plan(&self, _: &PlanContext) -> Result<Planned<Self::Change>> {
        let change = BTreeMap::from([((1, 2), 3)]);
        Ok(Planned { change, scope: gatekit_core::Digest::of("x"), summary: "x".into() })
    }

    async fn apply(&self, _: &ApplyContext, _: &Self::Change, _: Option<&()>) -> Result<()> {
        Ok(())
    }

    async fn observe(&self, _: &PlanContext, _: &Self::Change, (): &()) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }

    async fn locate(&self, _: &PlanContext, _: &Self::Change, _: Option<&()>) -> Result<Location> {
        Ok(Location::Unknown("nobody knows".into()))
    }

    async fn live(&self, _: &PlanContext) -> Result<Option<Live>> {
        Ok(None)
    }
}

#[test]
fn a_run_id_is_a_uuid() {
    let error = "yesterday's".parse::<RunId>().unwrap_err();
    assert_eq!(error.code(), &code::CONFIG_RUN_ID);
}

#[test]
fn a_pass_without_evidence_is_none() {
    let Verdict::Inconclusive(finding) = Verdict::pass([]) else { panic!("it passes") };
    assert_eq!(finding.code, code::GATE_NO_EVIDENCE);
}

#[tokio::test]
async fn outside_an_engine_there_is_no_ledger() {
    let cx = plan_context(&target(), candidate("v1"), &Wrong.id(), HOUR);
    let error = cx.last_release_of(&target()).await.unwrap_err();
    assert_eq!(error.code(), &code::LEDGER_NONE);
}

#[tokio::test]
async fn a_deployer_that_pauses_has_to_answer_pauses() {
    let bench = Bench::new();
    let plan = plan_context(&target(), candidate("v1"), &Wrong.id(), HOUR);
    let cx = apply_context(&plan, bench.ledger, HOUR).await.unwrap();
    let answered =
        Wrong.proceed(&cx, &BTreeMap::new(), &(), &Pause::at("hook"), Go::Continue).await;
    assert_eq!(answered.unwrap_err().code(), &code::DEPLOY_NO_PAUSE);
}

#[tokio::test]
async fn a_change_that_cannot_be_journalled_is_never_begun() {
    let bench = Bench::new();
    let pipeline = Pipeline::to(TARGET).deploy(Wrong).irreversible("a test").build().unwrap();
    let report = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Failed, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::DEPLOY_DECODE);
    assert_eq!(report.next, [NextAction::verb(Verb::Log, &[])]);
    assert!(!bench.kinds().await.contains(&"applying"));
}
