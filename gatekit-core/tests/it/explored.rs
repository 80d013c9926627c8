//! Paths on which the failure explorer once found the engine wrong: each script walked alone.

use gatekit_testkit::explorer::doubles::{in_memory, named};
use gatekit_testkit::explorer::{Explorer, Settles};

#[track_caller]
fn holds(scene: &str, settles: Settles, scripts: &[&str]) {
    let scene = named(scene, &in_memory()).unwrap();
    for script in scripts {
        let replay = Explorer::new(&scene).settles(settles).replay(&script.parse().unwrap());
        assert!(replay.wrong.is_empty(), "{replay}");
    }
}

/// Exit codes 1 and 5 say that nothing was touched: only the journal can tell that.
#[test]
fn a_resume_that_could_not_learn_how_far_the_run_came_does_not_say_that_nothing_was_touched() {
    let scripts = [
        "stop-before(append 5 applied) then fail(state, 1st call)",
        "stop-before(append 5 applied) then fail(state, 2nd call)",
        "stop-before(append 5 applied) then fail(read_run, 2nd call)",
        "stop-before(append 5 applied) then fail(take_over, 1st call)",
        "stop-before(append 5 applied) then lose-answer(take_over, 1st call)",
    ];
    holds("one deploy", Settles::ByResume, &scripts);
    holds("one deploy", Settles::ByDecision, &scripts[..1]);
}

#[test]
fn a_release_is_adopted_although_a_part_of_it_was_live_before() {
    let script = "stop-before(append 7 applied)";
    holds("one of two is live already", Settles::ByDecision, &[script]);
}

/// The process that wrote it must believe it no less than one that resumes.
#[test]
fn a_receipt_in_the_middle_of_a_deploy_tells_whose_effect_it_is() {
    let script = "lose-answer(apply web, 1st call)";
    holds("a deploy in two parts", Settles::ByResume, &[script]);
}

/// The gates at a pause are the pipeline's own: only an override goes against them.
#[test]
fn what_was_rejected_at_a_pause_may_not_be_adopted() {
    let scripts = ["stop-before(append 9 stage_failed)", "stop-before(append 10 unwinding)"];
    holds("a rejected release that stays", Settles::ByDecision, &scripts);
}

/// A crash between two deploys: `reconcile` names no decision that it then refuses.
#[test]
fn what_was_never_begun_is_not_offered_for_adoption() {
    let script = "stop-before(append 8 applying)";
    holds("two deploys with verifications", Settles::ByDecision, &[script]);
}

/// Somebody else releases over what the run found in place: that is no part of what it began, and
/// yet of what would be adopted.
#[test]
fn what_is_no_longer_in_place_is_not_offered_for_adoption() {
    let scripts = [
        "stop-before(append 7 applied) then intrude(check smoke, 1st call)",
        "stop-before(append 7 applied) then intrude(plan db, 3rd call)",
    ];
    holds("somebody else releases over what is in place", Settles::ByDecision, &scripts);
}

/// The last deploy is undone, and journalled as undone; somebody releases before a later process
/// closes the run: the old release is not live.
#[test]
fn what_an_earlier_process_undid_is_looked_at_again_before_the_run_is_rolled_back() {
    let scripts = [
        "intrude(live web, 1st call) then stop-before(append 12 closed)",
        "stop-before(append 12 closed) then intrude(locate web, 6th call)",
    ];
    holds("somebody else releases in between", Settles::ByResume, &scripts);
    holds("somebody else releases in between", Settles::ByDecision, &scripts);
}
