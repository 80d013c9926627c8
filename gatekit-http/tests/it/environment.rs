//! The environment neither chooses who is asked, nor is it needed for plain http.

use std::process::Command;

use tokio::task::spawn_blocking;

use crate::server::{Server, ok};
use crate::support::{ask, once, passed};

const URL: &str = "GATEKIT_TEST_URL";

/// Asks `server` from a process with that environment.
async fn ask_in_child(server: &Server, environment: Vec<(&'static str, String)>) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "environment::asks_in_a_child_process", "--ignored"]);
    for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD", "SSL_CERT_DIR"] {
        child.env_remove(name);
    }
    child.env(URL, server.url("/")).envs(environment);
    let output = spawn_blocking(move || child.output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
#[ignore = "run by the others, with their environment"]
async fn asks_in_a_child_process() {
    // By hand, as with `--ignored`, there is nobody to ask.
    if let Ok(url) = std::env::var(URL) {
        passed(&ask(once(url)).await);
    }
}

#[tokio::test]
async fn a_proxy_in_the_environment_is_ignored() {
    let (real, proxy) = (Server::start(|_, _| ok("")).await, Server::start(|_, _| ok("")).await);
    let names =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    ask_in_child(&real, names.map(|name| (name, proxy.url(""))).into()).await;
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
async fn plain_http_needs_no_root_certificates() {
    let server = Server::start(|_, _| ok("")).await;
    ask_in_child(&server, vec![("SSL_CERT_FILE", "/dev/null".to_owned())]).await;
}
