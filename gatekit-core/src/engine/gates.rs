//! Gate sets: asked in parallel, judged by the worst, every verdict journalled.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::run::{Run, Stop, described};
use crate::code;
use crate::context::PlanContext;
use crate::error::Error;
use crate::event::EventBody;
use crate::gate::{Enforcement, GateSlot};
use crate::id::{RunId, StageId, TargetName};
use crate::ledger::{Body, GatePhase};
use crate::verdict::{Freshness, Verdict};

/// How long a verify gate that says wait is left alone before it is asked again.
const WAIT_POLL: Duration = Duration::from_secs(1);

/// The enforced gate of a set that blocks it, the worst of them, and its verdict.
#[derive(Debug)]
pub(crate) struct Blocker {
    pub(crate) stage: StageId,
    pub(crate) verdict: Verdict,
}

impl Blocker {
    pub(crate) fn waits(&self) -> bool {
        matches!(self.verdict, Verdict::Wait(_))
    }
}

impl Run {
    /// Asks a set in parallel and journals every verdict.
    pub(crate) async fn ask_set(
        &self,
        set: &[GateSlot],
        phase: GatePhase,
        deadline: Instant,
    ) -> Result<Option<Blocker>, Stop> {
        self.safe_point()?;
        let asked = set.iter().map(|slot| async move {
            let stage = slot.id.clone();
            let cx = self.context(&stage, deadline);
            tell(&cx, |target, run, stage| EventBody::GateAsked { target, run, stage });
            let verdict = match self.ask(&stage, deadline, slot.gate.check(&cx)).await? {
                Ok(verdict) => verdict,
                Err(error) => error.to_failure().into(),
            };
            tell(&cx, |target, run, stage| {
                let word = verdict.word().to_owned();
                EventBody::GateAnswered { target, run, stage, word }
            });
            Ok((slot, verdict))
        });
        let mut worst: Option<Blocker> = None;
        for answer in join_all(asked).await {
            let (slot, verdict) = answer?;
            let (stage, enforcement) = (slot.id.clone(), slot.enforcement);
            let severity = worst.as_ref().map_or(0, |worst| worst.verdict.severity());
            let worse = enforcement == Enforcement::Enforced && verdict.severity() > severity;
            let blocker =
                worse.then(|| Blocker { stage: slot.id.clone(), verdict: verdict.clone() });
            self.record(Body::Verdict { stage, phase, enforcement, verdict }).await?;
            if blocker.is_some() && !self.is_waived(slot, phase).await? {
                worst = blocker;
            }
        }
        Ok(worst)
    }

    /// Asks what runs, or what is paused: a set that says wait is asked again until the deadline, and
    /// then counts as inconclusive, because nobody may hold a target while a human thinks.
    pub(crate) async fn judge(
        &self,
        set: &[GateSlot],
        phase: GatePhase,
    ) -> Result<Result<(), Error>, Stop> {
        loop {
            let Some(blocker) = self.ask_set(set, phase, self.deadline).await? else {
                return Ok(Ok(()));
            };
            match blocker.verdict {
                Verdict::Wait(finding) if Instant::now() + WAIT_POLL >= self.deadline => {
                    return Ok(Err(blocked(&blocker.stage, &Verdict::Inconclusive(finding))));
                }
                Verdict::Wait(_) => self.pause(WAIT_POLL).await?,
                verdict => return Ok(Err(blocked(&blocker.stage, &verdict))),
            }
        }
    }
}

/// Tells how far a set is: its verdicts are journalled when all of it has answered.
fn tell(cx: &PlanContext, event: impl FnOnce(TargetName, RunId, StageId) -> EventBody) {
    cx.events.progress(|| event(cx.target().clone(), cx.run(), cx.stage.clone()));
}

/// The failure of a gate that blocks.
pub(crate) fn blocked(stage: &StageId, verdict: &Verdict) -> Error {
    let code = match verdict {
        Verdict::Fail(_) => code::GATE_FAILED,
        Verdict::Wait(_) => code::GATE_WAITING,
        _ => code::GATE_INCONCLUSIVE,
    };
    let mut error = Error::new(code, format!("gate `{stage}` says {}", verdict.word()));
    if let Some(finding) = verdict.finding() {
        error = error.with_context("why", format!("{} [{}]", finding.message, finding.code));
        for next in &finding.next {
            error = error.with_next(next.clone());
        }
    }
    error
}

/// The failure of a verification: its own code, with the gate's finding as the reason.
pub(crate) fn not_verified(cause: &Error) -> Error {
    let cause = cause.to_failure();
    let mut error = Error::new(code::VERIFY_FAILED, "what is live does not pass verification")
        .with_context("because", described(&cause));
    for next in &cause.next {
        error = error.with_next(next.clone());
    }
    error
}

/// Whether evidence read at `asked` may still be relied on.
pub(crate) fn is_fresh(freshness: Freshness, asked: Instant) -> bool {
    match freshness {
        Freshness::Immediate => false,
        Freshness::For(time) => asked.elapsed() < time,
        Freshness::BoundToCandidate => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn evidence_ages_unless_it_is_bound_to_the_candidate() {
        let asked = Instant::now();
        assert!(is_fresh(Freshness::For(Duration::from_secs(3600)), asked));
        assert!(!is_fresh(Freshness::For(Duration::ZERO), asked));
        assert!(!is_fresh(Freshness::Immediate, asked));
        assert!(is_fresh(Freshness::BoundToCandidate, asked));
    }
}
