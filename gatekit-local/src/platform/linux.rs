//! Linux: `/proc` and pidfds.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use gatekit_core::Result;
use gatekit_core::process::ProcessIdentity;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};

use super::{Listener, Process, TOKEN};
use crate::code;
use crate::error::{Doing as _, io_error, refuse};

/// Every living process of this pid namespace.
pub(crate) fn processes() -> Result<Vec<Process>> {
    Ok(pids()?.into_iter().filter_map(process).collect())
}

fn pids() -> Result<Vec<u32>> {
    let proc = "/proc".as_ref();
    let mut pids = Vec::new();
    for entry in fs::read_dir(proc).doing("list the processes", proc)? {
        let name = entry.doing("list the processes", proc)?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(pids)
}

/// `None` when it is gone or a zombie.
fn process(pid: u32) -> Option<Process> {
    let before = stat(pid)?;
    let token = token(pid);
    // The environment is believed only if it was still the same process after reading it.
    let after = stat(pid)?;
    (before == after).then_some(Process {
        pid,
        started: after.started,
        session: after.session,
        token,
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    session: u32,
    started: u64,
}

/// Fields 3, 6 and 22 of `/proc/PID/stat` (proc(5)), counted after the command name, which may
/// itself contain spaces and parentheses.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = text.iter().rposition(|&byte| byte == b')')? + 1;
    let text = std::str::from_utf8(text.get(after_name..)?).ok()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X" | "x") {
        return None;
    }
    Some(Stat { session: fields.get(3)?.parse().ok()?, started: fields.get(19)?.parse().ok()? })
}

fn token(pid: u32) -> Option<String> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environ.split(|&byte| byte == 0).find_map(|line| {
        let value = line.strip_prefix(TOKEN.as_bytes())?.strip_prefix(b"=")?;
        std::str::from_utf8(value).ok().map(str::to_owned)
    })
}

/// Sends `signal` to exactly that process, if `proof` still holds for it, and says whether it did;
/// a process that is gone is no error.
///
/// The handle is opened first and the proof taken after it: should the pid be reused in between,
/// the handle is that of the dead process and nobody is signalled.
pub(crate) fn signal(
    target: &Process,
    signal: Signal,
    proof: impl FnOnce(&Process) -> bool,
) -> Result<bool> {
    let pid = i32::try_from(target.pid).ok().and_then(Pid::from_raw);
    let Some(pid) = pid else { return Ok(false) };
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(Errno::SRCH) => return Ok(false),
        Err(Errno::NOSYS) => {
            return Err(refuse(code::PLATFORM, "this kernel has no pidfd_open (Linux 5.3)"));
        }
        Err(error) => return Err(failed(target, error.into())),
    };
    match process(target.pid) {
        Some(now) if now.started == target.started && proof(&now) => {
            match pidfd_send_signal(handle, signal) {
                Ok(()) => Ok(true),
                Err(Errno::SRCH) => Ok(false),
                Err(error) => Err(failed(target, error.into())),
            }
        }
        _ => Ok(false),
    }
}

fn failed(target: &Process, source: io::Error) -> gatekit_core::Error {
    io_error(code::WONT_STOP, "signal a process of the service", "/proc".as_ref(), source)
        .with_context("pid", target.pid)
}

/// How many looks in a row must find nothing. One alone misses who has started another one and ended
/// since the list of processes was read, and who is just becoming another program.
const CLEAN_LOOKS: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Kills every process whose environment sets `name` to `value`, also what they start meanwhile.
pub(crate) fn kill_marked(name: &str, value: &str) {
    let mark = format!("{name}={value}").into_bytes();
    let mut clean = 0;
    // What forks faster than it is killed for so long is more than a command gone wild.
    for _ in 0..200 {
        let mut found = false;
        for pid in pids().unwrap_or_default() {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let Some(pid) = pid else { continue };
            // The handle first, then the proof: see `signal`.
            let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else { continue };
            if environ.split(|&byte| byte == 0).any(|line| line == mark) {
                found = true;
                // It may have ended meanwhile.
                let _ = pidfd_send_signal(handle, Signal::KILL);
            }
        }
        clean = if found { 0 } else { clean + 1 };
        if clean == CLEAN_LOOKS {
            return;
        }
        if clean > 0 {
            thread::sleep(BETWEEN_LOOKS);
        }
    }
}

/// How long a process has lived.
pub(crate) fn age(identity: &ProcessIdentity) -> Option<Duration> {
    let ticks = rustix::param::clock_ticks_per_second();
    let started = Duration::from_millis(identity.started?.checked_mul(1000)?.checked_div(ticks)?);
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
    Some(now.saturating_sub(started))
}

/// The sockets of this network namespace.
#[derive(Debug)]
pub(crate) struct Sockets;

impl Sockets {
    /// Who listens on `addr`, exactly or by a wildcard.
    pub(crate) fn listening(addr: SocketAddr) -> Result<Vec<Listener>> {
        let mut found = Vec::new();
        for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
            let text = match fs::read_to_string(table) {
                Ok(text) => text,
                // A kernel without IPv6 has no such table.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).doing("read the sockets", table.as_ref()),
            };
            for line in text.lines().skip(1) {
                let fields: Vec<&str> = line.split_ascii_whitespace().collect();
                let &[_, local, _, "0A", _, _, _, _, _, inode, ..] = fields.as_slice() else {
                    continue;
                };
                if parse_address(local).is_some_and(|local| serves(local, addr))
                    && let Ok(inode) = inode.parse()
                {
                    found.push(Listener { inode });
                }
            }
        }
        Ok(found)
    }

    /// The sockets that a process has open; none when that may not be read.
    pub(crate) fn of(pid: u32) -> BTreeSet<u64> {
        let Ok(dir) = fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeSet::new() };
        dir.filter_map(|entry| {
            let link = fs::read_link(entry.ok()?.path()).ok()?;
            link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
    }

    /// Some process that has that socket open, as far as that may be read.
    pub(crate) fn owner(inode: u64) -> Option<u32> {
        pids().ok()?.into_iter().find(|&pid| Self::of(pid).contains(&inode))
    }
}

/// `0100007F:1F90`: the address as 32-bit words in the machine's byte order, and the port.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for word in 0..ip.len() / 8 {
        let word = u32::from_str_radix(ip.get(word * 8..word * 8 + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        32 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Whether a listener on `local` gets connections to `addr`. An IPv6 wildcard is taken to serve
/// IPv4 as well, as it does by default: to suspect a stranger too many is the safe side.
fn serves(local: SocketAddr, addr: SocketAddr) -> bool {
    let (listens, asked) = (local.ip().to_canonical(), addr.ip().to_canonical());
    local.port() == addr.port()
        && (listens == asked
            || match listens {
                IpAddr::V4(ip) => ip.is_unspecified() && asked.is_ipv4(),
                IpAddr::V6(ip) => ip.is_unspecified(),
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_socket_tables() {
        let parsed = |text| parse_address(text).unwrap().to_string();
        if cfg!(target_endian = "little") {
            assert_eq!(parsed("0100007F:1F90"), "127.0.0.1:8080");
            assert_eq!(parsed("00000000000000000000000001000000:0016"), "[::1]:22");
        }
        assert_eq!(parsed("00000000000000000000000000000000:0050"), "[::]:80");
        assert!(parse_address("nonsense").is_none() && parse_address("00:1").is_none());
    }

    #[test]
    fn a_listener_serves_its_own_address_and_wildcards_serve_all() {
        for (listens, asked, yes) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.2:80", "127.0.0.1:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
        ] {
            let (listens, asked) = (listens.parse().unwrap(), asked.parse().unwrap());
            assert_eq!(serves(listens, asked), yes, "{listens} {asked}");
        }
    }
}
