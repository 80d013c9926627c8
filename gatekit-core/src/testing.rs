//! Contexts outside an engine, so that gates, deployers and rollbacks can be tested by themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::candidate::Candidate;
use crate::code;
use crate::context::{ApplyContext, PlanContext};
use crate::engine::{EventSender, Recorder};
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::id::{StageId, TargetName};
use crate::ledger::{Acquired, Claim, Ledger};

/// A context for `check`, `plan`, `observe`, `locate` and `live`, of a run that exists nowhere else,
/// with `deadline` left.
#[must_use]
pub fn plan_context(
    target: &TargetName,
    candidate: Candidate,
    stage: &StageId,
    deadline: Duration,
) -> PlanContext {
    PlanContext::detached(target.clone(), candidate, stage.clone(), deadline)
}

/// The context `plan`, whose progress `reporter` hears too.
#[must_use]
pub fn overheard(mut plan: PlanContext, reporter: impl Reporter) -> PlanContext {
    plan.events.add(Box::new(reporter));
    plan
}

/// A context for `apply` and `roll_back` of the run of `plan`, which takes the lock of its target in
/// `ledger` for `lease`. Nobody renews that lease. Once the lock is released, it may be called again
/// for the same run, as by a process that resumes it: the fence is then another one.
///
/// # Errors
/// Those of the ledger; `lock.held` when the lock is not free, also when the same run holds it. The
/// run does not stay in the queue then.
pub async fn apply_context(
    plan: &PlanContext,
    ledger: Arc<dyn Ledger>,
    lease: Duration,
) -> Result<ApplyContext> {
    let claim = Claim::new(plan.target().clone(), plan.run(), plan.actor());
    ledger.enqueue(&claim).await?;
    let Acquired::Granted(hold) = ledger.acquire(&claim, lease).await? else {
        ledger.leave(&claim.target, claim.run).await?;
        return Err(Error::new(code::LOCK_HELD, "the lock of the target is not free"));
    };
    let recorder =
        Recorder::new(ledger, claim.target, claim.run, claim.actor, EventSender::silent());
    recorder.set_hold(Some(hold));
    Ok(ApplyContext { plan: plan.clone(), recorder })
}
