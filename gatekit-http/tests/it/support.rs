//! Contexts, builders and looks at verdicts.

use std::time::Duration;

use gatekit_core::testing::plan_context;
use gatekit_core::{Candidate, Finding, Gate as _, PlanContext, StageId, TargetName, Verdict};
use gatekit_http::{Smoke, SmokeBuilder};

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn context(deadline: Duration) -> PlanContext {
    let (target, stage) = (TargetName::new("test/smoke").unwrap(), StageId::new("smoke").unwrap());
    plan_context(&target, Candidate::new(), &stage, deadline)
}

/// One check, one attempt.
pub(crate) fn once(url: impl Into<String>) -> SmokeBuilder {
    Smoke::builder().url(url).with_retries(0)
}

/// One check, and so many retries without much of a delay.
pub(crate) fn retrying(url: impl Into<String>, retries: u32) -> SmokeBuilder {
    once(url).with_retries(retries).with_delay(ms(5))
}

pub(crate) async fn ask(builder: SmokeBuilder) -> Verdict {
    builder.build().unwrap().check(&context(ms(20_000))).await.unwrap()
}

#[track_caller]
pub(crate) fn passed(verdict: &Verdict) -> Vec<serde_json::Value> {
    let Verdict::Pass(proof) = verdict else { panic!("no pass: {verdict:?}") };
    proof.evidence().iter().map(|evidence| evidence.facts().clone()).collect()
}

#[track_caller]
pub(crate) fn failed<'a>(verdict: &'a Verdict, code: &str) -> &'a Finding {
    assert_eq!(verdict.word(), "fail", "{verdict:?}");
    found(verdict, code)
}

#[track_caller]
pub(crate) fn inconclusive<'a>(verdict: &'a Verdict, code: &str) -> &'a Finding {
    assert_eq!(verdict.word(), "inconclusive", "{verdict:?}");
    found(verdict, code)
}

#[track_caller]
fn found<'a>(verdict: &'a Verdict, code: &str) -> &'a Finding {
    let finding = verdict.finding().unwrap();
    assert_eq!(finding.code.as_str(), code, "{finding:?}");
    assert!(!finding.next.is_empty(), "every finding says what may be done next");
    finding
}
