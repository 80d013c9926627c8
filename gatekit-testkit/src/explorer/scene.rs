//! What the explorer is given: a scene, which builds a fresh world for every path.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Ledger;
use gatekit_core::{Candidate, Engine, Fence, Outcome, Pipeline, Result, StageId};

/// A pipeline and its surroundings, of which every path gets its own.
pub trait Scene: Debug + Send + Sync {
    /// What people call it.
    fn name(&self) -> String;

    /// A fresh world: nothing in it MUST depend on an earlier one.
    fn world(&self) -> Arc<dyn World>;

    /// What the run does that is explored.
    fn act(&self) -> Act;

    /// How it ends when nothing goes wrong, after a person has done what was left to them.
    fn ends(&self) -> Outcome;

    /// What can be shipped afterwards, whatever went wrong before.
    fn next(&self) -> Candidate;

    /// Settles what the engine is to do otherwise than by default.
    fn engine(&self, engine: Engine) -> Engine {
        engine
    }

    /// Whether a path may need a person who overrides: because something has no way back, or because
    /// nobody can tell where it stands.
    fn may_need_override(&self) -> bool {
        false
    }

    /// Whether a repeated write recognises its own effect, so that a process that dies changes nothing
    /// of how the run ends.
    fn recognises(&self) -> bool {
        true
    }

    /// Whether what is deployed to keeps the newest fence, and refuses a write under an older one: see
    /// [`Deployer::fence_off`](gatekit_core::Deployer::fence_off). Elsewhere nobody can stop a write
    /// that was permitted, and comes late.
    fn keeps_fences(&self) -> bool {
        false
    }

    /// Whether times are real, because the world's answers take time. By default tokio's clock stands
    /// still while anything can go on, and leaps to the next timer when nothing can.
    fn in_real_time(&self) -> bool {
        false
    }
}

/// What the explored run does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// It ships.
    Ship(Candidate),
    /// It returns to an earlier release: see [`Engine::roll_back`].
    RollBack(Option<String>),
}

/// A place that is released to, and its ledger. What it tells of itself MUST NOT come from the
/// deployers that are explored.
#[async_trait]
pub trait World: Debug + Send + Sync + 'static {
    /// The pipeline, as every process builds it that ships `candidate` or goes on with it. For a
    /// rollback the candidate is empty.
    fn pipeline(&self, candidate: &Candidate) -> Pipeline;

    /// A handle on the ledger, for a process that begins: a runtime of its own.
    async fn ledger(&self) -> Result<Arc<dyn Ledger>>;

    /// Moves the ledger's clock forward.
    fn advance(&self, by: Duration);

    /// What is really live.
    fn truth(&self) -> Truth;

    /// The writes that the world has seen, in order, without the first `from`.
    fn writes(&self, from: usize) -> Vec<Write>;

    /// What happened before the explored run: earlier releases.
    async fn prepare(&self, _engine: Engine) -> Result<()> {
        Ok(())
    }

    /// What happens after the first process of the explored run, through an engine without faults:
    /// another run, say.
    async fn meanwhile(&self, _engine: Engine) -> Result<()> {
        Ok(())
    }

    /// What people do before each later process of the explored run, through an engine without
    /// faults: they approve it, say.
    async fn people(&self, _engine: Engine) -> Result<()> {
        Ok(())
    }

    /// Whether somebody else can release to it: see [`intrude`](Self::intrude).
    fn has_intruder(&self) -> bool {
        false
    }

    /// Somebody else releases.
    fn intrude(&self) {}

    /// Whether somebody else's release is live where that stage deploys to.
    fn is_foreign(&self, _stage: &StageId) -> bool {
        false
    }
}

/// What is really live, as seen from the explored run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Truth {
    /// What was live before it wrote anything.
    Old,
    /// What it is to make live, whole.
    New,
    /// What is shipped afterwards, whole: see [`Scene::next`].
    Next,
    /// Anything else: somebody else's release, or a mixture.
    Other(String),
}

/// A write that a world has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The stage that made it.
    pub stage: StageId,
    /// What it did.
    pub what: String,
    /// The fence it named, where the world is told.
    pub fence: Option<Fence>,
    /// Whose release it overwrote, when that was not its own to overwrite; or what it did twice.
    pub wrong: Option<String>,
}
