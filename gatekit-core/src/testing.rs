//! For tests of pipelines and their parts: contexts outside an engine, so that gates, deployers and
//! rollbacks can be tested by themselves; and a way in between the engine and its stages.

use std::sync::Arc;
use std::time::Duration;

use crate::candidate::Candidate;
use crate::code;
use crate::context::{ApplyContext, Hearing, PlanContext, RunFacts, Vote};
use crate::engine::{EventSender, Recorder};
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::gate::{Enforcement, GateSlot};
use crate::id::{StageId, TargetName};
use crate::ledger::{Acquired, Claim, GatePhase, Ledger, Word};
use crate::pipeline::{Pipeline, Step};
use crate::time::Timestamp;

pub use crate::pipeline::{Call, Fate, Interceptor};

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

/// The context `plan` of a run that `requester` asked for, and of whose stage people said these words
/// just now, in that order: who, and what.
#[must_use]
pub fn with_words(mut plan: PlanContext, requester: &str, words: &[(&str, Word)]) -> PlanContext {
    let vote = |(entry, (by, word)): (u64, &(&str, Word))| Vote {
        by: (*by).to_owned(),
        word: *word,
        at: Timestamp::now(),
        comment: String::new(),
        binds: true,
        entry,
    };
    let votes = (1..).zip(words).map(|said| (plan.stage.clone(), vote(said))).collect();
    plan.hearing = Arc::new(Hearing { votes, ..Hearing::default() });
    plan.facts = Arc::new(RunFacts { requester: requester.to_owned(), ..(*plan.facts).clone() });
    plan
}

/// The context `plan` with a ledger in which other targets can be looked up.
#[must_use]
pub fn reading(mut plan: PlanContext, ledger: Arc<dyn Ledger>) -> PlanContext {
    plan.ledger = Some(ledger);
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
    Ok(ApplyContext::new(plan.clone(), recorder))
}

/// The same pipeline, with the same fingerprint, in which every call that the engine makes of a gate,
/// a deployer or a rollback passes by `interceptor`. Needs nothing of the stages themselves.
pub fn intercepted(pipeline: &Pipeline, interceptor: &Arc<dyn Interceptor>) -> Pipeline {
    pipeline.intercepted(interceptor)
}

/// A stage of a pipeline, as a test needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StageKind {
    /// A gate: when it is asked, and whether it binds.
    Gate(GatePhase, Enforcement),
    /// A deploy, and why it has no way back, if so.
    Deploy(Option<String>),
    /// The repair of a recovery, and why it has no way back, if so.
    Repair(Option<String>),
}

/// The stages of a pipeline in its own order, the repairs last; a deploy comes before the gates at
/// its pause.
#[must_use]
pub fn stages(pipeline: &Pipeline) -> Vec<(StageId, StageKind)> {
    let gates = |set: &[GateSlot], phase| -> Vec<_> {
        let kind = |slot: &GateSlot| StageKind::Gate(phase, slot.enforcement);
        set.iter().map(|slot| (slot.id.clone(), kind(slot))).collect()
    };
    let mut stages = Vec::new();
    for set in &pipeline.gates {
        stages.extend(gates(set, GatePhase::Admission));
    }
    for step in &pipeline.steps {
        match step {
            Step::Deploy(deploy) => {
                let kind = StageKind::Deploy(deploy.irreversible.clone());
                stages.push((deploy.id.clone(), kind));
                stages.extend(gates(&deploy.at_pause, GatePhase::Pause));
            }
            Step::Verify(set) => stages.extend(gates(set, GatePhase::Verify)),
        }
    }
    for recovery in &pipeline.recoveries {
        let kind = StageKind::Repair(recovery.repair.irreversible.clone());
        stages.push((recovery.repair.id.clone(), kind));
    }
    stages
}
