//! An answer counts only while our process lives.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gatekit_core::Gate as _;
use gatekit_http::{Answerer, Judgement, Smoke};
use serde_json::json;

use crate::server::{Play, Server, ok, status};
use crate::support::{ask, failed, inconclusive, ms, once, passed, retrying};

/// Judges by a script: the number of the question, from 0, and who answered.
struct Judge {
    asked: AtomicUsize,
    script: Box<dyn Fn(usize, SocketAddr) -> Judgement + Send + Sync>,
    gone: Option<&'static str>,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}

impl Answerer for Judge {
    fn judge(&self, peer: SocketAddr) -> Judgement {
        (self.script)(self.asked.fetch_add(1, Ordering::SeqCst), peer)
    }

    fn not_running(&self) -> Option<String> {
        self.gone.map(str::to_owned)
    }
}

fn judge(script: impl Fn(usize, SocketAddr) -> Judgement + Send + Sync + 'static) -> Arc<Judge> {
    Arc::new(Judge { asked: AtomicUsize::new(0), script: Box::new(script), gone: None })
}

fn ours() -> Judgement {
    Judgement::Ours(json!({"pid": 42}))
}

#[tokio::test]
async fn ours_passes_with_its_facts_and_is_asked_twice() {
    let server = Server::start(|_, _| ok("")).await;
    let addr = server.addr;
    let guard = judge(move |_, peer| {
        assert_eq!(peer, addr, "the address that answered");
        ours()
    });
    let facts = passed(&ask(once(server.url("/")).answered_by(Arc::clone(&guard))).await);
    assert_eq!(facts[0]["answered_by"]["pid"], 42);
    assert_eq!(guard.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stranger_on_the_port_does_not_pass() {
    let server = Server::start(|_, _| ok("1.4.0")).await;
    let guard = judge(|_, _| Judgement::Stranger("pid 7 listens there".into()));
    let verdict = ask(retrying(server.url("/"), 2).answered_by(guard)).await;
    let finding = failed(&verdict, "smoke.stranger");
    assert!(finding.message.contains("pid 7 listens there"), "{}", finding.message);
    assert_eq!(server.requests(), 3, "the stranger may go and ours may come");
}

#[tokio::test]
async fn a_stranger_is_named_also_when_it_answers_badly() {
    let server = Server::start(|_, _| status("500 Oh")).await;
    let guard = judge(|_, _| Judgement::Stranger("pid 7".into()));
    failed(&ask(once(server.url("/")).answered_by(guard)).await, "smoke.stranger");
}

#[tokio::test]
async fn a_stranger_at_the_confirmation_flips_the_pass() {
    let server = Server::start(|_, _| ok("")).await;
    let guard = judge(|n, _| if n == 0 { ours() } else { Judgement::Stranger("pid 7".into()) });
    failed(&ask(once(server.url("/")).answered_by(guard)).await, "smoke.stranger");

    // The fast check of two changes hands while the slow one answers.
    let server = Server::start(|_, _| ok("")).await;
    let guard = judge(|n, _| if n == 3 { Judgement::Unknown("?".into()) } else { ours() });
    let gate = Smoke::at(server.url("")).get("/a").get("/b").with_retries(0).answered_by(guard);
    inconclusive(&ask(gate).await, "smoke.whose_unknown");
}

#[tokio::test]
async fn the_death_of_our_process_ends_it_at_once() {
    let server = Server::start(|_, path| if path == "/slow" { Play::Silent } else { ok("") }).await;
    let guard = judge(|_, _| Judgement::NotRunning("exit status 1".into()));
    let started = Instant::now();
    let gate = Smoke::at(server.url("")).get("/slow").get("/").with_deadline(ms(15_000));
    let verdict = ask(gate.with_attempt_timeout(ms(10_000)).answered_by(guard)).await;
    let finding = failed(&verdict, "smoke.not_running");
    assert!(finding.message.contains("exit status 1"), "{}", finding.message);
    assert!(started.elapsed() < ms(5000));
    assert_eq!(server.requests(), 2, "no second round");

    // At the confirmation.
    let server = Server::start(|_, _| ok("")).await;
    let guard = judge(|n, _| if n == 0 { ours() } else { Judgement::NotRunning("gone".into()) });
    let verdict = ask(retrying(server.url("/"), 9).answered_by(guard)).await;
    failed(&verdict, "smoke.not_running");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn nobody_answers_because_our_process_is_gone() {
    let mut guard = Arc::into_inner(judge(|_, _| ours())).unwrap();
    guard.gone = Some("exit status 101");
    let gate = once("http://127.0.0.1:1/").with_retries(1000).answered_by(guard);
    failed(&ask(gate).await, "smoke.not_running");
}

#[tokio::test]
async fn what_cannot_be_told_does_not_pass() {
    let server = Server::start(|_, _| ok("")).await;
    let guard = judge(|_, _| Judgement::Unknown("/proc is not readable".into()));
    let verdict = ask(once(server.url("/")).answered_by(guard)).await;
    let finding = inconclusive(&verdict, "smoke.whose_unknown");
    assert!(finding.message.contains("/proc is not readable"), "{}", finding.message);
}

#[tokio::test]
async fn a_judge_that_panics_or_hangs_does_not_pass() {
    let server = Server::start(|_, _| ok("")).await;
    let guard = judge(|_, _| panic!("on purpose"));
    inconclusive(&ask(once(server.url("/")).answered_by(guard)).await, "smoke.whose_unknown");

    let guard = judge(|_, _| {
        std::thread::sleep(Duration::from_millis(800));
        ours()
    });
    let gate = once(server.url("/")).with_attempt_timeout(ms(200)).answered_by(guard);
    inconclusive(&ask(gate).await, "smoke.whose_unknown");
}

#[tokio::test]
async fn only_the_guard_is_described_not_its_state() {
    let with = once("http://h/").answered_by(judge(|_, _| ours())).build().unwrap();
    let without = once("http://h/").build().unwrap();
    assert_eq!(with.describe()["only_ours"], true);
    assert_eq!(without.describe()["only_ours"], false);
}
