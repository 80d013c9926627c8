//! Both are asked, and compared.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join3;
use futures_util::stream::{self, StreamExt as _};
use gatekit_core::Gate as _;
use gatekit_http::{Smoke, SmokeBuilder};
use gatekit_peers::Authority;
use tokio::task::spawn_blocking;

use super::play::{Play, Stage};
use super::table::{Case, Verdict, cases};
use crate::support::context;

/// How long an answer may take, `--max-time`.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many servers are asked at once.
const AT_ONCE: usize = 4;

/// What the three said: whether they pass.
#[derive(Debug)]
struct Said {
    curl: bool,
    compat: bool,
    smoke: bool,
    exit: Option<i32>,
    why: String,
}

/// Whether `curl --fail` passes, and its exit code.
async fn curl(url: String, ca: &Path) -> (bool, Option<i32>) {
    let mut command = std::process::Command::new("curl");
    command
        .args(["--disable", "--fail", "--silent", "--noproxy", "*", "--output"])
        .arg(if cfg!(windows) { "NUL" } else { "/dev/null" })
        .args(["--max-time", &PATIENCE.as_secs().to_string(), "--cacert"])
        .arg(ca)
        .arg(&url)
        .stdin(Stdio::null());
    let output = spawn_blocking(move || command.output()).await.unwrap().unwrap();
    (output.status.success(), output.status.code())
}

/// Whether the gate passes, and why not.
async fn gate(builder: SmokeBuilder, pem: &str) -> (bool, String) {
    let gate = builder.with_retries(0).with_attempt_timeout(PATIENCE).with_ca(pem).build().unwrap();
    let verdict = gate.check(&context(Duration::from_secs(30))).await.unwrap();
    let why = verdict.finding().map_or_else(String::new, |finding| finding.message.clone());
    (verdict.is_pass(), why)
}

async fn ask(case: &Case, authority: &Authority, ca: &Path) -> Said {
    let stage = Stage::start(case.play.clone(), authority).await;
    let url = format!("{}://{}{}", case.scheme, stage.addr, case.path);
    let pem = authority.pem();
    let ((curl, exit), (compat, why), (smoke, _)) = join3(
        curl(url.clone(), ca),
        gate(Smoke::curl_compat([url.clone()]), &pem),
        gate(Smoke::urls([url]), &pem),
    )
    .await;
    Said { curl, compat, smoke, exit, why }
}

/// Whether there is a curl; without one, CI fails.
fn curl_is_here() -> bool {
    match std::process::Command::new("curl").arg("--version").output() {
        Ok(output) => output.status.success(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            assert!(std::env::var("CI").is_err(), "CI needs curl");
            eprintln!("skipped: there is no curl on this machine");
            false
        }
        Err(error) => panic!("curl cannot be run: {error}"),
    }
}

#[test]
fn the_table_is_long_and_names_every_case_once() {
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases of one name");
    for verdict in cases.iter().flat_map(|case| [case.compat, case.smoke]) {
        if let Verdict::Blocks(why) | Verdict::Passes(why) = verdict {
            assert!(!why.is_empty(), "a difference without a reason");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn are_those_of_curl_but_for_the_differences_in_the_table() {
    if !curl_is_here() {
        return;
    }
    let (authority, cases) = (Authority::new().unwrap(), cases());
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let said: Vec<_> = stream::iter(&cases)
        .map(|case| ask(case, &authority, &ca))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut wrong = Vec::new();
    for (case, said) in cases.iter().zip(&said) {
        for (who, passes, expected) in [
            ("curl_compat", said.compat, &case.compat),
            ("the default gate", said.smoke, &case.smoke),
        ] {
            let as_expected = match expected {
                Verdict::AsCurl => passes == said.curl,
                Verdict::Blocks(_) => !passes && said.curl,
                Verdict::Passes(_) => passes && !said.curl,
            };
            if !as_expected {
                let Said { curl, exit, why, .. } = said;
                wrong.push(format!(
                    "{who} on {:?}: {expected:?}, but passes: {passes}, curl: {curl} ({exit:?}); {why}",
                    case.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 2 * cases.len(), wrong.join("\n"));
    let passed = said.iter().filter(|said| said.curl).count();
    assert!(passed > 20 && cases.len() - passed > 20, "both verdicts are tried");
    assert!(cases.iter().any(|case| matches!(case.play, Play::ClosedPort)));
}
