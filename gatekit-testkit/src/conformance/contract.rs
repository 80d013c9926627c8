//! The sentences of the contracts, word for word, and how a broken one is told.

use std::fmt::Display;

/// Of what, and the sentence as the documentation of `gatekit-core` has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sentence {
    of: &'static str,
    text: &'static str,
}

macro_rules! sentences {
    ($($name:ident: $of:literal = $text:literal;)+) => {
        $(pub(crate) const $name: Sentence = Sentence { of: $of, text: $text };)+
        #[cfg(test)]
        const ALL: &[Sentence] = &[$($name),+];
    };
}

sentences! {
    STAGE_ID: "StageId" =
        "it MUST be the same in every process that builds the pipeline, because a resumed run finds its stages by it";
    DESCRIBE: "describe" =
        "It feeds the fingerprint: MUST be the same for the same configuration, in every process.";

    PLAN: "Deployer::plan" =
        "MUST NOT write: `cx` gives no permit. Idempotent and cancel-safe; called before the queue, again under the lock, and for a dry run.";
    CHANGE: "Deployer" =
        "A killed run is resumed by calling `apply` again with the *same* change, so everything that `apply` and the rollback need MUST be in the change.";
    CHANGE_SECRET: "Deployer::Change" =
        "Journalled before the first write: MUST NOT contain secrets, and MUST stay readable for later versions.";
    RECEIPT: "Deployer::Receipt" =
        "What a write returned: the ids by which the effect of this run is recognised afterwards.";
    SCOPE: "Planned::scope" =
        "A digest of what will be touched. Approvals bind to it, and a plan whose scope differs from the one that was checked is refused.";
    SCOPE_BEFORE: "Planned::scope" = "The before-state SHOULD NOT be part of it.";

    PERMIT: "Deployer::apply and Rollback::roll_back" = "Every write needs a permit from `ApplyContext::permit`.";
    PERMIT_EACH: "ApplyContext::permit" =
        "Ask for it immediately before the write, one per effect on the target; content-addressed uploads may share one.";
    PERMIT_REFUSED: "ApplyContext::permit" = "the write MUST NOT be made";
    PERMIT_CODE: "Deployer::apply and Rollback::roll_back" =
        "The error of a permit that was refused MUST keep its code";
    APPLY: "Deployer::apply" =
        "Returns once the write is accepted; whether it works out is for `observe` and `locate`.";
    APPLY_AGAIN: "Deployer::apply" =
        "MUST be correct when called again with the same change after a crash at any point";
    CANNOT_TELL: "Deployer::apply" =
        "If it cannot tell, it errs with a code that ends in `.cannot_tell`.";
    APPLY_ELSEWHERE: "Deployer::apply" =
        "When somebody else's release has taken the place of its effect, it MUST err and write nothing.";
    CHECKPOINT: "ApplyContext::checkpoint" =
        "Journals a receipt in the middle of `apply`, durably before it returns: a resumed run gets it as `earlier`, and when `apply` errs it is the receipt by which its effect is located and undone.";
    EFFECT: "Effect" = "What the failed call did to the target.";
    CODE: "Code" =
        "A stable, dotted name of a refusal or an error, like `lock.suspect`.";
    RECEIPT_SECRET: "Deployer::Receipt" = "Journalled: MUST NOT contain secrets.";
    JOURNAL_SECRET: "the journal" = "MUST NOT contain secrets";
    ERROR_SECRET: "Error" = "They MUST NOT contain secrets: errors are journalled.";
    PROGRESS_SECRET: "PlanContext::progress" = "Lossy; MUST NOT contain secrets.";
    DESCRIBE_SECRET: "describe" = "The configuration that matters, secrets as names only.";

    OBSERVE: "Deployer::observe" =
        "Polls once how the write is getting on. MUST NOT write. Idempotent and cancel-safe.";
    OBSERVE_ENDS: "Deployer::observe" =
        "A rollout that will not change any more MUST NOT be told as under way.";
    SETTLED: "Rollout::Settled" = "The backend says it is done. `locate` has the last word.";
    PROCEED: "Deployer::proceed" = "Answers a pause that `observe` reported. MUST be idempotent.";
    PROCEED_BACK: "Deployer::proceed" = "After `Go::RollBack` the wish MUST NOT become live.";

    LOCATE: "Deployer::locate" =
        "Tells where the target stands between the before-state and the wish: the only judge of success.";
    LOCATE_READS: "Deployer::locate" =
        "MUST NOT write, MUST read afresh. Idempotent and cancel-safe.";
    AFTER_OWN: "Deployer::locate" =
        "With a receipt, `Location::After` MUST mean the effect of *that* write, not of somebody else's.";
    AFTER_ANY: "Deployer::locate" =
        "Without one it means that the wish already holds: the engine then has nothing to do.";
    BEFORE: "Location::Before" = "As it was before the change.";
    AFTER: "Location::After" = "As the change wishes.";
    ELSEWHERE: "Location::Elsewhere" = "Somebody else's release is there: it is never touched.";
    LIVE: "Deployer::live" =
        "What is live now, for status and lineage; `None` when nothing is. MUST NOT write. Idempotent and cancel-safe.";

    REVERSIBILITY: "Rollback::reversibility" =
        "Whether that change can be undone. MUST NOT write. Idempotent.";
    ROLL_BACK: "Rollback::roll_back" =
        "MUST be correct even if `apply` never landed or landed in part (`receipt` is then `None`), and when called again after a crash at any point.";
    ROLL_BACK_ELSEWHERE: "Rollback::roll_back" =
        "MUST write nothing when the target is `Location::Elsewhere`: another actor's release is never clobbered.";
    ROLL_BACK_ONE_WAY: "Rollback::roll_back" =
        "MUST write nothing and err when the change cannot be undone.";
    OBSERVE_BACK: "Rollback::observe_back" =
        "Polls once how the undoing is getting on. MUST NOT write. Idempotent and cancel-safe.";

    CHECK: "Gate::check" =
        "MUST NOT change the target: `cx` gives no permit to write.";
    CHECK_AGAIN: "Gate::check" =
        "MUST be idempotent: the engine may call it any number of times.";
    CHECK_DROPPED: "Gate::check" =
        "MUST be cancel-safe: the engine drops the future at an interrupt, at the deadline and when the lock is lost.";
    CHECK_ENDS: "Gate::check" = "SHOULD end before `cx.deadline()`.";
    CHECK_AFRESH: "Gate::check" =
        "MUST read afresh, unless its evidence is bound to the candidate.";
    CHECK_READS: "Gate::check" =
        "MUST NOT pass on what it could not read, nor on nothing: an unreadable answer, an empty list and zero checks are `Verdict::Inconclusive`.";
    PASS: "Verdict::Pass" = "Yes, and here is why.";
    FAIL: "Verdict::Fail" = "No.";
    WAIT: "Verdict::Wait" = "Not yet: somebody or something has to act first.";
    EVIDENCE: "Evidence" =
        "What a gate saw: where, when, the digest of it, and a few facts taken from it.";
    FACTS: "FACTS_LIMIT" = "The most facts, in bytes of JSON, that one piece of evidence carries.";
    FACTS_SECRET: "Evidence::read" = "MUST NOT contain secrets";
    FRESHNESS: "Gate::fresh_for" = "How long a pass of this gate may be relied on.";
}

/// Fails the test: that sentence does not hold.
#[track_caller]
#[expect(clippy::panic, reason = "a conformance suite fails by panicking, as any test does")]
pub(crate) fn broken(sentence: Sentence, found: impl Display) -> ! {
    panic!("{} is broken: \"{}\"; found: {found}", sentence.of, sentence.text)
}

/// Fails the test: the subject does not keep what it declares, so nothing can be told.
#[track_caller]
#[expect(clippy::panic, reason = "a conformance suite fails by panicking, as any test does")]
pub(crate) fn unfit(why: impl Display) -> ! {
    panic!("the subject of the conformance suite is not fit for it: {why}")
}

/// Asserts that a sentence of the contract holds, or tells what was found instead.
macro_rules! holds {
    ($holds:expr, $sentence:ident, $($found:tt)+) => {
        if !$holds {
            $crate::conformance::contract::broken(
                $crate::conformance::contract::$sentence,
                format_args!($($found)+),
            );
        }
    };
}
pub(crate) use holds;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The doc comments of the contracts as running text, links as their names.
    fn documentation() -> String {
        let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gatekit-core/src");
        let mut words = Vec::new();
        for file in ["context", "deployer", "error", "gate/mod", "id", "rollback", "verdict"]
            .map(|f| f.to_owned() + ".rs")
        {
            let text = fs::read_to_string(core.join(file)).unwrap();
            for line in text.lines().filter_map(|line| line.trim().strip_prefix("///")) {
                words.extend(line.split_whitespace().map(str::to_owned));
            }
        }
        let mut text = words.join(" ").replace("[`", "`").replace("`]", "`");
        while let Some(begin) = text.find("`(crate::") {
            let end = begin + text[begin..].find(')').unwrap();
            text.replace_range(begin + 1..=end, "");
        }
        text
    }

    #[test]
    fn every_sentence_is_in_the_documentation_of_the_contracts() {
        let documentation = documentation();
        for sentence in ALL {
            assert!(documentation.contains(sentence.text), "{}: {}", sentence.of, sentence.text);
        }
    }
}
