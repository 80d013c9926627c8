//! The action's program in a step, as its workflow calls it. GitHub itself is not here: the step is
//! the environment and the files that it gives.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gatekit::Outcome;
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

/// The script that the examples share; it needs jq.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../command-deploy/sign.sh");
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

/// A file of this example.
fn yaml(path: &str) -> Yaml {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    YamlLoader::load_from_str(&text).unwrap().remove(0)
}

/// The text of the step's script, from the action's own file.
fn script_of_the_action() -> String {
    yaml("action.yml")["runs"]["steps"][0]["run"].as_str().unwrap().to_owned()
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
    let action = yaml("action.yml");
    for (workflow, job) in [("release", "release"), ("approve", "approve")] {
        let workflow = yaml(&format!("workflows/{workflow}.yml"));
        let steps = workflow["jobs"][job]["steps"].as_vec().unwrap();
        let calls = steps.iter().filter(|it| it["uses"].as_str() == Some(USED));
        let names = calls.flat_map(|it| it["with"].as_hash().unwrap().keys());
        let names: Vec<_> = names.map(|name| name.as_str().unwrap()).collect();
        assert!(names.len() > 2, "{job}: {names:?}");
        for name in names {
            assert!(!action["inputs"][name].is_badvalue(), "{job}: {name}");
        }
    }
}

/// The action as its workflows call it.
const USED: &str = "./examples/github-action";

/// Every end that a step can tell; empty when it was killed before it could tell any.
const ENDS: [&str; 11] = [
    "",
    Outcome::Released.as_str(),
    Outcome::Unchanged.as_str(),
    Outcome::Refused.as_str(),
    Outcome::Superseded.as_str(),
    Outcome::RolledBack.as_str(),
    Outcome::Stuck.as_str(),
    Outcome::Failed.as_str(),
    Outcome::Waiting.as_str(),
    Outcome::Interrupted.as_str(),
    Outcome::Overridden.as_str(),
];

/// What GitHub makes of a step's condition after a ship that ended so. It knows no more of the language
/// than the workflow uses.
fn holds(condition: &str, end: &str, cancelled: bool) -> bool {
    let terms: Vec<_> = condition.split(" && ").collect();
    // Without a function of the status a step is for jobs that are well.
    let runs = !cancelled || terms.contains(&"always()");
    runs && terms.into_iter().filter(|term| *term != "always()").all(|term| {
        let list = term.strip_prefix("contains(fromJSON('").unwrap();
        let list = list.strip_suffix("'), steps.ship.outputs.outcome)").unwrap();
        serde_json::from_str::<Vec<String>>(list).unwrap().iter().any(|it| it == end)
    })
}

/// As the README says: what was cut off is brought to its end, whatever became of the job; after any
/// other end `resume` would take up somebody else's run. The job ends as the ship did.
#[test]
fn what_was_cut_off_is_resumed_and_the_job_ends_as_the_ship_did() {
    let release = yaml("workflows/release.yml");
    let steps = release["jobs"]["release"]["steps"].as_vec().unwrap();
    let at = |verb: &str| steps.iter().position(|it| it["with"]["verb"].as_str() == Some(verb));
    let (ship, resume) = (at("ship").unwrap(), at("resume").unwrap());
    assert!(ship < resume);
    assert_eq!(steps[ship]["id"].as_str(), Some("ship"), "the conditions are about it");
    assert_eq!(steps[ship]["continue-on-error"].as_bool(), Some(true), "75 is no failure");
    assert!(!yaml("action.yml")["outputs"]["outcome"].is_badvalue());
    assert!(steps[resume]["with"]["run"].is_badvalue(), "a step that was killed has told no run");
    let last = steps.last().unwrap();
    assert_eq!(last["env"]["OUTCOME"].as_str(), Some("${{ steps.ship.outputs.outcome }}"));
    for (end, cancelled) in ENDS.into_iter().flat_map(|end| [(end, false), (end, true)]) {
        let cut_off = ["", "interrupted", "stuck"].contains(&end);
        let resumes = holds(steps[resume]["if"].as_str().unwrap(), end, cancelled);
        assert_eq!(resumes, cut_off, "`{end}`, cancelled: {cancelled}");
        assert!(holds(last["if"].as_str().unwrap(), end, cancelled));
        let mut bash = Command::new("bash");
        bash.args(["-e", "-c", last["run"].as_str().unwrap()]).env("OUTCOME", end);
        let well = ["released", "unchanged", "waiting"].contains(&end);
        assert_eq!(bash.status().unwrap().success(), well, "`{end}`");
    }
}
