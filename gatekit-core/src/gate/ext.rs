//! What can be said of any gate: a time limit, retries, a condition, another gate beside it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::Gate;
use crate::code;
use crate::context::PlanContext;
use crate::error::Result;
use crate::id::StageId;
use crate::retry::RetryPolicy;
use crate::verdict::{Evidence, Finding, Freshness, Verdict};

/// What can be said of any gate. Nobody implements it.
pub trait GateExt: Gate + Sized {
    /// Gives the gate that long for an answer; without one in time the verdict is
    /// [`Verdict::Inconclusive`] with `gate.timeout`.
    fn timeout(self, limit: Duration) -> Timeout<Self> {
        Timeout { gate: self, limit }
    }

    /// Asks again, by `policy`, as long as the gate cannot tell: when it is inconclusive, or its
    /// evidence could not be read for a reason that may pass. A `Fail` and a `Wait` are answers. No
    /// pause goes beyond the deadline of the stage.
    fn retry(self, policy: RetryPolicy) -> Retried<Self> {
        Retried { gate: self, policy }
    }

    /// Asks the gate only while `condition` holds. While it does not, the gate passes, with the
    /// condition as evidence. `name` is what people read, and part of the fingerprint: `condition`
    /// MUST give the same answer in every process that carries the run.
    ///
    /// ```
    /// # use gatekit_core::{Gate, GateExt as _, enforced};
    /// # fn example(migrations_are_safe: impl Gate) {
    /// let gate = migrations_are_safe
    ///     .when("the release has migrations", |cx| cx.candidate().inputs.contains_key("migrations"));
    /// # let _ = enforced(gate);
    /// # }
    /// ```
    fn when<C>(self, name: impl Into<String>, condition: C) -> When<Self>
    where
        C: Fn(&PlanContext) -> bool + Send + Sync + 'static,
    {
        When { gate: self, name: name.into(), condition: Arc::new(condition) }
    }

    /// Both gates as one, which has the id of this one: it passes when both do, with the evidence of
    /// both, and otherwise says the worse of the two. They are asked at the same time.
    fn all<Other: Gate>(self, other: Other) -> All<Self, Other> {
        All { gate: self, other }
    }
}

impl<G: Gate> GateExt for G {}

/// A gate with a time limit: see [`GateExt::timeout`].
#[derive(Debug)]
#[must_use = "give it to `enforced(..)` or `advisory(..)`"]
pub struct Timeout<G> {
    gate: G,
    limit: Duration,
}

#[async_trait]
impl<G: Gate> Gate for Timeout<G> {
    fn id(&self) -> StageId {
        self.gate.id()
    }

    fn describe(&self) -> Value {
        json!({"timeout": self.limit, "of": self.gate.describe()})
    }

    fn fresh_for(&self) -> Freshness {
        self.gate.fresh_for()
    }

    fn may_be_waived(&self) -> bool {
        self.gate.may_be_waived()
    }

    fn hears_people(&self) -> bool {
        self.gate.hears_people()
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        // Told of it, the gate can say more than that it was late.
        let end = Instant::now().checked_add(self.limit);
        let deadline = end.map_or(cx.deadline, |end| cx.deadline.min(end));
        let cx = PlanContext { deadline, ..cx.clone() };
        timeout(self.limit, self.gate.check(&cx)).await.unwrap_or_else(|_| {
            let late = format!("no answer within {:?}", self.limit);
            Ok(Verdict::Inconclusive(Finding::new(code::GATE_TIMEOUT, late)))
        })
    }
}

/// A gate that is asked again: see [`GateExt::retry`].
#[derive(Debug)]
#[must_use = "give it to `enforced(..)` or `advisory(..)`"]
pub struct Retried<G> {
    gate: G,
    policy: RetryPolicy,
}

#[async_trait]
impl<G: Gate> Gate for Retried<G> {
    fn id(&self) -> StageId {
        self.gate.id()
    }

    fn describe(&self) -> Value {
        json!({"retry": self.policy, "of": self.gate.describe()})
    }

    fn fresh_for(&self) -> Freshness {
        self.gate.fresh_for()
    }

    fn may_be_waived(&self) -> bool {
        self.gate.may_be_waived()
    }

    fn hears_people(&self) -> bool {
        self.gate.hears_people()
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let begun = Instant::now();
        let mut pauses = self.policy.pauses();
        loop {
            let answer = self.gate.check(cx).await;
            let why = match &answer {
                Ok(Verdict::Inconclusive(finding)) => finding.message.clone(),
                Err(error) if error.is_temporary() => error.to_string(),
                _ => return answer,
            };
            let next = pauses.next().filter(|pause| {
                *pause < cx.remaining() && self.policy.allows_at(begun.elapsed() + *pause)
            });
            let Some(pause) = next else { return answer };
            cx.progress(format!("asked again in {pause:?}: {why}"));
            sleep(pause).await;
        }
    }
}

/// A gate that is asked while a condition holds: see [`GateExt::when`].
#[must_use = "give it to `enforced(..)` or `advisory(..)`"]
pub struct When<G> {
    gate: G,
    name: String,
    condition: Arc<dyn Fn(&PlanContext) -> bool + Send + Sync>,
}

impl<G: fmt::Debug> fmt::Debug for When<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("When").field("name", &self.name).field("gate", &self.gate).finish()
    }
}

#[async_trait]
impl<G: Gate> Gate for When<G> {
    fn id(&self) -> StageId {
        self.gate.id()
    }

    fn describe(&self) -> Value {
        json!({"when": self.name, "of": self.gate.describe()})
    }

    fn fresh_for(&self) -> Freshness {
        self.gate.fresh_for()
    }

    fn may_be_waived(&self) -> bool {
        self.gate.may_be_waived()
    }

    fn hears_people(&self) -> bool {
        self.gate.hears_people()
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        if (self.condition)(cx) {
            return self.gate.check(cx).await;
        }
        let facts = json!({"condition": self.name, "holds": false});
        Ok(Verdict::pass([Evidence::read("condition", facts.to_string(), facts)]))
    }
}

/// Two gates as one: see [`GateExt::all`].
#[derive(Debug)]
#[must_use = "give it to `enforced(..)` or `advisory(..)`"]
pub struct All<G, Other> {
    gate: G,
    other: Other,
}

#[async_trait]
impl<G: Gate, Other: Gate> Gate for All<G, Other> {
    fn id(&self) -> StageId {
        self.gate.id()
    }

    fn describe(&self) -> Value {
        let other = json!({"id": self.other.id(), "is": self.other.describe()});
        json!({"all": [self.gate.describe(), other]})
    }

    fn fresh_for(&self) -> Freshness {
        self.gate.fresh_for().shorter(self.other.fresh_for())
    }

    fn may_be_waived(&self) -> bool {
        self.gate.may_be_waived() && self.other.may_be_waived()
    }

    fn hears_people(&self) -> bool {
        self.gate.hears_people() || self.other.hears_people()
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let (one, other) = join(self.gate.check(cx), self.other.check(cx)).await;
        let verdict = |answer: Result<Verdict>| {
            answer.unwrap_or_else(|error| Verdict::from(error.to_failure()))
        };
        Ok(match (verdict(one), verdict(other)) {
            (Verdict::Pass(one), Verdict::Pass(other)) => {
                Verdict::pass(one.evidence().iter().chain(other.evidence()).cloned())
            }
            (one, other) if other.severity() > one.severity() => other,
            (one, _) => one,
        })
    }
}
