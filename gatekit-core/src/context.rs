//! What gates and deployers are given: facts of the run, and permits to write.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::candidate::Candidate;
use crate::code;
use crate::deployer::Live;
use crate::digest::Digest;
use crate::engine::{EventSender, Recorder, Releases};
use crate::error::{Effect, Error, Result};
use crate::event::EventBody;
use crate::id::{Fence, RunId, StageId, TargetName};
use crate::ledger::{Body, Ledger, LockState, StageScope, Word};
use crate::time::Timestamp;

/// The last release of the target by the journal.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LastRelease {
    /// The run that made it.
    pub run: RunId,
    /// What it shipped.
    pub candidate: Candidate,
    /// What was live when it ended.
    pub live: Option<Live>,
    /// The facts of its evidence, gate by gate.
    pub facts: Vec<(StageId, Value)>,
    /// Since when it has been live: when the last run ended that put it there, brought it back or found
    /// it, by the wall clock of that process.
    pub live_since: Timestamp,
    pub(crate) opened: u64,
}

/// A person's word on the stage that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vote {
    /// Who gave it. On one machine a claim, not a proof.
    pub by: String,
    /// What it says.
    pub word: Word,
    /// When, by the wall clock of the process that wrote it.
    pub at: Timestamp,
    /// What the person added.
    pub comment: String,
    /// Whether it is about what the run ships and would touch now. An approval that is not counts for
    /// nothing; a rejection is of the run.
    pub binds: bool,
    /// The number of its entry in the target's journal.
    pub entry: u64,
}

/// What people said about a run, and what they had to judge.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    pub(crate) scopes: Vec<StageScope>,
    pub(crate) votes: Vec<(StageId, Vote)>,
    /// The gates that it has passed by a waiver, which may be over since.
    pub(crate) waived: BTreeSet<StageId>,
    /// The number of the run's last entry that was heard.
    pub(crate) upto: u64,
}

/// What every stage of a run is told.
#[derive(Debug, Clone)]
pub(crate) struct RunFacts {
    pub(crate) run: RunId,
    pub(crate) target: TargetName,
    pub(crate) candidate: Candidate,
    pub(crate) intent: Digest,
    pub(crate) actor: String,
    /// Who opened the run.
    pub(crate) requester: String,
    pub(crate) last_release: Option<LastRelease>,
    /// The hash of the target's last `closed` entry when that was read.
    pub(crate) last_closed: Option<Digest>,
    pub(crate) chain: Option<Digest>,
}

/// What a gate, a plan or a poll is given. It gives no permit, so nothing can be written with it.
///
/// A client's writing method asks for a [`Permit`], and a plan has none to give:
///
/// ```compile_fail
/// use gatekit_core::{PlanContext, Permit, Result};
///
/// fn write(_: &Permit) {}
///
/// async fn plan(cx: &PlanContext) -> Result<()> {
///     write(&cx.permit("delete everything").await?);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct PlanContext {
    pub(crate) facts: Arc<RunFacts>,
    pub(crate) stage: StageId,
    pub(crate) deadline: Instant,
    pub(crate) cancel: CancellationToken,
    pub(crate) events: EventSender,
    pub(crate) hearing: Arc<Hearing>,
    /// `None` outside an engine.
    pub(crate) ledger: Option<Arc<dyn Ledger>>,
    /// What people were told last.
    pub(crate) told: Arc<Mutex<Option<String>>>,
}

impl PlanContext {
    /// A context of a run that exists nowhere else, with `deadline` left, that tells nobody.
    pub(crate) fn detached(
        target: TargetName,
        candidate: Candidate,
        stage: StageId,
        deadline: Duration,
    ) -> Self {
        let facts = RunFacts {
            run: RunId::generate(),
            intent: candidate.intent(&target, &Digest::of(stage.as_str())),
            target,
            candidate,
            actor: "nobody".to_owned(),
            requester: "nobody".to_owned(),
            last_release: None,
            last_closed: None,
            chain: None,
        };
        Self {
            facts: Arc::new(facts),
            stage,
            deadline: Instant::now() + deadline,
            cancel: CancellationToken::new(),
            events: EventSender::silent(),
            hearing: Arc::default(),
            ledger: None,
            told: Arc::default(),
        }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.facts.run
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &TargetName {
        &self.facts.target
    }

    /// What is to be shipped.
    #[must_use]
    pub fn candidate(&self) -> &Candidate {
        &self.facts.candidate
    }

    /// The digest over target, candidate and fingerprint.
    #[must_use]
    pub fn intent(&self) -> &Digest {
        &self.facts.intent
    }

    /// Who acts. On one machine a claim, not a proof.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.facts.actor
    }

    /// Who asked for this release: who opened the run, whoever carries it now.
    #[must_use]
    pub fn requester(&self) -> &str {
        &self.facts.requester
    }

    /// What people said about this stage of the run, oldest first. Told to the gates before the first
    /// deploy alone, and said only of those that [hear people](crate::Gate::hears_people).
    pub fn votes(&self) -> impl Iterator<Item = &Vote> {
        self.hearing.votes.iter().filter(|(stage, _)| *stage == self.stage).map(|(_, vote)| vote)
    }

    /// What the run would touch, by the plans of its deploys. Told to the gates before the first
    /// deploy alone.
    #[must_use]
    pub fn planned(&self) -> &[StageScope] {
        &self.hearing.scopes
    }

    /// The stage that is asked.
    #[must_use]
    pub fn stage(&self) -> &StageId {
        &self.stage
    }

    /// The last release of the target by the journal, with its evidence facts.
    #[must_use]
    pub fn last_release(&self) -> Option<&LastRelease> {
        self.facts.last_release.as_ref()
    }

    /// The last release of another target in the same ledger; `None` when there is none. Cancel-safe.
    ///
    /// # Errors
    /// Those of the ledger; `ledger.none` outside an engine.
    pub async fn last_release_of(&self, target: &TargetName) -> Result<Option<LastRelease>> {
        Ok(Releases::read(self.ledger()?, target, 1).await?.last())
    }

    /// What is live on another target by its journal; the inner `Err` says why that does not tell.
    pub(crate) async fn live_on(
        &self,
        target: &TargetName,
    ) -> Result<Result<Option<LastRelease>, String>> {
        let ledger = self.ledger()?;
        let state = ledger.state(target).await?.state;
        if matches!(state, LockState::Mutating | LockState::Suspect) {
            return Ok(Err(format!("`{target}` is {}", state.as_str())));
        }
        let live = Releases::read(ledger, target, 1).await?.live(ledger, target).await?;
        Ok(live.map_err(|why| format!("`{target}` {why}")))
    }

    fn ledger(&self) -> Result<&dyn Ledger> {
        self.ledger.as_deref().ok_or_else(|| {
            Error::new(code::LEDGER_NONE, "outside an engine there is no ledger to read")
        })
    }

    /// The hash of the first entry of the target's journal: it tells this history of the target from
    /// that of any other ledger. `None` before the first entry, and outside an engine. Left beside
    /// a resource with the fence, it shows later whether the two fences can be compared at all.
    #[must_use]
    pub fn chain(&self) -> Option<&Digest> {
        self.facts.chain.as_ref()
    }

    /// When the stage has to be done: the engine stops waiting then, except for a call that writes.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long is left until the deadline.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Cancelled when the run is interrupted or has lost its lock. Cancel-safe stages need not look
    /// at it: the engine drops their futures.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Tells people how it is getting on. Lossy; MUST NOT contain secrets. Not journalled, but for the last
    /// of a rollout that the deadline ends: its error tells it.
    pub fn progress(&self, message: impl Into<String>) {
        let message = message.into();
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.clone());
        self.events.progress(|| EventBody::Progress {
            target: self.facts.target.clone(),
            run: self.facts.run,
            stage: Some(self.stage.clone()),
            message,
        });
    }

    /// What people were told last by this context.
    pub(crate) fn last_told(&self) -> Option<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What `apply` and `roll_back` are given: everything of a [`PlanContext`], and permits to write.
#[derive(Debug)]
pub struct ApplyContext {
    pub(crate) plan: PlanContext,
    recorder: Recorder,
    /// The newest receipt in the middle of the call.
    checkpoint: Mutex<Option<Value>>,
}

impl Deref for ApplyContext {
    type Target = PlanContext;

    fn deref(&self) -> &PlanContext {
        &self.plan
    }
}

impl ApplyContext {
    pub(crate) fn new(plan: PlanContext, recorder: Recorder) -> Self {
        Self { plan, recorder, checkpoint: Mutex::new(None) }
    }

    /// The newest receipt that was journalled in the middle of the call, if any.
    pub(crate) fn into_checkpoint(self) -> Option<Value> {
        self.checkpoint.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit for one write to the target.
    ///
    /// Proves that the run still holds the target under the newest fence and that at least a third
    /// of the lease is left, and journals `call`, the write's name, all in one transaction. Ask for
    /// it immediately before the write, one per effect on the target; content-addressed uploads may
    /// share one.
    ///
    /// # Errors
    /// `lock.lost`, `lock.lease_short` or an error of the ledger, all with
    /// [`Effect::None`]: the write MUST NOT be made.
    pub async fn permit(&self, call: &str) -> Result<Permit> {
        let body = Body::Calling { stage: self.stage.clone(), call: call.to_owned() };
        self.recorder.permit(body).await.map_err(|error| error.with_effect(Effect::None))?;
        Ok(Permit {
            run: self.run(),
            fence: self.fence()?,
            chain: self.chain().cloned(),
            call: call.to_owned(),
        })
    }

    /// The fence under which this run writes, to be left in a tag or beside the resource.
    ///
    /// # Errors
    /// `lock.lost` when the run holds nothing.
    pub fn fence(&self) -> Result<Fence> {
        self.recorder.fence().ok_or_else(|| {
            Error::new(code::LOCK_LOST, "the run holds no lock").with_effect(Effect::None)
        })
    }

    /// The fence of a target that is [locked along](crate::PipelineBuilder::also_lock): what is
    /// written there is marked with that target's own fence.
    ///
    /// # Errors
    /// `lock.lost` when the run does not hold that target.
    pub fn fence_of(&self, target: &TargetName) -> Result<Fence> {
        let hold = self.recorder.hold();
        let fence = hold.and_then(|hold| hold.fence_of(target));
        fence.ok_or_else(|| {
            let message = format!("the run does not hold `{target}`");
            Error::new(code::LOCK_LOST, message).with_effect(Effect::None)
        })
    }

    /// Journals a receipt in the middle of `apply`, durably before it returns: a resumed run gets it as
    /// `earlier`, and when `apply` errs it is the receipt by which its effect is located and undone.
    ///
    /// # Errors
    /// An error of the ledger, or `deploy.decode` when the receipt has no JSON form.
    pub async fn checkpoint(&self, receipt: &(impl Serialize + Sync)) -> Result<()> {
        let receipt = serde_json::to_value(receipt).map_err(|source| {
            Error::new(code::DEPLOY_DECODE, "the receipt has no JSON form").with_source(source)
        })?;
        let body = Body::Checkpoint { stage: self.stage.clone(), receipt: receipt.clone() };
        self.recorder.append(body).await?;
        *self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(receipt);
        Ok(())
    }
}

/// The proof that one write was allowed and journalled. A client's writing methods ask for one;
/// only [`ApplyContext::permit`] makes it.
#[must_use = "a permit is asked for immediately before its write"]
pub struct Permit {
    run: RunId,
    fence: Fence,
    chain: Option<Digest>,
    call: String,
}

impl Permit {
    /// The run that may write.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Which history of the target its fence belongs to: see [`PlanContext::chain`].
    #[must_use]
    pub fn chain(&self) -> Option<&Digest> {
        self.chain.as_ref()
    }

    /// The fence under which it may.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({} under fence {})", self.call, self.fence)
    }
}
