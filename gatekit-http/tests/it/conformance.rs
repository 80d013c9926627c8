//! The public suite of gates on the smoke gate, as any implementation runs it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gatekit_core::Digest;
use gatekit_http::{Answerer, Judgement, Smoke, VersionFrom};
use gatekit_testkit::conformance::gate::{self, Capability, GateSubject, GateWorld, Scene};
use serde_json::json;

use crate::server::{Play, Server, reply};
use crate::support::ms;

const CANARY: &str = "CANARY-73ab";

/// What the gate demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A good status from two URLs.
    Plain,
    /// A version in the JSON that is answered.
    Versioned,
    /// An answer of our own process.
    Guarded,
}

#[async_trait]
impl GateSubject for Form {
    type World = Site;

    fn capability(&self) -> Capability {
        let capability = Capability::new().with_hanging().with_patience(ms(20_000));
        // Without a version an empty body is as good as any.
        if *self == Self::Versioned { capability.with_empty() } else { capability }
    }

    async fn world(&self) -> Site {
        let scene = Arc::new(Mutex::new(Scene::Passes));
        let (shown, form) = (Arc::clone(&scene), *self);
        let server = Server::start(move |_, _| play(form, *shown.lock().unwrap())).await;
        Site { form, scene, server }
    }
}

fn play(form: Form, scene: Scene) -> Play {
    let body = |version| json!({"version": version, "token": CANARY}).to_string();
    let cookie = format!("set-cookie: {CANARY}\r\n");
    match (scene, form) {
        (Scene::Hangs, _) => Play::Silent,
        (Scene::Passes, _) | (_, Form::Guarded) => reply("200 OK", &cookie, &body("1.4.0")),
        (Scene::Fails, Form::Versioned) => reply("200 OK", &cookie, &body("1.3.9")),
        (Scene::Fails, _) => reply(&format!("500 {CANARY}"), &cookie, CANARY),
        (Scene::Unreadable, Form::Versioned) => reply("200 OK", &cookie, CANARY),
        (Scene::Empty, _) => reply("200 OK", &cookie, ""),
        _ => Play::SendAndClose(format!("{CANARY}\r\n\r\n").into_bytes()),
    }
}

#[derive(Debug)]
struct Site {
    form: Form,
    scene: Arc<Mutex<Scene>>,
    server: Server,
}

/// Judges by the scene, as a probe of the service does by its sockets.
#[derive(Debug)]
struct Probe(Arc<Mutex<Scene>>);

impl Answerer for Probe {
    fn judge(&self, _: std::net::SocketAddr) -> Judgement {
        match *self.0.lock().unwrap() {
            Scene::Passes => Judgement::Ours(json!({"pid": 1})),
            Scene::Fails => Judgement::Stranger("process 7".into()),
            _ => Judgement::Unknown("no /proc here".into()),
        }
    }

    fn not_running(&self) -> Option<String> {
        None
    }
}

#[async_trait]
impl GateWorld for Site {
    type Gate = Smoke;

    fn gate(&self) -> Smoke {
        let url = |path: &str| self.server.url(&format!("{path}?token={CANARY}"));
        let smoke = Smoke::urls([url("/health"), url("/ready")]).with_retries(1).with_delay(ms(5));
        let version = VersionFrom::JsonPointer("/version".into());
        let smoke = match self.form {
            Form::Plain => smoke,
            Form::Versioned => smoke.expect_version("1.4.0", version),
            Form::Guarded => smoke.answered_by(Probe(Arc::clone(&self.scene))),
        };
        smoke.build().unwrap()
    }

    async fn show(&self, scene: Scene) {
        *self.scene.lock().unwrap() = scene;
    }

    async fn trace(&self) -> Digest {
        Digest::of(self.server.writes().to_string())
    }

    fn secrets(&self) -> Vec<String> {
        vec![CANARY.to_owned()]
    }
}

#[tokio::test]
async fn a_smoke_gate_conforms() {
    gate::all(&Form::Plain).await;
}

#[tokio::test]
async fn a_smoke_gate_with_a_version_conforms() {
    gate::all(&Form::Versioned).await;
}

#[tokio::test]
async fn a_smoke_gate_that_asks_whose_answer_it_is_conforms() {
    gate::all(&Form::Guarded).await;
}
