//! Gates that are wrong in one thing, and the behaviour that catches each.

use gatekit_testkit::conformance::gate;

use crate::caught::wrong;
use crate::toy::{ToyGates, WrongGate as Wrong};

#[tokio::test]
async fn a_right_one_passes() {
    gate::all(&ToyGates(Wrong::Nothing)).await;
}

wrong! { gate of ToyGates;
    id_varies: IdVaries => it_describes_itself_the_same_in_every_process, "StageId";
    description_varies: DescribeVaries => it_describes_itself_the_same_in_every_process, "describe";
    freshness_varies: FreshVaries => it_describes_itself_the_same_in_every_process, "Gate::fresh_for";

    never_passes: NeverPasses => it_passes_with_evidence, "Verdict::Pass";
    old_evidence: OldEvidence => it_passes_with_evidence, "Gate::check";
    evidence_of_tomorrow: EvidenceOfTomorrow => it_passes_with_evidence, "Evidence";
    too_many_facts: TooManyFacts => it_passes_with_evidence, "FACTS_LIMIT";
    source_untold: SourceUntold => it_passes_with_evidence, "Evidence";

    passes_failures: PassesFailures => it_fails_with_a_finding, "Verdict::Fail";
    fails_without_code: FailsWithoutCode => it_fails_with_a_finding, "Code";
    fails_without_message: FailsWithoutMessage => it_fails_with_a_finding, "Verdict::Fail";

    passes_unreadable: PassesUnreadable => it_does_not_judge_what_it_cannot_read, "Gate::check";
    fails_unreadable: FailsUnreadable => it_does_not_judge_what_it_cannot_read, "Gate::check";
    passes_empty: PassesEmpty => it_does_not_judge_what_it_cannot_read, "Gate::check";
    errs_without_code: ErrsWithoutCode => it_does_not_judge_what_it_cannot_read, "Code";

    waits_as_failure: WaitsAsFailure => it_waits_with_a_finding, "Verdict::Wait";
    writes: Writes => checking_writes_nothing, "Gate::check";
    varies: Varies => checking_is_repeatable, "Gate::check";
    forgets: Forgets => checking_is_cancel_safe, "Gate::check";
    writes_when_dropped: WritesWhenDropped => checking_is_cancel_safe, "Gate::check";
    remembers: Remembers => it_looks_afresh, "Gate::check";

    hangs: Hangs => it_ends_by_the_deadline, "Gate::check";
    passes_hanging: PassesHanging => it_ends_by_the_deadline, "Gate::check";
    hangs_for_good: HangsForGood => it_ends_by_the_deadline, "Gate::check";
    blocks: BlocksThread => it_ends_by_the_deadline, "Gate::check";

    secret_in_description: SecretInDescribe => no_secret_is_shown, "describe";
    secret_in_debug: SecretInDebug => no_secret_is_shown, "describe";
    secret_in_facts: SecretInFacts => no_secret_is_shown, "Evidence::read";
    secret_in_finding: SecretInFinding => no_secret_is_shown, "Evidence::read";
    secret_in_error: SecretInError => no_secret_is_shown, "Error";
    secret_in_progress: SecretInProgress => no_secret_is_shown, "PlanContext::progress";
}
