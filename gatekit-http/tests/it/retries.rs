//! Another try when curl would make one.

use std::time::{Duration, SystemTime};

use gatekit_core::RetryPolicy;
use gatekit_http::{Smoke, SmokeBuilder};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::receiver::{Receiver, answer};
use crate::server::{Play, Server, ok, status};
use crate::support::{ask, failed, inconclusive, ms, passed};

/// So many retries, almost at once.
fn policy(times: u32) -> RetryPolicy {
    RetryPolicy::curl(times, ms(5))
}

fn curl(url: impl Into<String>) -> SmokeBuilder {
    Smoke::curl_compat([url]).with_attempt_timeout(ms(300))
}

#[tokio::test]
async fn what_is_transient_is_tried_again_and_nothing_else() {
    for (line, times) in [
        ("408 Request Timeout", 3),
        ("429 Too Many Requests", 3),
        ("500 Internal Server Error", 3),
        ("502 Bad Gateway", 3),
        ("503 Service Unavailable", 3),
        ("504 Gateway Timeout", 3),
        ("522 Connection Timed Out", 3),
        ("524 A Timeout Occurred", 3),
        ("400 Bad Request", 1),
        ("404 Not Found", 1),
        ("501 Not Implemented", 1),
        ("505 HTTP Version Not Supported", 1),
    ] {
        let server = Server::start(move |_, _| status(line)).await;
        failed(&ask(curl(server.url("/")).with_retry(policy(2))).await, "smoke.status");
        assert_eq!(server.requests(), times, "{line}");
        let all = curl(server.url("/")).with_retry(policy(2)).retry_all_errors();
        failed(&ask(all).await, "smoke.status");
        assert_eq!(server.requests(), times + 3, "{line}");
    }
}

#[tokio::test]
async fn silence_is_transient_and_an_early_end_is_not() {
    let server = Server::start(|n, _| if n == 0 { Play::Silent } else { ok("") }).await;
    assert_eq!(passed(&ask(curl(server.url("/")).with_retry(policy(1))).await)[0]["attempts"], 2);
    let server =
        Server::start(|n, _| if n == 0 { Play::SendAndClose(Vec::new()) } else { ok("") }).await;
    inconclusive(&ask(curl(server.url("/")).with_retry(policy(1))).await, "smoke.unreadable");
    let server =
        Server::start(|n, _| if n == 0 { Play::SendAndClose(Vec::new()) } else { ok("") }).await;
    passed(&ask(curl(server.url("/")).with_retry(policy(1)).retry_all_errors()).await);
}

#[tokio::test]
async fn a_refused_connection_is_transient_when_that_is_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let attempts = |message: &str| message.contains(" in 1 attempt ");
    let gate = || curl(url.clone()).with_retry(policy(2));
    let verdict = ask(gate()).await;
    assert!(attempts(&inconclusive(&verdict, "smoke.unreachable").message), "{verdict:?}");
    for gate in [gate().retry_connrefused(), gate().retry_all_errors()] {
        let verdict = ask(gate).await;
        let message = &inconclusive(&verdict, "smoke.unreachable").message;
        assert!(message.contains(" in 3 attempts "), "{message}");
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_transient() {
    let gate = Smoke::curl_compat(["http://does-not-exist.invalid/"]).with_retry(policy(1));
    let verdict = ask(gate.with_attempt_timeout(ms(9000))).await;
    let message = &verdict.finding().unwrap().message;
    assert!(message.contains(" in 2 attempts "), "{message}");
}

#[tokio::test]
async fn one_failure_that_lasts_ends_it_for_all() {
    let server = Server::start(|_, path| match path {
        "/busy" => status("503 Busy"),
        _ => status("404 No"),
    })
    .await;
    let gate = Smoke::at(server.url("")).get("/busy").get("/gone").with_retry(policy(5));
    failed(&ask(gate).await, "smoke.status");
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn retry_after_makes_the_pause_longer() {
    let date = |seconds| httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds));
    // A date says whole seconds, so at least two of three are left.
    for (value, at_least) in [
        (Box::new(|| "1".to_owned()) as Box<dyn Fn() -> String + Send + Sync>, 1000),
        (Box::new(move || date(3)), 1900),
        (Box::new(|| "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()), 0),
    ] {
        let server = Receiver::start(move |n, _| match n {
            0 => answer("503 Busy", &format!("retry-after: {}\r\n", value()), ""),
            _ => answer("200 OK", "", ""),
        })
        .await;
        passed(&ask(curl(server.url("/")).with_retry(policy(1))).await);
        let requests = server.requests();
        let pause = requests[1].at - requests[0].at;
        assert!(pause >= ms(at_least) && pause < ms(at_least + 5000), "{at_least}: {pause:?}");
    }
}

#[tokio::test]
async fn retry_after_beyond_the_limit_ends_it_at_once() {
    let server = Receiver::start(|_, _| answer("503 Busy", "retry-after: 3600\r\n", "")).await;
    let begun = Instant::now();
    let limited = RetryPolicy::curl(3, ms(5)).within(Duration::from_secs(60));
    failed(&ask(curl(server.url("/")).with_retry(limited)).await, "smoke.status");
    // Without a limit of its own, that of the gate holds.
    failed(&ask(curl(server.url("/")).with_retry(policy(3))).await, "smoke.status");
    assert!(begun.elapsed() < ms(5000));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn rounds_go_on_whatever_went_wrong_and_at_their_own_pace() {
    let server = Receiver::start(|n, _| match n {
        0 => answer("404 No", "retry-after: 3600\r\n", ""),
        _ => answer("200 OK", "", ""),
    })
    .await;
    let gate = curl(server.url("/")).with_retry(policy(0)).with_retries(1).with_delay(ms(5));
    passed(&ask(gate).await);
}
