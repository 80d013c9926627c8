//! The public suite of gates on a closure, with what can be said of any gate around it, and on the
//! gates of the core. What the clock makes of a `Window` is told by tests of its own.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Word::{Approve, Reject};
use gatekit_core::testing::{reading, with_words};
use gatekit_core::{
    All, Approval, Candidate, Code, Digest, Effect, Evidence, Finding, Gate, GateExt as _, GateFn,
    Manual, Outcome, PlanContext, PromotedFrom, Result, Retried, RetryPolicy, Timeout, Verdict,
    When, Window, gate_fn,
};
use gatekit_testkit::conformance::gate::{self, Capability, GateSubject, GateWorld, Scene};
use serde_json::json;

use crate::world::{Bench, TARGET, World, boom, plain, target};

type Answer = Pin<Box<dyn Future<Output = Result<Verdict>> + Send>>;
type Reads = Box<dyn Fn(PlanContext) -> Answer + Send + Sync>;
type Asks = Timeout<GateFn<Reads>>;

/// What the closure reads.
#[derive(Debug, Clone)]
struct Source(Arc<Mutex<Scene>>);

impl Source {
    fn scene(&self) -> Scene {
        *self.0.lock().unwrap()
    }

    async fn read(self) -> Result<Verdict> {
        tokio::task::yield_now().await;
        let finding = || Finding::new(Code::new("test.finding"), "because");
        match self.scene() {
            Scene::Passes => Ok(Verdict::pass([Evidence::read("test", b"seen", json!({"ok": 1}))])),
            Scene::Fails => Ok(Verdict::Fail(finding())),
            Scene::Waits => Ok(Verdict::Wait(finding())),
            Scene::Empty => Ok(Verdict::pass([])),
            Scene::Unreadable => Err(boom(Effect::None).retry_later()),
            Scene::Hangs => std::future::pending().await,
        }
    }

    fn asks(&self, id: &str) -> Asks {
        let source = self.clone();
        let read: Reads = Box::new(move |_| Box::pin(source.clone().read()));
        gate_fn(id, read).unwrap().timeout(Duration::from_millis(200))
    }
}

#[derive(Debug)]
struct Wrapped;

#[async_trait]
impl GateSubject for Wrapped {
    type World = Source;

    fn capability(&self) -> Capability {
        Capability::new().with_empty().with_waiting().with_hanging()
    }

    async fn world(&self) -> Source {
        Source(Arc::new(Mutex::new(Scene::Passes)))
    }
}

#[async_trait]
impl GateWorld for Source {
    type Gate = All<When<Retried<Asks>>, Asks>;

    fn gate(&self) -> Self::Gate {
        let again = RetryPolicy::curl(1, Duration::from_millis(1));
        self.asks("one").retry(again).when("it is so", |_| true).all(self.asks("other"))
    }

    async fn show(&self, scene: Scene) {
        *self.0.lock().unwrap() = scene;
    }

    async fn trace(&self) -> Digest {
        Digest::of(format!("{:?}", self.scene()))
    }
}

#[tokio::test]
async fn a_closure_and_what_is_said_of_any_gate_conform() {
    gate::all(&Wrapped).await;
}

/// A gate that judges what people said.
#[derive(Debug, Clone)]
struct People<G>(G, Arc<Mutex<Scene>>);

impl<G> People<G> {
    fn around(gate: G) -> Self {
        Self(gate, Arc::new(Mutex::new(Scene::Passes)))
    }
}

#[async_trait]
impl<G: Gate + Clone> GateSubject for People<G> {
    type World = Self;

    fn capability(&self) -> Capability {
        Capability::new().without_source().with_waiting()
    }

    async fn world(&self) -> Self {
        Self::around(self.0.clone())
    }
}

#[async_trait]
impl<G: Gate + Clone> GateWorld for People<G> {
    type Gate = G;

    fn gate(&self) -> G {
        self.0.clone()
    }

    fn context(&self, plan: PlanContext) -> PlanContext {
        let words = match *self.1.lock().unwrap() {
            Scene::Passes => &[("bea", Approve)][..],
            Scene::Fails => &[("bea", Reject)],
            _ => &[],
        };
        with_words(plan, "ann", words)
    }

    async fn show(&self, scene: Scene) {
        *self.1.lock().unwrap() = scene;
    }

    async fn trace(&self) -> Digest {
        Digest::of("it is given nothing that it could write to")
    }
}

#[tokio::test]
async fn gates_that_wait_for_people_conform() {
    gate::all(&People::around(Approval::quorum(1))).await;
    gate::all(&People::around(Manual::new("upload", "upload it").unwrap())).await;
}

/// A window that is open.
#[derive(Debug)]
struct Open;

#[async_trait]
impl GateSubject for Open {
    type World = Self;

    fn capability(&self) -> Capability {
        Capability::new().without_source().never_failing()
    }

    async fn world(&self) -> Self {
        Self
    }
}

#[async_trait]
impl GateWorld for Open {
    type Gate = Window;

    fn gate(&self) -> Window {
        let window = Window::in_zone("Europe/Berlin").unwrap();
        window.freeze("2020-12-20 00:00", "2021-01-07 00:00", "holidays").unwrap()
    }

    async fn show(&self, _: Scene) {}

    async fn trace(&self) -> Digest {
        Digest::of("it is given nothing that it could write to")
    }
}

#[tokio::test]
async fn an_open_window_conforms() {
    gate::all(&Open).await;
}

/// What is released on another target.
#[derive(Debug)]
struct Staged;

struct Staging(Bench, Mutex<Scene>);

impl std::fmt::Debug for Staging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Staging")
    }
}

fn build(content: &str) -> Candidate {
    Candidate::new().with_version("v1").with_artifact("app", Digest::of(content))
}

#[async_trait]
impl GateSubject for Staged {
    type World = Staging;

    fn capability(&self) -> Capability {
        Capability::new().with_empty()
    }

    async fn world(&self) -> Staging {
        let bench = Bench::new();
        let shipped = bench.engine().ship(&plain(&World::default()), build("one")).await;
        assert_eq!(shipped.outcome, Outcome::Released, "{shipped:?}");
        Staging(bench, Mutex::new(Scene::Passes))
    }
}

#[async_trait]
impl GateWorld for Staging {
    type Gate = PromotedFrom;

    fn gate(&self) -> PromotedFrom {
        PromotedFrom::new(TARGET).unwrap()
    }

    fn candidate(&self) -> Candidate {
        match *self.1.lock().unwrap() {
            Scene::Fails => build("another"),
            Scene::Empty => Candidate::new(),
            _ => build("one"),
        }
    }

    fn context(&self, plan: PlanContext) -> PlanContext {
        // Outside an engine there is no journal to read.
        if *self.1.lock().unwrap() == Scene::Unreadable {
            return plan;
        }
        reading(plan, Arc::clone(&self.0.ledger))
    }

    async fn show(&self, scene: Scene) {
        *self.1.lock().unwrap() = scene;
    }

    async fn trace(&self) -> Digest {
        self.0.ledger.state(&target()).await.unwrap().head.hash
    }
}

#[tokio::test]
async fn what_is_promoted_from_another_target_conforms() {
    gate::all(&Staged).await;
}
