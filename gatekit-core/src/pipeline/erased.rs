//! A deployer and its rollback behind one object, with JSON at the boundary: the types tie the two
//! together in the builder, and the engine needs only one shape.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::code;
use crate::context::{ApplyContext, PlanContext};
use crate::deployer::{Deployer, Go, Live, Location, Pause, Planned, Rollout};
use crate::engine::caught_at_once;
use crate::error::{Effect, Error, Result};
use crate::id::StageId;
use crate::rollback::{Reversibility, Rollback};

#[async_trait]
pub(crate) trait ErasedDeploy: Debug + Send + Sync {
    fn describe(&self) -> Value;
    fn reversibility(&self, stage: &StageId, change: &Value) -> Result<Reversibility>;
    async fn plan(&self, cx: &PlanContext) -> Result<Planned<Value>>;
    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &Value,
        earlier: Option<&Value>,
    ) -> Result<Value>;
    async fn observe(&self, cx: &PlanContext, change: &Value, receipt: &Value) -> Result<Rollout>;
    async fn proceed(
        &self,
        cx: &ApplyContext,
        change: &Value,
        receipt: &Value,
        pause: &Pause,
        go: Go,
    ) -> Result<()>;
    async fn fence_off(&self, cx: &ApplyContext) -> Result<()>;
    async fn locate(
        &self,
        cx: &PlanContext,
        change: &Value,
        receipt: Option<&Value>,
    ) -> Result<Location>;
    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>>;
    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &Value,
        receipt: Option<&Value>,
    ) -> Result<()>;
    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &Value,
        receipt: Option<&Value>,
    ) -> Result<Rollout>;
}

#[derive(Debug)]
pub(crate) struct Paired<D, R> {
    pub(crate) deployer: D,
    pub(crate) rollback: R,
}

fn decode<T: DeserializeOwned>(stage: &StageId, what: &'static str, value: &Value) -> Result<T> {
    T::deserialize(value).map_err(|source| {
        Error::new(
            code::DEPLOY_DECODE,
            format!("deploy `{stage}` cannot read the {what} that was journalled"),
        )
        .with_effect(Effect::None)
        .with_source(source)
    })
}

fn decode_change<D: Deployer>(stage: &StageId, change: &Value) -> Result<D::Change> {
    decode(stage, "change", change)
}

fn decode_receipt<D: Deployer>(
    stage: &StageId,
    receipt: Option<&Value>,
) -> Result<Option<D::Receipt>> {
    receipt.map(|receipt| decode(stage, "receipt", receipt)).transpose()
}

fn encode(stage: &StageId, what: &'static str, value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|source| {
        Error::new(code::DEPLOY_DECODE, format!("the {what} of deploy `{stage}` has no JSON form"))
            .with_source(source)
    })
}

#[async_trait]
impl<D: Deployer, R: Rollback<D>> ErasedDeploy for Paired<D, R> {
    fn describe(&self) -> Value {
        self.deployer.describe()
    }

    fn reversibility(&self, stage: &StageId, change: &Value) -> Result<Reversibility> {
        let change = decode_change::<D>(stage, change)?;
        caught_at_once(stage, || self.rollback.reversibility(&change))
    }

    async fn plan(&self, cx: &PlanContext) -> Result<Planned<Value>> {
        let Planned { change, scope, summary } = self.deployer.plan(cx).await?;
        Ok(Planned { change: encode(cx.stage(), "change", &change)?, scope, summary })
    }

    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &Value,
        earlier: Option<&Value>,
    ) -> Result<Value> {
        let (change, earlier) =
            (decode_change::<D>(cx.stage(), change)?, decode_receipt::<D>(cx.stage(), earlier)?);
        let receipt = self.deployer.apply(cx, &change, earlier.as_ref()).await?;
        encode(cx.stage(), "receipt", &receipt)
    }

    async fn observe(&self, cx: &PlanContext, change: &Value, receipt: &Value) -> Result<Rollout> {
        let receipt = decode(cx.stage(), "receipt", receipt)?;
        self.deployer.observe(cx, &decode_change::<D>(cx.stage(), change)?, &receipt).await
    }

    async fn proceed(
        &self,
        cx: &ApplyContext,
        change: &Value,
        receipt: &Value,
        pause: &Pause,
        go: Go,
    ) -> Result<()> {
        let receipt = decode(cx.stage(), "receipt", receipt)?;
        self.deployer
            .proceed(cx, &decode_change::<D>(cx.stage(), change)?, &receipt, pause, go)
            .await
    }

    async fn fence_off(&self, cx: &ApplyContext) -> Result<()> {
        self.deployer.fence_off(cx).await
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &Value,
        receipt: Option<&Value>,
    ) -> Result<Location> {
        let (change, receipt) =
            (decode_change::<D>(cx.stage(), change)?, decode_receipt::<D>(cx.stage(), receipt)?);
        self.deployer.locate(cx, &change, receipt.as_ref()).await
    }

    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>> {
        self.deployer.live(cx).await
    }

    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &Value,
        receipt: Option<&Value>,
    ) -> Result<()> {
        let (change, receipt) =
            (decode_change::<D>(cx.stage(), change)?, decode_receipt::<D>(cx.stage(), receipt)?);
        self.rollback.roll_back(cx, &change, receipt.as_ref()).await
    }

    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &Value,
        receipt: Option<&Value>,
    ) -> Result<Rollout> {
        let (change, receipt) =
            (decode_change::<D>(cx.stage(), change)?, decode_receipt::<D>(cx.stage(), receipt)?);
        self.rollback.observe_back(cx, &change, receipt.as_ref()).await
    }
}
