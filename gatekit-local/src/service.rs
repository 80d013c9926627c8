//! The managed service: which processes it is, how it is started, how it is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatekit_core::process::{Liveness, ProcessIdentity};
use gatekit_core::{Effect, Error, Fence, NextAction, Permit, Result, RunId};
use process_wrap::std::{CommandWrap, ProcessSession};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::code;
use crate::durable::{VERSION, read_json, write_json};
use crate::error::{Doing as _, refuse};
use crate::fence::Locked;
use crate::layout::Layout;
use crate::platform::{self, Process, TOKEN};
use crate::release::{ReleaseId, Sidecar};

const POLL: Duration = Duration::from_millis(50);

/// How long a killed process may take to vanish: only one in the kernel's hands takes longer.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// `service.json`: the start that was made last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) v: u32,
    pub(crate) token: String,
    pub(crate) release: ReleaseId,
    pub(crate) start: String,
    /// `None` until the process exists. Its command begins only after this is on the disk.
    pub(crate) leader: Option<ProcessIdentity>,
    pub(crate) run: RunId,
    pub(crate) fence: Fence,
}

impl Record {
    pub(crate) fn read(layout: &Layout) -> Result<Option<Self>> {
        read_json(&layout.service())
    }
}

/// What of the root's services is running.
#[derive(Debug, Clone)]
pub(crate) enum Service {
    /// No process at all.
    Nobody,
    /// The started process lives, and nothing else that is not part of it.
    Runs(Box<Record>, ProcessIdentity),
    /// Processes of a service without the one that was started, or of several services.
    Leftovers(Vec<u32>),
    /// It cannot be told.
    Unknown(String),
}

impl Service {
    pub(crate) fn look(layout: &Layout) -> Result<Self> {
        let crew = Crew::of(layout)?;
        let leader = match &crew.leader {
            Some((_, Liveness::Unknown)) => {
                return Ok(Self::Unknown(
                    "the service was started in another pid namespace, or its platform cannot \
                     tell whether it lives"
                        .to_owned(),
                ));
            }
            Some((leader, Liveness::Alive)) => Some(leader.clone()),
            _ => None,
        };
        let members = crew.members(&platform::processes()?, &BTreeMap::new());
        let token = crew.record.as_ref().map(|record| record.token.as_str());
        let strays = members.iter().any(|process| {
            process.token.as_deref().is_some_and(|own| crew.owns(own) && Some(own) != token)
        });
        match (crew.record, leader) {
            (Some(record), Some(leader)) if !strays => Ok(Self::Runs(Box::new(record), leader)),
            (_, None) if members.is_empty() => Ok(Self::Nobody),
            _ => Ok(Self::Leftovers(members.iter().map(|process| process.pid).collect())),
        }
    }

    /// The release whose service runs, and nothing beside it.
    pub(crate) fn release(&self) -> Option<&ReleaseId> {
        match self {
            Self::Runs(record, _) => Some(&record.release),
            _ => None,
        }
    }

    pub(crate) fn members(layout: &Layout) -> Result<Vec<Process>> {
        Ok(Crew::of(layout)?.members(&platform::processes()?, &BTreeMap::new()))
    }
}

/// By what a process is recognised as one of this root's.
#[derive(Debug)]
struct Crew {
    record: Option<Record>,
    leader: Option<(ProcessIdentity, Liveness)>,
    prefix: Option<String>,
}

impl Crew {
    fn of(layout: &Layout) -> Result<Self> {
        let record = Record::read(layout)?;
        let leader = record.as_ref().and_then(|record| record.leader.clone());
        let leader = leader.map(|leader| (leader.clone(), leader.liveness()));
        Ok(Self { record, leader, prefix: layout.token_prefix()? })
    }

    /// Whether a token is one of this root's.
    fn owns(&self, token: &str) -> bool {
        self.record.as_ref().is_some_and(|record| record.token == token)
            || self.prefix.as_ref().is_some_and(|prefix| token.starts_with(prefix.as_str()))
    }

    /// Whether a process is ours by itself: it is the recorded leader, or carries our token.
    fn proves(&self, process: &Process) -> bool {
        process.token.as_deref().is_some_and(|token| self.owns(token)) || self.leads(process)
    }

    fn leads(&self, process: &Process) -> bool {
        self.leader.as_ref().is_some_and(|(leader, liveness)| {
            *liveness == Liveness::Alive
                && leader.pid == process.pid
                && leader.started == Some(process.started)
        })
    }

    /// All processes of the service: those that prove themselves, those that were proven before,
    /// and those in the leader's session.
    ///
    /// A session's number names the leader's session only as long as a process that was proven to
    /// be in it lives: the kernel gives the number to nobody else until then.
    fn members(&self, all: &[Process], proven: &BTreeMap<u32, u64>) -> Vec<Process> {
        let known = |process: &Process| {
            self.proves(process) || proven.get(&process.pid) == Some(&process.started)
        };
        let session = self.leader.as_ref().map(|(leader, _)| leader.pid).filter(|session| {
            all.iter().any(|process| process.session == *session && known(process))
        });
        all.iter()
            .filter(|process| known(process) || Some(process.session) == session)
            .cloned()
            .collect()
    }
}

/// What this process remembers of the services it started.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<BTreeMap<String, Started>>);

#[derive(Debug, Clone, Copy)]
struct Started {
    at: Instant,
    exit: Option<ExitStatus>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Started>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, token: &str) {
        let exit = self.lock().get(token).and_then(|started| started.exit);
        self.lock().insert(token.to_owned(), Started { at: Instant::now(), exit });
    }

    fn end(&self, token: &str, exit: ExitStatus) {
        let at = self.lock().get(token).map_or_else(Instant::now, |started| started.at);
        self.lock().insert(token.to_owned(), Started { at, exit: Some(exit) });
    }

    /// How the service ended, if this process was its parent.
    pub(crate) fn exit(&self, token: &str) -> Option<ExitStatus> {
        self.lock().get(token).and_then(|started| started.exit)
    }

    /// Since when the start command runs. A process that did not start it goes by the age of the
    /// process, which is a little more.
    pub(crate) fn age(&self, token: &str, leader: &ProcessIdentity) -> Duration {
        let started = self.lock().get(token).copied();
        started
            .map(|started| started.at.elapsed())
            .or_else(|| platform::age(leader))
            .unwrap_or_default()
    }
}

/// Waits for the word to go, so that no instruction of the start command runs before the identity of
/// its process is on the disk; should the starter die before, nothing was started.
const LAUNCHER: &str = r#"read -r go || exit 125; exec /bin/sh -c "$1" </dev/null"#;

/// Starts a release's service and records who it is.
pub(crate) fn start(
    layout: &Layout,
    permit: &Permit,
    _: &Locked,
    release: &Sidecar,
    memory: &Arc<Memory>,
) -> Result<String> {
    match Service::look(layout)? {
        Service::Nobody => {}
        Service::Unknown(why) => return Err(refuse(code::CANNOT_TELL, why)),
        Service::Runs(..) | Service::Leftovers(_) => {
            return Err(refuse(code::NOT_STARTED, "a service of this root is still running"));
        }
    }
    if !cfg!(target_os = "linux") {
        return Err(refuse(code::PLATFORM, "a service can be managed on Linux only"));
    }
    let prefix = layout.token_prefix()?.unwrap_or_default();
    let token = format!("{prefix}{}", Uuid::new_v4().simple());
    let mut record = Record {
        v: VERSION,
        token: token.clone(),
        release: release.id.clone(),
        start: release.start.clone(),
        leader: None,
        run: permit.run(),
        fence: permit.fence(),
    };
    write_json(&layout.service(), &record)?;

    let log = layout.log(&release.id);
    let out = OpenOptions::new().create(true).append(true).mode(0o640).open(&log);
    let out = out.doing("open the service's log", &log)?;
    let err = out.try_clone().doing("open the service's log", &log)?;
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", LAUNCHER, "gatekit", &release.start])
        .current_dir(layout.release(&release.id))
        .env(TOKEN, &token)
        .env("GATEKIT_RELEASE", release.id.as_str())
        // Of whoever ships, perhaps with a password in it.
        .env_remove("GATEKIT_LEDGER")
        .stdin(Stdio::piped())
        .stdout(out)
        .stderr(err);
    match &release.version {
        Some(version) => command.env("GATEKIT_VERSION", version),
        None => command.env_remove("GATEKIT_VERSION"),
    };
    let mut child = CommandWrap::from(command)
        .wrap(ProcessSession)
        .spawn()
        .map_err(|source| not_started("the shell could not be run").with_source(source))?
        .into_inner();
    let pid = child.id();
    // Dropping this, on whatever way out, tells the launcher to end.
    let go = child.stdin().take();

    let (reaped, remembers) = (token.clone(), Arc::clone(memory));
    std::thread::Builder::new()
        .name(format!("gatekit-reaper-{pid}"))
        .spawn(move || {
            if let Ok(exit) = child.wait() {
                remembers.end(&reaped, exit);
            }
        })
        .map_err(|source| not_started("no thread to wait for the service").with_source(source))?;

    record.leader = ProcessIdentity::of(pid);
    if record.leader.is_none() {
        return Err(not_started("the shell ended before it was told to go"));
    }
    write_json(&layout.service(), &record)?;
    memory.begin(&token);
    let told = go.map(|mut go| go.write_all(b"go\n"));
    match told {
        Some(Ok(())) => Ok(token),
        Some(Err(source)) => Err(not_started("the shell is gone").with_source(source)),
        None => Err(not_started("the shell has no standard input")),
    }
}

fn not_started(why: &str) -> Error {
    Error::new(code::NOT_STARTED, format!("the service was not started: {why}"))
        .with_effect(Effect::Done)
        .with_next(NextAction::outside("see that /bin/sh runs and the machine has room for it"))
}

/// Stops every process of this root's services: SIGTERM, and after `grace` SIGKILL.
pub(crate) async fn stop(layout: &Layout, _: &Permit, _: &Locked, grace: Duration) -> Result<()> {
    let crew = Crew::of(layout)?;
    if let Some((_, Liveness::Unknown)) = crew.leader {
        return Err(refuse(
            code::CANNOT_TELL,
            "it cannot be proven from here which process is the service",
        )
        .with_next(NextAction::outside("run this where the service was started")));
    }
    let began = Instant::now();
    let mut proven = BTreeMap::new();
    let mut asked = BTreeSet::new();
    loop {
        let members = crew.members(&platform::processes()?, &proven);
        if members.is_empty() {
            return Ok(());
        }
        let own = std::process::id();
        if members.iter().any(|process| process.pid == own) {
            return Err(refuse(code::INSIDE, "this process is itself part of the service")
                .with_next(NextAction::outside("run this from outside the service")));
        }
        if began.elapsed() > grace.saturating_add(AFTER_KILL) {
            let pids: Vec<String> = members.iter().map(|process| process.pid.to_string()).collect();
            return Err(Error::new(code::WONT_STOP, "the service is still there after SIGKILL")
                .with_context("pids", pids.join(" "))
                .retry_later()
                .with_next(NextAction::outside(
                    "see why the kernel does not let it end: a hung disk or network file system",
                )));
        }
        let kill = began.elapsed() >= grace;
        proven.extend(members.iter().map(|process| (process.pid, process.started)));
        for process in &members {
            let name = (process.pid, process.started);
            if !kill && asked.contains(&name) {
                continue;
            }
            let signal = if kill { Signal::KILL } else { Signal::TERM };
            // Proven just now by the list above; proven again once the handle is open.
            let proof = |now: &Process| crew.proves(now) || now.session == process.session;
            if platform::signal(process, signal, proof)? {
                asked.insert(name);
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_does_not_begin_without_the_word_to_go() {
        let dir = tempfile::tempdir().unwrap();
        let run = |word: &[u8]| {
            let mut child = Command::new("/bin/sh")
                .args(["-c", LAUNCHER, "gatekit", "touch begun; exit 3"])
                .current_dir(dir.path())
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(word).unwrap();
            child.wait().unwrap().code()
        };
        assert_eq!(run(b""), Some(125));
        assert!(!dir.path().join("begun").exists(), "its starter died before it was recorded");
        assert_eq!(run(b"go\n"), Some(3));
        assert!(dir.path().join("begun").exists());
    }
}
