//! Who a process is, so that a reused pid is never taken for it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// A process, told apart from every other one that ever had or will have its pid: by the boot of
/// the machine, the pid namespace, the pid, and the moment it started.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessIdentity {
    /// The id of the machine's boot; empty where the platform does not tell.
    pub boot: String,
    /// The pid namespace; empty where the platform does not tell.
    pub namespace: String,
    /// The pid.
    pub pid: u32,
    /// When it started, in the platform's own unit; `None` where it does not tell.
    pub started: Option<u64>,
}

/// Whether a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Liveness {
    /// It runs, or is stopped and can be continued.
    Alive,
    /// Proven: it is gone, a zombie, or of an earlier boot.
    Dead,
    /// It cannot be told from here: another pid namespace, a process that is hidden from this user, or
    /// a platform without `/proc`.
    Unknown,
}

impl ProcessIdentity {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        // Read once, if it can be: every claim names it. A fork has another pid.
        static CURRENT: OnceLock<ProcessIdentity> = OnceLock::new();
        let pid = std::process::id();
        if let Some(current) = CURRENT.get().filter(|current| current.pid == pid) {
            return current.clone();
        }
        let Here { boot, namespace } = here();
        let started = stat(pid).ok().map(|stat| stat.started);
        let current = Self { boot, namespace, pid, started };
        if started.is_some() {
            CURRENT.get_or_init(|| current.clone());
        }
        current
    }

    /// The process that has `pid` now; `None` when there is none, or it is a zombie, or the platform
    /// does not tell.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid).ok().filter(Stat::is_alive)?;
        let Here { boot, namespace } = here();
        Some(Self { boot, namespace, pid, started: Some(stat.started) })
    }

    /// Whether that very process lives.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        let here = here();
        if here.boot.is_empty() || self.boot.is_empty() {
            return Liveness::Unknown;
        }
        if self.boot != here.boot {
            return Liveness::Dead;
        }
        if self.namespace.is_empty() || self.namespace != here.namespace {
            return Liveness::Unknown;
        }
        let Some(started) = self.started else { return Liveness::Unknown };
        judged(stat(self.pid), started, || exists(self.pid))
    }
}

/// What `/proc` tells of a process that started then. What it does not show need not be gone: it can
/// be told to hide the processes of other users (`hidepid`), and a file may fail to open.
fn judged(stat: io::Result<Stat>, started: u64, exists: impl FnOnce() -> bool) -> Liveness {
    match stat {
        Ok(stat) if stat.started == started && stat.is_alive() => Liveness::Alive,
        Ok(_) => Liveness::Dead,
        Err(error) if is_gone(&error) && !exists() => Liveness::Dead,
        Err(_) => Liveness::Unknown,
    }
}

/// It was not there, or ended while it was read.
fn is_gone(error: &io::Error) -> bool {
    const ESRCH: i32 = 3;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

/// Whether the kernel knows a process of that pid, hidden or not.
#[cfg(target_os = "linux")]
fn exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// Without `/proc` nothing is claimed anyway.
#[cfg(not(target_os = "linux"))]
fn exists(_: u32) -> bool {
    true
}

/// The id of the machine's boot; empty where the platform does not tell.
#[must_use]
pub fn boot_id() -> String {
    here().boot
}

/// Where this process is: it neither outlives the boot nor changes its own pid namespace.
#[derive(Clone)]
struct Here {
    boot: String,
    namespace: String,
}

/// Read once, if it can be: whoever waits for a lock asks often whether its holder lives.
fn here() -> Here {
    static HERE: OnceLock<Here> = OnceLock::new();
    if let Some(here) = HERE.get() {
        return here.clone();
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = fs::read_link("/proc/self/ns/pid");
    let known = boot.is_ok() && namespace.is_ok();
    let here = Here {
        boot: boot.map(|text| text.trim().to_owned()).unwrap_or_default(),
        namespace: namespace.map(|link| link.to_string_lossy().into()).unwrap_or_default(),
    };
    if known { HERE.get_or_init(|| here).clone() } else { here }
}

struct Stat {
    state: char,
    started: u64,
}

impl Stat {
    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// State and start time from `/proc/PID/stat` (proc(5)): fields 3 and 22, counted after the command
/// name, which is in parentheses and may itself contain spaces and parentheses.
fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(text: &[u8]) -> Option<Stat> {
    let after_name = text.iter().rposition(|&byte| byte == b')')? + 1;
    let fields: Vec<&str> =
        std::str::from_utf8(&text[after_name..]).ok()?.split_ascii_whitespace().collect();
    Some(Stat { state: fields.first()?.chars().next()?, started: fields.get(19)?.parse().ok()? })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn this_process_lives_and_is_itself() {
        let me = ProcessIdentity::current();
        assert_eq!(me.liveness(), Liveness::Alive);
        assert_eq!(ProcessIdentity::of(me.pid), Some(me));
    }

    #[test]
    fn a_zombie_and_a_reaped_child_are_dead() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        assert_eq!(identity.liveness(), Liveness::Alive);
        child.kill().unwrap();
        while stat(child.id()).is_ok_and(|stat| stat.state != 'Z') {
            std::thread::yield_now();
        }
        assert_eq!(identity.liveness(), Liveness::Dead, "a zombie");
        child.wait().unwrap();
        assert_eq!(identity.liveness(), Liveness::Dead, "reaped");
    }

    #[test]
    fn a_reused_pid_is_not_taken_for_the_former_process() {
        let mut other = ProcessIdentity::current();
        other.started = other.started.map(|started| started + 1);
        assert_eq!(other.liveness(), Liveness::Dead);
    }

    /// `hidepid=1` refuses to open the file, `hidepid=2` says that there is none.
    #[test]
    fn a_process_that_is_hidden_or_cannot_be_read_is_not_taken_for_dead() {
        let hidden = || Err(io::ErrorKind::NotFound.into());
        let me = std::process::id();
        assert_eq!(judged(hidden(), 1, || exists(me)), Liveness::Unknown);
        assert_eq!(judged(hidden(), 1, || exists(1)), Liveness::Unknown, "of another user perhaps");
        assert_eq!(judged(hidden(), 1, || exists(u32::MAX)), Liveness::Dead);
        for error in [1, 12, 13, 24].map(io::Error::from_raw_os_error) {
            assert_eq!(judged(Err(error), 1, || false), Liveness::Unknown);
        }
        let ended = io::Error::from_raw_os_error(3);
        assert_eq!(judged(Err(ended), 1, || false), Liveness::Dead, "while it was read");
    }

    #[test]
    fn nothing_is_claimed_across_pid_namespaces() {
        let mut other = ProcessIdentity::current();
        other.namespace = "pid:[1]".to_owned();
        assert_eq!(other.liveness(), Liveness::Unknown);
        other.boot = "another boot".to_owned();
        assert_eq!(other.liveness(), Liveness::Dead, "no process outlives its boot");
    }
}
