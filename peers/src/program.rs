//! A program that must not run as root.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::{Result, failed};

/// `nobody`, on Debian and its kin.
const NOBODY: u32 = 65_534;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(60);

/// How long a server may take to end, before it is killed: it may have been started where that signal is
/// ignored.
const END: Duration = Duration::from_secs(20);

/// Gives a file or folder to whom the programs run as.
pub(crate) fn give_away(path: &Path) -> Result<()> {
    if geteuid().is_root() { chown(path, Some(NOBODY), Some(NOBODY)) } else { Ok(()) }
}

/// Runs a command to its end; what it said is the failure.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// A command that is run as somebody who may not do everything.
#[derive(Debug)]
pub(crate) struct Program(Command);

/// A command that finds its libraries, and heeds nothing that a user has set for clients.
pub(crate) fn command(path: &Path, libraries: &[PathBuf]) -> Command {
    let mut command = Command::new(path);
    if !libraries.is_empty() {
        let list: Vec<_> = libraries.iter().map(|it| it.as_os_str()).collect();
        command.env("LD_LIBRARY_PATH", list.join(OsStr::new(":")));
    }
    for name in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGOPTIONS"] {
        command.env_remove(name);
    }
    command
}

impl Program {
    pub(crate) fn new(path: &Path, libraries: &[PathBuf]) -> Self {
        let mut command = command(path, libraries);
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY).env("HOME", "/").env_remove("USER");
        }
        Self(command)
    }

    /// One that may run as whoever calls, even as root.
    pub(crate) fn own(path: &Path) -> Self {
        Self(command(path, &[]))
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.0.args(args);
        self
    }

    /// Runs it to its end in a folder; what it said is the failure.
    pub(crate) fn run(mut self, folder: &Path) -> Result<()> {
        run(self.0.current_dir(folder))
    }

    /// Whether it runs and succeeds.
    pub(crate) fn works(mut self) -> bool {
        self.0.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.0.status().is_ok_and(|status| status.success())
    }

    /// Starts it in a folder; what it says goes to `log` there.
    pub(crate) fn start(mut self, folder: &Path) -> Result<Running> {
        let log = folder.join("log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log)?;
        self.0.current_dir(folder).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok(Running { child: self.0.spawn()?, log, last: Signal::QUIT })
    }
}

/// A server that is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
    /// What ends it for good.
    last: Signal,
}

impl Running {
    /// Gets that signal when it is dropped, instead of `SIGQUIT`.
    pub(crate) fn ended_by(mut self, last: Signal) -> Self {
        self.last = last;
        self
    }

    /// Waits until somebody listens on its port.
    pub(crate) fn listens(&mut self, port: u16) -> Result<()> {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            self.check()?;
            if began.elapsed() > START {
                return Err(failed("the server does not start"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.ok_or_else(|| failed("a pid that is none"))?, signal)?)
    }

    /// Sends it a signal, and waits until it has ended.
    ///
    /// # Errors
    /// It did not end for a while, and was killed.
    pub(crate) fn end(mut self, signal: Signal) -> Result<()> {
        self.end_within(signal, END)
    }

    fn end_within(&mut self, signal: Signal, patience: Duration) -> Result<()> {
        self.signal(signal)?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > patience {
                self.child.kill()?;
                self.child.wait()?;
                return Err(failed(format!("the server does not heed {signal:?}: it was killed")));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Errs with the end of its log when it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let tail: Vec<_> = log.lines().rev().take(5).collect();
        Err(failed(format!("the server ended ({status}): {}", tail.join(" | "))))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Nothing is left to be done about it.
            let _ = self.end_within(self.last, END);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ignores_its_signal_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap '' QUIT; touch ready; while :; do sleep 1; done";
        let server = Program::own(Path::new("sh")).args(["-c", script]);
        let mut running = server.start(folder.path()).unwrap();
        while !folder.path().join("ready").exists() {
            running.check().unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        let ended = running.end_within(Signal::QUIT, Duration::from_millis(50));
        assert!(ended.unwrap_err().to_string().contains("was killed"));
        assert!(running.check().is_err(), "it has ended");
    }
}
