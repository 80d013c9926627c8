//! Deployers that are wrong in one thing, and the behaviour that catches each.

use gatekit_testkit::conformance::deployer;

use crate::caught::wrong;
use crate::toy::{Toy, Wrong};

#[tokio::test]
async fn a_right_one_passes() {
    deployer::all(&Toy::new(Wrong::Nothing)).await;
}

#[tokio::test]
async fn a_right_one_with_pauses_passes() {
    deployer::all(&Toy::pausing(Wrong::Nothing)).await;
}

/// Pauses only where a pause is what it is about.
fn toy(wrong: Wrong) -> Toy {
    use Wrong::{AnswerErrs, AnswerIgnored, AnswerTwice, BackGoesOn, PauseUntold};
    match wrong {
        PauseUntold | AnswerIgnored | AnswerErrs | AnswerTwice | BackGoesOn => Toy::pausing(wrong),
        _ => Toy::new(wrong),
    }
}

wrong! { deployer of toy;
    id_varies: IdVaries => it_describes_itself_the_same_in_every_process, "StageId";
    description_varies: DescribeVaries => it_describes_itself_the_same_in_every_process, "describe";
    description_ages: DescribeAges => it_describes_itself_the_same_in_every_process, "describe";
    description_learns: DescribeLearns => it_describes_itself_the_same_in_every_process, "describe";

    secret_in_description: SecretInDescribe => no_secret_is_shown, "describe";
    secret_in_change: SecretInChange => no_secret_is_shown, "Deployer::Change";
    secret_in_summary: SecretInSummary => no_secret_is_shown, "Deployer::Change";
    secret_in_receipt: SecretInReceipt => no_secret_is_shown, "Deployer::Receipt";
    secret_in_live: SecretInLive => no_secret_is_shown, "the journal";
    secret_in_error: SecretInError => no_secret_is_shown, "Error";
    secret_in_progress: SecretInProgress => no_secret_is_shown, "PlanContext::progress";
    secret_in_journal: SecretInJournal => no_secret_is_shown, "the journal";

    plan_writes: PlanWrites => reading_writes_nothing, "Deployer::plan";
    locate_writes: LocateWrites => reading_writes_nothing, "Deployer::locate";
    live_writes: LiveWrites => reading_writes_nothing, "Deployer::live";
    observe_writes: ObserveWrites => reading_writes_nothing, "Deployer::observe";

    scope_varies: ScopeVaries => reading_is_repeatable, "Planned::scope";
    scope_of_process: ScopeOfProcess => reading_is_repeatable, "Planned::scope";
    plan_errs: PlanErrs => reading_is_repeatable, "Deployer::plan";
    live_errs: LiveErrs => reading_is_repeatable, "Deployer::live";
    apply_errs: ApplyErrs => reading_is_repeatable, "Deployer::apply";
    observe_errs: ObserveErrs => reading_is_repeatable, "Deployer::observe";
    locate_varies: LocateVaries => reading_is_repeatable, "Deployer::locate";
    live_varies: LiveVaries => reading_is_repeatable, "Deployer::live";
    observe_varies: ObserveVaries => reading_is_repeatable, "Deployer::observe";

    plan_forgets: PlanForgets => reading_is_cancel_safe, "Deployer::plan";
    locate_forgets: LocateForgets => reading_is_cancel_safe, "Deployer::locate";
    live_forgets: LiveForgets => reading_is_cancel_safe, "Deployer::live";
    observe_forgets: ObserveForgets => reading_is_cancel_safe, "Deployer::observe";

    one_scope_for_all: ScopeConstant => another_candidate_has_another_scope, "Planned::scope";
    scope_of_before: ScopeOfBefore => the_scope_leaves_out_what_was_there, "Planned::scope";
    change_in_memory: ChangeInMemory => another_process_goes_on_with_change_and_receipt, "Deployer";
    receipt_in_memory: ReceiptInMemory => another_process_goes_on_with_change_and_receipt, "Location::After";
    before_in_memory: BeforeInMemory => another_process_goes_on_with_change_and_receipt, "Deployer";
    settled_for_one_process_only: SettledForOneProcess => another_process_goes_on_with_change_and_receipt, "Rollout::Settled";

    after_without_effect: AfterWithoutEffect => it_is_before_and_then_after, "Deployer::locate";
    before_unseen: BeforeUnseen => it_is_before_and_then_after, "Location::Before";
    after_needs_receipt: AfterNeedsReceipt => it_is_before_and_then_after, "Deployer::locate";
    locate_hangs: LocateHangs => it_is_before_and_then_after, "Deployer::locate";
    locate_remembers: LocateRemembers => it_is_before_and_then_after, "Location::After";
    in_place_unseen: InPlaceUnseen => what_is_in_place_is_recognised, "Deployer::locate";
    after_for_anyone: AfterForAnyone => another_runs_effect_is_not_its_own, "Deployer::locate";
    elsewhere_as_between: ElsewhereAsBetween => somebody_elses_release_is_found, "Location::Elsewhere";
    elsewhere_as_before: ElsewhereAsBefore => somebody_elses_release_is_found, "Location::Elsewhere";
    elsewhere_misnamed: ElsewhereMisnamed => somebody_elses_release_is_found, "Deployer::live";
    live_remembers: LiveRemembers => live_tells_what_is_live, "Deployer::live";
    live_for_nothing: LiveForNothing => live_tells_what_is_live, "Deployer::live";
    half_way_as_before: HalfWayAsBefore => a_half_way_state_is_not_taken_for_a_whole_one, "Deployer::locate";
    half_way_as_after: HalfWayAsAfter => a_half_way_state_is_not_taken_for_a_whole_one, "Deployer::locate";
    half_way_as_elsewhere: HalfWayAsElsewhere => a_half_way_state_is_not_taken_for_a_whole_one, "Location::Elsewhere";

    applies_again: AppliesAgain => applying_again_has_no_second_effect, "Deployer::apply";
    applies_again_without_receipt: AppliesAgainWithoutReceipt => applying_again_has_no_second_effect, "Deployer::apply";
    refuses_to_repeat: RefusesToRepeat => applying_again_has_no_second_effect, "Deployer::apply";
    lost_is_none: LostIsNone => a_lost_answer_is_found_again, "Effect";
    lost_and_made_again: AppliesAgain => a_lost_answer_is_found_again, "Deployer::apply";
    lost_and_refuses: RefusesToRepeat => a_lost_answer_is_found_again, "Deployer::apply";
    no_permit: NoPermit => every_write_has_its_permit, "Deployer::apply and Rollback::roll_back";
    one_permit_for_all: OnePermitForAll => every_write_has_its_permit, "ApplyContext::permit";
    ignores_refusal: IgnoresRefusal => an_overtaken_fence_writes_nothing, "ApplyContext::permit";
    renames_refusal: RenamesRefusal => an_overtaken_fence_writes_nothing, "Deployer::apply and Rollback::roll_back";
    swallows_refusal: SwallowsRefusal => an_overtaken_fence_writes_nothing, "ApplyContext::permit";
    refused_overtaken_is_done: RefusedIsDone => an_overtaken_fence_writes_nothing, "Effect";
    late_told_done: LateToldDone => a_late_apply_clobbers_nobody, "Deployer::apply";
    clobbers: Clobbers => a_late_apply_clobbers_nobody, "Deployer::apply";
    stuck_half_way: StuckHalfWay => it_goes_on_wherever_it_was_killed, "Deployer::apply";
    checkpoint_misleads: CheckpointMisleads => it_goes_on_wherever_it_was_killed, "ApplyContext::checkpoint";
    checkpoint_unreadable: CheckpointUnreadable => it_goes_on_wherever_it_was_killed, "Deployer::Receipt";
    cannot_tell_and_writes: CannotTellAndWrites => it_goes_on_wherever_it_was_killed, "Deployer::apply";
    applies_again_once_killed: AppliesAgain => it_goes_on_wherever_it_was_killed, "Deployer::apply";
    refuses_to_repeat_once_killed: RefusesToRepeat => it_goes_on_wherever_it_was_killed, "Deployer::apply";
    renames_refusal_half_way: RenamesRefusal => errors_tell_what_was_written, "Deployer::apply and Rollback::roll_back";
    half_done_is_none: HalfDoneIsNone => errors_tell_what_was_written, "Effect";
    refused_is_done: RefusedIsDone => errors_tell_what_was_written, "Effect";

    under_way_forever: UnderWayForever => a_rollout_ends, "Deployer::observe";
    settled_for_one_process: SettledForOneProcess => a_rollout_ends, "Rollout::Settled";
    failure_as_after: FailureAsAfter => a_release_that_fails_is_no_success, "Deployer::locate";
    failing_forever: FailingForever => a_release_that_fails_is_no_success, "Deployer::observe";
    pause_untold: PauseUntold => a_pause_is_answered, "Deployer::observe";
    answer_ignored: AnswerIgnored => a_pause_is_answered, "Deployer::proceed";
    answer_errs: AnswerErrs => a_pause_is_answered, "Deployer::proceed";
    answer_twice: AnswerTwice => a_pause_is_answered, "Deployer::proceed";
    back_goes_on: BackGoesOn => a_pause_is_answered, "Deployer::proceed";
}
