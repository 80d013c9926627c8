//! The conformance suite of [`Gate`](gatekit_core::Gate).

mod bench;
mod checking;
mod subject;

pub use checking::{
    checking_is_cancel_safe, checking_is_repeatable, checking_writes_nothing,
    it_describes_itself_the_same_in_every_process, it_does_not_judge_what_it_cannot_read,
    it_ends_by_the_deadline, it_fails_with_a_finding, it_looks_afresh, it_passes_with_evidence,
    it_waits_with_a_finding, no_secret_is_shown,
};
pub use subject::{Capability, GateSubject, GateWorld, Scene};

crate::conformance::suite::suite!(GateSubject:
    it_describes_itself_the_same_in_every_process,
    it_passes_with_evidence,
    it_fails_with_a_finding,
    it_does_not_judge_what_it_cannot_read,
    it_waits_with_a_finding,
    checking_writes_nothing,
    checking_is_repeatable,
    checking_is_cancel_safe,
    it_looks_afresh,
    it_ends_by_the_deadline,
    no_secret_is_shown,
);
