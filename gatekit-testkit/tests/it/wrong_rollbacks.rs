//! Rollbacks that are wrong in one thing, and the behaviour that catches each.

use gatekit_testkit::conformance::rollback;

use crate::caught::wrong;
use crate::toy::{Toy, Wrong};

#[tokio::test]
async fn a_right_one_passes() {
    rollback::all(&Toy::new(Wrong::Nothing)).await;
}

#[tokio::test]
async fn a_right_one_with_pauses_passes() {
    rollback::all(&Toy::pausing(Wrong::Nothing)).await;
}

wrong! { rollback of Toy::new;
    reversibility_varies: ReversibilityVaries => reversibility_is_told_without_writing, "Rollback::reversibility";
    reversibility_writes: ReversibilityWrites => reversibility_is_told_without_writing, "Rollback::reversibility";
    never_free: NeverFree => reversibility_is_told_without_writing, "Rollback::reversibility";

    undoes_what_never_landed: UndoesWhatNeverLanded => undoing_what_never_landed_harms_nothing, "Rollback::roll_back";
    undoes_nothing: UndoesNothing => undoing_ends_where_it_began, "Rollback::roll_back";
    needs_receipt: UndoNeedsReceipt => undoing_ends_where_it_began, "Rollback::roll_back";
    leaves_nothing: UndoLeavesNothing => undoing_ends_where_it_began, "Rollback::roll_back";
    undone_untrue: UndoneUntrue => undoing_ends_where_it_began, "Rollback::roll_back";
    back_as_between: BackAsBetween => undoing_ends_where_it_began, "Rollback::roll_back";
    errs: UndoErrs => undoing_ends_where_it_began, "Rollback::roll_back";
    undoes_again: UndoesAgain => undoing_twice_harms_nothing, "Rollback::roll_back";

    watching_writes: ObserveBackWrites => watching_the_undoing_writes_nothing, "Rollback::observe_back";
    watching_forgets: ObserveBackForgets => watching_the_undoing_writes_nothing, "Rollback::observe_back";
    unsettles_elsewhere: UnsettlesElsewhere => watching_the_undoing_writes_nothing, "Rollback::observe_back";
    watching_forever: UndoingForever => watching_the_undoing_writes_nothing, "Deployer::observe";

    no_permit: UndoesWithoutPermit => every_undoing_write_has_its_permit, "Deployer::apply and Rollback::roll_back";
    one_permit_for_all: OnePermitForUndoing => every_undoing_write_has_its_permit, "ApplyContext::permit";
    ignores_refusal: UndoIgnoresRefusal => an_overtaken_fence_undoes_nothing, "ApplyContext::permit";
    renames_refusal: UndoRenamesRefusal => an_overtaken_fence_undoes_nothing, "Deployer::apply and Rollback::roll_back";
    swallows_refusal: UndoSwallowsRefusal => an_overtaken_fence_undoes_nothing, "ApplyContext::permit";

    clobbers_others: UndoClobbers => somebody_elses_release_is_not_touched, "Rollback::roll_back";
    clobbers_other_runs: UndoClobbersRuns => another_runs_release_is_not_touched, "Rollback::roll_back";

    whole_only: UndoesWholeOnly => what_landed_in_part_is_undone, "Rollback::roll_back";
    stuck_half_way: UndoStuckHalfWay => undoing_goes_on_wherever_it_was_killed, "Rollback::roll_back";
    half_undone_is_none: HalfUndoneIsNone => undoing_goes_on_wherever_it_was_killed, "Effect";
    renames_refusal_half_way: UndoRenamesRefusal => undoing_goes_on_wherever_it_was_killed, "Deployer::apply and Rollback::roll_back";
    lost_without_receipt: UndoNeedsReceipt => a_lost_answer_is_undone, "Rollback::roll_back";
    lost_is_none: LostUndoIsNone => a_lost_answer_is_undone, "Effect";
    failed_not_undone: FailedNotUndone => a_failed_release_is_undone, "Rollback::roll_back";

    one_way_is_free: OneWayIsFree => a_one_way_change_is_not_undone, "Rollback::reversibility";
    one_way_undone: OneWayUndone => a_one_way_change_is_not_undone, "Rollback::roll_back";
    one_way_told_undone: OneWayToldUndone => a_one_way_change_is_not_undone, "Rollback::roll_back";
    one_way_without_code: OneWayWithoutCode => a_one_way_change_is_not_undone, "Code";
}
