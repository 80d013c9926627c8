//! The codes of this crate's refusals and errors. Backends add their own areas.

use crate::error::Code;

macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $text:literal;)+) => {
        $($(#[$doc])+ pub const $name: Code = Code::new($text);)+
        /// Every code of this crate.
        pub const ALL: &[Code] = &[$($name),+];
    };
}

codes! {
    /// A pipeline has two stages of one id.
    CONFIG_DUPLICATE_STAGE = "config.duplicate_stage";
    /// A part of a pipeline can never take effect where it stands.
    CONFIG_PIPELINE = "config.pipeline";
    /// A name uses characters that are not allowed.
    CONFIG_NAME = "config.name";
    /// A text is not a SHA-256 digest.
    CONFIG_DIGEST = "config.digest";
    /// A text is not a run id.
    CONFIG_RUN_ID = "config.run_id";
    /// A text is not an exported head of a journal.
    CONFIG_HEAD = "config.head";
    /// A freeze has no such time, or there is no such time zone.
    CONFIG_WINDOW = "config.window";
    /// A lease, a deadline or a time-out is out of range.
    CONFIG_DURATION = "config.duration";

    /// An enforced gate failed.
    GATE_FAILED = "gate.failed";
    /// An enforced gate could not tell.
    GATE_INCONCLUSIVE = "gate.inconclusive";
    /// A gate waits for somebody or something.
    GATE_WAITING = "gate.waiting";
    /// A gate passed without evidence, which is no pass.
    GATE_NO_EVIDENCE = "gate.no_evidence";
    /// A gate did not answer within its own time limit.
    GATE_TIMEOUT = "gate.timeout";
    /// A gate, or a deployer that was asked something, did not answer before the deadline.
    GATE_DEADLINE = "gate.deadline";

    /// A stage waits for a person's approval.
    APPROVAL_WAITING = "approval.waiting";
    /// A person rejected the run.
    APPROVAL_REJECTED = "approval.rejected";
    /// Nobody may approve what they asked for themselves.
    APPROVAL_OWN = "approval.own";
    /// The run waits for no word on that stage.
    APPROVAL_NOTHING = "approval.nothing";
    /// The run waits for words on several stages, and none was named.
    APPROVAL_WHICH = "approval.which";
    /// The run was granted its target, or ended, before the word came.
    APPROVAL_TOO_LATE = "approval.too_late";
    /// A person has to do something first.
    MANUAL_WAITING = "manual.waiting";
    /// A person could not do what was to be done.
    MANUAL_REJECTED = "manual.rejected";
    /// There is no gate of that name that blocked the run.
    WAIVER_NOTHING = "waiver.nothing";
    /// The gate cannot be waived.
    WAIVER_REFUSED = "waiver.refused";

    /// The target is frozen at present.
    WINDOW_FROZEN = "window.frozen";
    /// The artifacts were not released, or are not live, where they have to prove themselves first.
    PROMOTION_NOT_LIVE = "promotion.not_live";
    /// The artifacts have not been live for long enough where they have to prove themselves first.
    PROMOTION_SOAKING = "promotion.soaking";

    /// Under the lock the plan touches something else than what was checked.
    PLAN_CHANGED = "plan.changed";

    /// A rollout did not settle before the deadline.
    DEPLOY_DEADLINE = "deploy.deadline";
    /// A rollout failed.
    DEPLOY_FAILED = "deploy.failed";
    /// The backend undid the rollout by itself.
    DEPLOY_ROLLED_BACK = "deploy.rolled_back";
    /// Another change took the rollout's place.
    DEPLOY_SUPERSEDED = "deploy.superseded";
    /// The backend accepted the write and nothing ran.
    DEPLOY_NOTHING_RAN = "deploy.nothing_ran";
    /// The rollout says it settled, and the target is not where it should be.
    DEPLOY_NOT_LIVE = "deploy.not_live";
    /// A rollout paused and the gates there did not let it go on.
    DEPLOY_PAUSE_REJECTED = "deploy.pause_rejected";
    /// A deployer reported a pause that it cannot answer.
    DEPLOY_NO_PAUSE = "deploy.no_pause";
    /// A deploy has no way back.
    DEPLOY_IRREVERSIBLE = "deploy.irreversible";
    /// A journalled change or receipt cannot be read by this build's deployer.
    DEPLOY_DECODE = "deploy.decode";

    /// What is live was verified, and does not pass.
    VERIFY_FAILED = "verify.failed";
    /// A pipeline has no enforced verify gate: what is live cannot be verified.
    VERIFY_NOTHING = "verify.nothing";

    /// A rollback is not possible for a change: refused before the first write.
    ROLLBACK_ONE_WAY = "rollback.one_way";
    /// There is no release to roll back to.
    ROLLBACK_NOTHING = "rollback.nothing";
    /// The release asked for is not among those that can be reached.
    ROLLBACK_UNKNOWN_RELEASE = "rollback.unknown_release";
    /// The target is not where the journal's last release left it: nothing was written.
    ROLLBACK_ELSEWHERE = "rollback.elsewhere";
    /// The undoing did not end at the old release.
    ROLLBACK_STUCK = "rollback.stuck";

    /// A newer candidate is live.
    LINEAGE_OLDER = "lineage.older";

    /// The target is suspect.
    LOCK_SUSPECT = "lock.suspect";
    /// The run no longer holds the target, or cannot prove that it does.
    LOCK_LOST = "lock.lost";
    /// Too little of the lease is left for a write.
    LOCK_LEASE_SHORT = "lock.lease_short";
    /// Another run holds the target.
    LOCK_HELD = "lock.held";
    /// The target is not suspect because of that run.
    LOCK_NOT_SUSPECT = "lock.not_suspect";
    /// A touched target cannot simply be released.
    LOCK_MUTATING = "lock.mutating";
    /// The run is not in the queue.
    LOCK_NO_TICKET = "lock.no_ticket";
    /// The wait in the queue took too long.
    QUEUE_TIMEOUT = "queue.timeout";

    /// There is no ledger to read.
    LEDGER_NONE = "ledger.none";
    /// A journal entry cannot be written or read.
    LEDGER_ENTRY = "ledger.entry";
    /// An entry that needs the lock came without one.
    LEDGER_GUARD = "ledger.guard";
    /// The journal's chain is broken.
    LOG_BROKEN = "log.broken";

    /// The run was interrupted.
    RUN_INTERRUPTED = "run.interrupted";
    /// There is nothing to resume.
    RESUME_NOTHING = "resume.nothing";
    /// The pipeline is not the one that the run began with.
    RESUME_FINGERPRINT = "resume.fingerprint";
    /// The journal has entries of this run that only a newer build understands.
    RESUME_NEWER = "resume.newer";
    /// There is nothing to reconcile.
    RECONCILE_NOTHING = "reconcile.nothing";
    /// A suspect target waits for a decision.
    RECONCILE_UNDECIDED = "reconcile.undecided";
    /// What was found does not allow the decision.
    RECONCILE_REFUSED = "reconcile.refused";
    /// A person freed the target whatever is live.
    RECONCILE_OVERRIDDEN = "reconcile.overridden";

    /// User code panicked.
    ENGINE_PANIC = "engine.panic";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_have_an_area() {
        let texts: BTreeSet<_> = ALL.iter().map(Code::as_str).collect();
        assert_eq!(texts.len(), ALL.len());
        for text in texts {
            let (area, what) = text.split_once('.').unwrap();
            assert!(!area.is_empty() && !what.is_empty(), "{text}");
        }
    }
}
