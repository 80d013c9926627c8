//! What an implementation tells the suite about itself.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Ledger;
use gatekit_core::{Candidate, Deployer, Digest, Rollback, TargetName};

use crate::conformance::contract::unfit;

/// A deployer and its rollback, to be judged by this suite and by
/// [`rollback`](crate::conformance::rollback).
#[async_trait]
pub trait DeployerSubject: Debug + Send + Sync + 'static {
    /// A target of its own, with what writes to it.
    type World: DeployerWorld;

    /// What the worlds can do beside what each has to.
    fn capability(&self) -> Capability;

    /// A new world that shares nothing with any other, in which `live` is live. Whatever is made in it
    /// MUST be gone when it is dropped.
    async fn world(&self, live: Start) -> Self::World;
}

/// One target, seen from both sides: as its deployer sees it, and as it truly is.
#[async_trait]
pub trait DeployerWorld: Debug + Send + Sync + 'static {
    /// The deployer to be judged.
    type Deployer: Deployer;

    /// Its rollback.
    type Rollback: Rollback<Self::Deployer>;

    /// The name of the target.
    fn target(&self) -> TargetName;

    /// The ledger that gives the permits. Whatever was released before with permits of a ledger, MUST
    /// have been released with permits of this one. Its lock MUST be free.
    fn ledger(&self) -> Arc<dyn Ledger>;

    /// The candidate that is this release.
    fn candidate(&self, release: Release) -> Candidate;

    /// The deployer that makes this release live, built anew as another process would.
    fn deployer(&self, release: Release) -> Self::Deployer;

    /// The rollback of that deployer, built anew as another process would.
    fn rollback(&self, release: Release) -> Self::Rollback;

    /// What is truly live. MUST NOT ask the deployer.
    async fn truth(&self) -> Truth;

    /// What writing has left in the world so far. MUST NOT ask the deployer.
    async fn trace(&self) -> Trace;

    /// Canaries that the configuration, the candidates or the target have in them, and that MUST NOT
    /// be shown.
    ///
    /// # Default
    /// None.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes a third release live, as somebody else would. The lock is free then. For
    /// [`Capability::others`].
    async fn somebody_else_releases(&self) {
        unfit("it declares `others` and does not implement `somebody_else_releases`")
    }

    /// Lets a later write land and its answer be lost: after `after` more, so 0 is the next one. For
    /// [`Capability::loses_answers`].
    async fn lose_answer(&self, after: u64) {
        unfit(format_args!(
            "it declares `loses_answers` and does not implement `lose_answer({after})`"
        ))
    }

    /// Takes away what it needs to undo the change from [`Release::Old`] to [`Release::New`], which
    /// has landed. For [`Capability::one_way`].
    async fn make_one_way(&self) {
        unfit("it declares `one_way` and does not implement `make_one_way`")
    }
}

/// What is live in a new world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing at all. For [`Capability::starts_empty`].
    Nothing,
    /// [`Release::Old`], as a run of the ledger would have left it.
    Old,
}

/// What a run may want to be live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The release before.
    Old,
    /// Another one.
    New,
    /// One whose writes are accepted, and which never comes to life. For [`Capability::fails`].
    Failing,
}

/// What is truly live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// Nothing.
    Nothing,
    /// [`Release::Old`], whole and running.
    Old,
    /// [`Release::New`], whole and running.
    New,
    /// The third release, which somebody else made.
    Others,
    /// None of these: something half-way, or broken, and what.
    Partly(String),
}

/// What writing has left in a world. Two that are equal mean that nothing was written in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    pub(crate) state: Digest,
    pub(crate) effects: Option<u64>,
}

impl Trace {
    /// The digest of everything that a write can change. It MUST change with every write that has an
    /// effect, and MUST NOT change by itself while nothing is under way.
    #[must_use]
    pub fn of_state(state: Digest) -> Self {
        Self { state, effects: None }
    }

    /// Adds how many effects writes have had so far, counted where they happen, like the revisions
    /// that an API has made. A write that the target takes for a repeated one has none;
    /// content-addressed uploads that share a permit have one together.
    #[must_use]
    pub fn with_effects(mut self, effects: u64) -> Self {
        self.effects = Some(effects);
        self
    }
}

/// What a subject can do beside what every one has to. Behaviours that need more are left out.
///
/// # Default
/// Nothing; 30 s of patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "give it to the suite"]
pub struct Capability {
    /// A world may begin with nothing live: [`Start::Nothing`].
    pub starts_empty: bool,
    /// Somebody else can release: [`DeployerWorld::somebody_else_releases`].
    pub others: bool,
    /// The answer of a write can be lost: [`DeployerWorld::lose_answer`].
    pub loses_answers: bool,
    /// Every rollout pauses, and has to be told to go on.
    pub pauses: bool,
    /// There is a release that never comes to life: [`Release::Failing`].
    pub fails: bool,
    /// The way back can be closed: [`DeployerWorld::make_one_way`].
    pub one_way: bool,
    /// The scope depends on the before-state, for a reason.
    pub scope_of_before: bool,
    /// No release can be followed by the one before it, as by another run: migrations are only added to.
    pub only_forward: bool,
    /// How long a call, and a rollout as a whole, may take.
    pub patience: Duration,
}

impl Capability {
    /// Nothing beyond what every subject has to do.
    pub const fn new() -> Self {
        Self {
            starts_empty: false,
            others: false,
            loses_answers: false,
            pauses: false,
            fails: false,
            one_way: false,
            scope_of_before: false,
            only_forward: false,
            patience: Duration::from_secs(30),
        }
    }

    /// A world may begin with nothing live.
    pub const fn starting_empty(mut self) -> Self {
        self.starts_empty = true;
        self
    }

    /// Somebody else can release.
    pub const fn with_others(mut self) -> Self {
        self.others = true;
        self
    }

    /// The answer of a write can be lost.
    pub const fn losing_answers(mut self) -> Self {
        self.loses_answers = true;
        self
    }

    /// Every rollout pauses.
    pub const fn with_pauses(mut self) -> Self {
        self.pauses = true;
        self
    }

    /// There is a release that never comes to life.
    pub const fn with_failures(mut self) -> Self {
        self.fails = true;
        self
    }

    /// The way back can be closed.
    pub const fn with_one_way(mut self) -> Self {
        self.one_way = true;
        self
    }

    /// The scope depends on the before-state, for a reason.
    pub const fn with_scope_of_before(mut self) -> Self {
        self.scope_of_before = true;
        self
    }

    /// No release can be followed by the one before it.
    pub const fn going_only_forward(mut self) -> Self {
        self.only_forward = true;
        self
    }

    /// How long a call, and a rollout as a whole, may take.
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

impl Default for Capability {
    fn default() -> Self {
        Self::new()
    }
}
