//! The contract of a deployer: plan reads, apply writes, observe polls, locate tells the truth.

use std::fmt::{self, Debug};
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::{ApplyContext, PlanContext};
use crate::digest::Digest;
use crate::error::Result;
use crate::id::StageId;

/// Makes a change live.
///
/// The engine calls `plan`, journals the change, then `apply`, journals the receipt, polls
/// `observe`, and believes only `locate`. A killed run is resumed by calling `apply` again with the
/// *same* change, so everything that `apply` and the rollback need MUST be in the change.
#[async_trait]
pub trait Deployer: Debug + Send + Sync + 'static {
    /// The before-state and the wish. Journalled before the first write: MUST NOT contain secrets,
    /// and MUST stay readable for later versions.
    type Change: Serialize + DeserializeOwned + Debug + Send + Sync + 'static;

    /// What a write returned: the ids by which the effect of this run is recognised afterwards.
    /// Journalled: MUST NOT contain secrets.
    type Receipt: Serialize + DeserializeOwned + Debug + Send + Sync + 'static;

    /// The id of this deploy in its pipeline. MUST be the same in every process that builds the
    /// pipeline, and unique in it.
    fn id(&self) -> StageId;

    /// The configuration that matters, secrets as names only. It feeds the fingerprint: MUST be the
    /// same for the same configuration, in every process.
    fn describe(&self) -> Value;

    /// Reads the before-state and works out the change.
    ///
    /// MUST NOT write: `cx` gives no permit. Idempotent and cancel-safe; called before the queue,
    /// again under the lock, and for a dry run. Later too: for what a resumed run had not begun, for
    /// a repair and what is tried again after it, and before a release is adopted.
    ///
    /// # Errors
    /// `Err` means that this candidate cannot be planned. The run ends `failed` when nothing was
    /// touched, and unwinds otherwise.
    async fn plan(&self, cx: &PlanContext) -> Result<Planned<Self::Change>>;

    /// Writes the change.
    ///
    /// Every write needs a permit from [`ApplyContext::permit`]. MUST be correct when called again
    /// with the same change after a crash at any point: it first looks for its own effect (by
    /// `earlier`, by the run id it left in a tag or metadata, by ids that changed since the plan) and
    /// goes on from there. If it cannot tell, it errs with a code that ends in `.cannot_tell`. When
    /// somebody else's release has taken the place of its effect, it MUST err and write nothing.
    /// Not cancel-safe, and never dropped: the engine awaits it through interrupts.
    ///
    /// Returns once the write is accepted; whether it works out is for `observe` and `locate`.
    ///
    /// # Errors
    /// [`Effect`](crate::Effect) says what is known about all that this call wrote. Whatever it says,
    /// the engine unwinds by what `locate` finds. The error of a permit that was refused MUST keep its
    /// code: the engine stops all writing by it. Codes of the areas `lock` and `ledger` are for that
    /// alone: an error of a deployer's own that has one stops the run as a lost lock does.
    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &Self::Change,
        earlier: Option<&Self::Receipt>,
    ) -> Result<Self::Receipt>;

    /// Polls once how the write is getting on. MUST NOT write. Idempotent and cancel-safe. A rollout
    /// that will not change any more MUST NOT be told as under way.
    ///
    /// # Errors
    /// `Err` means that this poll failed. A temporary error is polled again until the deadline; any
    /// other ends the wait and the engine unwinds by what `locate` finds.
    async fn observe(
        &self,
        cx: &PlanContext,
        change: &Self::Change,
        receipt: &Self::Receipt,
    ) -> Result<Rollout>;

    /// Answers a pause that `observe` reported. MUST be idempotent. Not cancel-safe, and never
    /// dropped. After [`Go::RollBack`] the wish MUST NOT become live.
    ///
    /// A deployer that never reports [`Rollout::Paused`] keeps the default, which refuses.
    ///
    /// # Errors
    /// As `apply`.
    async fn proceed(
        &self,
        cx: &ApplyContext,
        change: &Self::Change,
        receipt: &Self::Receipt,
        pause: &Pause,
        go: Go,
    ) -> Result<()> {
        let _ = (cx, change, receipt, go);
        Err(crate::error::Error::new(
            crate::code::DEPLOY_NO_PAUSE,
            format!("deploy `{}` reported pause `{}` but cannot answer one", self.id(), pause.hook),
        )
        .with_effect(crate::error::Effect::None))
    }

    /// Shuts out every earlier holder at the resource itself: when this has returned, no write that
    /// was permitted under an older fence can land any more. Called after each takeover, before
    /// anything is located: a holder that was stopped between its permit and its write would
    /// otherwise write after the target was settled. MUST be idempotent, and MUST wait for a write
    /// that is under way or err. Not cancel-safe, and never dropped.
    ///
    /// A deployer whose resource keeps no fence keeps the default, which does nothing.
    ///
    /// # Errors
    /// `Err` means that a write may still land: the target stays suspect.
    async fn fence_off(&self, cx: &ApplyContext) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Tells where the target stands between the before-state and the wish: the only judge of
    /// success. MUST NOT write, MUST read afresh. Idempotent and cancel-safe.
    ///
    /// With a receipt, [`Location::After`] MUST mean the effect of *that* write, not of somebody
    /// else's. Without one it means that the wish already holds: the engine then has nothing to do.
    ///
    /// # Errors
    /// `Err` counts as [`Location::Unknown`].
    async fn locate(
        &self,
        cx: &PlanContext,
        change: &Self::Change,
        receipt: Option<&Self::Receipt>,
    ) -> Result<Location>;

    /// What is live now, for status and lineage; `None` when nothing is. MUST NOT write. Idempotent
    /// and cancel-safe.
    ///
    /// # Errors
    /// `Err` means that the target could not be read.
    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>>;
}

/// What a plan found and wants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the engine journals the change before the first write"]
pub struct Planned<C> {
    /// The before-state and the wish.
    pub change: C,
    /// A digest of what will be touched. Approvals bind to it, and a plan whose scope differs from
    /// the one that was checked is refused. The before-state SHOULD NOT be part of it.
    pub scope: Digest,
    /// One line for people.
    pub summary: String,
}

/// One poll's answer of how a write is getting on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rollout {
    /// Under way: poll again after that long.
    InProgress {
        /// How long to wait before the next poll.
        poll_after: Duration,
    },
    /// The backend says it is done. `locate` has the last word.
    Settled,
    /// The backend says it failed, and why.
    Failed(String),
    /// The backend undid it by itself.
    RolledBack {
        /// Who or what undid it.
        by: String,
        /// Why.
        why: String,
    },
    /// Another change took its place.
    Superseded {
        /// Who or what took its place.
        by: String,
    },
    /// The backend accepted the write, and nothing runs.
    NothingRan,
    /// The backend waits for an answer: see [`Deployer::proceed`].
    Paused(Pause),
}

/// A pause in a rollout that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pause {
    /// The hook that paused, by the backend's name for it.
    pub hook: String,
}

impl Pause {
    /// A pause at that hook.
    #[must_use]
    pub fn at(hook: impl Into<String>) -> Self {
        Self { hook: hook.into() }
    }
}

/// The answer to a [`Pause`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Go {
    /// Go on.
    Continue,
    /// Undo.
    RollBack,
}

/// What is live on a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Live {
    /// The backend's own id of the release.
    pub release: String,
    /// What people call it.
    pub version: Option<String>,
}

impl Live {
    /// A live release of that id.
    #[must_use]
    pub fn new(release: impl Into<String>, version: Option<String>) -> Self {
        Self { release: release.into(), version }
    }
}

impl fmt::Display for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.release)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, " (version {version})"))
    }
}

/// Where a target stands between a change's before-state and its wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Location {
    /// As it was before the change.
    Before,
    /// As the change wishes.
    After,
    /// Part of the change landed: which part.
    Between(String),
    /// Somebody else's release is there: it is never touched.
    Elsewhere(Live),
    /// It cannot be told, and why.
    Unknown(String),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before => f.write_str("before the change"),
            Self::After => f.write_str("after the change"),
            Self::Between(why) => write!(f, "between: {why}"),
            Self::Elsewhere(live) => write!(f, "elsewhere: {live} is live"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}
