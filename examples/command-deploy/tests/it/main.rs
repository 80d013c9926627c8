//! The program, called as anybody would.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The script; it needs jq.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sign.sh");

/// The exit code, and the last line of standard output.
fn call(place: &Path, words: &[&str]) -> (Option<i32>, Value) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_command-deploy"));
    for unset in ["GITHUB_ACTIONS", "GATEKIT_LEDGER", "GATEKIT_ACTOR"] {
        program.env_remove(unset);
    }
    program.current_dir(place);
    let output = program.args(words).args(["--output", "json"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let last = stdout.lines().last().unwrap_or_default();
    let line = serde_json::from_str(last)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&output.stderr).into_owned()));
    (output.status.code(), line)
}

#[test]
fn a_script_ships_rolls_back_and_is_believed_only_where_it_tells_the_truth() {
    let place = tempfile::tempdir().unwrap();
    let ship = |text: &str, script: &str| {
        call(place.path(), &["ship", "--text", text, "--script", script])
    };
    for text in ["open", "closed"] {
        let (exit, line) = ship(text, SCRIPT);
        assert_eq!((exit, line["outcome"].as_str()), (Some(0), Some("released")), "{line:#}");
    }
    // One that says it has applied what it has not.
    let liar = place.path().join("liar.sh");
    let honest = fs::read_to_string(SCRIPT).unwrap();
    let lies = honest.replace("  [ \"$shown\" = null ] || show \"$shown\"\n", "");
    assert_ne!(lies, honest);
    fs::write(&liar, lies).unwrap();
    fs::set_permissions(&liar, fs::metadata(SCRIPT).unwrap().permissions()).unwrap();
    let (exit, line) = ship("on holiday", liar.to_str().unwrap());
    assert_eq!((exit, line["outcome"].as_str()), (Some(3), Some("rolled_back")), "{line:#}");
    assert_eq!(line["live"]["release"], "closed");

    let (exit, line) = call(place.path(), &["rollback", "--reason", "we are open"]);
    assert_eq!((exit, line["outcome"].as_str()), (Some(0), Some("released")), "{line:#}");
    assert!(fs::read_to_string(place.path().join("sign.json")).unwrap().contains("open"));
    let (exit, line) = call(place.path(), &["log", "--verify"]);
    assert_eq!((exit, &line["verified"]), (Some(0), &true.into()), "{line:#}");
}
