//! Recoveries: a repair for a failure that is known by its code, and another try afterwards.

use serde::{Deserialize, Serialize};

use super::builder::{Deploying, PipelineBuilder};
use super::{Deploy, Step};
use crate::code;
use crate::deployer::Deployer;
use crate::error::{Code, Error};
use crate::id::StageId;
use crate::rollback::Rollback;

/// How a deploy is tried again after its recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Then {
    /// It is planned anew, with the before-state that the recovery left.
    ///
    /// Only when the failed deploy is located [`Before`](crate::Location::Before) its change, and
    /// nothing of it has shown up by the time the recovery is done. The new plan MUST have the scope
    /// that was granted, which is what approvals are for: another one is refused with
    /// `plan.changed`, and the run unwinds.
    Replan,
    /// The same change is applied again, which goes on from what is there. Not when the failed
    /// deploy is located [`Elsewhere`](crate::Location::Elsewhere), or nobody can tell where.
    SameChange,
}

/// Begins a recovery for deploys that fail with `code`: see [`PipelineBuilder::recover`].
pub fn on(code: Code) -> On {
    On(code)
}

/// The failure that a recovery is for, without the repair yet.
#[derive(Debug)]
#[must_use = "go on with `.deploy(repair)`"]
pub struct On(Code);

impl On {
    /// The repair, which is a deploy itself: planned when it is needed, journalled, located, and
    /// undone with the run. A pause of its rollout fails it: no gates can let it go on.
    ///
    /// Only [`rollback_with`](UndecidedRecovery::rollback_with) and
    /// [`irreversible`](UndecidedRecovery::irreversible) lead on.
    pub fn deploy<D: Deployer>(self, repair: D) -> UndecidedRecovery<D> {
        UndecidedRecovery { on: self.0, repair }
    }
}

/// A recovery without a decision yet how it is undone.
#[derive(Debug)]
#[must_use = "decide: `.rollback_with(r)` or `.irreversible(\"why\")`"]
pub struct UndecidedRecovery<D> {
    on: Code,
    repair: D,
}

impl<D: Deployer> UndecidedRecovery<D> {
    /// Undoes it with `rollback`. A repair that `rollback` calls one-way is refused before its first
    /// write, and the run unwinds.
    pub fn rollback_with<R: Rollback<D>>(self, rollback: R) -> UnfinishedRecovery {
        UnfinishedRecovery { on: self.on, repair: Deploy::undone_by(self.repair, rollback) }
    }

    /// Declares that it cannot be undone, and why. When something fails after it, unwinding stops
    /// there: the target is left suspect, and a person must act.
    pub fn irreversible(self, why: impl Into<String>) -> UnfinishedRecovery {
        UnfinishedRecovery { on: self.on, repair: Deploy::irreversible(self.repair, why.into()) }
    }
}

/// A recovery that does not tell yet what comes after it.
#[derive(Debug)]
#[must_use = "go on with `.then(Replan)` or `.then(SameChange)`"]
pub struct UnfinishedRecovery {
    on: Code,
    repair: Deploy,
}

impl UnfinishedRecovery {
    /// How the failed deploy is tried again.
    pub fn then(self, then: Then) -> Recovery {
        Recovery { on: self.on, repair: self.repair, then, at_most: 1, of: Vec::new() }
    }
}

/// A repair for a failure that is known by its code, and another try afterwards. Begins with [`on`].
///
/// # Default
/// At most once in a run.
#[derive(Debug, Clone)]
#[must_use = "give it to `.recover(..)`"]
pub struct Recovery {
    pub(crate) on: Code,
    pub(crate) repair: Deploy,
    pub(crate) then: Then,
    pub(crate) at_most: u32,
    /// The deploys it is for.
    pub(crate) of: Vec<StageId>,
}

impl Recovery {
    /// How often it may run in one run, for all its deploys together, and however often that run is
    /// resumed.
    pub fn at_most(self, times: u32) -> Self {
        Self { at_most: times, ..self }
    }
}

impl<Part> PipelineBuilder<Deploying, Part> {
    /// Adds a recovery for the deploys before it in this pipeline, or in this group.
    ///
    /// When one of them has begun and fails with the recovery's code, the repair is planned and
    /// deployed like any other, and then the failed deploy is tried again. Of several that fit, the
    /// first that has not run as often as it may is taken. It is a part of the fingerprint, so of
    /// what is approved; its scope is journalled before it begins. It has to be done within the
    /// deadline of the run.
    ///
    /// Everything else unwinds, newest first, the repairs included: a failure that no recovery is
    /// for, a repair that cannot be planned, could not be undone, or fails itself, and whatever the
    /// gates of a pause did not let go on. No recovery begins while a run unwinds, after an
    /// interrupt, or without the lock. A run that is cut off in a recovery is resumed in it.
    ///
    /// What counts for success are the pipeline's own deploys: a repair must be live when it is
    /// made, and may be overwritten by the deploy it was made for.
    ///
    /// [`build`](PipelineBuilder::build) gives `config.pipeline` when the recovery could never run:
    /// without a deploy before it, at most no times, or for the code of a lost lock or of a
    /// rejection at a pause.
    ///
    /// ```
    /// # use gatekit_core::{Code, Deployer, Pipeline, Replan, Result, Rollback, on};
    /// # fn build<M: Deployer, R: Deployer>(
    /// #     migrations: M, down: impl Rollback<M>, repair_history: R, unrepair: impl Rollback<R>,
    /// # ) -> Result<Pipeline> {
    /// const ORPHANED: Code = Code::new("migration.orphaned");
    /// Pipeline::to("production/db")
    ///     .deploy(migrations)
    ///     .rollback_with(down)
    ///     .recover(on(ORPHANED).deploy(repair_history).rollback_with(unrepair).then(Replan).at_most(2))
    ///     .build()
    /// # }
    /// ```
    pub fn recover(mut self, recovery: Recovery) -> Self {
        let id = self.stages.placed(recovery.repair.id);
        let of =
            self.stages.steps.iter().filter_map(Step::deploy).map(|it| it.id.clone()).collect();
        let repair = Deploy { id, ..recovery.repair };
        let recovery = Recovery { repair, of, ..recovery };
        if let Some(why) = recovery.never_runs() {
            let message = format!("recovery `{}` could never run: {why}", recovery.repair.id);
            self.stages.mistake(Error::new(code::CONFIG_PIPELINE, message));
        }
        self.stages.recoveries.push(recovery);
        self
    }
}

impl Recovery {
    fn never_runs(&self) -> Option<&'static str> {
        if self.of.is_empty() {
            Some("there is no deploy before it in its group")
        } else if self.at_most == 0 {
            Some("it may run no times")
        } else if matches!(self.on.area(), "lock" | "ledger") {
            Some("without the lock nothing is written")
        } else if self.on == code::DEPLOY_PAUSE_REJECTED {
            Some("what was rejected at a pause stays rejected")
        } else {
            None
        }
    }
}
