//! The program, called as anybody would.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The script that the examples share; it needs jq.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../command-deploy/sign.sh");

fn call(place: &Path, words: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_embedded"));
    program.env_remove("GITHUB_ACTIONS").env("SIGN_SCRIPT", SCRIPT);
    program.env("SIGN", place.join("sign.json")).current_dir(place).args(words);
    program.output().unwrap()
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

#[test]
fn the_tool_is_as_short_as_the_documents_say() {
    let lines = include_str!("../../src/main.rs").lines().count();
    assert!(lines <= 80, "{lines} lines");
}
