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
    // The user's own ledger, for this test.
    program.env("XDG_STATE_HOME", place.parent().unwrap().join("state"));
    fs::create_dir_all(place).unwrap();
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
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("tree");
    let ship =
        |text: &str, script: &str| call(&place, &["ship", "--text", text, "--script", script]);
    for text in ["open", "closed"] {
        let (exit, line) = ship(text, SCRIPT);
        assert_eq!((exit, line["outcome"].as_str()), (Some(0), Some("released")), "{line:#}");
    }
    // One that says it has applied what it has not.
    let liar = place.join("liar.sh");
    let honest = fs::read_to_string(SCRIPT).unwrap();
    let lies = honest.replace("  [ \"$shown\" = null ] || show \"$shown\"\n", "");
    assert_ne!(lies, honest);
    fs::write(&liar, lies).unwrap();
    fs::set_permissions(&liar, fs::metadata(SCRIPT).unwrap().permissions()).unwrap();
    let (exit, line) = ship("on holiday", liar.to_str().unwrap());
    assert_eq!((exit, line["outcome"].as_str()), (Some(3), Some("rolled_back")), "{line:#}");
    assert_eq!(line["live"]["release"], "closed");

    let (exit, line) = call(&place, &["rollback", "--reason", "we are open"]);
    assert_eq!((exit, line["outcome"].as_str()), (Some(0), Some("released")), "{line:#}");
    assert!(fs::read_to_string(place.join("sign.json")).unwrap().contains("open"));
    let (exit, line) = call(&place, &["log", "--verify"]);
    assert_eq!((exit, &line["verified"]), (Some(0), &true.into()), "{line:#}");
}

#[test]
fn two_working_trees_share_the_lock_and_the_journal_of_their_sign() {
    let home = tempfile::tempdir().unwrap();
    let (one, other) = (home.path().join("one"), home.path().join("other"));
    let sign = home.path().join("sign.json");
    let sign = sign.to_str().unwrap();
    let ship = |tree: &Path, text: &str| {
        call(tree, &["ship", "--text", text, "--script", SCRIPT, "--sign", sign])
    };
    let (exit, first) = ship(&one, "open");
    assert_eq!((exit, &first["fence"]), (Some(0), &1.into()), "{first:#}");
    let (exit, second) = ship(&other, "closed");
    assert_eq!((exit, &second["fence"]), (Some(0), &2.into()), "{second:#}");
    let (_, status) = call(&one, &["status"]);
    assert_eq!((&status["live"]["release"], &status["fence"]), (&"closed".into(), &2.into()));
    let (exit, back) = call(&one, &["rollback", "--reason", "we are open"]);
    assert_eq!((exit, &back["live"]["release"]), (Some(0), &"open".into()), "{back:#}");
    assert!(one.read_dir().unwrap().next().is_none(), "nothing is left in a tree");

    // A sign of the tree's own is no release of that one.
    let own = ["ship", "--text", "open", "--script", SCRIPT];
    let (exit, refused) = call(&one, &own);
    assert_eq!((exit, refused["code"].as_str()), (Some(2), Some("usage.sign")), "{refused:#}");
    let (exit, line) = call(&one, &[&own[..], &["--target", "local/own"]].concat());
    assert_eq!((exit, &line["fence"]), (Some(0), &1.into()), "{line:#}");
}
