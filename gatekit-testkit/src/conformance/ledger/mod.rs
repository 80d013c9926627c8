//! What every [`Ledger`](gatekit_core::ledger::Ledger) must do.
//!
//! Describe the ledger by a [`Subject`], and call [`all`] and [`random_interleavings`] in a test:
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use std::time::Duration;
//!
//! use gatekit_core::Result;
//! use gatekit_core::ledger::{Ledger, MemoryLedger};
//! use gatekit_testkit::conformance::ledger::{self, Capability, Opened, Subject};
//!
//! #[derive(Debug)]
//! struct Memory;
//!
//! #[derive(Debug)]
//! struct One(MemoryLedger, Arc<AtomicU64>);
//!
//! #[async_trait::async_trait]
//! impl Subject for Memory {
//!     fn capability(&self) -> Capability {
//!         Capability::default().proves_deaths(cfg!(target_os = "linux"))
//!     }
//!
//!     async fn open(&self) -> Result<Box<dyn Opened>> {
//!         let clock = Arc::new(AtomicU64::new(0));
//!         Ok(Box::new(One(MemoryLedger::with_clock_offset(Arc::clone(&clock)), clock)))
//!     }
//! }
//!
//! impl Opened for One {
//!     fn ledger(&self) -> Arc<dyn Ledger> {
//!         Arc::new(self.0.clone())
//!     }
//!
//!     fn advance(&self, by: Duration) {
//!         self.1.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! ledger::all(&Memory).await;
//! # });
//! ledger::random_interleavings(&Memory, 10, 1);
//! ```

mod along;
mod bench;
mod bodies;
mod check;
mod concurrency;
mod deaths;
mod effects;
mod journal;
mod lease;
mod queue;
mod random;
mod subject;
mod suite;
mod takeover;
mod turns;

pub use along::{
    a_claim_that_changes_joins_every_queue_anew,
    a_lapse_is_recorded_for_all_that_are_locked_together,
    claims_on_the_same_targets_never_wait_in_a_circle,
    entries_of_a_target_that_is_locked_along_leave_the_lock_alone, leaving_gives_every_place_up,
    several_targets_are_granted_at_once_or_not_at_all,
    what_is_locked_along_is_suspect_and_taken_over_with_its_leading_target,
};
pub use concurrency::{
    many_handles_append_to_one_chain, many_threads_are_granted_one_at_a_time,
    what_was_answered_outlives_every_handle,
};
pub use deaths::{
    a_dead_holder_frees_what_it_had_not_touched, a_dead_holder_leaves_what_it_touched_suspect,
    a_dead_waiter_is_skipped_at_once, a_process_that_cannot_be_seen_counts_as_alive,
};
pub use effects::{
    an_entry_that_ends_its_run_needs_the_lock_while_the_run_has_it,
    every_entry_does_to_the_lock_what_its_kind_says, only_open_kinds_need_no_lock,
    open_entries_do_nothing_to_the_lock,
};
pub use journal::{
    a_write_needs_enough_of_the_lease, an_entry_names_its_target_run_and_fence,
    reads_are_in_order_and_within_their_limits, the_exact_string_is_hashed_and_kept,
};
pub use lease::{
    a_lapsed_lease_frees_an_untouched_target, a_lapsed_lease_makes_a_touched_target_suspect,
    a_refused_call_records_nothing, a_renewal_begins_the_lease_anew,
    an_overtaken_holder_can_do_nothing, an_unrecorded_lapse_may_be_renewed,
    nobody_writes_under_a_fence_it_was_not_given, only_an_untouched_target_is_released,
};
pub use queue::{
    a_grant_is_repeated_to_its_claim, a_run_keeps_its_ticket, a_run_without_a_ticket_is_refused,
    a_target_that_nobody_used_is_untouched, every_legal_name_is_a_target_of_its_own,
    fences_grow_over_everything, leaving_gives_the_place_up, two_claims_never_share_a_fence,
};
pub use random::random_interleavings;
pub use subject::{Capability, Opened, Subject};
pub use suite::all;
pub use takeover::{
    a_take_over_is_repeated_to_its_claim, a_target_that_was_given_up_is_taken_over_at_once,
    only_its_own_run_takes_a_suspect_target_over,
};
pub use turns::{
    a_silent_waiter_is_skipped_and_keeps_its_ticket, a_wait_for_a_turn_ends_in_time,
    asking_is_the_heartbeat_of_a_waiter, waiters_are_granted_in_the_order_of_their_tickets,
    who_waits_stays_heard_of,
};
