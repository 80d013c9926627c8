//! Programs as gates and deployers: real ones, good and bad.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gatekit_core::ledger::{Ledger, MemoryLedger};
use gatekit_core::testing::{apply_context, plan_context};
use gatekit_core::{
    Candidate, Deployer as _, Digest, Effect, Engine, Gate as _, Location, Outcome, Pipeline,
    PlanContext, Rollback as _, StageId, TargetName, Verdict, enforced,
};
use gatekit_local::{Command, CommandDeploy, CommandUndo, Program};
use gatekit_testkit::conformance::deployer::{
    Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth,
};
use gatekit_testkit::conformance::gate::{self, GateSubject, GateWorld, Scene};
use gatekit_testkit::conformance::{deployer, rollback};
use serde_json::json;
use tempfile::TempDir;

pub(crate) fn target() -> TargetName {
    TargetName::new("test/sign").unwrap()
}

pub(crate) fn context(deadline: Duration) -> PlanContext {
    plan_context(&target(), Candidate::new(), &StageId::new("it").unwrap(), deadline)
}

pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) async fn verdict(program: Program) -> Verdict {
    let gate = Command::new("it", program).unwrap();
    match gate.check(&context(LONG)).await {
        Ok(verdict) => verdict,
        Err(error) => error.to_failure().into(),
    }
}

fn code_of(verdict: &Verdict) -> &str {
    verdict.finding().unwrap().code.as_str()
}

#[tokio::test]
async fn exit_code_0_passes_with_the_digest_of_what_was_printed() {
    let Verdict::Pass(proof) = verdict(Program::new("echo").arg("two words")).await else {
        panic!("it passes")
    };
    let evidence = &proof.evidence()[0];
    assert_eq!(evidence.source(), "echo 'two words'");
    assert_eq!(
        (&evidence.facts()["exit"], &evidence.facts()["output_bytes"]),
        (&json!(0), &json!(10))
    );
    // As `sha256sum` has it.
    let stdout = "3ba81c80b8b23ead1ff322d46b1f7d70b5503096a5df33c1cd7013639adf1692";
    assert_eq!(evidence.digest().as_str(), stdout);
    assert_eq!(evidence.facts()["stderr"], json!(Digest::of("")));
    let Verdict::Pass(proof) = verdict(Program::shell("echo out; echo err >&2")).await else {
        panic!("it passes")
    };
    assert_eq!(proof.evidence()[0].digest(), &Digest::of("out\n"));
    assert_eq!(proof.evidence()[0].facts()["stderr"], json!(Digest::of("err\n")));
}

#[tokio::test]
async fn another_exit_code_fails_and_quotes_the_last_lines_without_secrets() {
    let program = Program::shell("seq 1000; echo token: $TOKEN >&2; exit 3");
    let verdict = verdict(program.secret("TOKEN", "s3cr3t".into())).await;
    assert!(matches!(verdict, Verdict::Fail(_)), "{verdict:?}");
    let message = &verdict.finding().unwrap().message;
    assert!(message.contains("exit code 3") && message.contains("\n1000\ntoken: ***"), "{message}");
    assert!(!message.contains("s3cr3t") && !message.contains("\n900\n"), "{message}");
}

#[tokio::test]
async fn what_tells_nothing_is_inconclusive() {
    let hangs = Program::new("sleep").arg("300").limit(Duration::from_millis(300));
    for (program, code) in [
        (Program::new("/no/such/program"), "command.not_started"),
        (Program::new("true").dir("/no/such/dir"), "command.not_started"),
        (Program::new(""), "command.not_started"),
        (Program::shell("kill -9 $$"), "command.signal"),
        (hangs, "command.timeout"),
    ] {
        let verdict = verdict(program).await;
        assert!(matches!(verdict, Verdict::Inconclusive(_)), "{verdict:?}");
        assert_eq!(code_of(&verdict), code);
    }
}

#[tokio::test]
async fn only_what_is_listed_is_inherited() {
    let program =
        Program::shell("[ -n \"$PATH\" ] && [ -z \"$CARGO_MANIFEST_DIR\" ] && [ $A = b ]");
    assert!(verdict(program.clone().env("A", "b")).await.is_pass());
    let inherits = program.env("A", "b").inherit("CARGO_MANIFEST_DIR");
    assert!(!verdict(inherits).await.is_pass());
}

#[tokio::test]
async fn a_flood_of_what_is_no_text_is_hashed_and_not_kept() {
    let verdict = verdict(Program::shell("head -c 50000000 /dev/urandom; exit 1")).await;
    let message = &verdict.finding().unwrap().message;
    assert!(message.len() < 20_000, "{}", message.len());
    let facts = verdict.finding().unwrap().evidence[0].facts();
    assert_eq!(facts["output_bytes"], 50_000_000);
}

/// Writes its pid, leaves the process group and the session, and ignores what it can.
const ESCAPES: &str = "setsid sh -c 'trap \"\" TERM HUP; echo $$ > pid; exec sleep 300' & ";

pub(crate) async fn pid_in(dir: &Path, file: &str) -> u32 {
    loop {
        let written = fs::read_to_string(dir.join(file)).ok();
        if let Some(pid) = written.and_then(|text| text.trim().parse().ok()) {
            return pid;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

pub(crate) async fn ends(pid: u32) {
    let begun = Instant::now();
    while runs(pid) {
        assert!(begun.elapsed() < LONG, "{pid} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_a_program_has_started_is_ended_with_it() {
    for (rest, limit, code) in [
        ("wait", Duration::from_millis(800), Some("command.timeout")),
        // It ends by itself, while its child has its output.
        ("while [ ! -s pid ]; do sleep 0.01; done; true", LONG, None),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let program = Program::shell(format!("{ESCAPES}{rest}")).dir(dir.path()).limit(limit);
        let verdict = verdict(program).await;
        assert_eq!(verdict.finding().map(|finding| finding.code.as_str()), code, "{verdict:?}");
        ends(pid_in(dir.path(), "pid").await).await;
    }
}

#[tokio::test]
async fn a_gate_that_is_dropped_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let gate =
        Command::new("it", Program::shell(format!("{ESCAPES}wait")).dir(dir.path())).unwrap();
    let cx = context(LONG);
    let pid = tokio::select! {
        verdict = gate.check(&cx) => panic!("{verdict:?}"),
        pid = pid_in(dir.path(), "pid") => pid,
    };
    ends(pid).await;
}

#[tokio::test]
async fn what_forks_for_ever_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let forks = "echo 'sleep 0.02; setsid sh ./f &' > f; setsid sh ./f & sleep 300";
    let program = Program::shell(forks).dir(dir.path()).limit(Duration::from_millis(400));
    assert_eq!(code_of(&verdict(program).await), "command.timeout");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let named = |pid: &str| {
        let cwd = fs::read_link(format!("/proc/{pid}/cwd")).ok();
        cwd.is_some_and(|cwd| cwd == dir.path())
    };
    let left = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert_eq!(left.filter(|pid| named(pid)).count(), 0);
}

#[derive(Debug)]
struct Checks;

#[async_trait]
impl GateSubject for Checks {
    type World = Checked;

    fn capability(&self) -> gate::Capability {
        gate::Capability::new().with_hanging().with_patience(Duration::from_secs(30))
    }

    async fn world(&self) -> Checked {
        let checked = Checked(tempfile::tempdir().unwrap());
        checked.show(Scene::Passes).await;
        checked
    }
}

#[derive(Debug)]
struct Checked(TempDir);

#[async_trait]
impl GateWorld for Checked {
    type Gate = Command;

    fn gate(&self) -> Command {
        let program = Program::new("sh").arg("check").dir(self.0.path());
        Command::new("check", program.secret("TOKEN", "CANARY-77".into())).unwrap()
    }

    async fn show(&self, scene: Scene) {
        let script = match scene {
            Scene::Passes => "echo fine",
            Scene::Fails => "echo $TOKEN; exit 1",
            Scene::Unreadable => "kill -9 $$",
            Scene::Hangs => "sleep 300",
            // Not among what it can show.
            Scene::Empty | Scene::Waits => "exit 9",
        };
        fs::write(self.0.path().join("check"), script).unwrap();
    }

    async fn trace(&self) -> Digest {
        Digest::of(fs::read(self.0.path().join("check")).unwrap())
    }

    fn secrets(&self) -> Vec<String> {
        vec!["CANARY-77".to_owned()]
    }
}

#[tokio::test]
async fn a_command_gate_conforms() {
    gate::all(&Checks).await;
}

/// A sign that a script writes.
#[derive(Debug)]
pub(crate) struct Sign {
    home: TempDir,
    ledger: Arc<MemoryLedger>,
}

impl Sign {
    pub(crate) fn new() -> Self {
        let sign = Self { home: tempfile::tempdir().unwrap(), ledger: Arc::default() };
        sign.script(include_str!("../../../examples/command-deploy/sign.sh"));
        sign
    }

    pub(crate) fn script(&self, text: &str) {
        fs::write(self.path("sign.sh"), text).unwrap();
        fs::set_permissions(self.path("sign.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn write(&self, text: &str, run: &str) {
        fs::write(self.path("sign"), json!({"text": text, "run": run}).to_string()).unwrap();
    }

    pub(crate) fn deploy(&self) -> CommandDeploy {
        let sign = self.path("sign").to_str().unwrap().to_owned();
        let program = Program::new(self.path("sign.sh")).env("SIGN", sign);
        CommandDeploy::new("sign", program.secret("TOKEN", "CANARY-78".into())).unwrap()
    }

    pub(crate) fn pipeline(&self) -> Pipeline {
        let deploy = self.deploy();
        let undo = deploy.undo();
        Pipeline::to("test/sign").deploy(deploy).rollback_with(undo).build().unwrap()
    }
}

#[derive(Debug)]
struct Signs;

#[async_trait]
impl DeployerSubject for Signs {
    type World = Sign;

    fn capability(&self) -> Capability {
        Capability::new().with_others().starting_empty()
    }

    async fn world(&self, live: Start) -> Sign {
        let sign = Sign::new();
        if live == Start::Old {
            sign.write("old", "an earlier run");
        }
        sign
    }
}

#[async_trait]
impl DeployerWorld for Sign {
    type Deployer = CommandDeploy;
    type Rollback = CommandUndo;

    fn target(&self) -> TargetName {
        target()
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::<MemoryLedger>::clone(&self.ledger)
    }

    fn candidate(&self, release: Release) -> Candidate {
        Candidate::new().with_version(if release == Release::Old { "old" } else { "new" })
    }

    fn deployer(&self, _: Release) -> CommandDeploy {
        self.deploy()
    }

    fn rollback(&self, _: Release) -> CommandUndo {
        self.deploy().undo()
    }

    async fn truth(&self) -> Truth {
        let Ok(text) = fs::read(self.path("sign")) else { return Truth::Nothing };
        let sign: serde_json::Value = serde_json::from_slice(&text).unwrap();
        match sign["text"].as_str() {
            Some("old") => Truth::Old,
            Some("new") => Truth::New,
            Some("theirs") => Truth::Others,
            _ => Truth::Partly(sign.to_string()),
        }
    }

    async fn trace(&self) -> Trace {
        Trace::of_state(Digest::of(fs::read(self.path("sign")).unwrap_or_default()))
    }

    fn secrets(&self) -> Vec<String> {
        vec!["CANARY-78".to_owned()]
    }

    async fn somebody_else_releases(&self) {
        self.write("theirs", "theirs");
    }

    async fn make_one_way(&self) {}
}

#[tokio::test]
async fn a_script_conforms_as_a_deployer() {
    deployer::all(&Signs).await;
}

#[tokio::test]
async fn a_script_conforms_as_a_rollback() {
    rollback::all(&Signs).await;
}

#[tokio::test]
async fn a_script_ships_and_rolls_back() {
    let sign = Sign::new();
    let engine = Engine::new(sign.ledger());
    for version in ["v1", "v2"] {
        let report = engine.ship(&sign.pipeline(), Candidate::new().with_version(version)).await;
        assert_eq!(report.outcome, Outcome::Released, "{report:?}");
        assert_eq!(report.live.unwrap().release, version);
    }
    let report = engine.roll_back(&sign.pipeline(), None, "it is misspelt").await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(report.live.unwrap().release, "v1");
}

#[tokio::test]
async fn what_a_script_calls_one_way_is_refused_before_it_is_applied() {
    let sign = Sign::new();
    sign.script(
        "#!/bin/sh\ncase $1 in\n\
         plan) echo '{\"change\": 1, \"scope\": 1, \"summary\": \"s\", \"one_way\": \"no backup\"}';;\n\
         live) echo '{\"live\": null}';; *) echo '{\"at\": \"before\"}';; esac\n",
    );
    let report = Engine::new(sign.ledger()).ship(&sign.pipeline(), Candidate::new()).await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    assert_eq!(report.failure.unwrap().code.as_str(), "rollback.one_way");
    let change = serde_json::from_value(json!({"change": 1, "one_way": "no backup"})).unwrap();
    assert!(matches!(
        sign.deploy().undo().reversibility(&change),
        gatekit_core::Reversibility::OneWay(why) if why == "no backup"
    ));
}

#[tokio::test]
async fn nothing_is_undone_over_another_release_nor_what_goes_one_way() {
    for (at, one_way, code) in [
        (json!({"at": "elsewhere", "live": {"release": "theirs"}}), None, "command.elsewhere"),
        (json!({"at": "after"}), Some("no backup"), "command.one_way"),
    ] {
        let sign = Sign::new();
        let undone = sign.path("undone");
        sign.script(&format!(
            "#!/bin/sh\n[ $1 = undo ] && touch {}\necho '{at}'\n",
            undone.display()
        ));
        let cx = apply_context(&context(LONG), sign.ledger(), LONG).await.unwrap();
        let change = serde_json::from_value(json!({"change": {}, "one_way": one_way})).unwrap();
        let error = sign.deploy().undo().roll_back(&cx, &change, None).await.unwrap_err();
        assert_eq!((error.code().as_str(), error.effect()), (code, Effect::None), "{error}");
        assert!(!undone.exists());
    }
}

#[tokio::test]
async fn a_gate_in_a_pipeline_stops_a_release() {
    let sign = Sign::new();
    let deploy = sign.deploy();
    let undo = deploy.undo();
    let pipeline = Pipeline::to("test/sign")
        .gate(enforced(Command::new("tests", Program::new("false")).unwrap()))
        .deploy(deploy)
        .rollback_with(undo)
        .build()
        .unwrap();
    let report =
        Engine::new(sign.ledger()).ship(&pipeline, Candidate::new().with_version("v")).await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    assert!(!sign.path("sign").exists());
    let candidate = Candidate::new().with_version("v");
    let cx = plan_context(&target(), candidate, &StageId::new("it").unwrap(), LONG);
    let change = sign.deploy().plan(&cx).await.unwrap().change;
    assert_eq!(sign.deploy().locate(&cx, &change, None).await.unwrap(), Location::Before);
}
