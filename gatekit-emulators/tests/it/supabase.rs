//! The emulated management API of Supabase, as any client sees it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use gatekit_emulators::{Clock, Injection, Supabase, Trouble};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The head of an answer, and its body.
async fn ask(url: &str, method: &str, path: &str, kind: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let project = Supabase::PROJECT;
    let request = format!(
        "{method} /v1/projects/{project}{path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer x\r\n\
         connection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Status and body of a deploy of one file.
async fn deploy(url: &str, query: &str, metadata: &Value, content: &str) -> (String, Value) {
    let metadata = metadata.to_string();
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"index.ts\"\r\n\r\n{content}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{metadata}\r\n--b--\r\n"
    );
    let kind = "multipart/form-data; boundary=b";
    let (head, body) = ask(url, "POST", &format!("/functions/deploy?{query}"), kind, &form).await;
    (head[9..12].to_owned(), serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn a_deploy_counts_on_and_keeps_what_is_not_said() {
    let supabase = Supabase::new(Clock::at_speed(1.0));
    let listening = supabase.listen(0).await.unwrap();
    let url = listening.url();
    let silent = json!({ "entrypoint_path": "index.ts" });
    let open = json!({ "entrypoint_path": "index.ts", "verify_jwt": false });
    let (_, first) = deploy(&url, "slug=hello", &silent, "one").await;
    assert_eq!(
        (&first["version"], &first["verify_jwt"]),
        (&json!(1), &json!(true)),
        "for a new one"
    );
    let (_, second) = deploy(&url, "slug=hello", &open, "two").await;
    let (_, third) = deploy(&url, "slug=hello", &silent, "two").await;
    assert_eq!((&third["version"], &third["verify_jwt"]), (&json!(3), &json!(false)), "as it was");
    assert_eq!((&second["ezbr_sha256"], &second["id"]), (&third["ezbr_sha256"], &third["id"]));
    assert_ne!(first["ezbr_sha256"], second["ezbr_sha256"], "of other files");
    let gone = json!({ "entrypoint_path": "other.ts" });
    assert_eq!(deploy(&url, "slug=hello", &gone, "x").await.0, "400");
}

#[tokio::test]
async fn what_is_bundled_alone_is_not_live_until_it_is_switched_to() {
    let supabase = Supabase::new(Clock::at_speed(1.0));
    supabase.with_project(|it| it.deploy("hello", "old", true));
    let listening = supabase.listen(0).await.unwrap();
    let url = listening.url();
    let metadata = json!({ "entrypoint_path": "index.ts" });
    let (status, mut bundled) = deploy(&url, "slug=hello&bundleOnly=true", &metadata, "new").await;
    assert_eq!((&*status, &bundled["version"]), ("201", &json!(2)));
    let version = |supabase: &Supabase| {
        supabase.with_project(|it| it.told("hello").unwrap()["version"].clone())
    };
    assert_eq!(version(&supabase), 1);
    let put = async |items: &Value| {
        ask(&url, "PUT", "/functions", "application/json", &items.to_string()).await.0[9..12]
            .to_owned()
    };
    let mut unknown = bundled.clone();
    unknown["slug"] = json!("world");
    unknown["ezbr_sha256"] = json!("ab");
    assert_eq!(put(&json!([bundled, unknown])).await, "400");
    assert_eq!(version(&supabase), 1, "all of them or none");
    assert_eq!(deploy(&url, "slug=hello", &metadata, "x").await.0, "409", "its version is taken");
    let (_, newer) = deploy(&url, "slug=hello&bundleOnly=true", &metadata, "new").await;
    assert_eq!((&newer["version"], put(&json!([bundled])).await), (&json!(3), "409".to_owned()));
    bundled["version"] = json!(3);
    for _ in 0..2 {
        assert_eq!(put(&json!([bundled])).await, "200", "it may be repeated");
        assert_eq!((version(&supabase), supabase.with_project(|it| it.effects())), (json!(3), 2));
    }
    assert_eq!(deploy(&url, "slug=hello", &metadata, "x").await.0, "201");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let supabase = Supabase::new(Clock::at_speed(1.0));
    supabase.inject(Injection::of(Trouble::Throttled, "ListSecrets", 1));
    let listening = supabase.listen(0).await.unwrap();
    let (head, body) = ask(&listening.url(), "GET", "/secrets", "text/plain", "").await;
    assert!(head.starts_with("HTTP/1.1 429") && head.contains("retry-after: 1"), "{head}");
    assert!(head.contains("x-ratelimit-reset: 1") && body.contains("message"), "{head} {body}");
    let (head, body) = ask(&listening.url(), "GET", "/secrets", "text/plain", "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head} {body}");
}

#[tokio::test]
async fn the_program_serves_what_it_is_told_to_have() {
    let program = Command::new(env!("CARGO_BIN_EXE_supabase-emulator"))
        .args(["--port", "0", "--function", "hello", "--secret", "KEY"])
        .stdout(Stdio::piped())
        .spawn();
    let mut program = program.unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split(' ').next().unwrap().to_owned();
    let functions = ask(&url, "GET", "/functions", "text/plain", "").await.1;
    let secrets = ask(&url, "GET", "/secrets", "text/plain", "").await.1;
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(functions.contains("\"slug\":\"hello\"") && secrets.contains("\"name\":\"KEY\""));
}
