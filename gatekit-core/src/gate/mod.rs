//! The contract of a gate, and whether its verdict binds.

mod approval;
mod ext;
mod function;
mod promoted;
mod window;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

pub use approval::{Approval, Manual};
pub use ext::{All, GateExt, Retried, Timeout, When};
pub use function::{GateFn, gate_fn};
pub use promoted::PromotedFrom;
pub use window::Window;

use crate::context::PlanContext;
use crate::error::Result;
use crate::id::StageId;
use crate::verdict::{Freshness, Verdict};

/// A check that does not change the target and gives a verdict with evidence.
#[async_trait]
pub trait Gate: Debug + Send + Sync + 'static {
    /// The id of this gate in its pipeline. MUST be the same in every process that builds the
    /// pipeline, and unique in it.
    fn id(&self) -> StageId;

    /// The configuration that matters, secrets as names only. It feeds the fingerprint: MUST be the
    /// same for the same configuration, in every process.
    fn describe(&self) -> Value;

    /// How long a pass of this gate may be relied on. By default not at all: the engine asks again
    /// under the lock.
    fn fresh_for(&self) -> Freshness {
        Freshness::Immediate
    }

    /// Whether a person may answer for this gate when it blocks: see
    /// [`Engine::waive`](crate::Engine::waive). By default yes.
    fn may_be_waived(&self) -> bool {
        true
    }

    /// Whether what a person says of this gate counts: it looks at [`PlanContext::votes`]. Only then is
    /// a word taken: see [`Engine::answer`](crate::Engine::answer). By default no.
    fn hears_people(&self) -> bool {
        false
    }

    /// Looks, and judges.
    ///
    /// MUST NOT change the target: `cx` gives no permit to write. MUST be idempotent: the engine may
    /// call it any number of times. MUST be cancel-safe: the engine drops the future at an
    /// interrupt, at the deadline and when the lock is lost. SHOULD end before `cx.deadline()`.
    ///
    /// MUST read afresh, unless its evidence is bound to the candidate. MUST NOT pass on what it
    /// could not read, nor on nothing: an unreadable answer, an empty list and zero checks are
    /// [`Verdict::Inconclusive`].
    ///
    /// # Errors
    /// `Err` means that evidence could not be read. The engine takes it as
    /// [`Verdict::Inconclusive`], which blocks an enforced gate.
    async fn check(&self, cx: &PlanContext) -> Result<Verdict>;
}

/// Whether a gate's verdict binds. The pipeline's choice, gate by gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Enforcement {
    /// Anything but a pass stops the run.
    Enforced,
    /// The verdict is recorded and shown, and stops nothing.
    Advisory,
}

/// A gate and whether it binds: see [`enforced`] and [`advisory`].
#[derive(Debug, Clone)]
#[must_use = "give it to `.gate(..)`, `.gates([..])`, `.at_pause([..])` or `.verify(..)`"]
pub struct GateSlot {
    /// The gate's own id, which a group prefixes.
    pub(crate) id: StageId,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) enforcement: Enforcement,
}

impl GateSlot {
    fn new(gate: impl Gate, enforcement: Enforcement) -> Self {
        Self { id: gate.id(), gate: Arc::new(gate), enforcement }
    }
}

/// A gate that stops the run unless it passes.
pub fn enforced(gate: impl Gate) -> GateSlot {
    GateSlot::new(gate, Enforcement::Enforced)
}

/// A gate whose verdict is recorded and shown, and stops nothing.
pub fn advisory(gate: impl Gate) -> GateSlot {
    GateSlot::new(gate, Enforcement::Advisory)
}
