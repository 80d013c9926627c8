//! The codes of this crate's refusals and errors. Backends add their own areas.

use crate::error::Code;

/// What a code means, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedCode {
    /// The code.
    pub code: Code,
    /// What happened, in a sentence.
    pub meaning: &'static str,
    /// What to do next, as an imperative; verbs of a deploy program stand in backticks.
    pub next: &'static str,
}

impl ListedCode {
    /// For [`codes!`](crate::codes).
    #[must_use]
    pub const fn new(code: Code, meaning: &'static str, next: &'static str) -> Self {
        Self { code, meaning: meaning.trim_ascii(), next }
    }
}

/// Declares the codes of a crate as constants, and lists them with their meanings and what to do
/// next as `ALL`.
///
/// # Examples
/// ```
/// gatekit_core::codes! {
///     /// The queue has no consumer.
///     QUEUE_NO_CONSUMER = "orders.no_consumer",
///         next: "start a worker, then ship again";
/// }
/// # fn main() {
/// assert_eq!(QUEUE_NO_CONSUMER.area(), "orders");
/// assert_eq!(ALL[0].meaning, "The queue has no consumer.");
/// # }
/// ```
#[macro_export]
macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $name:ident = $text:literal, next: $next:literal;)+) => {
        $(
            $(#[doc = $meaning])+
            #[doc = ""]
            #[doc = ::core::concat!("Next: ", $next, ".")]
            pub const $name: $crate::Code = $crate::Code::new($text);
        )+
        /// Every code of this crate, with what it means and what to do next.
        pub const ALL: &[$crate::code::ListedCode] = &[$(
            $crate::code::ListedCode::new($name, ::core::concat!($($meaning),+), $next)
        ),+];
    };
}

codes! {
    /// A pipeline has two stages of one id.
    CONFIG_DUPLICATE_STAGE = "config.duplicate_stage",
        next: "give one of the two another id, or a `.group` of its own";
    /// A part of a pipeline can never take effect where it stands.
    CONFIG_PIPELINE = "config.pipeline",
        next: "build the pipeline as the message says";
    /// A name uses characters that are not allowed.
    CONFIG_NAME = "config.name",
        next: "use letters, digits and `-_.`, with `/` between the parts of a target";
    /// A text is not a SHA-256 digest.
    CONFIG_DIGEST = "config.digest",
        next: "give it as `sha256:` and 64 hexadecimal digits";
    /// A text is not a run id.
    CONFIG_RUN_ID = "config.run_id",
        next: "copy it from `status` or `log`";
    /// A text is not an exported head of a journal.
    CONFIG_HEAD = "config.head",
        next: "give the text that `log --head` printed";
    /// A freeze has no such time, or there is no such time zone.
    CONFIG_WINDOW = "config.window",
        next: "mend the freeze: weekday, time, date or zone";
    /// A lease, a deadline or a time-out is out of range.
    CONFIG_DURATION = "config.duration",
        next: "choose one in the range that the message names";

    /// An enforced gate failed.
    GATE_FAILED = "gate.failed",
        next: "read what the gate found, mend that, ship again; if the gate is wrong, `waive` it";
    /// An enforced gate could not tell.
    GATE_INCONCLUSIVE = "gate.inconclusive",
        next: "see why the gate could not tell, and ship again when it can";
    /// A gate waits for somebody or something.
    GATE_WAITING = "gate.waiting",
        next: "`resume` when what it waits for has come";
    /// A gate passed without evidence, which is no pass.
    GATE_NO_EVIDENCE = "gate.no_evidence",
        next: "have the gate return what it read, with where and when";
    /// A gate did not answer within its own time limit.
    GATE_TIMEOUT = "gate.timeout",
        next: "see what it waited for, or give it longer by `GateExt::timeout`";
    /// A gate, or a deployer that was asked something, did not answer before the deadline.
    GATE_DEADLINE = "gate.deadline",
        next: "see what did not answer, or allow more time by `--deadline`";

    /// A stage waits for a person's approval.
    APPROVAL_WAITING = "approval.waiting",
        next: "`approve` or `reject` the run, then `resume` it";
    /// A person rejected the run.
    APPROVAL_REJECTED = "approval.rejected",
        next: "ask whoever rejected it, then ship anew";
    /// Nobody may approve what they asked for themselves.
    APPROVAL_OWN = "approval.own",
        next: "ask somebody else to approve it";
    /// The run waits for no word on that stage.
    APPROVAL_NOTHING = "approval.nothing",
        next: "`status` lists the stages that wait for somebody's word";
    /// Several runs wait for a word, or several stages of one, and none was named.
    APPROVAL_WHICH = "approval.which",
        next: "name the run, and the stage by `--stage`; `status` lists them";
    /// What the run would touch has changed since it was looked at.
    APPROVAL_MOVED = "approval.moved",
        next: "look at `status` again, and judge what it would touch now";
    /// The run was granted its target, or ended, before the word came.
    APPROVAL_TOO_LATE = "approval.too_late",
        next: "ship anew; the new run asks again";
    /// Fewer people may approve than have to: no word could ever be enough.
    APPROVAL_TOO_FEW = "approval.too_few",
        next: "have somebody else ask, name more people in `Approval::by`, or ask for fewer";
    /// A person has to do something first.
    MANUAL_WAITING = "manual.waiting",
        next: "do what the stage asks, `approve` the run, then `resume` it";
    /// A person could not do what was to be done.
    MANUAL_REJECTED = "manual.rejected",
        next: "clear what was in the way, then ship anew";
    /// There is no gate of that name that blocked the run.
    WAIVER_NOTHING = "waiver.nothing",
        next: "`log` names the gates that blocked the run";
    /// The gate cannot be waived.
    WAIVER_REFUSED = "waiver.refused",
        next: "answer the gate itself: what people must approve, and what runs, is not waived";

    /// The target is frozen at present.
    WINDOW_FROZEN = "window.frozen",
        next: "ship when the freeze ends, or `waive` the gate";
    /// The artifacts were not released, or are not live, where they have to prove themselves first.
    PROMOTION_NOT_LIVE = "promotion.not_live",
        next: "release the same artifacts there first";
    /// The artifacts have not been live for long enough where they have to prove themselves first.
    PROMOTION_SOAKING = "promotion.soaking",
        next: "ship again when they have been live there for long enough";

    /// Under the lock the plan touches something else than what was checked.
    PLAN_CHANGED = "plan.changed",
        next: "ship again: the new plan is checked anew";

    /// A rollout did not settle before the deadline.
    DEPLOY_DEADLINE = "deploy.deadline",
        next: "look why the rollout does not settle, or allow more time by `--deadline`";
    /// A rollout failed.
    DEPLOY_FAILED = "deploy.failed",
        next: "read why in the causes, mend the candidate, ship again";
    /// The backend undid the rollout by itself.
    DEPLOY_ROLLED_BACK = "deploy.rolled_back",
        next: "read the backend's reason, mend the candidate, ship again";
    /// Another change took the rollout's place.
    DEPLOY_SUPERSEDED = "deploy.superseded",
        next: "find out who else deploys there: `status` tells what is live";
    /// The backend accepted the write and nothing ran.
    DEPLOY_NOTHING_RAN = "deploy.nothing_ran",
        next: "look why the backend started nothing: capacity, permissions, a paused service";
    /// The rollout says it settled, and the target is not where it should be.
    DEPLOY_NOT_LIVE = "deploy.not_live",
        next: "`status` tells what is live; find out who else deploys there";
    /// A rollout paused and the gates there did not let it go on.
    DEPLOY_PAUSE_REJECTED = "deploy.pause_rejected",
        next: "read what the gates at the pause found, mend that, ship again";
    /// A deployer reported a pause that it cannot answer.
    DEPLOY_NO_PAUSE = "deploy.no_pause",
        next: "mend the deployer: only one that overrides `proceed` may report a pause";
    /// A deploy has no way back.
    DEPLOY_IRREVERSIBLE = "deploy.irreversible",
        next: "give it a rollback, or say `.irreversible` with a reason";
    /// A journalled change or receipt cannot be read by this build's deployer.
    DEPLOY_DECODE = "deploy.decode",
        next: "resume with the build that began the run, or `reconcile`";

    /// What is live was verified, and does not pass.
    VERIFY_FAILED = "verify.failed",
        next: "read what the gates found; `rollback` returns to the release before";
    /// A pipeline has no enforced verify gate: what is live cannot be verified.
    VERIFY_NOTHING = "verify.nothing",
        next: "give the pipeline an enforced verify gate";

    /// A rollback is not possible for a change: refused before the first write.
    ROLLBACK_ONE_WAY = "rollback.one_way",
        next: "mend it by a new release: there is no way back from this change";
    /// There is no release to roll back to.
    ROLLBACK_NOTHING = "rollback.nothing",
        next: "`log` tells what was released";
    /// The release asked for is not among those that can be reached.
    ROLLBACK_UNKNOWN_RELEASE = "rollback.unknown_release",
        next: "choose one that `status` or `log` names";
    /// The target is not where the journal's last release left it: nothing was written.
    ROLLBACK_ELSEWHERE = "rollback.elsewhere",
        next: "find out who changed the target; then ship what is to be live";
    /// The undoing did not end at the old release.
    ROLLBACK_STUCK = "rollback.stuck",
        next: "`reconcile` tells what it finds and what may be decided";

    /// A newer candidate is live.
    LINEAGE_OLDER = "lineage.older",
        next: "ship again if this candidate is the one to be live";

    /// The target is suspect.
    LOCK_SUSPECT = "lock.suspect",
        next: "`resume`; if that ends stuck, `reconcile`";
    /// The run no longer holds the target, or cannot prove that it does.
    LOCK_LOST = "lock.lost",
        next: "`status` tells who holds the target; then `resume`";
    /// Too little of the lease is left for a write.
    LOCK_LEASE_SHORT = "lock.lease_short",
        next: "`resume`; a lease that is often short is too short: `with_lease`";
    /// Another run holds the target.
    LOCK_HELD = "lock.held",
        next: "wait: `ship` queues behind it; `status` tells who holds it";
    /// The target is not suspect because of that run.
    LOCK_NOT_SUSPECT = "lock.not_suspect",
        next: "`status` tells the target's state";
    /// A touched target cannot simply be released.
    LOCK_MUTATING = "lock.mutating",
        next: "end the run by `resume` or `reconcile`";
    /// The run is not in the queue.
    LOCK_NO_TICKET = "lock.no_ticket",
        next: "ship anew: that run gave its place up";
    /// The wait in the queue took too long.
    QUEUE_TIMEOUT = "queue.timeout",
        next: "`status` tells who holds the target; wait for longer by `--queue-timeout`";

    /// There is no ledger to read.
    LEDGER_NONE = "ledger.none",
        next: "give the ledger that the runs were journalled in";
    /// A journal entry cannot be written or read.
    LEDGER_ENTRY = "ledger.entry",
        next: "use the build that wrote it, or `log --verify`";
    /// An entry that needs the lock came without one.
    LEDGER_GUARD = "ledger.guard",
        next: "append it with the hold of the run";
    /// The journal's chain is broken.
    LOG_BROKEN = "log.broken",
        next: "stop shipping to that target, and find out who altered the ledger";

    /// The run was interrupted.
    RUN_INTERRUPTED = "run.interrupted",
        next: "`resume`, unless it was rolled back: then ship anew";
    /// There is nothing to resume: no run is open, or the one that was named has ended.
    RESUME_NOTHING = "resume.nothing",
        next: "`ship`: no run is left open";
    /// The run is one of another target, along with which this one was locked.
    RESUME_ELSEWHERE = "resume.elsewhere",
        next: "`resume` or `reconcile` with the pipeline of the target that is named";
    /// The pipeline is not the one that the run began with.
    RESUME_FINGERPRINT = "resume.fingerprint",
        next: "resume with the pipeline and the arguments that the run began with, or `reconcile`";
    /// The journal has entries of this run that only a newer build understands.
    RESUME_NEWER = "resume.newer",
        next: "resume with the newer build";
    /// There is nothing to reconcile.
    RECONCILE_NOTHING = "reconcile.nothing",
        next: "`ship`: no target is suspect";
    /// A suspect target waits for a decision.
    RECONCILE_UNDECIDED = "reconcile.undecided",
        next: "choose `--adopt`, `--confirm-old`, `--roll-back` or `--override`";
    /// What was found does not allow the decision.
    RECONCILE_REFUSED = "reconcile.refused",
        next: "decide by what was found";
    /// A person freed the target whatever is live.
    RECONCILE_OVERRIDDEN = "reconcile.overridden",
        next: "see to it that what is live is what should be";

    /// User code panicked.
    ENGINE_PANIC = "engine.panic",
        next: "mend the stage's code; then `resume`";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_have_an_area() {
        let texts: BTreeSet<_> = ALL.iter().map(|listed| listed.code.as_str()).collect();
        assert_eq!(texts.len(), ALL.len());
        for text in texts {
            let (area, what) = text.split_once('.').unwrap();
            assert!(!area.is_empty() && !what.is_empty(), "{text}");
        }
    }
}
