//! A closure as a gate.

use std::fmt;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Gate;
use crate::context::PlanContext;
use crate::error::Result;
use crate::id::StageId;
use crate::verdict::{Freshness, Verdict};

/// A gate that asks a closure: see [`gate_fn`].
#[must_use = "give it to `enforced(..)` or `advisory(..)`"]
pub struct GateFn<F> {
    id: StageId,
    description: Value,
    freshness: Freshness,
    check: F,
}

/// A gate of that id that asks `check`, which is given a [`PlanContext`] of its own. What holds for
/// [`Gate::check`] holds for it.
///
/// ```
/// use gatekit_core::{Evidence, Finding, Verdict, Code, enforced, gate_fn};
/// use serde_json::json;
///
/// let tagged = gate_fn("tagged", |cx| async move {
///     let candidate = cx.candidate();
///     Ok(match &candidate.version {
///         Some(version) => Verdict::pass([Evidence::read("candidate", version, json!(version))]),
///         None => Verdict::Fail(Finding::new(Code::new("tag.missing"), "the candidate has no version")),
///     })
/// })?;
/// let gate = enforced(tagged);
/// # Ok::<(), gatekit_core::Error>(())
/// ```
///
/// # Errors
/// `config.name` when the id is not valid: see [`StageId::new`].
pub fn gate_fn<F, Answer>(id: impl Into<String>, check: F) -> Result<GateFn<F>>
where
    F: Fn(PlanContext) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Verdict>> + Send,
{
    let (description, freshness) = (Value::Null, Freshness::default());
    Ok(GateFn { id: StageId::new(id)?, description, freshness, check })
}

impl<F> GateFn<F> {
    /// The configuration that matters, secrets as names only: see [`Gate::describe`]. A closure
    /// cannot be looked into, so whatever it was made of belongs here.
    pub fn described(mut self, description: Value) -> Self {
        self.description = description;
        self
    }

    /// How long a pass may be relied on: see [`Gate::fresh_for`].
    pub fn fresh_for(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }
}

impl<F> fmt::Debug for GateFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GateFn({})", self.id)
    }
}

#[async_trait]
impl<F, Answer> Gate for GateFn<F>
where
    F: Fn(PlanContext) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Verdict>> + Send + 'static,
{
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({"function": self.description})
    }

    fn fresh_for(&self) -> Freshness {
        self.freshness
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        (self.check)(cx.clone()).await
    }
}
