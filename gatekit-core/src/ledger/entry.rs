//! The journal's entries: what happened to a target, in the order it happened.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::candidate::Candidate;
use crate::code;
use crate::deployer::{Live, Location, Pause, Rollout};
use crate::digest::Digest;
use crate::error::{Error, Failure, Result};
use crate::gate::Enforcement;
use crate::id::{Fence, RunId, StageId, TargetName};
use crate::outcome::Outcome;
use crate::pipeline::Then;
use crate::process::ProcessIdentity;
use crate::time::Timestamp;
use crate::verdict::Verdict;

use super::chain::Head;

/// The version of the entry format that this build writes.
pub const ENTRY_VERSION: u32 = 1;

/// One journal entry. The ledger keeps the exact string of its JSON, and the chain hashes that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// The version of the format: [`ENTRY_VERSION`] when it was written.
    pub v: u32,
    /// When, by the writer's wall clock: for people only.
    pub at: Timestamp,
    /// The target.
    pub target: TargetName,
    /// The run.
    pub run: RunId,
    /// Who acted. On one machine this is a claim, not a proof.
    pub actor: String,
    /// The fence under which it was written; `None` for what needs no lock.
    pub fence: Option<Fence>,
    /// What happened.
    pub body: Body,
}

impl Entry {
    /// An entry of the present moment.
    #[must_use]
    pub fn new(
        target: TargetName,
        run: RunId,
        actor: impl Into<String>,
        fence: Option<Fence>,
        body: Body,
    ) -> Self {
        Self {
            v: ENTRY_VERSION,
            at: Timestamp::now(),
            target,
            run,
            actor: actor.into(),
            fence,
            body,
        }
    }

    /// The string that is stored and hashed.
    ///
    /// # Errors
    /// `ledger.entry` when a value inside has no JSON form.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|source| {
            Error::new(code::LEDGER_ENTRY, "a journal entry has no JSON form").with_source(source)
        })
    }

    /// Reads a stored string.
    ///
    /// # Errors
    /// `ledger.entry` when it is not an entry of any version this build can read.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(unreadable)
    }
}

fn unreadable(source: serde_json::Error) -> Error {
    Error::new(code::LEDGER_ENTRY, "a journal entry cannot be read").with_source(source)
}

/// Why a run was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// To ship a candidate.
    Ship,
    /// To return to an earlier release.
    RollBack {
        /// The run whose release is to be live again.
        to: RunId,
        /// The released runs that are undone, newest first.
        undo: Vec<RunId>,
        /// Why.
        reason: String,
    },
}

/// What a person decided about a suspect target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// The new release stays: every deploy must be found `After` and verified.
    Adopt,
    /// The old release is live: every begun deploy must be found `Before`.
    ConfirmOld,
    /// Undo every begun deploy.
    RollBack,
    /// Free the target whatever is live: the person answers for it.
    Override,
}

/// A person's word on a stage that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Word {
    /// The run may go on; what a person was to do is done.
    Approve,
    /// The run must not go on.
    Reject,
}

/// When in a run a gate was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GatePhase {
    /// Before the queue.
    Admission,
    /// Under the lock, because its evidence had aged.
    Recheck,
    /// At a pause of a rollout.
    Pause,
    /// On what runs.
    Verify,
}

/// How a candidate stands to what is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Lineage {
    /// It is what is live.
    Same,
    /// It contains what is live.
    Newer,
    /// What is live contains it.
    Older,
    /// Neither contains the other.
    Diverged,
    /// Nothing is known of what is live.
    Unknown,
}

/// What one stage's plan will touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageScope {
    /// The deploy.
    pub stage: StageId,
    /// The digest of what it will touch.
    pub scope: Digest,
    /// One line for people.
    pub summary: String,
}

impl StageScope {
    /// The scope of that stage.
    #[must_use]
    pub fn new(stage: StageId, scope: Digest, summary: impl Into<String>) -> Self {
        Self { stage, scope, summary: summary.into() }
    }

    /// The digest over the scopes of all of a run's stages, to which approvals bind. Summaries are for
    /// people and no part of it.
    #[must_use]
    pub fn of_all(scopes: &[Self]) -> Digest {
        let scopes: Vec<_> = scopes.iter().map(|it| (&it.stage, &it.scope)).collect();
        Digest::of_json(&serde_json::json!(scopes))
    }
}

/// What happened. Kinds are added over time: a reader takes one it does not know for
/// [`Body::Unknown`], and a run that has one is left to the newer build that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are explained at their variant")]
pub enum Body {
    /// A run began: what it ships, of which pipeline, with which arguments (without secrets), from
    /// which a later process rebuilds the pipeline, and which process carries it.
    Opened {
        mode: Mode,
        candidate: Candidate,
        fingerprint: Digest,
        intent: Digest,
        arguments: Value,
        process: ProcessIdentity,
    },
    /// Another process carries on a run that has touched nothing yet.
    Continued { process: ProcessIdentity },
    /// A gate was asked.
    Verdict { stage: StageId, phase: GatePhase, enforcement: Enforcement, verdict: Verdict },
    /// What the deploys of a run that waits would touch, for whoever has to approve it, and the gates
    /// at which a word counts.
    Planned {
        scopes: Vec<StageScope>,
        // Older entries have none: such a run is resumed, and asks again.
        #[serde(default)]
        hears: BTreeSet<StageId>,
    },
    /// The actor's word on a stage that waits for it. It holds for this run alone, and only while that
    /// ships what `intent` and touches what `scope` say.
    Approval { stage: StageId, word: Word, intent: Digest, scope: Digest, comment: String },
    /// The actor answers for a gate that blocks: until then, candidates of that intent may pass it.
    Waiver { stage: StageId, intent: Digest, until: Timestamp, reason: String },
    /// A gate blocked, and a waiver, by the number of its entry, lets the run pass it.
    Waived { stage: StageId, phase: GatePhase, waiver: u64 },
    /// The run took its place in the queue.
    Queued { ticket: u64 },
    /// The run waits, for a gate or (without a stage) in the queue. It holds nothing and goes on with
    /// `resume`.
    Parked { stage: Option<StageId>, why: String },
    /// The lock was granted, and this is what the run will touch; `also`, the targets that are locked
    /// along, and their fences.
    Granted {
        ticket: u64,
        lineage: Lineage,
        scopes: Vec<StageScope>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        also: BTreeMap<TargetName, Fence>,
    },
    /// The target is locked along with another one, for a run of that one: its entries are in that
    /// one's chain, of which `head` was the end.
    LockedAlong { with: TargetName, head: Head },
    /// A deploy begins: from here on the target counts as touched.
    Applying { stage: StageId, change: Value },
    /// A permit was given for one write.
    Calling { stage: StageId, call: String },
    /// A receipt in the middle of a deploy.
    Checkpoint { stage: StageId, receipt: Value },
    /// A deploy's writes are done, and this is how their effect is recognised.
    Applied { stage: StageId, receipt: Value },
    /// A rollout paused, was judged, and was answered: whether it went on.
    Answered { stage: StageId, pause: Pause, went_on: bool },
    /// A deploy is live by `locate`. `already` when it was so before this run wrote anything.
    Settled { stage: StageId, already: bool },
    /// A deploy did not become live.
    StageFailed { stage: StageId, failure: Failure, rollout: Option<Rollout>, location: Location },
    /// A deploy that failed is recovered from, and then tried again: by which recovery, for which
    /// time in this run, and what that will touch.
    Recovering { stage: StageId, recovery: StageId, attempt: u32, then: Then, scope: StageScope },
    /// Everything begun is to be undone, newest first, and why.
    Unwinding { cause: Failure },
    /// The undoing of a deploy begins. `change` and `receipt` are of the run that made it.
    RollingBack { stage: StageId, of: RunId, change: Value, receipt: Option<Value> },
    /// A deploy is undone by `locate`.
    RolledBack { stage: StageId, of: RunId },
    /// A later process took the run over.
    Resumed { old: Fence, new: Fence },
    /// A person settled a suspect target, and this is what `locate` found then.
    Reconciled { decision: Decision, reason: String, found: Vec<(StageId, Location)> },
    /// The run was interrupted and left for `resume`.
    Left { why: String },
    /// The run cannot go on without a person: the target is suspect.
    Stuck { failure: Failure },
    /// The run ended. `live` is what was live then.
    Closed { outcome: Outcome, failure: Option<Failure>, live: Option<Live> },
    /// A kind that this build does not know.
    #[serde(other)]
    Unknown,
}

/// What an entry does to the lock of its target, in the transaction that appends it. Every ledger
/// MUST do exactly this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockEffect {
    /// Nothing.
    None,
    /// The target counts as touched: `held` becomes `mutating`.
    Touch,
    /// The holder gives up: `held` becomes `free`, `mutating` becomes `suspect`.
    GiveUp,
    /// The holder is done: the target becomes `free`.
    Free,
}

impl Body {
    /// What this entry does to the lock.
    #[must_use]
    pub fn lock_effect(&self) -> LockEffect {
        match self {
            Self::Applying { .. } | Self::RollingBack { .. } => LockEffect::Touch,
            Self::Left { .. } | Self::Stuck { .. } => LockEffect::GiveUp,
            Self::Closed { .. } => LockEffect::Free,
            _ => LockEffect::None,
        }
    }

    /// Whether the entry may be appended without holding the lock.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self {
            Self::Opened { .. }
            | Self::Continued { .. }
            | Self::Planned { .. }
            | Self::Approval { .. }
            | Self::Waiver { .. }
            | Self::Queued { .. }
            | Self::Parked { .. } => true,
            Self::Verdict { phase, .. } | Self::Waived { phase, .. } => {
                *phase == GatePhase::Admission
            }
            // A run that never held the lock may end, or be left, without it; a success never does.
            Self::Closed { outcome, .. } => outcome.needs_no_lock(),
            Self::Left { .. } => true,
            _ => false,
        }
    }

    /// Whether the run does not go on in the process that writes it. Without the lock this MUST NOT
    /// be written about a run that holds its target, or left it suspect: another process of that run
    /// is at work, or has to be.
    #[must_use]
    pub fn ends_run(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Left { .. } | Self::Parked { .. })
    }

    /// The kind as it is spelled in the journal.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Continued { .. } => "continued",
            Self::Verdict { .. } => "verdict",
            Self::Planned { .. } => "planned",
            Self::Approval { .. } => "approval",
            Self::Waiver { .. } => "waiver",
            Self::Waived { .. } => "waived",
            Self::Queued { .. } => "queued",
            Self::Parked { .. } => "parked",
            Self::Granted { .. } => "granted",
            Self::LockedAlong { .. } => "locked_along",
            Self::Applying { .. } => "applying",
            Self::Calling { .. } => "calling",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Applied { .. } => "applied",
            Self::Answered { .. } => "answered",
            Self::Settled { .. } => "settled",
            Self::StageFailed { .. } => "stage_failed",
            Self::Recovering { .. } => "recovering",
            Self::Unwinding { .. } => "unwinding",
            Self::RollingBack { .. } => "rolling_back",
            Self::RolledBack { .. } => "rolled_back",
            Self::Resumed { .. } => "resumed",
            Self::Reconciled { .. } => "reconciled",
            Self::Left { .. } => "left",
            Self::Stuck { .. } => "stuck",
            Self::Closed { .. } => "closed",
            Self::Unknown => "unknown",
        }
    }
}

/// A stored entry and its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Its number in the target's chain, from 1, without gaps.
    pub seq: u64,
    /// The hash before it; [`GENESIS`](super::GENESIS) for the first.
    pub prev: Digest,
    /// `sha256(prev ‖ entry)`.
    pub hash: Digest,
    /// The exact string that was hashed.
    pub entry: String,
}

impl Record {
    /// The entry as data.
    ///
    /// # Errors
    /// `ledger.entry` when it is not an entry of any version this build can read.
    pub fn decode(&self) -> Result<Entry> {
        Entry::from_json(&self.entry)
    }

    /// The kind of the entry, as [`Body::kind`] names it, without making data of all of it.
    ///
    /// # Errors
    /// `ledger.entry` when it is not an entry.
    pub fn kind(&self) -> Result<Cow<'_, str>> {
        #[derive(Deserialize)]
        struct OfEntry<'a> {
            #[serde(borrow)]
            body: OfBody<'a>,
        }
        #[derive(Deserialize)]
        struct OfBody<'a> {
            #[serde(borrow)]
            kind: Cow<'a, str>,
        }
        let entry: OfEntry<'_> = serde_json::from_str(&self.entry).map_err(unreadable)?;
        Ok(entry.body.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(body: Body) -> Entry {
        Entry::new(TargetName::new("t").unwrap(), RunId::generate(), "me", None, body)
    }

    fn recovering() -> Body {
        let stage = |id: &str| StageId::new(id).unwrap();
        Body::Recovering {
            stage: stage("db"),
            recovery: stage("repair"),
            attempt: 1,
            then: Then::Replan,
            scope: StageScope::new(stage("repair"), Digest::of("scope"), "repairs"),
        }
    }

    #[test]
    fn a_plan_of_an_earlier_build_names_no_gates_that_hear_people() {
        let hears = BTreeSet::from([StageId::new("approval").unwrap()]);
        let text = entry(Body::Planned { scopes: Vec::new(), hears }).to_json().unwrap();
        let earlier = text.replace(r#","hears":["approval"]"#, "");
        assert_ne!(earlier, text);
        let planned = Body::Planned { scopes: Vec::new(), hears: BTreeSet::new() };
        assert_eq!(Entry::from_json(&earlier).unwrap().body, planned);
    }

    #[test]
    fn the_kind_of_a_record_is_told_without_its_entry() {
        let kind = |text: String| {
            Record { seq: 1, prev: Digest::zeros(), hash: Digest::zeros(), entry: text }
                .kind()
                .map(Cow::into_owned)
        };
        assert_eq!(kind(entry(recovering()).to_json().unwrap()).unwrap(), recovering().kind());
        assert_eq!(
            kind(r#"{"body":{"later":[1],"kind":"new\u0065r"}}"#.to_owned()).unwrap(),
            "newer"
        );
        for text in ["", "{}", r#"{"body":{"kind":1}}"#] {
            assert_eq!(*kind(text.to_owned()).unwrap_err().code(), code::LEDGER_ENTRY);
        }
    }

    /// The deploy that failed has touched the target already, so this changes nothing about it; and
    /// nobody recovers without the lock.
    #[test]
    fn a_recovery_is_journalled_under_the_lock_and_leaves_it_as_it_is() {
        assert_eq!(recovering().lock_effect(), LockEffect::None);
        assert!(!recovering().is_open() && !recovering().ends_run());
        let text = entry(recovering()).to_json().unwrap();
        assert!(text.contains(r#""then":"replan""#), "{text}");
        assert_eq!(Entry::from_json(&text).unwrap().body, recovering());
    }

    #[test]
    fn a_kind_of_the_future_is_read_as_unknown() {
        let text = entry(Body::Queued { ticket: 7 }).to_json().unwrap();
        let future = text.replace("queued", "teleported");
        assert_eq!(Entry::from_json(&future).unwrap().body, Body::Unknown);
    }

    #[test]
    fn a_number_in_a_change_is_read_to_the_last_digit() {
        let stage = StageId::new("s").unwrap();
        let applying = entry(Body::Applying { stage, change: 8.364756887893048e-308.into() });
        assert_eq!(Entry::from_json(&applying.to_json().unwrap()).unwrap(), applying);
    }

    #[test]
    fn the_spelled_kind_is_the_serialised_kind() {
        for body in [
            Body::Queued { ticket: 1 },
            Body::Left { why: "w".into() },
            Body::Resumed { old: Fence(1), new: Fence(2) },
            Body::Closed { outcome: Outcome::Failed, failure: None, live: None },
            recovering(),
        ] {
            let value = serde_json::to_value(&body).unwrap();
            assert_eq!(value["kind"], body.kind());
        }
    }
}
