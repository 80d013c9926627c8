//! The conformance suite of [`Rollback`](gatekit_core::Rollback).
//!
//! It takes the same subject as [`deployer`](super::deployer).

mod undoing;
mod watching;

use super::deployer::DeployerSubject;

pub use undoing::{
    a_failed_release_is_undone, a_lost_answer_is_undone, a_one_way_change_is_not_undone,
    an_overtaken_fence_undoes_nothing, another_runs_release_is_not_touched,
    every_undoing_write_has_its_permit, somebody_elses_release_is_not_touched,
    undoing_ends_where_it_began, undoing_goes_on_wherever_it_was_killed,
    undoing_twice_harms_nothing, undoing_what_never_landed_harms_nothing,
    what_landed_in_part_is_undone,
};
pub use watching::{reversibility_is_told_without_writing, watching_the_undoing_writes_nothing};

crate::conformance::suite::suite!(DeployerSubject in rollback, rollback_conforms $:
    reversibility_is_told_without_writing,
    undoing_what_never_landed_harms_nothing,
    undoing_ends_where_it_began,
    undoing_twice_harms_nothing,
    watching_the_undoing_writes_nothing,
    every_undoing_write_has_its_permit,
    an_overtaken_fence_undoes_nothing,
    somebody_elses_release_is_not_touched,
    another_runs_release_is_not_touched,
    what_landed_in_part_is_undone,
    undoing_goes_on_wherever_it_was_killed,
    a_lost_answer_is_undone,
    a_failed_release_is_undone,
    a_one_way_change_is_not_undone,
);
