//! What else may be demanded: headers, bodies, JSON, speed, perseverance, a CA.

use std::time::Duration;

use gatekit_core::Gate as _;
use gatekit_http::{Smoke, SmokeBuilder, VersionFrom};
use gatekit_peers::Authority;
use secrecy::SecretString;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::receiver::{Receiver, answer};
use crate::server::{Play, Server, ok, status};
use crate::support::{ask, context, failed, inconclusive, ms, once, passed, retrying};
use crate::tls::acceptor;

const CANARY: &str = "CANARY-5f0c";

fn with_canary(builder: SmokeBuilder) -> SmokeBuilder {
    builder.with_header("Authorization", SecretString::from(format!("Bearer {CANARY}")))
}

#[track_caller]
fn refused(builder: SmokeBuilder, code: &str) {
    let debug = format!("{builder:?}");
    let error = builder.build().unwrap_err();
    assert_eq!(error.code().as_str(), code, "{error}");
    let failure = error.to_failure();
    assert!(!failure.next.is_empty(), "{error}");
    let shown = format!("{debug} {error} {error:?} {}", serde_json::to_string(&failure).unwrap());
    assert!(!shown.contains("CANARY"), "{shown}");
}

#[tokio::test]
async fn headers_are_sent_with_every_request_also_a_redirected_one() {
    let server = Receiver::start(|n, _| match n {
        0 => answer("302 Found", "location: /b\r\n", ""),
        _ => answer("200 OK", "", ""),
    })
    .await;
    let gate = with_canary(once(server.url("/")))
        .with_header("x-a", SecretString::from("1"))
        .with_header("X-A", SecretString::from("2"));
    passed(&ask(gate).await);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.values("authorization"), [format!("Bearer {CANARY}")]);
        assert_eq!(request.values("x-a"), ["1", "2"]);
    }
}

#[tokio::test]
async fn headers_do_not_go_to_another_origin() {
    let other = Receiver::start(|_, _| answer("200 OK", "", "")).await;
    let there = format!("location: {}\r\n", other.url("/"));
    let server = Receiver::start(move |_, _| answer("302 Found", &there, "")).await;
    failed(&ask(with_canary(once(server.url("/")))).await, "smoke.redirect_elsewhere");
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn the_value_of_a_header_never_shows_also_when_a_server_repeats_it() {
    let lower = CANARY.to_lowercase();
    for (line, headers, body) in [
        ("200 OK", format!("x-version: {CANARY}\r\n"), CANARY.to_owned()),
        ("200 OK", String::new(), json!({"status": CANARY}).to_string()),
        ("200 OK", String::new(), json!({"status": {"a": CANARY}}).to_string()),
        ("302 Found", format!("location: http://{lower}.example/{CANARY}\r\n"), String::new()),
        ("302 Found", format!("location: {CANARY}://x\r\n"), String::new()),
        ("500 CANARY-5f0c", format!("x: {CANARY}\r\n"), CANARY.to_owned()),
    ] {
        let server = Receiver::start(move |_, _| answer(line, &headers, &body)).await;
        for demand in [
            (|gate| gate) as fn(SmokeBuilder) -> SmokeBuilder,
            |gate| gate.expect_version("1.4.0", VersionFrom::Header("x-version".into())),
            |gate| gate.expect_version("1.4.0", VersionFrom::JsonPointer("/status".into())),
            |gate| gate.expect_json("/status", "ok"),
            |gate| gate.expect_body("^ok$"),
        ] {
            let builder = demand(with_canary(once(server.url("/"))));
            let debug = format!("{builder:?}");
            let gate = builder.build().unwrap();
            let verdict = gate.check(&context(ms(10_000))).await.unwrap();
            let json = serde_json::to_string(&verdict).unwrap();
            let described = gate.describe();
            let shown = format!("{debug} {verdict:?} {json} {gate:?} {described}").to_lowercase();
            assert!(!shown.contains(&lower), "{shown}");
            assert!(described["headers"] == json!(["authorization"]), "{described}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_the_secret_is_not_known_by_its_digest() {
    let server = Receiver::start(|_, _| answer("200 OK", "", CANARY)).await;
    let verdict = ask(with_canary(once(server.url("/")))).await;
    let digest = gatekit_core::Digest::of(CANARY).to_string();
    assert!(verdict.is_pass() && !format!("{verdict:?}").contains(&digest));
}

#[test]
fn headers_that_cannot_be_sent_are_refused() {
    let header = |name: &str, value: &str| {
        once("http://h/").with_header(name, SecretString::from(value.to_owned()))
    };
    refused(header("", "CANARY"), "smoke.header");
    refused(header("x-token: CANARY", "CANARY"), "smoke.header");
    refused(header("x-token", "CANARY\r\nx: y"), "smoke.header");
    refused(header("x-token", "CANARY\0"), "smoke.header");
    for name in ["Content-Length", "transfer-encoding", "Connection", "Upgrade"] {
        refused(header(name, "CANARY"), "smoke.header");
    }
    assert!(header("host", "shop.example.com").build().is_ok(), "as with curl");
}

#[tokio::test]
async fn every_body_has_to_match_every_pattern() {
    let server =
        Server::start(|_, path| ok(if path == "/a" { "<title>Shop</title>" } else { "-" })).await;
    let gate = || once(server.url("/a")).expect_body("<title>\\w+</title>");
    passed(&ask(gate()).await);
    let verdict = ask(gate().expect_body("^Shop")).await;
    let message = &failed(&verdict, "smoke.body").message;
    assert!(message.contains("does not match `^Shop`"), "{message}");
    let verdict = ask(gate().url(server.url("/b"))).await;
    let message = &failed(&verdict, "smoke.body").message;
    assert!(message.contains("/b`") && !message.contains("/a`"), "{message}");
    refused(once("http://h/").expect_body("("), "smoke.pattern");
}

#[tokio::test]
async fn json_has_to_have_every_value() {
    let server = Server::start(|_, path| match path {
        "/html" => ok("<html>"),
        _ => ok(r#"{"status":"degraded","checks":[{"failing":0}]}"#),
    })
    .await;
    let gate = |path: &str| once(server.url(path)).expect_json("/checks/0/failing", 0);
    passed(&ask(gate("/")).await);
    let verdict = ask(gate("/").expect_json("/status", "ok")).await;
    let message = &failed(&verdict, "smoke.json_value").message;
    assert!(message.contains("degraded") && message.contains("at `/status`"), "{message}");
    inconclusive(&ask(gate("/html")).await, "smoke.json");
    refused(once("http://h/").expect_json("status", "ok"), "smoke.pointer");
}

#[tokio::test]
async fn an_answer_over_the_budget_blocks_with_the_measured_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            tokio::time::sleep(ms(200)).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let gate = |budget| once(format!("http://{addr}/")).with_latency_budget(budget);
    let verdict = ask(gate(ms(100))).await;
    let message = &failed(&verdict, "smoke.slow").message;
    let measured = message.split("after ").nth(1).and_then(|rest| rest.split(' ').next());
    assert!(measured.unwrap().parse::<u64>().unwrap() >= 200, "{message}");
    assert!(message.contains("over the budget of 100ms"), "{message}");
    let facts = passed(&ask(gate(ms(15_000)).with_attempt_timeout(ms(15_000))).await);
    assert!(facts[0]["latency_ms"].as_u64().unwrap() >= 200, "{facts:?}");
    refused(gate(Duration::ZERO), "smoke.limits");
}

#[tokio::test]
async fn so_many_rounds_in_a_row_have_to_be_good() {
    let server = Server::start(|n, _| if n == 2 { status("500 Oh") } else { ok("") }).await;
    let facts = passed(&ask(retrying(server.url("/"), 1).with_successes(3, ms(1))).await);
    assert_eq!(server.requests(), 6, "two good ones, a bad one, three good ones");
    assert_eq!(facts[0]["attempts"], 6);

    let server = Server::start(|n, _| if n % 3 == 2 { status("500 Oh") } else { ok("") }).await;
    failed(&ask(retrying(server.url("/"), 2).with_successes(3, ms(1))).await, "smoke.status");
    assert_eq!(server.requests(), 9, "the third bad round is one too many");
}

#[tokio::test]
async fn too_few_good_rounds_are_no_pass() {
    let server = Server::start(|_, _| ok("")).await;
    let gate = once(server.url("/")).with_successes(u32::MAX, ms(20)).with_deadline(ms(300));
    let verdict = ask(gate).await;
    let message = &inconclusive(&verdict, "smoke.successes").message;
    assert!(message.contains("good rounds in a row"), "{message}");
    assert!(server.requests() > 1);
    refused(once("http://h/").with_successes(0, ms(1)), "smoke.limits");
}

#[tokio::test]
async fn a_custom_ca_is_believed_and_no_other() {
    let (ours, theirs) = (Authority::new().unwrap(), Authority::new().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let tls = acceptor(&ours, "127.0.0.1", false);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = tls.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let gate = |pem: String| once(format!("https://{addr}/")).with_ca(pem);
    passed(&ask(gate(ours.pem())).await);
    passed(&ask(gate(theirs.pem() + &ours.pem())).await);
    let verdict = ask(gate(theirs.pem())).await;
    assert_eq!(verdict.word(), "inconclusive", "{verdict:?}");
}

#[test]
fn certificates_that_are_none_are_refused() {
    for pem in [
        "",
        "CANARY",
        "-----BEGIN CERTIFICATE-----\nCANARY\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB\n",
    ] {
        refused(Smoke::urls(["https://h/"]).with_ca(pem), "smoke.ca");
    }
}

#[test]
fn what_is_demanded_is_part_of_the_description() {
    let gate = || once("http://h/");
    let describe = |gate: SmokeBuilder| gate.build().unwrap().describe();
    let described = describe(gate());
    assert_eq!(describe(gate()), described);
    for other in [
        gate().with_header("x", SecretString::from("1")),
        gate().expect_body("ok"),
        gate().expect_json("/a", 1),
        gate().with_latency_budget(ms(1)),
        gate().with_successes(2, Duration::ZERO),
        gate().with_successes(1, ms(1)),
        gate().with_ca(Authority::new().unwrap().pem()),
        gate().with_retry(gatekit_core::RetryPolicy::never()),
        Smoke::curl_compat(["http://h/"]),
    ] {
        assert_ne!(describe(other), described);
    }
    let retry = || gate().with_retry(gatekit_core::RetryPolicy::never());
    assert_ne!(describe(retry()), describe(retry().retry_connrefused()));
    assert_ne!(describe(retry()), describe(retry().retry_all_errors()));
}

#[tokio::test]
async fn what_is_demanded_of_a_body_is_demanded_of_it_for_curl_too() {
    let server = Server::start(|_, path| match path {
        "/large" => Play::SendAndClose(
            format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(2 << 20)).into_bytes(),
        ),
        _ => ok("fine"),
    })
    .await;
    let gate = |path: &str| Smoke::curl_compat([server.url(path)]);
    let facts = passed(&ask(gate("/large")).await);
    assert_eq!(facts[0]["bytes"], 2 << 20);
    passed(&ask(gate("/").expect_body("fine")).await);
    failed(&ask(gate("/").expect_body("bad")).await, "smoke.body");
    failed(&ask(gate("/large").expect_body("x")).await, "smoke.body_too_large");
    failed(&ask(gate("/").with_body_limit(3)).await, "smoke.body_too_large");
}
