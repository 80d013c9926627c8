//! Wall time, time on processors and peak memory of one program.
//!
//! The kernel keeps the peak over *all* children of a process, so every run gets a fresh process:
//! xtask starts itself as `bench-one`, which runs the program and nothing else. A child counts the
//! memory it had before it became the program, so no peak is seen below that of `bench-one`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::bench::FOREIGN;
use crate::failure::{Failure, Result};

/// What one run took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    /// In user and kernel mode, of the program and of those that it waited for.
    pub(crate) cpu: Duration,
    pub(crate) peak_kib: f64,
}

/// Runs `command` `runs` times after one run that does not count.
pub(crate) fn sample(command: &[OsString], runs: usize) -> Result<Vec<Sample>> {
    once(command)?;
    (0..runs).map(|_| once(command)).collect()
}

/// Runs `command` once, in a process of its own.
pub(crate) fn once(command: &[OsString]) -> Result<Sample> {
    let own = env::current_exe().map_err(|error| Failure::of("cannot find xtask itself", error))?;
    let mut helper = Command::new(own);
    FOREIGN.iter().for_each(|name| {
        helper.env_remove(name);
    });
    let output = helper
        .args(["bench-one", "--"].map(OsStr::new))
        .args(command)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::of("cannot start xtask itself", error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(Failure::new("a measured program failed"));
    }
    parse(&text).ok_or_else(|| Failure::new(format!("cannot read the measurement `{text}`")))
}

fn parse(text: &str) -> Option<Sample> {
    let fields: Vec<_> = text.split_whitespace().collect();
    let [nanos, micros, kib] = *fields else { return None };
    Some(Sample {
        wall: Duration::from_nanos(nanos.parse().ok()?),
        cpu: Duration::from_micros(micros.parse().ok()?),
        peak_kib: kib.parse().ok()?,
    })
}

/// The other end: runs `command` here, and prints what `parse` reads.
pub(crate) fn measure_here(command: &[OsString]) -> Result<()> {
    let (program, args) =
        command.split_first().ok_or_else(|| Failure::new("nothing to measure"))?;
    let mut program_run = Command::new(program);
    program_run.args(args).stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = program_run
        .status()
        .map_err(|error| Failure::of(format_args!("`{}`", program.display()), error))?;
    let wall = begun.elapsed();
    if !status.success() {
        return Err(Failure::new(format!("`{}` failed: {status}", program.display())));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_err(|error| Failure::of("cannot read what children have used", error))?;
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    // Bytes on Apple's systems, KiB elsewhere.
    let unit = if cfg!(target_vendor = "apple") { 1024 } else { 1 };
    println!("{} {micros} {}", wall.as_nanos(), usage.max_rss() / unit);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_read_back() {
        let (wall, cpu) = (Duration::from_nanos(1_500), Duration::from_micros(2));
        assert_eq!(parse("1500 2 4096\n"), Some(Sample { wall, cpu, peak_kib: 4096.0 }));
        assert_eq!(parse("1500 2"), None);
        assert_eq!(parse(""), None);
    }
}
