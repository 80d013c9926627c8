//! Who a process is, so that a reused pid is never taken for it.

use std::fs;
use std::path::Path;

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
    /// It cannot be told from here: another pid namespace, or a platform without `/proc`.
    Unknown,
}

impl ProcessIdentity {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        let pid = std::process::id();
        Self {
            boot: boot_id(),
            namespace: pid_namespace(),
            pid,
            started: stat(pid).map(|stat| stat.started),
        }
    }

    /// The process that has `pid` now; `None` when there is none, or it is a zombie, or the platform
    /// does not tell.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid).filter(Stat::is_alive)?;
        Some(Self { boot: boot_id(), namespace: pid_namespace(), pid, started: Some(stat.started) })
    }

    /// Whether that very process lives.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        let here = boot_id();
        if here.is_empty() || self.boot.is_empty() {
            return Liveness::Unknown;
        }
        if self.boot != here {
            return Liveness::Dead;
        }
        if self.namespace.is_empty() || self.namespace != pid_namespace() {
            return Liveness::Unknown;
        }
        let Some(started) = self.started else { return Liveness::Unknown };
        match stat(self.pid) {
            Some(stat) if stat.started == started && stat.is_alive() => Liveness::Alive,
            _ => Liveness::Dead,
        }
    }
}

/// The id of the machine's boot; empty where the platform does not tell.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
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
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
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
        while stat(child.id()).is_some_and(|stat| stat.state != 'Z') {
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

    #[test]
    fn nothing_is_claimed_across_pid_namespaces() {
        let mut other = ProcessIdentity::current();
        other.namespace = "pid:[1]".to_owned();
        assert_eq!(other.liveness(), Liveness::Unknown);
        other.boot = "another boot".to_owned();
        assert_eq!(other.liveness(), Liveness::Dead, "no process outlives its boot");
    }
}
