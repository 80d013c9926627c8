//! Looking without touching: what a run would do and what its gates say now, and whether what is live
//! passes verification. No lock, no journal, no write.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::Engine;
use super::admission::scopes;
use super::ending::nothing_left;
use super::gates::blocked;
use super::history::Releases;
use super::interrupt::Interrupter;
use super::queue::suspect;
use super::run::{Run, Stop};
use crate::candidate::Candidate;
use crate::code;
use crate::context::Hearing;
use crate::deployer::Live;
use crate::digest::Digest;
use crate::error::{Error, Failure, Result};
use crate::gate::{Enforcement, GateSlot};
use crate::id::{RunId, StageId};
use crate::ledger::{LockState, StageScope};
use crate::outcome::Outcome;
use crate::pipeline::{Pipeline, Step};
use crate::verdict::Verdict;

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judged {
    /// The gate.
    pub stage: StageId,
    /// Whether it can block.
    pub enforcement: Enforcement,
    /// What it says.
    pub verdict: Verdict,
}

/// What a ship would do, as far as can be told without doing it.
#[derive(Debug, Clone)]
#[must_use = "a ship that would be refused is told by `stop`"]
#[non_exhaustive]
pub struct Preview {
    /// The digest over target, candidate and fingerprint, to which approvals bind.
    pub intent: Digest,
    /// What each deploy would touch, in the order of their names.
    pub scopes: Vec<StageScope>,
    /// What the gates say, if they were asked.
    pub verdicts: Vec<Judged>,
    /// How the run would end before it touched anything, and why; `None` when nothing is known to
    /// stop it. What is live, or who holds the target, may have changed by the time it ships.
    pub stop: Option<(Outcome, Failure)>,
}

/// Whether what is live passes the verify gates.
#[derive(Debug, Clone)]
#[must_use = "what does not verify is told by `failure`"]
#[non_exhaustive]
pub struct Verified {
    /// What is live, as the first deployer reads it.
    pub live: Option<Live>,
    /// What the verify gates say.
    pub verdicts: Vec<Judged>,
    /// Why it does not verify: `verify.failed`, or `verify.nothing` when the pipeline has no enforced
    /// verify gate.
    pub failure: Option<Failure>,
}

impl Engine {
    /// Plans every deploy as [`Engine::ship`] would, and asks the gates if `gates` is set. Opens no
    /// run, takes no lock, writes nothing; a person can be asked for no approval by it. Idempotent and
    /// cancel-safe.
    ///
    /// # Errors
    /// Those of the ledger. What a deployer or a gate says is in the preview.
    pub async fn preview(
        &self,
        pipeline: &Pipeline,
        candidate: Candidate,
        gates: bool,
    ) -> Result<Preview> {
        let mut run = self.run(pipeline, RunId::generate(), Interrupter::default());
        run.learn(candidate).await?;
        let intent = run.facts.intent.clone();
        let mut preview = Preview { intent, scopes: Vec::new(), verdicts: Vec::new(), stop: None };
        match run.plan(run.deadline).await {
            Ok(plans) => preview.scopes = scopes(&plans),
            Err(stop) => {
                preview.stop = Some(told(stop));
                return Ok(preview);
            }
        }
        for target in run.claim.targets() {
            let state = self.ledger.state(target).await?;
            if let (LockState::Suspect, Some(left)) = (state.state, state.run) {
                let leading = state.along_with.as_ref().unwrap_or(target);
                let stop = suspect(pipeline.target(), leading, left, state.fence);
                preview.stop.get_or_insert(told(stop));
            }
        }
        if !gates {
            return Ok(preview);
        }
        run.hearing = Arc::new(Hearing { scopes: preview.scopes.clone(), ..Hearing::default() });
        // All are asked, to tell all findings at once; a run would stop at the first set that blocks.
        for set in &run.pipeline.gates {
            let judged = run.look_at(set).await;
            if preview.stop.is_none() {
                preview.stop = run.end_by(set, &judged).await?;
            }
            preview.verdicts.extend(judged);
        }
        Ok(preview)
    }

    /// Asks the verify gates about what is live now, as of the newest release's candidate. Takes no
    /// lock and writes nothing: a release that is under way meanwhile may be seen half. Idempotent and
    /// cancel-safe.
    ///
    /// # Errors
    /// Those of the ledger, and of the first deployer's `live`.
    pub async fn verify(&self, pipeline: &Pipeline) -> Result<Verified> {
        let last = Releases::read(&*self.ledger, pipeline.target(), 1).await?.last();
        let candidate = last.map_or_else(Candidate::new, |last| last.candidate);
        let mut run = self.run(pipeline, RunId::generate(), Interrupter::default());
        run.learn(candidate).await?;
        let mut verdicts = Vec::new();
        for step in &run.pipeline.steps {
            if let Step::Verify(set) = step {
                verdicts.extend(run.look_at(set).await);
            }
        }
        let enforced = |judged: &Judged| judged.enforcement == Enforcement::Enforced;
        let failure = match worst(&verdicts) {
            Some(judged) => {
                Some(super::gates::not_verified(&blocked(&judged.stage, &judged.verdict)))
            }
            None if !verdicts.iter().any(enforced) => {
                let nothing = "the pipeline has no enforced verification: nothing was checked";
                Some(Error::new(code::VERIFY_NOTHING, nothing))
            }
            None => None,
        };
        let failure = failure.map(|error| error.to_failure());
        Ok(Verified { live: pipeline.live().await?, verdicts, failure })
    }
}

impl Run {
    /// Asks a set in parallel, and keeps what it says from the journal.
    async fn look_at(&self, set: &[GateSlot]) -> Vec<Judged> {
        let deadline = Instant::now() + self.settings.deadline;
        let asked = set.iter().map(|slot| async move {
            let cx = self.context(&slot.id, deadline);
            let verdict = match self.ask(&slot.id, deadline, slot.gate.check(&cx)).await {
                Ok(Ok(verdict)) => verdict,
                Ok(Err(error)) => error.to_failure().into(),
                Err(stop) => told(stop).1.into(),
            };
            Judged { stage: slot.id.clone(), enforcement: slot.enforcement, verdict }
        });
        join_all(asked).await
    }

    /// How a run would end by what a set says, unless somebody answers for it.
    async fn end_by(
        &self,
        set: &[GateSlot],
        judged: &[Judged],
    ) -> Result<Option<(Outcome, Failure)>> {
        let mut left = Vec::new();
        for (slot, judged) in set.iter().zip(judged) {
            let may = !judged.verdict.is_pass() && slot.gate.may_be_waived();
            if !(may && self.waiver(&slot.id).await?.is_some()) {
                left.push(judged.clone());
            }
        }
        Ok(worst(&left).map(|judged| {
            let waits = matches!(judged.verdict, Verdict::Wait(_));
            let outcome = if waits { Outcome::Waiting } else { Outcome::Refused };
            let mut failure = blocked(&judged.stage, &judged.verdict).to_failure();
            // They name a run that there is not.
            failure.next.clear();
            (outcome, failure)
        }))
    }
}

/// The enforced gate that blocks, the worst of them.
fn worst(verdicts: &[Judged]) -> Option<&Judged> {
    let enforced = verdicts.iter().filter(|judged| judged.enforcement == Enforcement::Enforced);
    // The first of equals, as a run has it.
    enforced.rev().max_by_key(|judged| judged.verdict.severity()).filter(|it| !it.verdict.is_pass())
}

/// The end that a run would come to.
fn told(stop: Stop) -> (Outcome, Failure) {
    match stop {
        Stop::End(outcome, error) => (outcome, error.to_failure()),
        Stop::Park(_, error) => (Outcome::Waiting, error.to_failure()),
        Stop::Ended(outcome) => (outcome, nothing_left(outcome).to_failure()),
        Stop::Broken(error) | Stop::Lost(error) => (Outcome::Failed, error.to_failure()),
        Stop::Interrupted | Stop::LetGo => {
            let error = Error::new(code::RUN_INTERRUPTED, "interrupted before it was done");
            (Outcome::Interrupted, error.to_failure())
        }
    }
}
