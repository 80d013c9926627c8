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
use crate::error::{Effect, Error, Result};
use crate::id::StageId;
use crate::rollback::{Reversibility, Rollback};

#[async_trait]
pub(crate) trait ErasedDeploy: Debug + Send + Sync {
    fn id(&self) -> StageId;
    fn describe(&self) -> Value;
    fn reversibility(&self, change: &Value) -> Result<Reversibility>;
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

impl<D: Deployer, R> Paired<D, R> {
    fn change(&self, value: &Value) -> Result<D::Change> {
        decode(&self.deployer.id(), "change", value)
    }

    fn receipt(&self, value: Option<&Value>) -> Result<Option<D::Receipt>> {
        value.map(|value| decode(&self.deployer.id(), "receipt", value)).transpose()
    }
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

fn encode(stage: &StageId, what: &'static str, value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|source| {
        Error::new(code::DEPLOY_DECODE, format!("the {what} of deploy `{stage}` has no JSON form"))
            .with_source(source)
    })
}

#[async_trait]
impl<D: Deployer, R: Rollback<D>> ErasedDeploy for Paired<D, R> {
    fn id(&self) -> StageId {
        self.deployer.id()
    }

    fn describe(&self) -> Value {
        self.deployer.describe()
    }

    fn reversibility(&self, change: &Value) -> Result<Reversibility> {
        Ok(self.rollback.reversibility(&self.change(change)?))
    }

    async fn plan(&self, cx: &PlanContext) -> Result<Planned<Value>> {
        let Planned { change, scope, summary } = self.deployer.plan(cx).await?;
        Ok(Planned { change: encode(&self.id(), "change", &change)?, scope, summary })
    }

    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &Value,
        earlier: Option<&Value>,
    ) -> Result<Value> {
        let (change, earlier) = (self.change(change)?, self.receipt(earlier)?);
        let receipt = self.deployer.apply(cx, &change, earlier.as_ref()).await?;
        encode(&self.id(), "receipt", &receipt)
    }

    async fn observe(&self, cx: &PlanContext, change: &Value, receipt: &Value) -> Result<Rollout> {
        let receipt = decode(&self.id(), "receipt", receipt)?;
        self.deployer.observe(cx, &self.change(change)?, &receipt).await
    }

    async fn proceed(
        &self,
        cx: &ApplyContext,
        change: &Value,
        receipt: &Value,
        pause: &Pause,
        go: Go,
    ) -> Result<()> {
        let receipt = decode(&self.id(), "receipt", receipt)?;
        self.deployer.proceed(cx, &self.change(change)?, &receipt, pause, go).await
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
        let (change, receipt) = (self.change(change)?, self.receipt(receipt)?);
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
        let (change, receipt) = (self.change(change)?, self.receipt(receipt)?);
        self.rollback.roll_back(cx, &change, receipt.as_ref()).await
    }

    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &Value,
        receipt: Option<&Value>,
    ) -> Result<Rollout> {
        let (change, receipt) = (self.change(change)?, self.receipt(receipt)?);
        self.rollback.observe_back(cx, &change, receipt.as_ref()).await
    }
}
