//! A gate that is asked about one scene after the other.

use std::time::Duration;

use gatekit_core::testing::plan_context;
use gatekit_core::{Code, Evidence, Finding, Gate as _, PlanContext, Result, TargetName, Verdict};
use tokio::time::timeout;

use super::subject::{Capability, GateSubject, GateWorld, Scene};
use crate::conformance::contract::{self, broken, holds, unfit};

pub(crate) struct Bench<W: GateWorld> {
    pub(crate) world: W,
    pub(crate) gate: W::Gate,
    pub(crate) capability: Capability,
}

impl<W: GateWorld> Bench<W> {
    pub(crate) async fn new<S: GateSubject<World = W>>(subject: &S) -> Self {
        let world = subject.world().await;
        if world.trace().await != world.trace().await {
            unfit("the trace of its world changes by itself");
        }
        let gate = world.gate();
        Self { world, gate, capability: subject.capability() }
    }

    pub(crate) fn context(&self, deadline: Duration) -> PlanContext {
        match TargetName::new("conformance/gate") {
            Ok(target) => {
                let (candidate, stage) = (self.world.candidate(), self.gate.id());
                self.world.context(plan_context(&target, candidate, &stage, deadline))
            }
            Err(error) => unfit(error),
        }
    }

    /// One check of the gate that is kept.
    pub(crate) async fn check(&self) -> Result<Verdict> {
        self.check_with(&self.gate).await
    }

    pub(crate) async fn check_with(&self, gate: &W::Gate) -> Result<Verdict> {
        let patience = self.capability.patience;
        let cx = self.context(patience);
        // A little longer than the deadline that it is given.
        match timeout(patience + Duration::from_secs(1), gate.check(&cx)).await {
            Ok(answer) => answer,
            Err(_) => broken(contract::CHECK_ENDS, format_args!("no answer within {patience:?}")),
        }
    }

    pub(crate) async fn see(&self, scene: Scene) -> Result<Verdict> {
        self.world.show(scene).await;
        self.check().await
    }

    /// The scenes of this subject that a gate answers at once.
    pub(crate) fn scenes(&self) -> Vec<Scene> {
        let mut scenes = vec![Scene::Passes];
        scenes.extend(self.capability.fails.then_some(Scene::Fails));
        scenes.extend(self.capability.unreadable.then_some(Scene::Unreadable));
        scenes.extend(self.capability.empty.then_some(Scene::Empty));
        scenes.extend(self.capability.waits.then_some(Scene::Waits));
        scenes
    }
}

/// What an answer says, without what differs from check to check.
pub(crate) fn gist(answer: &Result<Verdict>) -> (&'static str, Option<Code>) {
    match answer {
        Ok(verdict) => (verdict.word(), verdict.finding().map(|finding| finding.code.clone())),
        Err(error) => ("error", Some(error.code().clone())),
    }
}

/// Sees that a finding tells what a program and a person need.
pub(crate) fn telling(finding: &Finding) {
    let code = finding.code.as_str();
    let dotted =
        code.split_once('.').is_some_and(|(area, what)| !area.is_empty() && !what.is_empty());
    holds!(dotted, CODE, "a finding with the code `{code}`");
    holds!(!finding.message.trim().is_empty(), FAIL, "a finding without a message [{code}]");
    finding.evidence.iter().for_each(bounded);
}

pub(crate) fn bounded(evidence: &Evidence) {
    let size = evidence.facts().to_string().len();
    holds!(size <= gatekit_core::FACTS_LIMIT, FACTS, "{size} bytes of facts");
    holds!(!evidence.source().trim().is_empty(), EVIDENCE, "evidence that does not say where");
}
