//! Linux: `/proc` and pidfds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

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
    numbers().doing("list the processes", "/proc".as_ref())
}

fn numbers() -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
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
    let same = (before.session, before.started) == (after.session, after.started);
    same.then_some(Process { pid, started: after.started, session: after.session, token })
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    group: u32,
    session: u32,
    started: u64,
}

/// Fields 3, 5, 6 and 22 of `/proc/PID/stat` (proc(5)), counted after the command name, which may
/// itself contain spaces and parentheses.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = text.iter().rposition(|&byte| byte == b')')? + 1;
    let text = std::str::from_utf8(text.get(after_name..)?).ok()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X" | "x") {
        return None;
    }
    let field = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        group: field(2)?.try_into().ok()?,
        session: field(3)?.try_into().ok()?,
        started: field(19)?,
    })
}

fn token(pid: u32) -> Option<String> {
    String::from_utf8(variable(pid, TOKEN)?).ok()
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

/// Ends every process in whose environment the value of `name` is `ours`, the process group that such a
/// one leads, and what they start meanwhile: asks them to stop, and kills them after `grace`. Blocks until
/// none is left; `Err` when that is not so at the end of `limit`, or cannot be told.
pub(crate) fn end_marked(
    name: &str,
    ours: &dyn Fn(&[u8]) -> bool,
    grace: Duration,
    limit: Duration,
) -> io::Result<()> {
    let begun = Instant::now();
    let (mut clean, mut asked) = (0, BTreeSet::new());
    if variable(std::process::id(), name).is_some_and(|value| ours(&value)) {
        return Err(io::Error::other("this very process is one of those that would have to end"));
    }
    loop {
        let found = marked(name, ours)?;
        if found.is_empty() {
            clean += 1;
            if clean == CLEAN_LOOKS {
                return Ok(());
            }
            thread::sleep(BETWEEN_LOOKS);
            continue;
        }
        clean = 0;
        if begun.elapsed() > grace + limit {
            let pids: Vec<_> = found.iter().map(|(pid, _)| pid.to_string()).collect();
            return Err(io::Error::other(format!("still there: process {}", pids.join(", "))));
        }
        let signal = if begun.elapsed() < grace { Signal::TERM } else { Signal::KILL };
        let mut news = false;
        for (pid, handle) in found {
            let first = asked.insert((pid, signal.as_raw()));
            news |= first;
            if first || signal == Signal::KILL {
                // It may have ended meanwhile; one that may not be signalled is found again.
                let _ = pidfd_send_signal(handle, signal);
            }
        }
        if !news {
            thread::sleep(BETWEEN_LOOKS);
        }
    }
}

/// Whether there is a process in whose environment the value of `name` is `ours`.
pub(crate) fn has_marked(name: &str, ours: &dyn Fn(&[u8]) -> bool) -> io::Result<bool> {
    for look in 0..CLEAN_LOOKS {
        if look > 0 {
            thread::sleep(BETWEEN_LOOKS);
        }
        if !marked(name, ours)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The processes that are marked so, and those in a group that one of them leads.
fn marked(name: &str, ours: &dyn Fn(&[u8]) -> bool) -> io::Result<Vec<(u32, OwnedFd)>> {
    let all = numbers()?;
    if !all.contains(&std::process::id()) {
        return Err(io::Error::other("/proc does not show the processes"));
    }
    let (mut found, mut leaders) = (BTreeMap::new(), Vec::new());
    for &pid in &all {
        let is_ours = || variable(pid, name).is_some_and(|value| ours(&value));
        // Most are not, and need no handle.
        if !is_ours() {
            continue;
        }
        // The handle first, then the proof: see `signal`.
        let Some(handle) = open(pid)? else { continue };
        if is_ours() {
            leaders.extend(stat(pid).filter(|stat| stat.group == pid).map(|stat| (pid, stat)));
            found.insert(pid, handle);
        }
    }
    // A group has the number of its leader, and is no other's as long as that one lives.
    for (leader, was) in leaders {
        for &pid in all.iter().filter(|pid| !found.contains_key(pid)).collect::<Vec<_>>() {
            if stat(pid).is_none_or(|stat| stat.group != leader) {
                continue;
            }
            let Some(handle) = open(pid)? else { continue };
            let is_in = stat(pid).is_some_and(|stat| stat.group == leader);
            if is_in && stat(leader).is_some_and(|now| now == was) {
                found.insert(pid, handle);
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn open(pid: u32) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => Ok(Some(handle)),
        // Gone, or a thread by now.
        Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The value of `name` in the environment that a process was started with, as far as that may be read.
fn variable(pid: u32, name: &str) -> Option<Vec<u8>> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environ
        .split(|&byte| byte == 0)
        .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec))
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

    /// The variable by which this test tells its own part in another process.
    const PART: &str = "GATEKIT_TEST_LINUX";

    #[test]
    fn nobody_ends_itself_nor_takes_what_stays_for_gone() {
        let ours = |value: &[u8]| value == b"this test";
        let end = |limit| end_marked(PART, &ours, Duration::ZERO, limit);
        if std::env::var_os(PART).is_some() {
            let error = end(Duration::ZERO).unwrap_err();
            assert!(error.to_string().contains("this very process"), "{error}");
            return;
        }
        let me = "platform::linux::tests::nobody_ends_itself_nor_takes_what_stays_for_gone";
        let mut part = std::process::Command::new(std::env::current_exe().unwrap());
        let part = part.args([me, "--exact"]).env(PART, "this test").output().unwrap();
        assert!(part.status.success(), "{part:?}");
        // It ends one thing and starts the next, for ever; nothing may be said to be gone before it is.
        let mut storm = std::process::Command::new("sh");
        storm.args(["-c", "f() { sleep 0.01; f & }; f & exec sleep 300"]).env(PART, "this test");
        let mut storm = storm.spawn().unwrap();
        assert!(has_marked(PART, &ours).unwrap());
        end(Duration::from_secs(60)).unwrap();
        storm.wait().unwrap();
        assert!(!has_marked(PART, &ours).unwrap());
    }
}
