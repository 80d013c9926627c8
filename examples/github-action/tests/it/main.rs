//! The action's program in a step, as its workflow calls it. GitHub itself is not here: the step is
//! the environment and the files that it gives.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use gatekit::Outcome;
use gatekit_peers::{Via, new_database};
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

/// The script that the examples share; it needs jq.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../command-deploy/sign.sh");
const TOKEN: &str = "canary-of-the-sign";

/// A runner's folder, and where the ledger is.
struct Place {
    dir: TempDir,
    ledger: String,
}

impl Place {
    /// With a ledger of its own.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = format!("sqlite:{}?durable=true", dir.path().join("ledger.db").display());
        Self { dir, ledger }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

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

/// The script of the action in a step, as `actor`.
fn script(place: &Place, actor: &str, verb: &str, text: &str, run: &str) -> Command {
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", &script_of_the_action()]);
    bash.env("SIGN_ACTION", env!("CARGO_BIN_EXE_sign-action"));
    bash.env("VERB", verb).env("TEXT", text).env("RUN", run);
    in_a_step(&mut bash, place, actor);
    bash
}

/// Gives a program what a step has.
fn in_a_step(program: &mut Command, runner: &Place, actor: &str) {
    let place = runner.path();
    program.env("GATEKIT_ACTOR", actor).env("SIGN_TOKEN", TOKEN).env("SIGN_SCRIPT", SCRIPT);
    program.env("SIGN_FILE", place.join("sign.json")).env("GITHUB_ACTIONS", "true");
    program.env("GATEKIT_LEDGER", &runner.ledger).stdin(Stdio::null());
    program.env("GITHUB_OUTPUT", file(place, "outputs"));
    program.env("GITHUB_STEP_SUMMARY", file(place, "summary"));
}

/// What the files of the step say by now, and what its program printed.
fn left(place: &Place, exit: Option<i32>, log: String) -> Step {
    let read = |name| fs::read_to_string(place.path().join(name)).unwrap();
    Step { exit, log, outputs: read("outputs"), summary: read("summary") }
}

/// A step of the action, as `actor`.
fn step(place: &Place, actor: &str, verb: &str, text: &str, run: &str) -> Step {
    let done = script(place, actor, verb, text, run).output().unwrap();
    let log = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    left(place, done.status.code(), log)
}

#[test]
fn a_release_waits_for_a_word_from_somebody_else_and_is_told_in_its_steps() {
    let place = Place::new();
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

/// Runners come and go: what they share is the ledger alone.
#[test]
fn a_release_is_approved_on_another_runner() {
    let url = new_database(Via::Pooler).unwrap();
    let runner = || Place { ledger: url.clone(), ..Place::new() };
    let (ships, approves) = (runner(), runner());
    let shipped = step(&ships, "ann", "ship", "open", "");
    assert_eq!(shipped.output("outcome"), Some("waiting"), "{}", shipped.log);
    let run = shipped.output("run").unwrap();
    let word = step(&approves, "bea", "approve", "", run);
    assert_eq!(word.exit, Some(0), "{}", word.log);
    let resumed = step(&ships, "bea", "resume", "", run);
    assert_eq!(resumed.output("outcome"), Some("released"), "{}", resumed.log);
}

#[test]
fn a_release_that_is_rejected_ends_refused() {
    let place = Place::new();
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

/// A step may be called by hand, and by a script that captures what it prints.
#[test]
fn a_secret_is_told_to_the_runner_and_to_nobody_else() {
    let call = |name: &str, value: Option<&str>| {
        let place = Place::new();
        let mut program = Command::new(env!("CARGO_BIN_EXE_sign-action"));
        program.args(["ship", "--text", "open"]).args(name.split_whitespace());
        in_a_step(&mut program, &place, "ann");
        match value {
            Some(value) => program.env("GITHUB_ACTIONS", value),
            None => program.env_remove("GITHUB_ACTIONS"),
        };
        let done = program.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(done.stdout), text(done.stderr))
    };
    for value in [None, Some(""), Some("false")] {
        let (stdout, stderr) = call("", value);
        assert!(stdout.contains("waiting"), "{value:?}: {stdout}{stderr}");
        assert!(!stdout.contains(TOKEN) && !stderr.contains(TOKEN), "{value:?}: {stdout}{stderr}");
        assert!(!stderr.contains("::group::"), "{value:?}: nobody reads commands: {stderr}");
    }
    let (stdout, stderr) = call("--output json", Some("true"));
    assert!(stderr.starts_with(&format!("::add-mask::{TOKEN}\n")), "{stderr}");
    assert!(!stdout.contains(TOKEN), "{stdout}");
    for line in stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

/// As a job that is killed leaves it: the run that it opened can still be named.
#[test]
fn a_step_that_is_killed_has_told_its_run_and_no_end() {
    let place = Place::new();
    // A plan that takes as long as this file is there, or longer than any step needs to tell its run.
    let (slow, hold) = (place.path().join("slow.sh"), file(place.path(), "sign.json.hold"));
    let wait = "for _ in $(seq 300); do [ ! -e \"$SIGN.hold\" ] || sleep 0.1; done";
    fs::write(&slow, format!("#!/bin/sh\n{wait}\nexec {SCRIPT} \"$@\"\n")).unwrap();
    fs::set_permissions(&slow, fs::metadata(SCRIPT).unwrap().permissions()).unwrap();
    let mut ship = script(&place, "ann", "ship", "open", "");
    let mut ship = ship.env("SIGN_SCRIPT", slow).stderr(Stdio::null()).spawn().unwrap();
    let told = || left(&place, None, String::new());
    let ended = loop {
        let ended = ship.try_wait().unwrap();
        if ended.is_some() || told().output("run").is_some_and(|run| run.len() == 36) {
            break ended;
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(ended, None, "it has told its run before its end");
    ship.kill().unwrap();
    ship.wait().unwrap();
    fs::remove_file(hold).unwrap();
    assert_eq!(told().output("outcome"), None);
    let run = told().output("run").unwrap().to_owned();
    let resumed = step(&place, "ann", "resume", "", &run);
    assert_eq!(resumed.output("run"), Some(run.as_str()), "{}", resumed.log);
    assert_eq!(resumed.output("outcome"), Some("waiting"), "{}", resumed.log);
}

/// Why the workflow names the run: without a name it would be whichever is pending.
#[test]
fn a_run_that_has_ended_is_not_taken_for_the_one_that_waits() {
    let place = Place::new();
    let first = step(&place, "ann", "ship", "open", "");
    let first = first.output("run").unwrap();
    step(&place, "bea", "reject", "", first);
    step(&place, "bea", "resume", "", first);
    let other = step(&place, "carl", "ship", "closed", "");
    let other = other.output("run").unwrap();
    step(&place, "bea", "approve", "", other);
    let resumed = step(&place, "ann", "resume", "", first);
    assert_eq!(resumed.output("run"), Some(first), "{}", resumed.log);
    assert!(
        !place.path().join("sign.json").exists(),
        "somebody else's run goes on: {}",
        resumed.log
    );
    let resumed = step(&place, "carl", "resume", "", other);
    assert_eq!(resumed.output("outcome"), Some("released"), "{}", resumed.log);
}

/// Every outcome that a step writes. Empty where it has written none: it was killed before it could.
const ENDS: [&str; 12] = [
    "",
    "usage",
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

/// What GitHub makes of a step's condition after a ship that ended so, and has told that run. It knows
/// no more of the language than the workflow uses.
fn holds(condition: &str, end: &str, run: &str, cancelled: bool) -> bool {
    let terms: Vec<_> = condition.split(" && ").collect();
    // Without a function of the status a step is for jobs that are well.
    let runs = !cancelled || terms.contains(&"always()");
    runs && terms.into_iter().filter(|term| *term != "always()").all(|term| {
        if term == "steps.ship.outputs.run != ''" {
            return !run.is_empty();
        }
        let list = term.strip_prefix("contains(fromJSON('").unwrap();
        let list = list.strip_suffix("'), steps.ship.outputs.outcome)").unwrap();
        serde_json::from_str::<Vec<String>>(list).unwrap().iter().any(|it| it == end)
    })
}

/// As the README says: a run of this job that was cut off is brought to its end, whatever became of the
/// job; where the ship told no run, or another end, there is none. The job ends as the ship did.
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
    assert_eq!(steps[resume]["with"]["run"].as_str(), Some("${{ steps.ship.outputs.run }}"));
    let last = steps.last().unwrap();
    assert_eq!(last["env"]["OUTCOME"].as_str(), Some("${{ steps.ship.outputs.outcome }}"));
    for (end, cancelled) in ENDS.into_iter().flat_map(|end| [(end, false), (end, true)]) {
        let cut_off = ["", "interrupted", "stuck"].contains(&end);
        for run in ["", "01a20020-ae55-776c-9cb3-699ab7244b58"] {
            let resumes = holds(steps[resume]["if"].as_str().unwrap(), end, run, cancelled);
            let own = cut_off && !run.is_empty();
            assert_eq!(resumes, own, "`{end}` of `{run}`, cancelled: {cancelled}");
            assert!(holds(last["if"].as_str().unwrap(), end, run, cancelled));
        }
        let mut bash = Command::new("bash");
        bash.args(["-e", "-c", last["run"].as_str().unwrap()]).env("OUTCOME", end);
        let well = ["released", "unchanged", "waiting"].contains(&end);
        assert_eq!(bash.status().unwrap().success(), well, "`{end}`");
    }
}

/// Whoever reads the outcome has to know every word that it may be.
#[test]
fn the_action_describes_every_outcome() {
    let action = yaml("action.yml");
    let told = action["outputs"]["outcome"]["description"].as_str().unwrap();
    for end in ENDS.into_iter().filter(|end| !end.is_empty()).chain(["empty"]) {
        assert!(told.contains(end), "`{end}` is not in: {told}");
    }
}
