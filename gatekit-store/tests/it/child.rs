//! Real processes: this test binary again, doing one thing.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use gatekit_core::RunId;
use gatekit_core::ledger::Ledger as _;
use gatekit_core::process::ProcessIdentity;
use gatekit_store::SqliteLedger;

use crate::support::*;

const ROLE: &str = "GATEKIT_TEST_ROLE";

/// A child that is killed when the test is done with it.
pub(crate) struct Actor {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Actor {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next thing it says.
    pub(crate) fn says(&mut self) -> String {
        loop {
            let line = self.lines.next().expect("it says no more").unwrap();
            // The test harness may have begun the line.
            if let Some((_, said)) = line.split_once('@') {
                return said.to_owned();
            }
        }
    }

    /// Ends it with SIGKILL and leaves it a zombie, which is as dead.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits until it is gone; whether its test passed.
    pub(crate) fn wait(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // It may be gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// This binary in that role; `exe` when it is a copy.
pub(crate) fn command(exe: &Path, role: &str, ledger: &Path) -> Command {
    let mut command = Command::new(exe);
    command.args(["child::entry", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env("GATEKIT_TEST_LEDGER", ledger);
    command
}

pub(crate) fn actor(role: &str, ledger: &Path, run: Option<RunId>) -> Actor {
    let mut command = command(&std::env::current_exe().unwrap(), role, ledger);
    if let Some(run) = run {
        command.env("GATEKIT_TEST_RUN", run.to_string());
    }
    Actor::spawn(&mut command)
}

/// A process that lived and is gone.
pub(crate) fn dead_process() -> ProcessIdentity {
    let mut child = Command::new("sleep").arg("100").spawn().unwrap();
    let identity = ProcessIdentity::of(child.id()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    identity
}

fn say(what: impl std::fmt::Display) {
    println!("@{what}");
}

/// Not a test: what a child does. Without a role there is nothing to do.
#[tokio::test]
async fn entry() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var_os("GATEKIT_TEST_LEDGER").unwrap();
    let run = std::env::var("GATEKIT_TEST_RUN").ok().map(|run| run.parse().unwrap());
    let (role, mut claim) = match role.split_once(' ') {
        Some((role, "both")) => (role, both()),
        Some((role, "second")) => (role, lone()),
        _ => (role.as_str(), claim()),
    };
    claim.run = run.unwrap_or(claim.run);
    let open = || SqliteLedger::builder(&path).durable(true).build();
    let code = |answer: gatekit_core::Result<()>| match answer {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{} {error}", error.code()),
    };
    match role {
        "hold" | "mutate" | "wait" | "suspect" => {
            let ledger = open().unwrap();
            ledger.enqueue(&claim).await.unwrap();
            if role != "wait" {
                let hold = granted(ledger.acquire(&claim, LEASE).await.unwrap());
                if role != "hold" {
                    append(&ledger, &hold, applying()).await.unwrap();
                }
            }
            say("ready");
            std::thread::sleep(Duration::from_secs(600));
        }
        "append" => {
            let ledger = open().unwrap();
            let hold = mutating(&ledger, &claim).await;
            loop {
                say(append(&ledger, &hold, calling()).await.unwrap());
            }
        }
        "compete" => {
            let ledger = open().unwrap();
            ledger.enqueue(&claim).await.unwrap();
            let began = std::time::Instant::now();
            let hold = loop {
                // Nobody ends a child whose test was killed.
                assert!(began.elapsed() < Duration::from_secs(60), "never granted");
                match ledger.acquire(&claim, LEASE).await.unwrap() {
                    gatekit_core::ledger::Acquired::Granted(hold) => break hold,
                    _ => std::thread::sleep(Duration::from_millis(5)),
                }
            };
            append(&ledger, &hold, applying()).await.unwrap();
            append(&ledger, &hold, closed(gatekit_core::Outcome::Released)).await.unwrap();
            say(hold.fence);
        }
        "turn" | "turns" => {
            let ledger = open().unwrap();
            ledger.enqueue(&claim).await.unwrap();
            let mut waits = false;
            let hold = loop {
                match ledger.acquire(&claim, LEASE).await.unwrap() {
                    gatekit_core::ledger::Acquired::Granted(hold) => break hold,
                    _ if waits => {}
                    _ => say("waits"),
                }
                waits = true;
                ledger.wait_for_turn(&claim, Duration::from_secs(600)).await;
            };
            if role == "turns" {
                append(&ledger, &hold, applying()).await.unwrap();
                append(&ledger, &hold, closed(gatekit_core::Outcome::Released)).await.unwrap();
                return say(hold.fence);
            }
            say(hold.fence);
            std::thread::sleep(Duration::from_secs(600));
        }
        "create" => {
            open().unwrap();
            say("ok");
        }
        "open" => say(code(SqliteLedger::open(&path).map(drop))),
        "open_durable" => say(code(open().map(drop))),
        "read" => match SqliteLedger::open_read_only(&path) {
            Ok(Some(ledger)) => say(state(&ledger).await.head),
            Ok(None) => say("none"),
            Err(error) => say(error),
        },
        "default_path" => say(SqliteLedger::default_path().unwrap().display()),
        other => panic!("no role `{other}`"),
    }
}
