//! What a program has started, after the program, after its gatekit, and after a takeover.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::{Decision, Hold, Ledger as _, MemoryLedger};
use gatekit_core::testing::apply_context;
use gatekit_core::{
    ApplyContext, Candidate, Deployer as _, Effect, Engine, Gate as _, Outcome, Pipeline,
    PlanContext, Rollback as _, RunId, TargetName,
};
use gatekit_local::{Command, CommandChange, CommandDeploy, Program};
use gatekit_store::SqliteLedger;
use serde_json::json;
use tempfile::TempDir;

use crate::command::{LONG, context, ends, pid_in, runs, verdict};

/// The directory of the test, for a process that is a part of it.
const PART: &str = "GATEKIT_TEST_PART";

/// Something that leaves the process group and the session, and writes once it may.
const WRITES_LATER: &str =
    "setsid sh -c 'echo $$ > late; until [ -e go ]; do sleep 0.02; done; echo new > sign'";

/// A place that a script writes a sign at.
struct Place(PathBuf);

impl Place {
    fn at(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// A script that applies and undoes so.
    fn new(dir: &TempDir, apply: &str, undo: &str) -> Self {
        let place = Self::at(dir.path());
        let script = format!(
            "#!/bin/sh\ncase $1 in\n\
             plan) echo '{{\"change\": {{}}, \"scope\": 1, \"summary\": \"s\"}}' ;;\n\
             live) echo '{{\"live\": null}}' ;;\n\
             locate) if grep -q new sign; then at=after; else at=before; fi\n\
             echo \"{{\\\"at\\\": \\\"$at\\\"}}\" ;;\n\
             apply) {apply} ;;\nundo) {undo} ;;\nesac\n"
        );
        fs::write(place.0.join("sign"), "old").unwrap();
        fs::write(place.0.join("script"), script).unwrap();
        fs::set_permissions(place.0.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
        place
    }

    fn deploy(&self) -> CommandDeploy {
        let program = Program::new(self.0.join("script")).dir(&self.0);
        CommandDeploy::new("sign", program).unwrap()
    }

    fn engine(&self) -> Engine {
        Engine::new(Arc::new(SqliteLedger::open(self.0.join("ledger.db")).unwrap()))
    }

    fn pipeline(&self) -> Pipeline {
        let deploy = self.deploy();
        let undo = deploy.undo();
        Pipeline::to("test/sign").deploy(deploy).rollback_with(undo).build().unwrap()
    }

    /// The run that was left in the middle.
    async fn run(&self) -> RunId {
        let target = TargetName::new("test/sign").unwrap();
        self.engine().pending(&target).await.unwrap().unwrap().run
    }

    async fn pid(&self, file: &str) -> u32 {
        pid_in(&self.0, file).await
    }

    fn has(&self, file: &str) -> bool {
        self.0.join(file).exists()
    }
}

fn change() -> CommandChange {
    serde_json::from_value(json!({"change": {}, "one_way": null})).unwrap()
}

/// Contexts of one run, one after the other: as of processes that take each other's run over.
struct Run {
    plan: PlanContext,
    ledger: Arc<MemoryLedger>,
}

impl Run {
    fn new() -> Self {
        Self { plan: context(LONG), ledger: Arc::default() }
    }

    async fn hold(&self) -> ApplyContext {
        let ledger = Arc::<MemoryLedger>::clone(&self.ledger);
        apply_context(&self.plan, ledger, LONG).await.unwrap()
    }

    async fn let_go(&self, cx: &ApplyContext) {
        let hold = Hold::new(cx.target().clone(), cx.run(), cx.fence().unwrap(), LONG);
        assert!(self.ledger.release(&hold).await.unwrap());
    }
}

/// A part of this test in a process of its own, which is then no parent of what that starts.
fn part(test: &str, dir: &Path) -> Child {
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args([&format!("orphans::{test}"), "--exact", "--nocapture"]).env(PART, dir);
    program.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).spawn().unwrap()
}

/// The directory, when this process is a part of that test.
fn is_part() -> Option<Place> {
    std::env::var_os(PART).map(|dir| Place::at(Path::new(&dir)))
}

/// Kills gatekit in the middle of an `apply` that others of its own go on with.
async fn killed_in_the_middle(test: &str, apply: &str) -> (TempDir, Place) {
    let dir = tempfile::tempdir().unwrap();
    let apply = format!(
        "if [ -e pid ]; then {apply}; else {WRITES_LATER} & echo $$ > pid;\n\
         until [ -e go ]; do sleep 0.02; done; fi; echo new > sign; echo '{{\"receipt\": 1}}'"
    );
    let place = Place::new(&dir, &apply, "echo old > sign; echo '{}'");
    let mut gatekit = part(test, dir.path());
    for file in ["pid", "late"] {
        place.pid(file).await;
    }
    gatekit.kill().unwrap();
    gatekit.wait().unwrap();
    (dir, place)
}

/// Nothing that would still write when it may.
async fn nothing_writes(place: &Place) {
    for file in ["pid", "late"] {
        let pid = place.pid(file).await;
        assert!(!runs(pid), "{file} runs on");
    }
}

#[tokio::test]
async fn what_was_settled_is_not_written_to_by_the_call_of_a_killed_gatekit() {
    if let Some(part) = is_part() {
        let report = part.engine().ship(&part.pipeline(), Candidate::new()).await;
        panic!("it was not killed: {report:?}");
    }
    let test = "what_was_settled_is_not_written_to_by_the_call_of_a_killed_gatekit";
    let (_dir, place) = killed_in_the_middle(test, "true").await;
    let (engine, run) = (place.engine(), place.run().await);
    let settled =
        engine.reconcile(&place.pipeline(), run, Some(Decision::RollBack), "it was killed").await;
    nothing_writes(&place).await;
    assert_eq!(settled.outcome, Outcome::RolledBack, "{settled:?}");
    fs::write(place.0.join("go"), "").unwrap();
    assert_eq!(fs::read_to_string(place.0.join("sign")).unwrap().trim(), "old");
}

#[tokio::test]
async fn a_resumed_run_applies_only_once_the_call_of_a_killed_gatekit_is_gone() {
    if let Some(part) = is_part() {
        let report = part.engine().ship(&part.pipeline(), Candidate::new()).await;
        panic!("it was not killed: {report:?}");
    }
    let test = "a_resumed_run_applies_only_once_the_call_of_a_killed_gatekit_is_gone";
    let overlap = "for f in pid late; do s=/proc/$(cat $f)/stat;\n\
                   if [ -e $s ] && ! grep -q ') Z ' $s; then echo $f >> overlap; fi; done";
    let (_dir, place) = killed_in_the_middle(test, overlap).await;
    let resumed = place.engine().resume(&place.pipeline(), place.run().await).await;
    assert!(!place.has("overlap"), "two calls at once");
    assert_eq!(resumed.outcome, Outcome::Released, "{resumed:?}");
    nothing_writes(&place).await;
}

#[tokio::test]
async fn a_failed_write_leaves_nothing_behind_that_writes_later() {
    for ends_so in [
        "exit 1",
        "echo nonsense",
        "echo '{}'",
        "echo '{\"receipt\": null}'",
        "echo '{\"error\": {\"message\": \"no\"}}'",
        "kill -9 $$",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let wait = "until [ -s late ]; do sleep 0.01; done";
        let does = format!("{WRITES_LATER} & {wait}; {ends_so}");
        let undo = if ends_so.contains('{') { "exit 1" } else { ends_so };
        let place = Place::new(&dir, &does, &format!("{WRITES_LATER} & {wait}; {undo}"));
        let run = Run::new();
        let cx = run.hold().await;
        let error = place.deploy().apply(&cx, &change(), None).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown, "{ends_so}: {error}");
        assert!(!runs(place.pid("late").await), "{ends_so}");
        fs::remove_file(place.0.join("late")).unwrap();
        fs::write(place.0.join("sign"), "new").unwrap();
        place.deploy().undo().roll_back(&cx, &change(), None).await.unwrap_err();
        assert!(!runs(place.pid("late").await), "{ends_so}: undo");
    }
}

/// Starts a service that has the call's output, and answers just in time.
const SERVES: &str = "setsid sh -c 'echo $$ > late; exec sleep 300' & \
                      until [ -s late ]; do sleep 0.01; done; echo new > sign; echo '{\"receipt\": 1}'";

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn what_a_successful_write_has_started_lives_on_whoever_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(&dir, SERVES, "echo '{}'");
    let run = Run::new();
    let cx = run.hold().await;
    assert_eq!(place.deploy().apply(&cx, &change(), None).await.unwrap(), json!(1));
    let service = place.pid("late").await;
    // The same holder, and one that takes another run over.
    place.deploy().fence_off(&cx).await.unwrap();
    run.let_go(&cx).await;
    let other = Run { plan: context(LONG), ledger: Arc::clone(&run.ledger) };
    let cx = other.hold().await;
    place.deploy().fence_off(&cx).await.unwrap();
    other.let_go(&cx).await;
    // And one that takes this very run over, once the call has succeeded.
    place.deploy().fence_off(&run.hold().await).await.unwrap();
    assert!(runs(service));
    kill(service);
}

#[tokio::test]
async fn a_call_of_an_older_fence_is_ended_and_what_ignores_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    // Of the three one keeps neither environment nor signal, but the process group.
    let apply = format!(
        "trap '' TERM; {WRITES_LATER} & \
         env -i /bin/sh -c 'trap \"\" TERM; echo $$ > bare; exec /bin/sleep 300' & \
         until [ -s late ] && [ -s bare ]; do sleep 0.01; done; echo $$ > pid; \
         while true; do sleep 0.05; done"
    );
    let place = Place::new(&dir, &apply, "true");
    let run = Run::new();
    let (older, deploy, changed) = (run.hold().await, place.deploy(), change());
    let mut apply = Box::pin(deploy.apply(&older, &changed, None));
    let begun =
        async { (place.pid("pid").await, place.pid("late").await, place.pid("bare").await) };
    let (one, two, three) = tokio::select! {
        applied = &mut apply => panic!("{applied:?}"),
        pids = begun => pids,
    };
    // From here on the old holder is not polled: it is stopped.
    run.let_go(&older).await;
    let newer = run.hold().await;
    deploy.fence_off(&newer).await.unwrap();
    for pid in [one, two, three] {
        assert!(!runs(pid));
    }
    deploy.fence_off(&newer).await.unwrap();
    assert_eq!(apply.await.unwrap_err().effect(), Effect::Unknown);
}

#[tokio::test]
async fn who_keeps_the_process_group_alone_is_ended_too() {
    let bare = "env -i /bin/sh -c 'trap \"\" TERM; echo $$ > pid; exec /bin/sleep 300' & ";
    for (rest, limit, code) in [
        ("wait", Duration::from_millis(800), Some("command.timeout")),
        ("until [ -s pid ]; do sleep 0.01; done; true", LONG, None),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let program = Program::shell(format!("{bare}{rest}")).dir(dir.path()).limit(limit);
        let verdict = verdict(program).await;
        assert_eq!(verdict.finding().map(|finding| finding.code.as_str()), code, "{verdict:?}");
        let pid = pid_in(dir.path(), "pid").await;
        ends(pid).await;
    }
}

#[tokio::test]
async fn what_a_nested_gatekit_has_started_is_ended_with_the_outer_program() {
    let gate = |dir: &Path, program: Program| {
        Command::new("it", program.dir(dir).limit(Duration::from_secs(3))).unwrap()
    };
    if let Some(part) = is_part() {
        let inner = Program::shell("echo $$ > pid; exec sleep 300").dir(&part.0);
        let _ = Command::new("it", inner).unwrap().check(&context(LONG)).await;
        return;
    }
    let test = "orphans::what_a_nested_gatekit_has_started_is_ended_with_the_outer_program";
    let dir = tempfile::tempdir().unwrap();
    let nested = Program::new(std::env::current_exe().unwrap()).args([test, "--exact"]);
    let nested = nested.env(PART, dir.path().to_str().unwrap());
    let verdict = gate(dir.path(), nested).check(&context(LONG)).await.unwrap();
    assert_eq!(verdict.finding().unwrap().code.as_str(), "command.timeout");
    let pid = pid_in(dir.path(), "pid").await;
    ends(pid).await;
}

/// The output stays open beyond the limit; the program does not.
#[tokio::test]
async fn who_ends_in_time_is_not_late_because_of_what_has_its_output() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(&dir, &format!("{SERVES}; sleep 1.6"), "echo '{}'");
    let program = Program::new(dir.path().join("script")).dir(dir.path());
    let deploy = CommandDeploy::new("sign", program.limit(Duration::from_secs(2))).unwrap();
    let run = Run::new();
    let applied = deploy.apply(&run.hold().await, &change(), None).await;
    let service = place.pid("late").await;
    assert_eq!(applied.unwrap(), json!(1));
    assert!(runs(service));
    kill(service);
}
