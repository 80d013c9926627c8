//! What the server says of a lock when it refuses.

use std::time::Duration;

use gatekit_core::ledger::refusal::{Refusal, misguarded, not_leading};
use gatekit_core::ledger::{Entry, Holder, LockState};
use gatekit_core::process::{Liveness, ProcessIdentity, boot_id};
use gatekit_core::{Error, Fence, RunId, TargetName};
use serde::Deserialize;

use super::error;

/// Which refusal, and how the lock stands.
#[derive(Debug)]
pub(super) struct Stand {
    why: String,
    detail: Detail,
}

#[derive(Debug, Deserialize)]
struct Detail {
    state: LockState,
    fence: Fence,
    run: Option<RunId>,
    actor: Option<String>,
    process: Option<String>,
    /// Whose lock it is, and under which fence: the target itself, unless it is locked along.
    leader: TargetName,
    leader_fence: Fence,
    /// In milliseconds.
    lease_left: Option<f64>,
}

/// What was asked of the ledger, as far as a refusal tells it again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) target: &'a TargetName,
    pub(super) run: RunId,
    pub(super) fence: Fence,
    pub(super) needed: Duration,
    pub(super) entry: Option<&'a Entry>,
}

impl Stand {
    pub(super) fn read(why: &str, detail: &str) -> Result<Self, String> {
        let detail = serde_json::from_str(detail)
            .map_err(|error| format!("a refusal that cannot be read: {error}"))?;
        Ok(Self { why: why.to_owned(), detail })
    }

    /// The refusal in the words of every ledger.
    pub(super) fn error(&self, asked: Asked<'_>) -> Result<Error, String> {
        let Asked { target, run, fence, needed, entry } = asked;
        let Detail { state, lease_left, leader, .. } = &self.detail;
        let refusal = Refusal {
            target,
            state: *state,
            fence: self.detail.fence,
            run: self.detail.run,
            holder: self.holder()?,
        };
        let left = Duration::from_secs_f64(lease_left.unwrap_or_default().max(0.0) / 1000.0);
        Ok(match (&*self.why, entry) {
            ("no_ticket", _) => refusal.no_ticket(run),
            ("lost", _) => refusal.lost(run, fence),
            ("lease_short", _) => refusal.lease_short(left, needed),
            ("mutating", _) => refusal.mutating(),
            ("held", _) => refusal.held(),
            ("goes_on", _) => refusal.goes_on(),
            ("not_suspect", _) => refusal.not_suspect(run),
            ("arriving", _) => error::arriving(leader),
            ("led_by", _) => refusal.led_by(leader, run),
            ("misguarded", Some(entry)) => misguarded(entry),
            ("not_leading", Some(entry)) => not_leading(entry),
            (why, _) => return Err(format!("the refusal `{}`", why.escape_debug())),
        })
    }

    /// The process that holds the target whose lock it is, as it was stored.
    pub(super) fn held_by(&self) -> Option<(&TargetName, Fence, &str)> {
        let Detail { leader, leader_fence, process, .. } = &self.detail;
        process.as_deref().map(|process| (leader, *leader_fence, process))
    }

    /// Whether it would be otherwise if the holder were gone.
    pub(super) fn is_about_the_holder(&self) -> bool {
        matches!(&*self.why, "held" | "goes_on")
    }

    fn holder(&self) -> Result<Option<Holder>, String> {
        let Detail { run, actor, process, .. } = &self.detail;
        holder(*run, actor.as_deref(), process.as_deref())
    }
}

/// Who holds a target, of the columns that say so.
pub(super) fn holder(
    run: Option<RunId>,
    actor: Option<&str>,
    process_text: Option<&str>,
) -> Result<Option<Holder>, String> {
    let (Some(run), Some(actor), Some(text)) = (run, actor, process_text) else { return Ok(None) };
    Ok(Some(Holder::new(run, actor, process(text)?.pid)))
}

pub(super) fn process(text: &str) -> Result<ProcessIdentity, String> {
    serde_json::from_str(text).map_err(|error| format!("a process that cannot be read: {error}"))
}

/// Whether a process is proven dead from here. Unlike on one machine, a process of another boot may
/// be one of another machine.
pub(super) fn is_proven_dead(process: &ProcessIdentity) -> bool {
    process.boot == boot_id() && process.liveness() == Liveness::Dead
}
