//! The contract of a rollback, and the decision that there is none.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::context::{ApplyContext, PlanContext};
use crate::deployer::{Deployer, Rollout};
use crate::error::Result;

/// Undoes a change of the deployer `D`.
#[async_trait]
pub trait Rollback<D: Deployer>: Debug + Send + Sync + 'static {
    /// Whether that change can be undone. MUST NOT write. Idempotent. Asked under the lock, before
    /// the first write; anything but [`Reversibility::Free`] is refused then.
    fn reversibility(&self, change: &D::Change) -> Reversibility;

    /// Undoes the change: writes only, waiting is for `observe_back`.
    ///
    /// Every write needs a permit from [`ApplyContext::permit`]. MUST be correct even if `apply`
    /// never landed or landed in part (`receipt` is then `None`), and when called again after a
    /// crash at any point. MUST write nothing when the target is
    /// [`Location::Elsewhere`](crate::Location): another actor's release is never clobbered. MUST
    /// write nothing and err when the change cannot be undone. Not cancel-safe, and never dropped.
    ///
    /// # Errors
    /// Whatever the error, the engine believes what `locate` finds afterwards. The error of a permit
    /// that was refused MUST keep its code, as in [`Deployer::apply`].
    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &D::Change,
        receipt: Option<&D::Receipt>,
    ) -> Result<()>;

    /// Polls once how the undoing is getting on. MUST NOT write. Idempotent and cancel-safe.
    ///
    /// # Errors
    /// As [`Deployer::observe`].
    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &D::Change,
        receipt: Option<&D::Receipt>,
    ) -> Result<Rollout>;
}

/// Whether a change can be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reversibility {
    /// Yes.
    Free,
    /// No, and why.
    OneWay(String),
    /// It cannot be told, and why.
    Unknown(String),
}

/// The decision that a deploy has no way back: see `.irreversible("why")` of the pipeline builder.
#[derive(Debug)]
pub(crate) struct Irreversible(pub(crate) String);

#[async_trait]
impl<D: Deployer> Rollback<D> for Irreversible {
    fn reversibility(&self, _: &D::Change) -> Reversibility {
        Reversibility::OneWay(self.0.clone())
    }

    async fn roll_back(
        &self,
        _: &ApplyContext,
        _: &D::Change,
        _: Option<&D::Receipt>,
    ) -> Result<()> {
        Err(crate::error::Error::new(
            crate::code::DEPLOY_IRREVERSIBLE,
            format!("the deploy is irreversible: {}", self.0),
        )
        .with_effect(crate::error::Effect::None))
    }

    async fn observe_back(
        &self,
        _: &PlanContext,
        _: &D::Change,
        _: Option<&D::Receipt>,
    ) -> Result<Rollout> {
        Ok(Rollout::Failed(self.0.clone()))
    }
}
