//! An API that is asked with a token.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gatekit_http::{Api, Method, Part, Request};
use secrecy::SecretString;

use crate::server::{Play, Server, ok, reply};
use crate::support::ms;

const SOON: Duration = Duration::from_secs(20);

fn token() -> SecretString {
    SecretString::from("CANARY-token")
}

fn code_of(url: &str, token: &SecretString) -> Option<String> {
    let error = Api::at(url, token).err()?;
    let shown = format!("{error} {error:?} {:?}", error.to_failure());
    assert!(!shown.contains("CANARY"), "{shown}");
    Some(error.code().to_string())
}

#[test]
fn a_token_leaves_this_machine_protected_alone() {
    for (url, code) in [
        ("https://api.example.com", None),
        ("http://127.0.0.1:1", None),
        ("http://localhost:1/base/", None),
        ("http://[::1]:1", None),
        ("http://api.example.com", Some("api.plaintext")),
        ("http://127.0.0.1.example.com", Some("api.plaintext")),
        ("http://10.0.0.1", Some("api.plaintext")),
        ("https://user:CANARY@h", Some("api.secret_in_url")),
        ("https://h/?key=CANARY", Some("api.url")),
        ("ftp://h", Some("api.url")),
    ] {
        assert_eq!(code_of(url, &token()).as_deref(), code, "{url}");
    }
    assert!(Api::over_plaintext("http://10.0.0.1", &token()).is_ok());
}

#[test]
fn a_token_that_no_header_carries_is_refused_and_none_is_shown() {
    for bad in ["", " ", "CANARY\n", "CANARY\0"] {
        let code = code_of("https://h", &SecretString::from(bad));
        assert_eq!(code.as_deref(), Some("api.token"), "{bad:?}");
    }
    let api = Api::at("https://h", &token()).unwrap();
    assert!(!format!("{api:?}").contains("CANARY"));
    assert_eq!(api.base(), "https://h/");
    assert!(!api.shown("token CANARY-token is bad").contains("CANARY"));
    assert_eq!(api.shown("is bad"), "is bad");
}

async fn at(server: &Server) -> Api {
    Api::at(&server.url("/base"), &token()).unwrap()
}

#[tokio::test]
async fn names_in_a_path_stay_one_segment_each() {
    let paths = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&paths);
    let server = Server::start(move |_, path| {
        asked.lock().unwrap().push(path.to_owned());
        ok("{}")
    })
    .await;
    let request = Request::new(Method::Get, ["v1", "a b/../c?d#e"]).with_query("q", "x&y=z");
    let answer = at(&server).await.send(&request, SOON).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"{}"[..]));
    assert_eq!(*paths.lock().unwrap(), ["/base/v1/a%20b%2F..%2Fc%3Fd%23e?q=x%26y%3Dz"]);
    let form = Request::new(Method::Post, ["x"]).with_form(vec![Part::file("file", "a", vec![0])]);
    assert!(!format!("{request:?} {form:?} {answer:?}").contains("x&y"));
}

#[tokio::test]
async fn what_cannot_have_arrived_is_told_from_what_may_have() {
    let server = Server::start(|_, _| ok("")).await;
    let api = at(&server).await;
    // The server reads it and goes.
    let lost = api.send(&Request::new(Method::Post, ["x"]), SOON).await.unwrap_err();
    assert!(lost.may_have_arrived, "{lost}");
    let closed =
        { tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    let api = Api::at(&format!("http://{closed}"), &token()).unwrap();
    let refused = api.send(&Request::new(Method::Post, ["x"]), SOON).await.unwrap_err();
    assert!(!refused.may_have_arrived, "{refused}");
}

#[tokio::test]
async fn an_answer_ends_by_its_time_and_at_its_limit() {
    let server = Server::start(|_, path| match path {
        "/base/silent" => Play::Silent,
        "/base/drip" => Play::Drip,
        "/base/endless" => {
            Play::Endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", true)
        }
        _ => reply("200 OK", "", "12345"),
    })
    .await;
    let api = at(&server).await;
    for path in ["silent", "drip"] {
        let request = Request::new(Method::Get, [path]);
        let lost = api.send(&request, ms(200)).await.unwrap_err();
        assert!(lost.may_have_arrived && !lost.is_too_large, "{path}");
    }
    let endless = Request::new(Method::Get, ["endless"]);
    assert!(api.send(&endless, SOON).await.unwrap_err().is_too_large);
    let five = Request::new(Method::Get, ["five"]);
    assert!(api.send(&five.clone().with_limit(4), SOON).await.unwrap_err().is_too_large);
    assert_eq!(api.send(&five.with_limit(5), SOON).await.unwrap().body, b"12345");
}

#[tokio::test]
async fn every_status_is_an_answer_and_says_how_long_to_wait() {
    for (headers, pause) in [
        ("", None),
        ("retry-after: 3\r\n", Some(3)),
        ("x-ratelimit-reset: 40\r\n", Some(40)),
        ("retry-after: 3\r\nx-ratelimit-reset: 40\r\n", Some(3)),
        ("x-ratelimit-reset: soon\r\n", None),
    ] {
        let server = Server::start(move |_, _| reply("429 Too Many Requests", headers, "{}")).await;
        let answer = at(&server).await.send(&Request::new(Method::Get, ["x"]), SOON).await.unwrap();
        assert_eq!(
            (answer.status, answer.pause),
            (429, pause.map(Duration::from_secs)),
            "{headers}"
        );
        assert_eq!(server.requests(), 1, "it is sent once");
    }
    let server =
        Server::start(|_, _| reply("302 Found", "location: http://127.0.0.1:1/\r\n", "")).await;
    let answer = at(&server).await.send(&Request::new(Method::Get, ["x"]), SOON).await.unwrap();
    assert_eq!(answer.status, 302, "the token follows no redirect");
}
