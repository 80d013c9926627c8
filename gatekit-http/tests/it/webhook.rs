//! A run, told to a URL.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gatekit_core::ledger::MemoryLedger;
use gatekit_core::testing::overheard;
use gatekit_core::{
    Candidate, Digest, Engine, Outcome, Pipeline, Reporter as _, RetryPolicy, StageId,
};
use gatekit_http::{SIGNATURE_HEADER, Webhook, WebhookBuilder};
use gatekit_testkit::explorer::doubles::{Fake, Place};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::receiver::{Receiver, Request, answer};
use crate::support::{context, ms};

const KEY: &str = "CANARY-key-0123456789";

fn webhook(url: impl Into<String>) -> WebhookBuilder {
    Webhook::to(url, SecretString::from(KEY))
        .with_retry(RetryPolicy::curl(3, ms(5)))
        .with_end_limit(ms(10_000))
}

fn taken() -> Option<String> {
    answer("200 OK", "", "")
}

fn body(request: &Request) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

fn numbers(receiver: &Receiver) -> Vec<u64> {
    receiver.requests().iter().map(|request| body(request)["number"].as_u64().unwrap()).collect()
}

/// A release, told to `webhook`; how it ended, and how long it took.
async fn run(webhook: Webhook) -> (Outcome, Duration) {
    ship(&Engine::new(Arc::new(MemoryLedger::new())).reporter(webhook)).await
}

async fn ship(engine: &Engine) -> (Outcome, Duration) {
    let (stage, place) = (StageId::new("app").unwrap(), Place::default());
    place.set(&stage, "v1", 1);
    let fake = Fake::new(stage, &place);
    let back = fake.back();
    let pipeline = Pipeline::to("test/told").deploy(fake).rollback_with(back).build().unwrap();
    let begun = Instant::now();
    let report = engine.ship(&pipeline, Candidate::new().with_version("v2")).await;
    (report.outcome, begun.elapsed())
}

/// So many events of progress, and the end of their reporter.
fn progress(webhook: Webhook, events: usize) {
    let cx = overheard(context(ms(20_000)), webhook);
    for i in 0..events {
        cx.progress(format!("step {i}"));
    }
}

/// Waits until the receiver has what it should have.
async fn until(receiver: &Receiver, good: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    for _ in 0..500 {
        let told: Vec<_> = receiver.requests().iter().map(body).collect();
        if good(&told) {
            return told;
        }
        sleep(ms(20)).await;
    }
    panic!("not told: {:?}", receiver.requests());
}

/// HMAC-SHA256 as RFC 2104 defines it.
fn hmac(key: &[u8], message: &[u8]) -> String {
    let mut block = key.to_vec();
    block.resize(64, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<_>>();
    let inner = Digest::of([pad(0x36).as_slice(), message].concat()).to_string();
    let inner: Vec<_> =
        (0..64).step_by(2).map(|i| u8::from_str_radix(&inner[i..i + 2], 16).unwrap()).collect();
    Digest::of([pad(0x5c), inner].concat()).to_string()
}

#[track_caller]
fn is_signed(request: &Request) {
    let values = request.values(SIGNATURE_HEADER);
    let [value] = values[..] else { panic!("{values:?}") };
    let (time, signature) = value.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let message = format!("{time}.{}", request.body);
    assert_eq!(signature, hmac(KEY.as_bytes(), message.as_bytes()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(time.parse().unwrap()) < 60, "{time}");
}

#[test]
fn the_hmac_of_these_tests_is_that_of_rfc_4231() {
    assert_eq!(
        hmac(b"Jefe", b"what do ya want for nothing?"),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

#[tokio::test]
async fn a_run_is_told_whole_in_order_and_signed() {
    let receiver = Receiver::start(|_, _| taken()).await;
    let (outcome, _) = run(webhook(receiver.url("/hook?token=x")).build().unwrap()).await;
    assert_eq!(outcome, Outcome::Released);
    // The run has waited for it.
    let requests = receiver.requests();
    let told: Vec<_> = requests.iter().map(body).collect();
    let kind = |told: &Value| told["event"]["event"]["entry"]["body"]["kind"].clone();
    assert_eq!(kind(&told[0]), "opened");
    assert_eq!(kind(&told[told.len() - 1]), "closed");
    assert!(told.iter().any(|told| kind(told) == "applied"), "{told:?}");
    assert_eq!(numbers(&receiver), (1..=told.len() as u64).collect::<Vec<_>>());
    for (request, told) in requests.iter().zip(&told) {
        is_signed(request);
        assert!(request.head.starts_with("POST /hook?token=x "), "{}", request.head);
        assert_eq!(request.values("content-type"), ["application/json"]);
        assert_eq!((&told["v"], &told["dropped"]), (&1.into(), &0.into()));
    }
}

#[tokio::test]
async fn who_errs_at_first_is_told_again() {
    let receiver = Receiver::start(|n, _| match n {
        0 => answer("500 Oh", "", ""),
        1 => answer("429 Slow Down", "retry-after: 1\r\n", ""),
        2 => answer("599 Odd", "", ""),
        _ => taken(),
    })
    .await;
    run(webhook(receiver.url("/")).build().unwrap()).await;
    let requests = receiver.requests();
    assert_eq!(numbers(&receiver)[..5], [1, 1, 1, 1, 2]);
    assert_eq!(requests[0].body, requests[3].body);
    assert!(requests[2].at - requests[1].at >= ms(1000), "as it asked for");
    requests.iter().for_each(is_signed);
}

#[tokio::test]
async fn who_never_answers_delays_a_run_by_the_limit_and_no_longer() {
    let silent = Receiver::start(|_, _| None).await;
    let (limit, hour) = (ms(400), Duration::from_secs(3600));
    let slow = webhook(silent.url("/")).with_attempt_timeout(hour).with_end_limit(limit);
    let (outcome, took) = run(slow.build().unwrap()).await;
    assert_eq!(outcome, Outcome::Released);
    assert!(took >= limit, "it waits for the last deliveries: {took:?}");
    assert!(took < limit + ms(3000), "{took:?}");
    assert_eq!(silent.requests().len(), 1, "one at a time");

    let slow = webhook(silent.url("/")).with_attempt_timeout(hour).with_end_limit(Duration::ZERO);
    let (outcome, took) = run(slow.build().unwrap()).await;
    assert!(outcome == Outcome::Released && took < ms(3000), "{took:?}");
}

#[tokio::test]
async fn a_run_after_one_that_waited_in_vain_does_not_wait_again() {
    let silent = Receiver::start(|_, _| None).await;
    let (limit, hour) = (ms(3000), Duration::from_secs(3600));
    let slow = webhook(silent.url("/")).with_attempt_timeout(hour).with_end_limit(limit);
    let webhook = slow.build().unwrap();
    let engine = Engine::new(Arc::new(MemoryLedger::new())).reporter(webhook);
    assert!(ship(&engine).await.1 >= limit);
    let (_, took) = ship(&engine).await;
    assert!(took < limit, "{took:?}");
}

#[tokio::test]
async fn the_drop_of_a_reporter_ends_its_deliveries() {
    let silent = Receiver::start(|_, _| None).await;
    let hour = Duration::from_secs(3600);
    let slow = webhook(silent.url("/")).with_attempt_timeout(hour).with_end_limit(ms(200));
    let slow = slow.build().unwrap();
    let begun = Instant::now();
    tokio::task::spawn_blocking(move || drop(slow)).await.unwrap();
    assert!(begun.elapsed() < ms(150), "there is nothing to wait for: {:?}", begun.elapsed());
}

#[tokio::test]
async fn nobody_there_fails_no_run() {
    let nobody = webhook("http://127.0.0.1:1/").with_end_limit(ms(500)).build().unwrap();
    let (outcome, _) = run(nobody).await;
    assert_eq!(outcome, Outcome::Released);
}

#[tokio::test]
async fn what_a_receiver_does_not_want_is_not_sent_again_and_counts_as_dropped() {
    let receiver = Receiver::start(|_, request| match body(request)["number"].as_u64() {
        Some(1) => answer("404 No", "", ""),
        Some(2) => answer("302 Found", "location: /elsewhere\r\n", ""),
        // Whoever asks for a day would have all the others wait as well.
        Some(3) => answer("429 Slow Down", "retry-after: 86400\r\n", ""),
        _ => taken(),
    })
    .await;
    progress(webhook(receiver.url("/")).build().unwrap(), 4);
    let told = until(&receiver, |told| told.len() == 4).await;
    assert_eq!(numbers(&receiver), [1, 2, 3, 4]);
    assert_eq!(told[3]["dropped"], 3);
}

#[tokio::test]
async fn a_full_queue_drops_and_the_last_delivery_says_how_much() {
    let receiver = Receiver::start(|n, _| if n == 0 { None } else { taken() }).await;
    let small = webhook(receiver.url("/")).with_queue(8).with_attempt_timeout(ms(300));
    progress(small.build().unwrap(), 50);
    let told = until(&receiver, |told| {
        let numbers: BTreeSet<_> = told.iter().filter_map(|told| told["number"].as_u64()).collect();
        let dropped = told.last().and_then(|told| told["dropped"].as_u64()).unwrap_or_default();
        dropped + numbers.len() as u64 == 50
    })
    .await;
    assert!(told.len() < 12, "{told:?}");
    let numbers = numbers(&receiver);
    assert!(numbers.is_sorted(), "{numbers:?}");
}

/// That gates are asked and answer is progress, as the other half of the queue is for what matters.
#[tokio::test]
async fn how_far_gates_are_leaves_half_of_the_queue_free() {
    let receiver = Receiver::start(|n, _| if n == 0 { None } else { taken() }).await;
    let small = webhook(receiver.url("/")).with_queue(8).with_attempt_timeout(ms(300));
    let mut small = small.build().unwrap();
    for kind in ["gate_asked", "gate_answered"].repeat(25) {
        let (run, stage) = ("01a1fd96-aaa4-7242-be7c-2df40fa5626e", "checks");
        let event =
            json!({"type": kind, "target": "t", "run": run, "stage": stage, "word": "pass"});
        small.event(&serde_json::from_value(json!({"v": 1, "event": event})).unwrap());
    }
    tokio::task::spawn_blocking(move || drop(small)).await.unwrap();
    let told = until(&receiver, |told| told.last().is_some_and(|it| it["dropped"] != 0)).await;
    let numbers: BTreeSet<_> = told.iter().filter_map(|told| told["number"].as_u64()).collect();
    assert!(numbers.len() <= 6, "one under way, half of eight, and what was dropped: {numbers:?}");
}

#[tokio::test]
async fn what_is_dropped_last_is_told_by_a_delivery_of_its_own() {
    let receiver = Receiver::start(|_, request| match body(request)["event"] {
        Value::Null => taken(),
        _ => answer("410 Gone", "", ""),
    })
    .await;
    progress(webhook(receiver.url("/")).build().unwrap(), 3);
    let told = until(&receiver, |told| told.len() == 4).await;
    assert_eq!((&told[3]["event"], &told[3]["dropped"]), (&Value::Null, &3.into()));
    receiver.requests().iter().for_each(is_signed);
}

#[test]
fn neither_url_nor_key_shows() {
    let shown = |builder: WebhookBuilder, code: &str| {
        let debug = format!("{builder:?}");
        match builder.build() {
            Ok(webhook) => {
                assert_eq!(code, "");
                format!("{debug} {webhook:?}")
            }
            Err(error) => {
                assert_eq!(error.code().as_str(), code, "{error}");
                assert_eq!(error.effect(), gatekit_core::Effect::None);
                let failure = error.to_failure();
                assert!(!failure.next.is_empty(), "{error}");
                let json = serde_json::to_string(&failure).unwrap();
                format!("{debug} {error} {error:?} {json}")
            }
        }
    };
    for (url, code) in [
        ("http://127.0.0.1:1/CANARY?CANARY#CANARY", ""),
        ("http://user:CANARY@h/", "webhook.secret_in_url"),
        ("CANARY", "webhook.url"),
        ("ftp://h/CANARY", "webhook.url"),
        ("http://CANARY h/", "webhook.url"),
    ] {
        let shown = shown(webhook(url), code);
        assert!(!shown.contains("CANARY"), "{shown}");
    }
    let none = Webhook::to("http://h/?CANARY", SecretString::from(""));
    assert!(!shown(none, "webhook.key").contains("CANARY"));
    for limit in [
        webhook("http://h/").with_queue(0),
        webhook("http://h/").with_queue(usize::MAX),
        webhook("http://h/").with_attempt_timeout(Duration::ZERO),
    ] {
        assert!(!shown(limit, "webhook.limits").contains("CANARY"));
    }
}
