//! The gate that lets through what has proved itself elsewhere.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Gate;
use crate::code;
use crate::context::PlanContext;
use crate::error::{NextAction, Result};
use crate::id::{StageId, TargetName};
use crate::time::Timestamp;
use crate::verdict::{Evidence, Finding, Verdict};

/// Passes what is released on another target of the same ledger: the same artifacts, by their digests,
/// live there by the journal, and for long enough. They were verified there as far as the pipeline of
/// that target verifies anything.
///
/// What counts is what the journal says is live now: a release, one that was brought back by a rollback
/// or after a failure, or one that a ship has found there. A candidate without artifacts is inconclusive: versions and commits are labels. So is a target that
/// is being changed, or that was left or freed without anybody knowing what is live. Whether it is
/// still healthy there is not asked again; an alarm gate or a smoke gate can.
///
/// ```
/// # use std::time::Duration;
/// use gatekit_core::{PromotedFrom, enforced};
///
/// let gate = enforced(PromotedFrom::new("staging/api")?.soak(Duration::from_secs(3600)));
/// # Ok::<(), gatekit_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `enforced(..)`"]
pub struct PromotedFrom {
    id: StageId,
    target: TargetName,
    soak: Duration,
}

impl PromotedFrom {
    /// Passes what is released on `target`. Its id is `promoted-from/` and that name.
    ///
    /// # Errors
    /// `config.name` when that is no name of a target, or too long for an id.
    pub fn new(target: impl Into<String>) -> Result<Self> {
        let target = TargetName::new(target)?;
        let id = StageId::new(format!("promoted-from/{target}"))?;
        Ok(Self { id, target, soak: Duration::ZERO })
    }

    /// Waits until it has been live there for that long without interruption, by the wall clocks of the
    /// two processes.
    pub fn soak(mut self, time: Duration) -> Self {
        self.soak = time;
        self
    }
}

#[async_trait]
impl Gate for PromotedFrom {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({"promoted_from": self.target, "soak": self.soak})
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let ours = &cx.candidate().artifacts;
        if ours.is_empty() {
            let what = "the candidate names no artifact by its digest: nothing can be compared";
            return Ok(Verdict::Inconclusive(Finding::new(code::GATE_NO_EVIDENCE, what)));
        }
        let not_live = |why: String| {
            let ship = format!("ship it to `{}` first", self.target);
            let finding = Finding::new(code::PROMOTION_NOT_LIVE, why);
            Verdict::Fail(finding.with_next(NextAction::outside(ship)))
        };
        let last = match cx.live_on(&self.target).await? {
            Ok(Some(last)) => last,
            Ok(None) => {
                return Ok(not_live(format!("nothing was ever released to `{}`", self.target)));
            }
            Err(why) => {
                return Ok(Verdict::Inconclusive(Finding::new(code::PROMOTION_NOT_LIVE, why)));
            }
        };
        let facts = json!({
            "target": self.target, "run": last.run, "artifacts": last.candidate.artifacts,
            "live_since": last.live_since,
        });
        let evidence = Evidence::read("journal", facts.to_string(), facts);
        if last.candidate.artifacts != *ours {
            return Ok(not_live(format!("other artifacts are live on `{}`", self.target)));
        }
        let soaked = Timestamp::now().since(last.live_since);
        if soaked < self.soak {
            let left = Duration::from_secs((self.soak - soaked).as_secs().max(1));
            let message = format!("it has to prove itself on `{}` for {left:?} more", self.target);
            let finding = Finding::new(code::PROMOTION_SOAKING, message);
            return Ok(Verdict::Wait(finding.with_evidence([evidence])));
        }
        Ok(Verdict::pass([evidence]))
    }
}
