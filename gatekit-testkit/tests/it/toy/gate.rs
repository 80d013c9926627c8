//! A gate that reads one text.

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    Code, Digest, Error, Evidence, Finding, Freshness, Gate, PlanContext, Result, StageId, Verdict,
};
use gatekit_testkit::conformance::gate::{Capability, GateSubject, GateWorld, Scene};
use serde_json::{Value, json};
use tokio::task::yield_now;
use tokio::time::timeout_at;

use super::world::CANARY;

const CODE: Code = Code::new("toy.gate");

/// The one thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    IdVaries,
    DescribeVaries,
    FreshVaries,
    NeverPasses,
    OldEvidence,
    EvidenceOfTomorrow,
    TooManyFacts,
    SourceUntold,
    PassesFailures,
    FailsWithoutCode,
    FailsWithoutMessage,
    PassesUnreadable,
    FailsUnreadable,
    PassesEmpty,
    ErrsWithoutCode,
    WaitsAsFailure,
    Writes,
    Varies,
    Forgets,
    WritesWhenDropped,
    Remembers,
    Hangs,
    PassesHanging,
    HangsForGood,
    BlocksThread,
    SecretInDescribe,
    SecretInDebug,
    SecretInFacts,
    SecretInFinding,
    SecretInError,
    SecretInProgress,
}

/// Makes worlds with this one thing wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ToyGates(pub(crate) Wrong);

#[async_trait]
impl GateSubject for ToyGates {
    type World = ToySource;

    fn capability(&self) -> Capability {
        let capability = Capability::new().with_patience(Duration::from_secs(5));
        capability.with_empty().with_waiting().with_hanging()
    }

    async fn world(&self) -> ToySource {
        let source =
            Arc::new(Source { scene: Mutex::new(Scene::Passes), writes: AtomicU64::new(0) });
        ToySource { wrong: self.0, source, made: AtomicU64::new(0) }
    }
}

#[derive(Debug)]
struct Source {
    scene: Mutex<Scene>,
    writes: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct ToySource {
    wrong: Wrong,
    source: Arc<Source>,
    made: AtomicU64,
}

#[async_trait]
impl GateWorld for ToySource {
    type Gate = ToyGate;

    fn gate(&self) -> ToyGate {
        ToyGate {
            wrong: self.wrong,
            source: Arc::clone(&self.source),
            made: self.made.fetch_add(1, Ordering::SeqCst),
            calls: AtomicU64::new(0),
            lent: Mutex::new(false),
            first: Mutex::new(None),
        }
    }

    async fn show(&self, scene: Scene) {
        *self.source.scene.lock().unwrap() = scene;
    }

    async fn trace(&self) -> Digest {
        Digest::of(self.source.writes.load(Ordering::SeqCst).to_string())
    }

    fn secrets(&self) -> Vec<String> {
        vec![CANARY.to_owned()]
    }
}

pub(crate) struct ToyGate {
    wrong: Wrong,
    source: Arc<Source>,
    made: u64,
    calls: AtomicU64,
    lent: Mutex<bool>,
    first: Mutex<Option<Scene>>,
}

impl fmt::Debug for ToyGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.secret(Wrong::SecretInDebug))
    }
}

/// Counts a write unless the check that holds it ends.
struct Unfinished<'a>(Option<&'a Source>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(source) = self.0 {
            source.writes.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl ToyGate {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    fn secret(&self, wrong: Wrong) -> String {
        if self.is(wrong) { CANARY.to_owned() } else { "toy".to_owned() }
    }

    fn evidence(&self) -> Evidence {
        let facts = json!({"read": self.secret(Wrong::SecretInFacts)});
        let evidence = Evidence::read("memory", "text", facts);
        let (name, value) = match self.wrong {
            Wrong::OldEvidence => ("read_at", json!("2020-01-01T00:00:00Z")),
            Wrong::EvidenceOfTomorrow => ("read_at", json!("2999-01-01T00:00:00Z")),
            Wrong::TooManyFacts => ("facts", json!("x".repeat(gatekit_core::FACTS_LIMIT))),
            Wrong::SourceUntold => ("source", json!(" ")),
            _ => return evidence,
        };
        let mut json = serde_json::to_value(evidence).unwrap();
        json[name] = value;
        serde_json::from_value(json).unwrap()
    }

    fn finding(&self) -> Finding {
        let code = if self.is(Wrong::FailsWithoutCode) { Code::new("bad") } else { CODE };
        let message = match self.wrong {
            Wrong::FailsWithoutMessage => String::new(),
            _ => format!("it is not well ({})", self.secret(Wrong::SecretInFinding)),
        };
        Finding::new(code, message)
    }

    fn judge(&self, scene: Scene) -> Result<Verdict> {
        let pass = || Ok(Verdict::pass([self.evidence()]));
        match (scene, self.wrong) {
            (Scene::Passes, Wrong::NeverPasses) => Ok(Verdict::pass([])),
            (Scene::Passes, _) => pass(),
            (Scene::Fails, Wrong::PassesFailures) => pass(),
            (Scene::Fails, _) | (Scene::Waits, Wrong::WaitsAsFailure) => {
                Ok(Verdict::Fail(self.finding()))
            }
            (Scene::Waits, _) => Ok(Verdict::Wait(self.finding())),
            (Scene::Unreadable, Wrong::PassesUnreadable) => pass(),
            (Scene::Unreadable, Wrong::FailsUnreadable) => Ok(Verdict::Fail(self.finding())),
            (Scene::Unreadable, wrong) => {
                let code = if wrong == Wrong::ErrsWithoutCode { Code::new("bad") } else { CODE };
                let read = self.secret(Wrong::SecretInError);
                Err(Error::new(code, "the text cannot be read").with_context("read", read))
            }
            (Scene::Empty, Wrong::PassesEmpty) => pass(),
            (Scene::Empty, _) => Ok(Verdict::pass([])),
            (Scene::Hangs, Wrong::PassesHanging) => pass(),
            (Scene::Hangs, _) => Ok(Verdict::Inconclusive(self.finding())),
        }
    }
}

#[async_trait]
impl Gate for ToyGate {
    fn id(&self) -> StageId {
        let made = if self.is(Wrong::IdVaries) { self.made } else { 0 };
        StageId::new(format!("toy-{made}")).unwrap()
    }

    fn describe(&self) -> Value {
        let calls =
            if self.is(Wrong::DescribeVaries) { self.calls.load(Ordering::SeqCst) } else { 0 };
        json!({"kind": self.secret(Wrong::SecretInDescribe), "calls": calls})
    }

    fn fresh_for(&self) -> Freshness {
        let made = if self.is(Wrong::FreshVaries) { self.made } else { 0 };
        Freshness::For(Duration::from_secs(made))
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        cx.progress(format!("reading {}", self.secret(Wrong::SecretInProgress)));
        let calls = self.calls.fetch_add(1, Ordering::SeqCst);
        let lent = std::mem::replace(&mut *self.lent.lock().unwrap(), true);
        let mut unfinished = Unfinished(self.is(Wrong::WritesWhenDropped).then_some(&*self.source));
        yield_now().await;
        unfinished.0 = None;
        if matches!(self.wrong, Wrong::Forgets | Wrong::HangsForGood) && lent {
            return Ok(Verdict::Inconclusive(self.finding()));
        }
        *self.lent.lock().unwrap() = false;
        if self.is(Wrong::Writes) {
            self.source.writes.fetch_add(1, Ordering::SeqCst);
        }
        let now = *self.source.scene.lock().unwrap();
        let scene = match self.wrong {
            Wrong::Remembers => *self.first.lock().unwrap().get_or_insert(now),
            Wrong::Varies if calls % 2 == 1 => Scene::Waits,
            _ => now,
        };
        if scene == Scene::Hangs {
            *self.lent.lock().unwrap() = self.is(Wrong::HangsForGood);
            match self.wrong {
                Wrong::Hangs => pending::<()>().await,
                Wrong::BlocksThread => std::thread::sleep(Duration::from_millis(1500)),
                // A little before the deadline, to be heard.
                _ => {
                    let end = cx.deadline().checked_sub(Duration::from_millis(100)).unwrap();
                    assert!(timeout_at(end, pending::<()>()).await.is_err());
                }
            }
        }
        self.judge(scene)
    }
}
