//! Servers that lie, drip, babble or are not there.

use std::time::Instant;

use tokio::net::TcpListener;

use crate::server::{Play, Server, ok, reply};
use crate::support::{ask, failed, inconclusive, ms, once, passed};

/// What the kernel may take off the server's hands without anybody reading it.
const SOCKET_BUFFERS: usize = 32 << 20;

#[tokio::test]
async fn a_body_without_end_is_not_read_to_the_end() {
    for (head, chunked) in [
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n", false),
    ] {
        let server = Server::start(move |_, _| Play::Endless(head, chunked)).await;
        let verdict = ask(once(server.url("/"))).await;
        failed(&verdict, "smoke.body_too_large");
        assert!(server.sent() < SOCKET_BUFFERS, "{head}: {} bytes", server.sent());
    }
}

#[tokio::test]
async fn a_head_without_end_or_measure_is_unreadable() {
    for head in [
        "HTTP/1.1 200 OK\r\nx: ",
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551614\r\n\r\n",
    ] {
        let server = Server::start(move |_, _| Play::Endless(head, false)).await;
        inconclusive(&ask(once(server.url("/"))).await, "smoke.unreadable");
        assert!(server.sent() < SOCKET_BUFFERS, "{} bytes", server.sent());
    }
}

#[tokio::test]
async fn the_body_limit_is_exact() {
    let server = Server::start(|_, _| ok("12345")).await;
    passed(&ask(once(server.url("/")).with_body_limit(5)).await);
    let verdict = ask(once(server.url("/")).with_body_limit(4)).await;
    let message = &failed(&verdict, "smoke.body_too_large").message;
    assert!(message.contains("more than 4 bytes"), "{message}");
}

#[tokio::test]
async fn a_content_length_that_lies_is_no_answer() {
    // More announced than sent.
    let server = Server::start(|_, _| {
        Play::SendAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n1.4.0".to_vec())
    })
    .await;
    inconclusive(&ask(once(server.url("/"))).await, "smoke.unreadable");

    // Less announced than sent: the rest is not part of the answer.
    let server = Server::start(|_, _| {
        Play::SendAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok 1.4.0".to_vec())
    })
    .await;
    let gate = once(server.url("/")).expect_version("1.4.0", "body".parse().unwrap());
    failed(&ask(gate).await, "smoke.version");

    // Two of them.
    let server = Server::start(|_, _| reply("200 OK", "content-length: 1\r\n", "1.4.0")).await;
    inconclusive(&ask(once(server.url("/"))).await, "smoke.unreadable");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_answer() {
    let server = Server::start(|_, _| {
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n1.4.0\r\n";
        Play::SendAndClose(text.as_bytes().to_vec())
    })
    .await;
    inconclusive(&ask(once(server.url("/"))).await, "smoke.unreadable");
}

#[tokio::test]
async fn a_dripping_body_ends_at_the_attempt_timeout() {
    let server = Server::start(|_, _| Play::Drip).await;
    let started = Instant::now();
    let gate = once(server.url("/")).with_attempt_timeout(ms(300));
    inconclusive(&ask(gate).await, "smoke.timeout");
    assert!(started.elapsed() < ms(5000));
}

#[tokio::test]
async fn what_is_not_http_is_unreadable() {
    for bytes in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"", b"HTTP/1.1 two hundred\r\n\r\n", &[0; 99]] {
        let server = Server::start(move |_, _| Play::SendAndClose(bytes.to_vec())).await;
        inconclusive(&ask(once(server.url("/"))).await, "smoke.unreadable");
    }
}

#[tokio::test]
async fn a_refused_connection_is_inconclusive() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let verdict = ask(once(format!("http://{addr}/health"))).await;
    let message = &inconclusive(&verdict, "smoke.unreachable").message;
    assert!(message.to_lowercase().contains("refused"), "{message}");
}

#[tokio::test]
async fn a_reset_connection_is_inconclusive() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // Closing with something unread resets.
        stream.readable().await.unwrap();
    });
    // The HTTP library does not always tell a reset from an early end.
    let verdict = ask(once(format!("http://{addr}/"))).await;
    assert_eq!(verdict.word(), "inconclusive");
    let code = verdict.finding().unwrap().code.as_str();
    assert!(["smoke.unreachable", "smoke.unreadable"].contains(&code), "{code}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_inconclusive() {
    let gate = once("http://does-not-exist.invalid/").with_deadline(ms(10_000));
    let verdict = ask(gate.with_attempt_timeout(ms(9000))).await;
    assert_eq!(verdict.word(), "inconclusive");
}

#[tokio::test]
async fn plain_http_does_not_pass_for_https() {
    let server = Server::start(|_, _| ok("")).await;
    let gate = once(server.url("/").replace("http:", "https:"));
    let gate = gate.with_attempt_timeout(ms(500)).build().unwrap();
    // An error where the machine has no root certificates.
    let verdict = gatekit_core::Gate::check(&gate, &crate::support::context(ms(5000))).await;
    assert!(!verdict.is_ok_and(|verdict| verdict.is_pass()));
}
