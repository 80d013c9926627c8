//! The combinator: gate sets, deploys with rollbacks, verifications, recoveries, groups.

mod builder;
mod erased;
mod group;
mod intercept;
mod recovery;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use builder::{Deploying, Gating, PipelineBuilder, UndecidedDeploy, Whole};
pub(crate) use erased::ErasedDeploy;
use erased::Paired;
pub use group::Grouped;
pub use intercept::{Call, Fate, Interceptor};
pub use recovery::{On, Recovery, Then, UndecidedRecovery, UnfinishedRecovery, on};

use crate::candidate::Candidate;
use crate::code;
use crate::context::PlanContext;
use crate::deployer::{Deployer, Live};
use crate::digest::Digest;
use crate::engine::caught;
use crate::error::{Effect, Error, Result};
use crate::gate::GateSlot;
use crate::id::{StageId, TargetName};
use crate::rollback::{Irreversible, Rollback};

/// A way to release to one target: gates, deploys with rollbacks, verifications. Cheap to clone;
/// built with [`Pipeline::to`].
///
/// ```
/// # use gatekit_core::{Deployer, Gate, Pipeline, Result, Rollback, enforced};
/// # fn build<D: Deployer>(checks_green: impl Gate, deployer: D, rollback: impl Rollback<D>, smoke: impl Gate) -> Result<Pipeline> {
/// Pipeline::to("production/api")
///     .gate(enforced(checks_green))
///     .deploy(deployer)
///     .rollback_with(rollback)
///     .verify(enforced(smoke))
///     .build()
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub(crate) target: TargetName,
    pub(crate) gates: Vec<Vec<GateSlot>>,
    pub(crate) steps: Vec<Step>,
    pub(crate) recoveries: Vec<Recovery>,
    pub(crate) on_interrupt: OnInterrupt,
    pub(crate) also_lock: BTreeSet<TargetName>,
    fingerprint: Digest,
}

/// One step from the first deploy on.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Deploy(Deploy),
    Verify(Vec<GateSlot>),
}

impl Step {
    fn deploy(&self) -> Option<&Deploy> {
        match self {
            Self::Deploy(deploy) => Some(deploy),
            Self::Verify(_) => None,
        }
    }
}

/// A deploy with its decision how to undo it.
#[derive(Debug, Clone)]
pub(crate) struct Deploy {
    /// The deployer's own id, which a group prefixes.
    pub(crate) id: StageId,
    pub(crate) deploy: Arc<dyn ErasedDeploy>,
    pub(crate) at_pause: Vec<GateSlot>,
    pub(crate) irreversible: Option<String>,
}

impl Deploy {
    fn undone_by<D: Deployer>(deployer: D, rollback: impl Rollback<D>) -> Self {
        Self {
            id: deployer.id(),
            deploy: Arc::new(Paired { deployer, rollback }),
            at_pause: Vec::new(),
            irreversible: None,
        }
    }

    fn irreversible<D: Deployer>(deployer: D, why: String) -> Self {
        let deploy = Self::undone_by(deployer, Irreversible(why.clone()));
        Self { irreversible: Some(why), ..deploy }
    }
}

/// What the first interrupt does after the target was touched. Before that, a run always just
/// stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnInterrupt {
    /// Undo what was begun.
    Unwind,
    /// Leave the target suspect, for `resume` to go on.
    LeaveForResume,
}

impl OnInterrupt {
    /// `LeaveForResume` on GitHub Actions, where a cancelled job has ten seconds to live; `Unwind`
    /// elsewhere.
    #[must_use]
    pub fn of_environment() -> Self {
        if std::env::var_os("GITHUB_ACTIONS").is_some() {
            Self::LeaveForResume
        } else {
            Self::Unwind
        }
    }
}

impl Pipeline {
    /// The target.
    #[must_use]
    pub fn target(&self) -> &TargetName {
        &self.target
    }

    /// The targets that are locked along with it.
    #[must_use]
    pub fn also_lock(&self) -> &BTreeSet<TargetName> {
        &self.also_lock
    }

    /// The digest of the stages' ids, order and descriptions. Crate versions are no part of it.
    #[must_use]
    pub fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// What is live now, as the first deployer reads it; `None` when nothing is. Needs no ledger and
    /// writes nothing. Idempotent and cancel-safe.
    ///
    /// # Errors
    /// Those of the deployer's `live`; `gate.deadline` when it gives no answer within 30 s.
    pub async fn live(&self) -> Result<Option<Live>> {
        let Some(first) = self.deploys().next() else { return Ok(None) };
        let stage = &first.id;
        let patience = Duration::from_secs(30);
        let cx =
            PlanContext::detached(self.target.clone(), Candidate::new(), stage.clone(), patience);
        let live = caught(stage, first.deploy.live(&cx));
        tokio::time::timeout(patience, live).await.unwrap_or_else(|_| {
            let late = format!("deploy `{stage}` did not tell what is live in time");
            Err(Error::new(code::GATE_DEADLINE, late).with_effect(Effect::None).retry_later())
        })
    }

    /// The deploys of the candidate: without recoveries.
    pub(crate) fn deploys(&self) -> impl DoubleEndedIterator<Item = &Deploy> {
        self.steps.iter().filter_map(Step::deploy)
    }

    /// The deploys, and after them the repairs of the recoveries.
    pub(crate) fn deploys_and_repairs(&self) -> impl Iterator<Item = &Deploy> {
        self.deploys().chain(self.recoveries.iter().map(|recovery| &recovery.repair))
    }

    /// The deploy, or the repair of the recovery, of that id.
    pub(crate) fn deploy(&self, stage: &StageId) -> Option<&Deploy> {
        self.deploys_and_repairs().find(|deploy| deploy.id == *stage)
    }
}
