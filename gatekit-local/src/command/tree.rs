//! A program that runs, and all that it has started.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::mark::{MARKS, Mark};
use super::program::Program;
use crate::platform;

/// How long what was killed may take to be gone.
pub(super) const GONE: Duration = Duration::from_secs(5);

/// How often an exit is looked for although no signal told of one: the program around gatekit may have
/// blocked that.
const LOOK: Duration = Duration::from_millis(250);

/// A program in a process group of its own. Whatever of it is left is ended when this is dropped.
#[derive(Debug)]
pub(super) struct Tree {
    child: Child,
    /// Its own id, and that of its group: no other's as long as the program was not reaped.
    leader: Pid,
    mark: Mark,
    over: bool,
}

impl Tree {
    pub(super) fn spawn(program: &Program, mark: Mark) -> io::Result<Self> {
        let mut command = program.command();
        command.env(MARKS, mark.value(std::env::var_os(MARKS).as_deref()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.process_group(0).spawn()?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let leader = leader.ok_or_else(|| io::Error::other("a process without an id"))?;
        Ok(Self { child, leader, mark, over: false })
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the program has ended by itself. It is not reaped: its process group keeps its
    /// number until that is signalled. Cancel-safe.
    pub(super) fn exit(&self) -> impl Future<Output = io::Result<ExitStatus>> + Send + use<> {
        let leader = self.leader;
        async move {
            let mut children = signal(SignalKind::child())?;
            loop {
                if let Some(status) = exited(leader)? {
                    return Ok(status);
                }
                tokio::select! {
                    _ = children.recv() => {}
                    () = sleep(LOOK) => {}
                }
            }
        }
    }

    /// Signals its process group.
    pub(super) fn signal(&self, signal: Signal) {
        if self.child.id().is_some() {
            // It may have ended meanwhile.
            let _ = kill_process_group(self.leader, signal);
        }
    }

    /// Lets what it has started live on.
    pub(super) async fn leave(mut self) {
        self.over = true;
        // It has ended: this only reaps it.
        let _ = self.child.wait().await;
        let mark = self.mark.clone();
        let kept = spawn_blocking(move || mark.keep()).await.map_err(io::Error::other);
        match kept.and_then(|kept| kept) {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => {
                tracing::warn!(%error, "what a program left running is ended if its run is resumed");
            }
            _ => {}
        }
    }

    /// Ends all of it. `Err` when something of it stays.
    pub(super) async fn end(mut self) -> io::Result<()> {
        self.signal(Signal::KILL);
        let reaped = timeout(GONE, self.child.wait()).await;
        let mark = self.mark.clone();
        let ended = spawn_blocking(move || kill(&mark)).await;
        self.over = true;
        reaped.map_err(|_| io::Error::other("it was killed and is still there"))??;
        ended.map_err(io::Error::other)?
    }
}

impl Drop for Tree {
    /// Blocks, for this process may be about to end. That is so only when a call is given up half-way.
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.signal(Signal::KILL);
        if let Err(error) = kill(&self.mark) {
            tracing::warn!(%error, "a program was given up, and something of it may still run");
        }
    }
}

fn kill(mark: &Mark) -> io::Result<()> {
    match platform::end_marked(MARKS, &|value| mark.is_in(value), Duration::ZERO, GONE) {
        // All that can be done there is to end the process group.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        ended => ended,
    }
}

fn exited(leader: Pid) -> io::Result<Option<ExitStatus>> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let status = match waitid(WaitId::Pid(leader), look) {
        Err(Errno::INTR) => return Ok(None),
        status => status?,
    };
    Ok(status.map(|status| {
        // As wait(2) encodes them.
        let signal = status.terminating_signal().unwrap_or_default();
        ExitStatus::from_raw(status.exit_status().map_or(signal, |code| (code & 0xff) << 8))
    }))
}
