//! The conformance suite of [`Deployer`](gatekit_core::Deployer).

mod applying;
mod bench;
mod course;
mod describing;
mod killing;
mod locating;
mod planning;
mod reading;
mod rolling_out;
mod subject;

pub(crate) use bench::{Bench, Write, told};
pub(crate) use course::Way;
pub(crate) use killing::{honest, walk};
pub(crate) use locating::starts;
pub(crate) use reading::survives_drops;

pub use applying::{
    a_late_apply_clobbers_nobody, a_lost_answer_is_found_again, an_overtaken_fence_writes_nothing,
    applying_again_has_no_second_effect, every_write_has_its_permit,
};
pub use describing::{it_describes_itself_the_same_in_every_process, no_secret_is_shown};
pub use killing::{errors_tell_what_was_written, it_goes_on_wherever_it_was_killed};
pub use locating::{
    a_half_way_state_is_not_taken_for_a_whole_one, another_runs_effect_is_not_its_own,
    it_is_before_and_then_after, live_tells_what_is_live, somebody_elses_release_is_found,
    what_is_in_place_is_recognised,
};
pub use planning::{
    another_candidate_has_another_scope, another_process_goes_on_with_change_and_receipt,
    the_scope_leaves_out_what_was_there,
};
pub use reading::{reading_is_cancel_safe, reading_is_repeatable, reading_writes_nothing};
pub use rolling_out::{a_pause_is_answered, a_release_that_fails_is_no_success, a_rollout_ends};
pub use subject::{Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth};

crate::conformance::suite::suite!(DeployerSubject:
    it_describes_itself_the_same_in_every_process,
    no_secret_is_shown,
    reading_writes_nothing,
    reading_is_repeatable,
    reading_is_cancel_safe,
    another_candidate_has_another_scope,
    the_scope_leaves_out_what_was_there,
    another_process_goes_on_with_change_and_receipt,
    it_is_before_and_then_after,
    what_is_in_place_is_recognised,
    another_runs_effect_is_not_its_own,
    somebody_elses_release_is_found,
    live_tells_what_is_live,
    a_half_way_state_is_not_taken_for_a_whole_one,
    applying_again_has_no_second_effect,
    a_lost_answer_is_found_again,
    every_write_has_its_permit,
    an_overtaken_fence_writes_nothing,
    a_late_apply_clobbers_nobody,
    it_goes_on_wherever_it_was_killed,
    errors_tell_what_was_written,
    a_rollout_ends,
    a_release_that_fails_is_no_success,
    a_pause_is_answered,
);
