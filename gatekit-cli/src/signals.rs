//! The signals by which a run is interrupted.

use std::fs;

use gatekit_core::{Error, Interrupter, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::code;

/// SIGINT, SIGTERM and SIGHUP interrupt the run, but for those that whoever started the program had it
/// ignore, as `nohup` does.
pub(crate) fn interrupt(interrupter: Interrupter) -> Result<()> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    for kind in kinds.into_iter().filter(|kind| !ignores(&status, *kind)) {
        let mut signal = signal(kind).map_err(|source| {
            Error::new(code::RUNTIME_START, "signals cannot be listened to").with_source(source)
        })?;
        let interrupter = interrupter.clone();
        tokio::spawn(async move { forward(&mut signal, &interrupter).await });
    }
    Ok(())
}

async fn forward(signal: &mut Signal, interrupter: &Interrupter) {
    while signal.recv().await.is_some() {
        interrupter.interrupt();
    }
}

/// Whether a process with that `/proc/PID/status` ignores the signal. Where there is none, none is
/// known to be ignored.
fn ignores(status: &str, kind: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parent_had_ignored_is_told_by_the_kernel() {
        let status = "Name:\tsh\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000000001\n";
        assert!(ignores(status, SignalKind::hangup()));
        assert!(!ignores(status, SignalKind::interrupt()));
        assert!(!ignores("", SignalKind::hangup()));
    }
}
