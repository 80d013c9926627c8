//! Rounds, retries, deadlines and evidence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatekit_core::{Digest, Freshness, Gate as _, Verdict};
use gatekit_http::Smoke;
use proptest::prelude::*;
use tokio::sync::Barrier;
use tokio::time::{sleep, timeout};

use crate::server::{Play, Server, ok, reply, status};
use crate::support::{ask, context, failed, inconclusive, ms, once, passed, retrying};

#[tokio::test]
async fn a_2xx_passes_with_evidence() {
    let server = Server::start(|_, _| ok("fine")).await;
    let verdict = ask(once(server.url("/health?token=x"))).await;
    let facts = passed(&verdict);
    assert_eq!(facts[0]["status"], 200);
    assert_eq!(facts[0]["bytes"], 4);
    assert_eq!(facts[0]["attempts"], 1);
    assert_eq!(facts[0]["peer"], server.addr.to_string());
    let Verdict::Pass(proof) = &verdict else { unreachable!() };
    assert_eq!(proof.evidence()[0].digest(), &Digest::of("fine"));
    assert_eq!(proof.evidence()[0].source(), server.url("/health?…"));
}

#[tokio::test]
async fn other_2xx_pass_and_everything_else_fails() {
    for (line, good) in [
        ("204 No Content", true),
        ("299 Odd", true),
        ("304 Not Modified", false),
        ("302 Found", false),
        ("404 Not Found", false),
        ("503 Busy", false),
    ] {
        let server = Server::start(move |_, _| status(line)).await;
        let verdict = ask(once(server.url("/"))).await;
        if good {
            passed(&verdict);
        } else {
            let finding = failed(&verdict, "smoke.status");
            assert!(finding.message.contains(&line[..3]), "{}", finding.message);
        }
    }
}

#[tokio::test]
async fn a_service_that_needs_a_moment_passes() {
    let server = Server::start(|n, _| if n < 2 { status("500 Oh") } else { ok("") }).await;
    let facts = passed(&ask(retrying(server.url("/"), 5)).await);
    assert_eq!(facts[0]["attempts"], 3);
    assert_eq!((server.requests(), server.connections()), (3, 3), "no connection is used twice");
}

#[tokio::test]
async fn many_checks_share_connections_in_their_first_round_alone() {
    const CHECKS: usize = 200;
    const AT_ONCE: usize = 50;
    let server = Server::start(|n, _| if n == 0 { status("500 Oh") } else { ok("") }).await;
    let smoke = Smoke::urls((0..CHECKS).map(|at| server.url(&format!("/{at}"))))
        .with_retries(1)
        .with_delay(Duration::ZERO);
    passed(&ask(smoke).await);
    assert_eq!(server.requests(), 2 * CHECKS);
    let first = server.connections() - CHECKS;
    assert!(first <= AT_ONCE, "{first} connections in the first round");
}

#[tokio::test]
async fn a_broken_service_fails_after_exactly_all_attempts() {
    let server = Server::start(|_, _| status("500 Oh")).await;
    let verdict = ask(retrying(server.url("/health"), 3)).await;
    let finding = failed(&verdict, "smoke.status");
    assert_eq!(server.requests(), 4);
    assert!(finding.message.contains("4 attempts"), "{}", finding.message);
    assert!(finding.message.contains("/health`: status 500"), "{}", finding.message);
    assert_eq!(finding.evidence[0].facts()["attempts"], 4);
}

#[tokio::test]
async fn every_failing_check_is_named_and_no_other() {
    let server = Server::start(|_, path| match path {
        "/ok" => ok(""),
        "/a" => status("500 Oh"),
        _ => status("404 No"),
    })
    .await;
    let base = Smoke::at(server.url("")).get("/ok").get("/a").get("/b");
    let verdict = ask(base.with_retries(1).with_delay(ms(5))).await;
    let message = &failed(&verdict, "smoke.status").message;
    assert!(message.starts_with("2 of 3 checks"), "{message}");
    assert!(message.contains("/a`: status 500; `"), "{message}");
    assert!(message.contains("/b`: status 404"), "{message}");
    assert!(!message.contains("/ok"), "{message}");
}

#[tokio::test]
async fn a_check_that_recovered_is_not_named() {
    let server = Server::start(|n, path| match (n, path) {
        (0 | 1, "/a") | (_, "/b") => status("500 Oh"),
        _ => ok(""),
    })
    .await;
    let gate = Smoke::at(server.url("")).get("/a").get("/b").with_retries(1).with_delay(ms(5));
    let verdict = ask(gate).await;
    let message = &failed(&verdict, "smoke.status").message;
    assert!(message.starts_with("1 of 2 checks") && !message.contains("/a"), "{message}");
}

#[tokio::test]
async fn good_answers_of_different_rounds_do_not_add_up() {
    // Each check is good in every other round, and never both in one.
    let rounds = [std::sync::atomic::AtomicUsize::new(0), std::sync::atomic::AtomicUsize::new(1)];
    let server = Server::start(move |_, path| {
        let check = usize::from(path == "/b");
        let n = rounds[check].fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if n.is_multiple_of(2) { ok("") } else { status("500 Oh") }
    })
    .await;
    let gate = Smoke::at(server.url("")).get("/a").get("/b").with_retries(7).with_delay(ms(1));
    failed(&ask(gate).await, "smoke.status");
    assert_eq!(server.requests(), 16);
}

#[tokio::test]
async fn checks_of_a_round_run_in_parallel() {
    let barrier = Arc::new(Barrier::new(2));
    let server = Server::start(move |_, _| {
        let Play::Send(bytes) = ok("") else { unreachable!() };
        Play::Together(Arc::clone(&barrier), bytes)
    })
    .await;
    let gate = Smoke::at(server.url("")).get("/a").get("/b").with_retries(0);
    passed(&ask(gate.with_attempt_timeout(ms(3000))).await);
}

#[tokio::test]
async fn the_delay_is_kept() {
    let server = Server::start(|_, _| status("500 Oh")).await;
    let started = Instant::now();
    ask(once(server.url("/")).with_retries(2).with_delay(ms(100))).await;
    assert!(started.elapsed() >= ms(200));
}

#[tokio::test]
async fn silence_ends_at_the_attempt_timeout() {
    let server = Server::start(|_, _| Play::Silent).await;
    let gate = retrying(server.url("/"), 1).with_attempt_timeout(ms(100));
    let verdict = ask(gate).await;
    let finding = inconclusive(&verdict, "smoke.timeout");
    assert!(finding.message.contains("100ms"), "{}", finding.message);
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let server = Server::start(|_, _| Play::Silent).await;
    let started = Instant::now();
    let gate = once(server.url("/")).with_attempt_timeout(ms(60_000)).with_deadline(ms(200));
    inconclusive(&ask(gate).await, "smoke.timeout");
    assert!(started.elapsed() < ms(5000));
}

#[tokio::test]
async fn the_deadline_of_the_run_holds_and_leaves_time_to_say_why() {
    let server = Server::start(|_, _| Play::Silent).await;
    let gate = once(server.url("/")).with_attempt_timeout(ms(60_000)).build().unwrap();
    let cx = context(ms(5000));
    let verdict = timeout(cx.remaining(), gate.check(&cx)).await.expect("before the engine stops");
    assert!(cx.remaining() > Duration::ZERO, "the engine still listens");
    inconclusive(&verdict.unwrap(), "smoke.timeout");
    let verdict = gate.check(&context(Duration::ZERO)).await.unwrap();
    inconclusive(&verdict, "smoke.timeout");
}

#[tokio::test]
async fn a_last_attempt_cut_off_does_not_hide_what_was_seen() {
    let server = Server::start(|n, _| if n == 0 { status("503 Busy") } else { Play::Silent }).await;
    let gate = retrying(server.url("/"), 5).with_attempt_timeout(ms(60_000));
    failed(&ask(gate.with_deadline(ms(300))).await, "smoke.status");
}

#[tokio::test]
async fn endless_durations_do_not_overflow() {
    let server = Server::start(|_, _| ok("")).await;
    let gate = once(server.url("/")).with_deadline(Duration::MAX).with_delay(Duration::MAX);
    passed(&ask(gate.with_attempt_timeout(Duration::MAX).with_body_limit(usize::MAX)).await);
    let server = Server::start(|_, _| status("500 Oh")).await;
    failed(
        &ask(retrying(server.url("/"), u32::MAX).with_delay(Duration::MAX)).await,
        "smoke.status",
    );
}

#[tokio::test]
async fn a_dropped_check_hangs_up() {
    let server = Server::start(|_, _| Play::Silent).await;
    let gate = once(server.url("/")).build().unwrap();
    let cx = context(ms(20_000));
    assert!(timeout(ms(200), gate.check(&cx)).await.is_err());
    for _ in 0..100 {
        if server.left() == 1 {
            return;
        }
        sleep(ms(20)).await;
    }
    panic!("the connection outlived the check");
}

#[tokio::test]
async fn a_gate_can_be_asked_again() {
    let server = Server::start(|n, _| if n == 0 { status("500 Oh") } else { ok("") }).await;
    let gate = once(server.url("/")).build().unwrap();
    assert_eq!(gate.check(&context(ms(5000))).await.unwrap().word(), "fail");
    assert_eq!(gate.check(&context(ms(5000))).await.unwrap().word(), "pass");
    assert_eq!((gate.fresh_for(), gate.id().as_str()), (Freshness::Immediate, "smoke"));
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Says {
    Fine,
    Expected,
    Other,
    Broken,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The rule, once more and naively: one round has to be good in every respect.
    #[test]
    fn it_passes_exactly_when_one_round_is_good(
        script in prop::collection::vec(
            prop::array::uniform2(prop::sample::select(vec![
                Says::Fine, Says::Fine, Says::Expected, Says::Other, Says::Broken,
            ])),
            1..5,
        ),
    ) {
        let good = script.iter().position(|round| {
            !round.contains(&Says::Broken) && !round.contains(&Says::Other)
                && round.contains(&Says::Expected)
        });
        let retries = u32::try_from(script.len()).unwrap() - 1;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let verdict = runtime.block_on(async {
            let asked = [0, 0].map(std::sync::atomic::AtomicUsize::new);
            let server = Server::start(move |_, path| {
                let check = usize::from(path == "/b");
                let n = asked[check].fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                match script[n][check] {
                    Says::Fine => ok(""),
                    Says::Expected => reply("200 OK", "x-version: 1.4.0\r\n", ""),
                    Says::Other => reply("200 OK", "x-version: 1.3.0\r\n", ""),
                    Says::Broken => reply("500 Oh", "x-version: 1.4.0\r\n", ""),
                }
            })
            .await;
            let gate = Smoke::at(server.url("")).get("/a").get("/b").with_retries(retries);
            let from = "header:X-Version".parse().unwrap();
            ask(gate.with_delay(ms(1)).expect_version("1.4.0", from)).await
        });
        match good {
            Some(n) => prop_assert_eq!(&passed(&verdict)[0]["attempts"], n + 1),
            None => prop_assert_eq!(verdict.word(), "fail"),
        }
    }
}
