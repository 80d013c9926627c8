//! All behaviours, one after the other.

use super::subject::Subject;

macro_rules! run {
    ($subject:ident: $($behaviour:path),+ $(,)?) => {
        $($behaviour($subject).await;)+
    };
}

/// Runs every behaviour that the subject declares to have, each on a ledger of its own.
///
/// # Panics
/// At the first sentence of the contract that is broken.
pub async fn all(subject: &dyn Subject) {
    run!(subject:
        super::a_target_that_nobody_used_is_untouched,
        super::a_run_keeps_its_ticket,
        super::a_run_without_a_ticket_is_refused,
        super::a_grant_is_repeated_to_its_claim,
        super::two_claims_never_share_a_fence,
        super::leaving_gives_the_place_up,
        super::fences_grow_over_everything,
        super::every_legal_name_is_a_target_of_its_own,
        super::waiters_are_granted_in_the_order_of_their_tickets,
        super::a_silent_waiter_is_skipped_and_keeps_its_ticket,
        super::asking_is_the_heartbeat_of_a_waiter,
        super::a_wait_for_a_turn_ends_in_time,
        super::a_lapsed_lease_frees_an_untouched_target,
        super::a_lapsed_lease_makes_a_touched_target_suspect,
        super::an_overtaken_holder_can_do_nothing,
        super::an_unrecorded_lapse_may_be_renewed,
        super::a_refused_call_records_nothing,
        super::a_renewal_begins_the_lease_anew,
        super::only_an_untouched_target_is_released,
        super::nobody_writes_under_a_fence_it_was_not_given,
        super::only_its_own_run_takes_a_suspect_target_over,
        super::a_take_over_is_repeated_to_its_claim,
        super::a_target_that_was_given_up_is_taken_over_at_once,
        super::a_process_that_cannot_be_seen_counts_as_alive,
        super::every_entry_does_to_the_lock_what_its_kind_says,
        super::only_open_kinds_need_no_lock,
        super::open_entries_do_nothing_to_the_lock,
        super::an_entry_that_ends_its_run_needs_the_lock_while_the_run_has_it,
        super::the_exact_string_is_hashed_and_kept,
        super::an_entry_names_its_target_run_and_fence,
        super::a_write_needs_enough_of_the_lease,
        super::reads_are_in_order_and_within_their_limits,
        super::many_threads_are_granted_one_at_a_time,
        super::many_handles_append_to_one_chain,
        super::who_waits_stays_heard_of,
        super::a_claim_that_changes_joins_every_queue_anew,
        super::a_lapse_is_recorded_for_all_that_are_locked_together,
        super::claims_on_the_same_targets_never_wait_in_a_circle,
        super::entries_of_a_target_that_is_locked_along_leave_the_lock_alone,
        super::leaving_gives_every_place_up,
        super::several_targets_are_granted_at_once_or_not_at_all,
        super::what_is_locked_along_is_suspect_and_taken_over_with_its_leading_target,
    );
    if subject.capability().proves_deaths {
        run!(subject:
            super::a_dead_holder_frees_what_it_had_not_touched,
            super::a_dead_holder_leaves_what_it_touched_suspect,
            super::a_dead_waiter_is_skipped_at_once,
        );
    }
    if subject.capability().persistent {
        run!(subject: super::what_was_answered_outlives_every_handle);
    }
}
