//! What a ledger says when it refuses, so that every ledger says the same.

use std::fmt::Debug;
use std::time::Duration;

use super::{Entry, Holder, LockState};
use crate::code;
use crate::error::{Code, Effect, Error, NextAction, Verb};
use crate::id::{Fence, RunId, TargetName};

/// How the lock of a target stands when a ledger refuses a call: each method makes the error of one
/// refusal. For implementors of [`Ledger`](super::Ledger).
#[derive(Debug, Clone)]
pub struct Refusal<'a> {
    /// The target.
    pub target: &'a TargetName,
    /// The state of its lock.
    pub state: LockState,
    /// Its newest fence.
    pub fence: Fence,
    /// The run that holds the target or left it suspect.
    pub run: Option<RunId>,
    /// Who holds it.
    pub holder: Option<Holder>,
}

impl Refusal<'_> {
    /// `lock.no_ticket`: `run` asks for the lock and is not in the queue.
    #[must_use]
    pub fn no_ticket(&self, run: RunId) -> Error {
        self.error(code::LOCK_NO_TICKET, "the run is not in the queue")
            .with_context("asked by", run)
    }

    /// `lock.lost`: `run` does not hold the target under `fence`.
    #[must_use]
    pub fn lost(&self, run: RunId, fence: Fence) -> Error {
        self.error(code::LOCK_LOST, "the run no longer holds the target")
            .with_context("asked by", run)
            .with_context("under fence", fence)
    }

    /// `lock.lease_short`: too little of the lease is left.
    #[must_use]
    pub fn lease_short(&self, left: Duration, needed: Duration) -> Error {
        self.error(code::LOCK_LEASE_SHORT, "too little of the lease is left for a write")
            .with_context("left", format!("{left:?}"))
            .with_context("needed", format!("{needed:?}"))
            .retry_later()
    }

    /// `lock.mutating`: a touched target is to be released.
    #[must_use]
    pub fn mutating(&self) -> Error {
        self.error(code::LOCK_MUTATING, "a touched target cannot simply be released")
            .with_next(NextAction::verb(Verb::Resume, &[]))
    }

    /// `lock.held`: a target is to be taken over from a holder that is not gone.
    #[must_use]
    pub fn held(&self) -> Error {
        self.error(code::LOCK_HELD, "the target is held by a living run").retry_later()
    }

    /// `lock.held`: a run is to be ended without the lock although it has it, or left it suspect.
    #[must_use]
    pub fn goes_on(&self) -> Error {
        let message = "the run is going on in another process, or left its target suspect";
        self.error(code::LOCK_HELD, message)
    }

    /// `lock.not_suspect`: there is nothing that `run` could take over.
    #[must_use]
    pub fn not_suspect(&self, run: RunId) -> Error {
        let message = "the target is not suspect because of that run";
        self.error(code::LOCK_NOT_SUSPECT, message).with_context("asked by", run)
    }

    /// `lock.not_suspect`: `run` is to be taken over at a target that is locked along with another.
    #[must_use]
    pub fn led_by(&self, leading: &TargetName, run: RunId) -> Error {
        let message = "the target is locked along with another: it is taken over there";
        Error::new(code::LOCK_NOT_SUSPECT, message)
            .with_effect(Effect::None)
            .with_context("target", self.target)
            .with_context("locked along with", leading)
            .with_context("asked by", run)
            .with_next(with_its_pipeline(leading))
    }

    /// Says who holds the target, and under which fence.
    fn error(&self, code: Code, message: &str) -> Error {
        let mut error = Error::new(code, message)
            .with_effect(Effect::None)
            .with_context("target", self.target)
            .with_context("state", self.state.as_str())
            .with_context("newest fence", self.fence);
        if let Some(run) = self.run {
            error = error.with_context("run", run);
        }
        if let Some(holder) = &self.holder {
            error = error.with_context("actor", &holder.actor).with_context("pid", holder.pid);
        }
        error = error.with_next(NextAction::verb(Verb::Status, &[]));
        if self.state == LockState::Suspect {
            error = error
                .with_next(NextAction::verb(Verb::Resume, &[]))
                .with_next(NextAction::verb(Verb::Reconcile, &[]).by("operator"));
        }
        error
    }
}

/// Who left a target suspect, or is asked about, is a run of another target.
pub(crate) fn with_its_pipeline(target: &TargetName) -> NextAction {
    NextAction::outside(format!("`resume` or `reconcile` with the pipeline of `{target}`"))
}

/// `lock.suspect`: nobody is granted `own`. `target` is that of the run that left it, along with which
/// it may have been locked.
pub(crate) fn left_suspect(
    own: &TargetName,
    target: &TargetName,
    run: RunId,
    fence: Fence,
) -> Error {
    let mut error = Error::new(
        code::LOCK_SUSPECT,
        "the target is suspect: its holder vanished after it began to change it",
    )
    .with_context("left by", run);
    if own == target {
        error = error.with_context("fence", fence);
    } else {
        error = error.with_context("target", target).with_next(with_its_pipeline(target));
        return error.with_next(NextAction::verb(Verb::Status, &[]));
    }
    for next in suspect_next() {
        error = error.with_next(next);
    }
    error
}

/// The next actions when a target is suspect.
pub(crate) fn suspect_next() -> [NextAction; 2] {
    [
        NextAction::verb(Verb::Resume, &[]),
        NextAction::verb(Verb::Reconcile, &["--reason", "TEXT"]).by("operator"),
    ]
}

/// `ledger.guard`: an entry that needs the lock came without one.
#[must_use]
pub fn unguarded(entry: &Entry) -> Error {
    misfit("an entry that needs the lock came without one", entry)
}

/// `ledger.guard`: an entry names another run or fence than the lock it came with.
#[must_use]
pub fn misguarded(entry: &Entry) -> Error {
    misfit("a journal entry names another run or fence than the lock it uses", entry)
}

/// `ledger.guard`: an entry of a target that is locked along would change the lock, which is the
/// leading target's.
#[must_use]
pub fn not_leading(entry: &Entry) -> Error {
    misfit("an entry would change the lock of a target that is locked along with another", entry)
}

fn misfit(message: &str, entry: &Entry) -> Error {
    Error::new(code::LEDGER_GUARD, message)
        .with_effect(Effect::None)
        .with_context("kind", entry.body.kind())
        .with_context("run", entry.run)
        .with_next(NextAction::verb(Verb::Status, &[]))
}

/// `ledger.entry`: an entry names another target than the one it is appended to.
#[must_use]
pub fn misplaced(target: &TargetName, entry: &Entry) -> Error {
    Error::new(code::LEDGER_ENTRY, "a journal entry names another target")
        .with_effect(Effect::None)
        .with_context("target", target)
        .with_context("named", &entry.target)
        .with_next(NextAction::verb(Verb::Status, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_how_the_lock_stands_and_what_may_be_done() {
        let target = TargetName::new("t").unwrap();
        let run = RunId::generate();
        let refusal = |state, holder| Refusal {
            target: &target,
            state,
            fence: Fence(7),
            run: Some(run),
            holder,
        };
        let held = refusal(LockState::Held, Some(Holder::new(run, "anna", 42))).held();
        let text = format!(
            "the target is held by a living run (target: t, state: held, newest fence: 7, \
             run: {run}, actor: anna, pid: 42)"
        );
        assert_eq!(held.to_string(), text);
        assert!(held.is_temporary());

        let lost = refusal(LockState::Suspect, None).lost(run, Fence(6)).to_failure();
        assert_eq!((lost.code, lost.effect), (code::LOCK_LOST, Effect::None));
        let next: Vec<_> = lost.next.into_iter().map(|next| next.action).collect();
        let verb = |verb| crate::error::Action::Verb(verb, vec![]);
        assert_eq!(next, [Verb::Status, Verb::Resume, Verb::Reconcile].map(verb));
    }
}
