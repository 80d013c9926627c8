//! A pipeline whose every call passes by somebody: how the failure explorer gets in between.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::{Deploy, ErasedDeploy, Pipeline, Recovery, Step};
use crate::context::{ApplyContext, PlanContext};
use crate::deployer::{Go, Live, Location, Pause, Planned, Rollout};
use crate::error::{Error, Result};
use crate::gate::{Gate, GateSlot};
use crate::id::StageId;
use crate::rollback::Reversibility;
use crate::verdict::{Freshness, Verdict};

/// A call that the engine makes of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Call {
    /// A gate's `check`.
    Check,
    /// A deployer's `plan`.
    Plan,
    /// A deployer's `apply`.
    Apply,
    /// A deployer's `observe`.
    Observe,
    /// A deployer's `proceed`.
    Proceed,
    /// A deployer's `fence_off`.
    FenceOff,
    /// A deployer's `locate`.
    Locate,
    /// A deployer's `live`.
    Live,
    /// A rollback's `roll_back`.
    RollBack,
    /// A rollback's `observe_back`.
    ObserveBack,
}

impl Call {
    /// Every call there is.
    pub const ALL: [Self; 10] = [
        Self::Check,
        Self::Plan,
        Self::Apply,
        Self::Observe,
        Self::Proceed,
        Self::FenceOff,
        Self::Locate,
        Self::Live,
        Self::RollBack,
        Self::ObserveBack,
    ];

    /// The name of the method.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Observe => "observe",
            Self::Proceed => "proceed",
            Self::FenceOff => "fence_off",
            Self::Locate => "locate",
            Self::Live => "live",
            Self::RollBack => "roll_back",
            Self::ObserveBack => "observe_back",
        }
    }

    /// Whether the call may change the target.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Apply | Self::Proceed | Self::RollBack)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Call {
    type Err = &'static str;

    /// # Errors
    /// When no method of a stage is called so.
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|call| call.as_str() == text);
        found.ok_or("no method of a stage is called so")
    }
}

/// What becomes of a call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fate {
    /// It is made.
    Happens,
    /// It is made twice, and the second answer counts.
    HappensTwice,
    /// It is not made, and errs so.
    Fails(Error),
    /// It is made, and errs so whatever it answered.
    LosesAnswer(Error),
}

/// Somebody whom every call of an intercepted pipeline passes by.
#[async_trait]
pub trait Interceptor: fmt::Debug + Send + Sync + 'static {
    /// Decides what becomes of a call before it is made. `change` and `receipt` are what a deployer's
    /// call is about, as they were journalled.
    async fn before(
        &self,
        stage: &StageId,
        call: Call,
        change: Option<&Value>,
        receipt: Option<&Value>,
    ) -> Fate;

    /// A call has been made, or has failed; not told of one that was dropped on its way.
    async fn after(&self, stage: &StageId, call: Call);
}

impl Pipeline {
    /// The same pipeline, with the same fingerprint, whose calls pass by `interceptor`.
    pub(crate) fn intercepted(&self, interceptor: &Arc<dyn Interceptor>) -> Self {
        let slot = |slot: &GateSlot| GateSlot {
            id: slot.id.clone(),
            gate: Arc::new(Intercepted {
                inner: Arc::clone(&slot.gate),
                by: Arc::clone(interceptor),
            }),
            enforcement: slot.enforcement,
        };
        let deploy = |deploy: &Deploy| Deploy {
            id: deploy.id.clone(),
            deploy: Arc::new(Intercepted {
                inner: Arc::clone(&deploy.deploy),
                by: Arc::clone(interceptor),
            }),
            at_pause: deploy.at_pause.iter().map(slot).collect(),
            irreversible: deploy.irreversible.clone(),
        };
        let recovery =
            |recovery: &Recovery| Recovery { repair: deploy(&recovery.repair), ..recovery.clone() };
        let step = |step: &Step| match step {
            Step::Deploy(it) => Step::Deploy(deploy(it)),
            Step::Verify(set) => Step::Verify(set.iter().map(slot).collect()),
        };
        Self {
            gates: self.gates.iter().map(|set| set.iter().map(slot).collect()).collect(),
            steps: self.steps.iter().map(step).collect(),
            recoveries: self.recoveries.iter().map(recovery).collect(),
            ..self.clone()
        }
    }
}

/// What a call is about that has no change.
const NOTHING: (Option<&Value>, Option<&Value>) = (None, None);

#[derive(Debug)]
struct Intercepted<T: ?Sized> {
    by: Arc<dyn Interceptor>,
    inner: Arc<T>,
}

impl<T: ?Sized + Send + Sync> Intercepted<T> {
    async fn pass<A: Send, F>(
        &self,
        stage: &StageId,
        call: Call,
        (change, receipt): (Option<&Value>, Option<&Value>),
        make: impl Fn() -> F + Send + Sync,
    ) -> Result<A>
    where
        F: Future<Output = Result<A>> + Send,
    {
        let answer = match self.by.before(stage, call, change, receipt).await {
            Fate::Happens => make().await,
            Fate::HappensTwice => {
                // Whatever the first call answers, nobody has heard of it.
                let _ = make().await;
                make().await
            }
            Fate::Fails(error) => Err(error),
            Fate::LosesAnswer(error) => {
                let _ = make().await;
                Err(error)
            }
        };
        self.by.after(stage, call).await;
        answer
    }
}

#[async_trait]
impl Gate for Intercepted<dyn Gate> {
    fn id(&self) -> StageId {
        self.inner.id()
    }

    fn describe(&self) -> Value {
        self.inner.describe()
    }

    fn fresh_for(&self) -> Freshness {
        self.inner.fresh_for()
    }

    fn may_be_waived(&self) -> bool {
        self.inner.may_be_waived()
    }

    fn hears_people(&self) -> bool {
        self.inner.hears_people()
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        self.pass(cx.stage(), Call::Check, NOTHING, || self.inner.check(cx)).await
    }
}

#[async_trait]
impl ErasedDeploy for Intercepted<dyn ErasedDeploy> {
    fn describe(&self) -> Value {
        self.inner.describe()
    }

    fn reversibility(&self, stage: &StageId, change: &Value) -> Result<Reversibility> {
        self.inner.reversibility(stage, change)
    }

    async fn plan(&self, cx: &PlanContext) -> Result<Planned<Value>> {
        self.pass(cx.stage(), Call::Plan, NOTHING, || self.inner.plan(cx)).await
    }

    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &Value,
        earlier: Option<&Value>,
    ) -> Result<Value> {
        let make = || self.inner.apply(cx, change, earlier);
        self.pass(cx.stage(), Call::Apply, (Some(change), earlier), make).await
    }

    async fn observe(&self, cx: &PlanContext, change: &Value, receipt: &Value) -> Result<Rollout> {
        let make = || self.inner.observe(cx, change, receipt);
        self.pass(cx.stage(), Call::Observe, (Some(change), Some(receipt)), make).await
    }

    async fn proceed(
        &self,
        cx: &ApplyContext,
        change: &Value,
        receipt: &Value,
        pause: &Pause,
        go: Go,
    ) -> Result<()> {
        let make = || self.inner.proceed(cx, change, receipt, pause, go);
        self.pass(cx.stage(), Call::Proceed, (Some(change), Some(receipt)), make).await
    }

    async fn fence_off(&self, cx: &ApplyContext) -> Result<()> {
        self.pass(cx.stage(), Call::FenceOff, NOTHING, || self.inner.fence_off(cx)).await
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &Value,
        receipt: Option<&Value>,
    ) -> Result<Location> {
        let make = || self.inner.locate(cx, change, receipt);
        self.pass(cx.stage(), Call::Locate, (Some(change), receipt), make).await
    }

    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>> {
        self.pass(cx.stage(), Call::Live, NOTHING, || self.inner.live(cx)).await
    }

    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &Value,
        receipt: Option<&Value>,
    ) -> Result<()> {
        let make = || self.inner.roll_back(cx, change, receipt);
        self.pass(cx.stage(), Call::RollBack, (Some(change), receipt), make).await
    }

    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &Value,
        receipt: Option<&Value>,
    ) -> Result<Rollout> {
        let make = || self.inner.observe_back(cx, change, receipt);
        self.pass(cx.stage(), Call::ObserveBack, (Some(change), receipt), make).await
    }
}
