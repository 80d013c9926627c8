//! What an implementation tells the suite about itself.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{Candidate, Digest, Gate, PlanContext};

/// A gate to be judged.
#[async_trait]
pub trait GateSubject: Debug + Send + Sync + 'static {
    /// What the gate looks at.
    type World: GateWorld;

    /// What the worlds can show beside what each has to.
    fn capability(&self) -> Capability;

    /// A new world that shares nothing with any other, and shows [`Scene::Passes`]. Whatever is made
    /// in it MUST be gone when it is dropped.
    async fn world(&self) -> Self::World;
}

/// What a gate looks at, with a hand on what it shows.
#[async_trait]
pub trait GateWorld: Debug + Send + Sync + 'static {
    /// The gate, built anew as another process would.
    type Gate: Gate;

    /// The gate to be judged, built anew as another process would.
    fn gate(&self) -> Self::Gate;

    /// The candidate that it is asked about.
    ///
    /// # Default
    /// One without any content.
    fn candidate(&self) -> Candidate {
        Candidate::new()
    }

    /// What the gate is given: `plan`, and what else it needs to see.
    ///
    /// # Default
    /// `plan` alone.
    fn context(&self, plan: PlanContext) -> PlanContext {
        plan
    }

    /// Shows another scene from now on.
    async fn show(&self, scene: Scene);

    /// The digest of all that a gate could have written: the target, the source, requests that were
    /// more than reading. MUST NOT change by itself.
    async fn trace(&self) -> Digest;

    /// Canaries that the configuration or the source have in them, and that MUST NOT be shown.
    ///
    /// # Default
    /// None.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a gate gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// All is well.
    Passes,
    /// Something is not. For [`Capability::fails`].
    Fails,
    /// The source gives rubbish. For [`Capability::unreadable`].
    Unreadable,
    /// The source gives an empty answer: no check, no test, an empty list. For
    /// [`Capability::empty`].
    Empty,
    /// Somebody or something has to act first. For [`Capability::waits`].
    Waits,
    /// The source gives no answer at all. For [`Capability::hangs`].
    Hangs,
}

/// What a subject can show beside [`Scene::Passes`]. Behaviours that need more are left out.
///
/// # Default
/// [`Scene::Fails`] and [`Scene::Unreadable`]; 30 s of patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "give it to the suite"]
pub struct Capability {
    /// There is a [`Scene::Fails`].
    pub fails: bool,
    /// There is a [`Scene::Unreadable`].
    pub unreadable: bool,
    /// There is a [`Scene::Empty`].
    pub empty: bool,
    /// There is a [`Scene::Waits`].
    pub waits: bool,
    /// There is a [`Scene::Hangs`], and the gate ends by its deadline.
    pub hangs: bool,
    /// How long a check may take.
    pub patience: Duration,
}

impl Capability {
    /// What a gate can show that judges a source.
    pub const fn new() -> Self {
        Self {
            fails: true,
            unreadable: true,
            empty: false,
            waits: false,
            hangs: false,
            patience: Duration::from_secs(30),
        }
    }

    /// There is no [`Scene::Fails`]: it passes or waits.
    pub const fn never_failing(mut self) -> Self {
        self.fails = false;
        self
    }

    /// There is no [`Scene::Unreadable`]: it reads the clock, or what its context tells.
    pub const fn without_source(mut self) -> Self {
        self.unreadable = false;
        self
    }

    /// There is a [`Scene::Empty`].
    pub const fn with_empty(mut self) -> Self {
        self.empty = true;
        self
    }

    /// There is a [`Scene::Waits`].
    pub const fn with_waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    /// There is a [`Scene::Hangs`], and the gate ends by its deadline.
    pub const fn with_hanging(mut self) -> Self {
        self.hangs = true;
        self
    }

    /// How long a check may take.
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
