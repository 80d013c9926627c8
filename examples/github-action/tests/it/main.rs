//! The action's program in a step, as its workflow calls it. GitHub itself is not here: the step is
//! the environment and the files that it gives.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The script that the examples share; it needs jq.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../command-deploy/sign.sh");
const ACTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/action.yml");
const TOKEN: &str = "canary-of-the-sign";

/// What a step left behind.
struct Step {
    exit: Option<i32>,
    log: String,
    outputs: String,
    summary: String,
}

impl Step {
    fn output(&self, name: &str) -> Option<&str> {
        let mut lines = self.outputs.lines();
        lines.find(|line| line.starts_with(&format!("{name}<<")))?;
        lines.next()
    }
}

/// The text of the step's script, from the action's own file.
fn script_of_the_action() -> String {
    let action = fs::read_to_string(ACTION).unwrap();
    let (_, script) = action.split_once("run: |\n").unwrap();
    let lines = script.lines().take_while(|line| line.starts_with("        "));
    lines.map(|line| format!("{}\n", line.trim_start())).collect()
}

fn file(place: &Path, name: &str) -> PathBuf {
    let path = place.join(name);
    fs::write(&path, "").unwrap();
    path
}

/// A step of the action, as `actor`.
fn step(place: &TempDir, actor: &str, verb: &str, text: &str, run: &str) -> Step {
    let place = place.path();
    let (outputs, summary) = (file(place, "outputs"), file(place, "summary"));
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", &script_of_the_action()]);
    bash.env("SIGN_ACTION", env!("CARGO_BIN_EXE_sign-action"));
    bash.env("VERB", verb).env("TEXT", text).env("RUN", run).env("GATEKIT_ACTOR", actor);
    bash.env("SIGN_TOKEN", TOKEN).env("SIGN_SCRIPT", SCRIPT);
    bash.env("SIGN_FILE", place.join("sign.json")).env("GITHUB_ACTIONS", "true");
    let ledger = format!("sqlite:{}?durable=true", place.join("ledger.db").display());
    bash.env("GATEKIT_LEDGER", ledger);
    bash.env("GITHUB_OUTPUT", &outputs).env("GITHUB_STEP_SUMMARY", &summary);
    let done = bash.stdin(Stdio::null()).output().unwrap();
    let log = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    let read = |path| fs::read_to_string(path).unwrap();
    Step { exit: done.status.code(), log, outputs: read(outputs), summary: read(summary) }
}

#[test]
fn a_release_waits_for_a_word_from_somebody_else_and_is_told_in_its_steps() {
    let place = tempfile::tempdir().unwrap();
    let shipped = step(&place, "ann", "ship", "open\n::error::$(id)", "");
    assert_eq!(shipped.exit, Some(75), "{}", shipped.log);
    assert_eq!(shipped.output("outcome"), Some("waiting"), "{}", shipped.outputs);
    assert!(shipped.log.contains(&format!("::add-mask::{TOKEN}")), "{}", shipped.log);
    let run = shipped.output("run").unwrap();
    let own = step(&place, "ann", "approve", "", run);
    assert_ne!(own.exit, Some(0), "{}", own.log);
    assert!(own.log.contains("approval.own"), "{}", own.log);
    let forged = step(&place, "ann", "approve", "", "--actor=bea");
    assert_eq!(forged.exit, Some(2), "an input is no flag: {}", forged.log);
    let word = step(&place, "bea", "approve", "", run);
    assert_eq!(word.exit, Some(0), "{}", word.log);
    let resumed = step(&place, "bea", "resume", "", run);
    assert_eq!(resumed.exit, Some(0), "{}", resumed.log);
    assert_eq!(resumed.output("outcome"), Some("released"));
    assert!(resumed.summary.contains("released"), "{}", resumed.summary);
    let sign = fs::read_to_string(place.path().join("sign.json")).unwrap();
    assert!(sign.contains("$(id)"), "what was typed is text: {sign}");
    // What the workflow does last, whatever was before.
    let settled = step(&place, "ann", "resume", "", "");
    assert_eq!(settled.exit, Some(0), "{}", settled.log);
    let kept = fs::read(place.path().join("ledger.db")).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains(TOKEN), "a secret is journalled");
    for told in [shipped, own, word, resumed, settled] {
        let lines: Vec<_> =
            told.log.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
        assert!(!lines.iter().any(|line| line.contains(TOKEN)), "{lines:#?}");
        assert!(
            !lines.iter().any(|line| line.trim_start().starts_with("::error::$(id)")),
            "{lines:#?}"
        );
    }
}

#[test]
fn a_release_that_is_rejected_ends_refused() {
    let place = tempfile::tempdir().unwrap();
    let shipped = step(&place, "ann", "ship", "closed", "");
    let run = shipped.output("run").unwrap();
    let word = step(&place, "bea", "reject", "", run);
    assert_eq!(word.exit, Some(0), "{}", word.log);
    let resumed = step(&place, "bea", "resume", "", run);
    assert_eq!(resumed.exit, Some(1), "{}", resumed.log);
    assert_eq!(resumed.output("outcome"), Some("refused"));
    assert!(resumed.log.contains("::error "), "{}", resumed.log);
    assert!(!place.path().join("sign.json").exists());
}

/// The workflows name what there is.
#[test]
fn the_workflows_call_the_action_with_inputs_that_it_has() {
    let action = fs::read_to_string(ACTION).unwrap();
    for workflow in ["release", "approve"] {
        let path = format!("{}/workflows/{workflow}.yml", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).unwrap();
        let given = text.lines().skip_while(|line| line.trim() != "with:");
        let names = given.filter_map(|line| line.strip_prefix("          ")?.split_once(": "));
        let names: Vec<_> = names.filter(|(name, _)| !name.contains(' ')).collect();
        assert!(!names.is_empty(), "{workflow}");
        for (name, _) in names {
            if name.chars().all(char::is_lowercase) {
                assert!(action.contains(&format!("\n  {name}:\n")), "{workflow}: {name}");
            }
        }
    }
}
