//! The public suite of gates on a closure, with what can be said of any gate around it.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    All, Code, Digest, Effect, Evidence, Finding, GateExt as _, GateFn, PlanContext, Result,
    Retried, RetryPolicy, Timeout, Verdict, When, gate_fn,
};
use gatekit_testkit::conformance::gate::{self, Capability, GateSubject, GateWorld, Scene};
use serde_json::json;

use crate::world::boom;

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
