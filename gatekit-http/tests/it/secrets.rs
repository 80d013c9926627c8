//! What is refused, and what never shows.

use std::time::Duration;

use gatekit_core::{Error, Gate as _};
use gatekit_http::{Smoke, SmokeBuilder, VersionFrom, code};

use crate::server::{Server, ok, redirect, reply, status};
use crate::support::{ask, context, ms, once, retrying};

const CANARY: &str = "CANARY";

#[track_caller]
fn refused(builder: SmokeBuilder, code: &str) -> Error {
    let debug = format!("{builder:?}");
    let error = builder.build().unwrap_err();
    assert_eq!(error.code().as_str(), code, "{error}");
    assert_eq!(error.effect(), gatekit_core::Effect::None);
    let failure = error.to_failure();
    assert!(!failure.next.is_empty(), "every refusal says what may be done next: {error}");
    let json = serde_json::to_string(&failure).unwrap();
    let shown = format!("{debug} {error} {error:?} {json}");
    assert!(!shown.contains(CANARY), "{shown}");
    error
}

#[test]
fn passwords_in_urls_are_refused_and_never_shown() {
    for url in [
        "http://user:CANARY@h/",
        "https://CANARY@h/",
        "http://:CANARY@h/",
        "http:user:CANARY@h",
        "http:/\\user:CANARY@h",
        "ftp://user:CANARY@h/",
    ] {
        refused(once(url), "smoke.secret_in_url");
        refused(Smoke::at(url).get("/"), "smoke.secret_in_url");
    }
}

#[test]
fn malformed_urls_are_refused_and_not_repeated() {
    for url in [
        "",
        "CANARY",
        "/CANARY",
        "http://",
        "http://user:CANARY",
        "http://user:CAN ARY@h:99999/CANARY",
        "http://CANARY h/",
        "http://[::CANARY]/",
        "ftp://h/CANARY",
        "file:///CANARY",
        "javascript:CANARY",
        "unix:///CANARY.sock",
    ] {
        let error = refused(once(url), "smoke.url");
        assert!(error.to_string().starts_with("check 1 "), "{error}");
        refused(Smoke::at(url).get("/x"), "smoke.url");
    }
    refused(once(format!("http://h/{}", CANARY.repeat(1000))), "smoke.url");
    refused(Smoke::at("http://h").get("CANARY"), "smoke.url");
    refused(Smoke::at("http://h?CANARY").get("/x"), "smoke.url");
    refused(Smoke::builder().get("/CANARY"), "smoke.url");
}

#[test]
fn other_nonsense_is_refused() {
    refused(Smoke::builder(), "smoke.no_checks");
    refused(Smoke::at("http://h"), "smoke.no_checks");
    refused(Smoke::urls(Vec::<String>::new()), "smoke.no_checks");
    refused(once("http://h").with_attempt_timeout(Duration::ZERO), "smoke.limits");
    refused(once("http://h").with_deadline(Duration::ZERO), "smoke.limits");
    refused(once("http://h").with_body_limit(0), "smoke.limits");
    refused(once("http://h").expect_version(" \n", VersionFrom::Body), "smoke.version_empty");
    let from = VersionFrom::Header("a\r\nb".into());
    refused(once("http://h").expect_version("1", from), "smoke.version_from");
    assert_eq!(once("http://h").with_id("a b").build().unwrap_err().code().as_str(), "config.name");
}

#[test]
fn it_describes_all_that_matters_and_no_secret() {
    let gate = || {
        Smoke::at("http://h/api")
            .get("/health?token=CANARY")
            .urls(["https://other/#CANARY"])
            .expect_version("1.4.0", VersionFrom::JsonPointer("/v".into()))
    };
    let smoke = gate().build().unwrap();
    let described = smoke.describe();
    assert!(!format!("{described} {smoke:?} {:?}", gate()).contains(CANARY));
    assert_eq!(described["checks"][0]["url"], "http://h/api/health?…");
    assert_eq!(described["checks"][0]["has_query"], true);
    assert_eq!(described["version"]["from"], "json:/v");
    assert_eq!(gate().build().unwrap().describe(), described);
    for other in [
        gate().with_retries(1),
        gate().with_delay(ms(1)),
        gate().with_attempt_timeout(ms(1)),
        gate().with_deadline(ms(1)),
        gate().with_body_limit(1),
        gate().get("/ready"),
        gate().expect_version("1.4.1", VersionFrom::Body),
    ] {
        assert_ne!(other.build().unwrap().describe(), described);
    }
}

#[tokio::test]
async fn neither_queries_nor_bodies_nor_headers_show() {
    for script in [
        (|_, _| ok("CANARY")) as fn(usize, &str) -> _,
        |_, _| status("500 CANARY"),
        |_, _| reply("404 No", "set-cookie: CANARY\r\n", "CANARY"),
        |_, _| redirect("/CANARY?CANARY"),
        |_, _| redirect("http://CANARY.example/"),
        |_, _| crate::server::Play::SendAndClose(b"CANARY\r\n\r\n".to_vec()),
        |_, _| crate::server::Play::SendAndClose(b"HTTP/1.1 200 OK\r\nCANARY\r\n\r\n".to_vec()),
        |_, _| crate::server::Play::Silent,
    ] {
        let server = Server::start(script).await;
        let gate = retrying(server.url("/x?token=CANARY"), 1)
            .with_attempt_timeout(ms(200))
            .build()
            .unwrap();
        let verdict = gate.check(&context(ms(10_000))).await.unwrap();
        let json = serde_json::to_string(&verdict).unwrap();
        let shown = format!("{verdict:?} {json} {gate:?}").replace("http://canary.example", "");
        assert!(!shown.contains(CANARY), "{shown}");
    }
    let unreachable = ask(once("http://127.0.0.1:1/x?token=CANARY")).await;
    assert!(!format!("{unreachable:?}").contains(CANARY), "{unreachable:?}");
}

#[test]
fn codes_are_unique_and_of_this_area() {
    let mut codes: Vec<_> = code::ALL.iter().map(|listed| listed.code.as_str()).collect();
    let ours = |code: &&str| ["api.", "smoke.", "webhook."].iter().any(|it| code.starts_with(it));
    assert!(codes.iter().all(ours));
    let all = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all);
}
