//! The expected version, in each of the three places.

use gatekit_http::{Smoke, VersionFrom};

use crate::server::{Server, ok, reply};
use crate::support::{ask, failed, inconclusive, ms, once, passed, retrying};

fn json(pointer: &str) -> VersionFrom {
    VersionFrom::JsonPointer(pointer.to_owned())
}

fn header() -> VersionFrom {
    VersionFrom::Header("X-Version".to_owned())
}

#[tokio::test]
async fn in_the_body() {
    for (body, good) in [
        ("version v1.4.0\n", true),
        ("1.4.0", true),
        ("1.4.01", false),
        ("1.3.9", false),
        ("", false),
    ] {
        let server = Server::start(move |_, _| ok(body)).await;
        let verdict = ask(once(server.url("/")).expect_version("1.4.0", VersionFrom::Body)).await;
        if good {
            assert_eq!(passed(&verdict)[0]["version"], "1.4.0");
        } else {
            let message = &failed(&verdict, "smoke.version").message;
            assert!(message.contains("no version `1.4.0` in `body`"), "{message}");
            assert!(!message.contains("1.3.9"), "bodies are never repeated: {message}");
        }
    }
}

#[tokio::test]
async fn in_a_header() {
    for (headers, good) in [
        ("x-version:   1.4.0  \r\n", true),
        ("X-VERSION: 1.4.0\r\n", true),
        ("x-version: 1.4.0\r\nx-version: 1.3.0\r\n", false),
        ("x-version: 1.4.0-rc1\r\n", false),
        ("x-version:\r\n", false),
        ("x-version: \u{ff}\r\n", false),
        ("", false),
    ] {
        let server = Server::start(move |_, _| reply("200 OK", headers, "1.4.0")).await;
        let verdict = ask(once(server.url("/")).expect_version(" 1.4.0\n", header())).await;
        if good {
            assert_eq!(passed(&verdict)[0]["version"], "1.4.0", "{headers}");
        } else {
            failed(&verdict, "smoke.version");
        }
    }
}

#[tokio::test]
async fn in_json() {
    for (body, expected, good) in [
        (r#"{"build":{"v":"1.4.0"}}"#, "1.4.0", true),
        (r#"{"build":{"v":42}}"#, "42", true),
        (r#"{"build":{"v":-7}}"#, "-7", true),
        (r#"{"build":{"v":1.10}}"#, "1.1", false),
        (r#"{"build":{"v":1.1}}"#, "1.1", false),
        (r#"{"build":{"v":"1.4.1"}}"#, "1.4.0", false),
        (r#"{"build":{"v":null}}"#, "null", false),
        (r#"{"build":{"v":true}}"#, "true", false),
        (r#"{"build":{"v":["1.4.0"]}}"#, "1.4.0", false),
        (r#"{"v":"1.4.0"}"#, "1.4.0", false),
    ] {
        let server = Server::start(move |_, _| ok(body)).await;
        let verdict = ask(once(server.url("/")).expect_version(expected, json("/build/v"))).await;
        if good {
            assert_eq!(passed(&verdict)[0]["version"], expected, "{body}");
        } else {
            failed(&verdict, "smoke.version");
        }
    }
}

#[tokio::test]
async fn no_json_where_json_was_expected() {
    for (headers, body) in [
        ("", "<html>1.4.0</html>"),
        ("", ""),
        ("content-type: application/problem+JSON\r\n", "{\"v\":\"1.4.0\""),
    ] {
        let server = Server::start(move |_, _| reply("200 OK", headers, body)).await;
        let verdict = ask(once(server.url("/")).expect_version("1.4.0", json("/v"))).await;
        inconclusive(&verdict, "smoke.json");
    }
}

#[tokio::test]
async fn one_check_shows_it_for_all_that_do_not_contradict() {
    for (health, from, good) in [
        ("ok", json("/v"), true),
        ("", json("/v"), true),
        ("{", json("/v"), false),
        (r#"{"status":"ok"}"#, json("/v"), true),
        (r#"{"v":"1.3.0"}"#, json("/v"), false),
        (r#"{"v":"1.3.0"}"#, VersionFrom::Body, true),
    ] {
        let server = Server::start(move |_, path| {
            let body = if path == "/health" { health } else { r#"{"v":"1.4.0"}"# };
            let kind = if health == "ok" { "text/plain" } else { "application/json" };
            reply("200 OK", &format!("content-type: {kind}\r\n"), body)
        })
        .await;
        let gate = Smoke::at(server.url("")).get("/health").get("/version").with_retries(0);
        let verdict = ask(gate.expect_version("1.4.0", from)).await;
        if good {
            let facts = passed(&verdict);
            assert_eq!(facts[1]["version"], "1.4.0");
        } else if health == "{" {
            inconclusive(&verdict, "smoke.json");
        } else {
            let message = &failed(&verdict, "smoke.version").message;
            assert!(message.contains("/health`: status 200, version `1.3.0`"), "{message}");
            assert!(!message.contains("/version`"), "{message}");
        }
    }
}

#[tokio::test]
async fn the_old_process_may_answer_for_a_moment() {
    for from in [VersionFrom::Body, header(), json("/v")] {
        let server = Server::start(|n, _| {
            let v = if n < 3 { "1.3.0" } else { "1.4.0" };
            reply("200 OK", &format!("x-version: {v}\r\n"), &format!(r#"{{"v":"{v}"}}"#))
        })
        .await;
        let gate = retrying(server.url("/"), 9).expect_version("1.4.0", from);
        assert_eq!(passed(&ask(gate).await)[0]["attempts"], 4);
    }
}

#[tokio::test]
async fn what_a_server_shows_is_short_and_printable() {
    let long = "9".repeat(5000);
    let server = Server::start(move |_, _| ok(&format!(r#"{{"v":"\u001b[31m{long}"}}"#))).await;
    let gate = once(server.url("/")).expect_version("1.4.0", json("/v"));
    let verdict = ask(gate.with_deadline(ms(5000))).await;
    let message = &failed(&verdict, "smoke.version").message;
    assert!(message.len() < 400 && !message.contains('\u{1b}'), "{message}");
}
