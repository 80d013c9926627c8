//! Gates and deploys that do nothing, so that a run of them is the engine's and the ledger's own
//! work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Deployer, Digest, Evidence, Gate, Live, Location, PlanContext, Planned, Result,
    Reversibility, Rollback, Rollout, StageId, Verdict,
};
use serde_json::{Value, json};

/// A gate that passes.
#[derive(Debug)]
pub(crate) struct Nod(pub(crate) StageId);

#[async_trait]
impl Gate for Nod {
    fn id(&self) -> StageId {
        self.0.clone()
    }

    fn describe(&self) -> Value {
        json!({"kind": "nod"})
    }

    async fn check(&self, _: &PlanContext) -> Result<Verdict> {
        Ok(Verdict::pass([Evidence::read("nowhere", "", json!({"nothing": true}))]))
    }
}

/// What is live of a [`Nothing`], and when that was asked for.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) live: bool,
    pub(crate) planned: Vec<Duration>,
    pub(crate) told: Vec<Duration>,
}

/// A deploy that only pretends; it asks for its permit as every other.
#[derive(Debug, Clone)]
pub(crate) struct Nothing {
    pub(crate) id: StageId,
    pub(crate) world: Arc<Mutex<World>>,
    /// How long its write takes.
    pub(crate) takes: Duration,
}

impl Nothing {
    pub(crate) fn new(id: StageId, takes: Duration) -> Self {
        Self { id, world: Arc::default(), takes }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Duration {
    crate::clock::now().unwrap_or_default()
}

#[async_trait]
impl Deployer for Nothing {
    type Change = String;
    type Receipt = String;

    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({"kind": "nothing"})
    }

    async fn plan(&self, _: &PlanContext) -> Result<Planned<String>> {
        self.world().planned.push(now());
        Ok(Planned {
            change: "nothing".into(),
            scope: Digest::of("nothing"),
            summary: "nothing changes".into(),
        })
    }

    async fn apply(&self, cx: &ApplyContext, _: &String, _: Option<&String>) -> Result<String> {
        let _permit = cx.permit("do nothing").await?;
        if !self.takes.is_zero() {
            // A timer takes a millisecond even for nothing.
            tokio::time::sleep(self.takes).await;
        }
        self.world().live = true;
        Ok(cx.run().to_string())
    }

    async fn observe(&self, _: &PlanContext, _: &String, _: &String) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }

    async fn locate(&self, _: &PlanContext, _: &String, _: Option<&String>) -> Result<Location> {
        Ok(if self.world().live { Location::After } else { Location::Before })
    }

    async fn live(&self, _: &PlanContext) -> Result<Option<Live>> {
        self.world().told.push(now());
        Ok(Some(Live::new("nothing", None)))
    }
}

/// The way back from a [`Nothing`], which no run of a benchmark takes.
#[derive(Debug)]
pub(crate) struct Back;

#[async_trait]
impl Rollback<Nothing> for Back {
    fn reversibility(&self, _: &String) -> Reversibility {
        Reversibility::Free
    }

    async fn roll_back(&self, _: &ApplyContext, _: &String, _: Option<&String>) -> Result<()> {
        Ok(())
    }

    async fn observe_back(
        &self,
        _: &PlanContext,
        _: &String,
        _: Option<&String>,
    ) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }
}
