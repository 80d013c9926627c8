//! What the move of a tag itself sends and gets, without the looks at it before and after.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use gatekit_aws::Aws;
use gatekit_aws::ecr::{MoveTag, TagChange, TagReceipt};
use gatekit_core::ledger::MemoryLedger;
use gatekit_core::{
    ApplyContext, Candidate, Deployer, Digest, Engine, Live, Location, Outcome, Pipeline,
    PlanContext, Planned, Rollout, StageId,
};

use crate::Result;
use crate::relay::Relay;

/// Moves a tag by a whole run, and counts the bytes of its `apply` alone.
pub(crate) async fn apply_bytes(
    aws: &Aws,
    relay: &Relay,
    repository: &str,
    tag: &str,
    digest: Digest,
) -> Result<u64> {
    let bytes = Arc::new(AtomicU64::new(0));
    let mover = MoveTag::new(aws, repository, digest).to(tag)?;
    let counted = Counted { mover, relay: relay.clone(), bytes: Arc::clone(&bytes) };
    let pipeline = Pipeline::to("production/tag")
        .deploy(counted)
        .irreversible("it is measured only")
        .build()?;
    let engine = Engine::new(Arc::new(MemoryLedger::new()));
    let report = engine.ship(&pipeline, Candidate::new()).await;
    match report.outcome {
        Outcome::Released => Ok(bytes.load(Ordering::Relaxed)),
        outcome => Err(format!("{outcome:?}: {:?}", report.failure).into()),
    }
}

/// A deployer whose `apply` is counted.
#[derive(Debug)]
struct Counted {
    mover: MoveTag,
    relay: Relay,
    bytes: Arc<AtomicU64>,
}

#[async_trait]
impl Deployer for Counted {
    type Change = TagChange;
    type Receipt = TagReceipt;

    fn id(&self) -> StageId {
        self.mover.id()
    }

    fn describe(&self) -> serde_json::Value {
        self.mover.describe()
    }

    async fn plan(&self, cx: &PlanContext) -> gatekit_core::Result<Planned<TagChange>> {
        self.mover.plan(cx).await
    }

    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &TagChange,
        earlier: Option<&TagReceipt>,
    ) -> gatekit_core::Result<TagReceipt> {
        self.relay.take();
        let applied = self.mover.apply(cx, change, earlier).await;
        self.bytes.fetch_add(self.relay.take(), Ordering::Relaxed);
        applied
    }

    async fn observe(
        &self,
        cx: &PlanContext,
        change: &TagChange,
        receipt: &TagReceipt,
    ) -> gatekit_core::Result<Rollout> {
        self.mover.observe(cx, change, receipt).await
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &TagChange,
        receipt: Option<&TagReceipt>,
    ) -> gatekit_core::Result<Location> {
        self.mover.locate(cx, change, receipt).await
    }

    async fn live(&self, cx: &PlanContext) -> gatekit_core::Result<Option<Live>> {
        self.mover.live(cx).await
    }
}
