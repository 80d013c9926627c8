//! The program, called as anybody would.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use gatekit_peers::{Via, new_database};

/// The script that the examples share; it needs jq.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../command-deploy/sign.sh");

fn program(place: &Path, words: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_embedded"));
    program.env_remove("GITHUB_ACTIONS").env_remove("GATEKIT_LEDGER").env("SIGN_SCRIPT", SCRIPT);
    program.env("SIGN", place.join("sign.json")).current_dir(place).args(words);
    program
}

fn call(place: &Path, words: &[&str]) -> Output {
    program(place, words).output().unwrap()
}

/// What one machine has released the next one knows.
#[test]
fn machines_meet_at_a_ledger_on_a_server() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = new_database(Via::Server).unwrap();
    let release = |place: &Path, text: &str| {
        let mut program = program(place, &["release", text]);
        let program = program.env("GATEKIT_LEDGER", &url).env("SIGN", one.path().join("sign.json"));
        said(&program.output().unwrap())
    };
    for (place, text, told) in
        [(&one, "open", "released"), (&other, "open", "unchanged"), (&other, "closed", "released")]
    {
        let (exit, stdout, stderr) = release(place.path(), text);
        let expected = format!("{told}: {text} is live on office/sign");
        assert_eq!((exit, stdout.trim()), (Some(0), &*expected), "{stderr}");
    }
    assert!(!one.path().join("ledger.db").exists(), "a ledger of its own");
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn it_releases_tells_what_happens_and_has_nothing_to_resume() {
    let place = tempfile::tempdir().unwrap();
    let (exit, stdout, stderr) = said(&call(place.path(), &["release", "open"]));
    assert_eq!(
        (exit, stdout.trim()),
        (Some(0), "released: open is live on office/sign"),
        "{stderr}"
    );
    assert!(stderr.contains("sign: applying") && stderr.contains("closed: released"), "{stderr}");
    assert!(fs::read_to_string(place.path().join("sign.json")).unwrap().contains("open"));
    let (exit, stdout, _) = said(&call(place.path(), &["release", "open"]));
    assert_eq!((exit, stdout.trim()), (Some(0), "unchanged: open is live on office/sign"));
    let (exit, stdout, stderr) = said(&call(place.path(), &["resume"]));
    assert_eq!((exit, stdout.trim()), (Some(0), "there is nothing to resume"), "{stderr}");
    for words in [&["release"][..], &["resume", "it"], &[]] {
        let (exit, _, stderr) = said(&call(place.path(), words));
        assert!(exit == Some(2) && stderr.starts_with("usage:"), "{words:?}: {stderr}");
    }
}

/// The first script that the guide shows, as it stands there.
#[test]
fn the_script_of_the_guide_deploys_and_tells_the_truth() {
    let guide = include_str!("../../../../gatekit/src/guide/first.md");
    let script = guide.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("sign.sh"), script).unwrap();
    let executable = fs::metadata(SCRIPT).unwrap().permissions();
    fs::set_permissions(place.path().join("sign.sh"), executable).unwrap();
    let sign = place.path().join("sign.json");
    let release = |text: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_embedded"));
        program.env_remove("GITHUB_ACTIONS").env_remove("GATEKIT_LEDGER");
        program.env_remove("SIGN_SCRIPT").env("SIGN", &sign);
        said(&program.current_dir(place.path()).args(["release", text]).output().unwrap())
    };
    for (text, told) in [("open", "released"), ("open", "unchanged"), ("closed", "released")] {
        let (exit, stdout, stderr) = release(text);
        let told = format!("{told}: {text} is live on office/sign");
        assert_eq!((exit, stdout.trim()), (Some(0), told.as_str()), "{stderr}");
        assert!(fs::read_to_string(&sign).unwrap().contains(text));
    }
    // One that says it has applied what it has not is not believed.
    let lies = script.replace("show \"$(answer '{text: .change.to, run}')\"", "");
    assert_ne!(lies, script);
    fs::write(place.path().join("sign.sh"), lies).unwrap();
    let (exit, stdout, stderr) = release("on holiday");
    assert_eq!(exit, Some(3), "{stdout}{stderr}");
    assert!(stdout.starts_with("rolled back: closed is live"), "{stdout}{stderr}");
}

#[test]
fn the_tool_is_as_short_as_the_documents_say() {
    let lines = include_str!("../../src/main.rs").lines().count();
    assert!(lines <= 80, "{lines} lines");
}
