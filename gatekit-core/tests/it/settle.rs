//! Rollbacks that a person asks for, and decisions about a suspect target.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{Body, Decision, LockState};
use gatekit_core::testing::{Call, Fate, Interceptor, intercepted};
use gatekit_core::{
    Action, Effect, Live, OnInterrupt, Outcome, Pipeline, Rollout, RunId, StageId, Verb, code,
    enforced,
};
use serde_json::Value;

use crate::ledgers::FailsRenewals;
use crate::world::*;

async fn shipped(versions: &[&str]) -> (Bench, World) {
    let (bench, world) = (Bench::new(), World::default());
    for version in versions {
        let report = bench.engine().ship(&plain(&world), candidate(version)).await;
        assert_eq!(report.outcome, Outcome::Released, "{version}: {report:?}");
    }
    (bench, world)
}

#[tokio::test]
async fn a_rollback_returns_to_the_release_before() {
    let (bench, world) = shipped(&["v1", "v2"]).await;
    let report = bench.engine().roll_back(&plain(&world), None, "v2 is broken").await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(report.live, Some(Live::new("v1", Some("v1".into()))));
    assert_eq!(world.live(), "v1");
    let report = bench.engine().roll_back(&plain(&world), None, "v1 too").await;
    assert_eq!(report.outcome, Outcome::Refused, "v2 is undone: nothing lies before v1");
    assert_eq!(report.failure.unwrap().code, code::ROLLBACK_NOTHING);
    assert_eq!(world.live(), "v1");
}

#[tokio::test]
async fn a_rollback_to_a_named_release_undoes_all_since_and_can_be_followed_by_ships() {
    let (bench, world) = shipped(&["v1", "v2", "v3"]).await;
    let report = bench.engine().roll_back(&plain(&world), Some("v1".into()), "back").await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(world.writes()[3..], ["back:v2", "back:v1"]);
    let report = bench.engine().ship(&plain(&world), candidate("v4")).await;
    assert_eq!(report.outcome, Outcome::Released);
    let report = bench.engine().roll_back(&plain(&world), None, "again").await;
    assert_eq!((report.outcome, world.live()), (Outcome::Released, "v1".into()));
}

/// A run that unwinds knows what its own write made. A later rollback does not: another one in
/// between may have restored the same release with other ids.
#[tokio::test]
async fn only_a_run_that_unwinds_gives_the_receipt_to_undo_by() {
    let (bench, world) = shipped(&["v1", "v2"]).await;
    let report = bench.engine().roll_back(&plain(&world), None, "v2 is broken").await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let failing = Pipeline::to(TARGET)
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(gate("after", [Says::Fail])))
        .build()
        .unwrap();
    let report = bench.engine().ship(&failing, candidate("v3")).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert_eq!(world.lock().undone_by, [None, Some("v3".to_owned())]);
}

#[tokio::test]
async fn a_rollback_to_what_is_unknown_or_live_already_writes_nothing() {
    let (bench, world) = shipped(&["v1", "v2"]).await;
    for (to, outcome, expected) in [
        ("v9", Outcome::Refused, code::ROLLBACK_UNKNOWN_RELEASE),
        ("v2", Outcome::Unchanged, code::ROLLBACK_NOTHING),
    ] {
        let report = bench.engine().roll_back(&plain(&world), Some(to.into()), "why").await;
        assert_eq!(report.run, None, "none was opened");
        assert_eq!((report.outcome, report.failure.unwrap().code), (outcome, expected));
    }
    assert_eq!(world.writes().len(), 2);
}

/// Fails the first call of `live`.
#[derive(Debug, Default)]
struct BlinksOnce(AtomicBool);

#[async_trait]
impl Interceptor for BlinksOnce {
    async fn before(&self, _: &StageId, call: Call, _: Option<&Value>, _: Option<&Value>) -> Fate {
        if call == Call::Live && !self.0.swap(true, Ordering::SeqCst) {
            return Fate::Fails(boom(Effect::None));
        }
        Fate::Happens
    }

    async fn after(&self, _: &StageId, _: Call) {}
}

/// Or it could not be told afterwards that the release is back.
#[tokio::test]
async fn what_is_live_is_asked_again_before_it_is_journalled() {
    let (bench, world) = (Bench::new(), World::default());
    let blinks: Arc<dyn Interceptor> = Arc::new(BlinksOnce::default());
    let report = bench.engine().ship(&intercepted(&plain(&world), &blinks), candidate("v1")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let report = bench.engine().ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let report = bench.engine().roll_back(&plain(&world), None, "back").await;
    assert_eq!((report.outcome, world.live()), (Outcome::Released, "v1".into()), "{report:?}");
}

/// The journal alone does not know what is live.
#[tokio::test]
async fn a_rollback_to_the_newest_release_is_a_success_only_where_that_is_live() {
    let (bench, world) = shipped(&["v1", "v2"]).await;
    world.lock().live = "theirs".into();
    let report = bench.engine().roll_back(&plain(&world), Some("v2".into()), "why").await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    let failure = report.failure.unwrap();
    assert_eq!(failure.code, code::ROLLBACK_ELSEWHERE);
    assert!(failure.to_string().contains("live: theirs"), "{failure}");
    world.lock().live = "v2".into();
    world.lock().apply = Apply::LosesAnswer;
    world.lock().rollback_fails = true;
    let report = bench.engine().ship(&plain(&world), candidate("v3")).await;
    assert_eq!(report.outcome, Outcome::Stuck);
    world.lock().live = "v2".into();
    let report = bench.engine().roll_back(&plain(&world), Some("v2".into()), "why").await;
    assert_eq!(report.outcome, Outcome::Stuck, "the target is suspect: {report:?}");
    assert_eq!(report.failure.unwrap().code, code::LOCK_SUSPECT);
}

#[tokio::test]
async fn a_rollback_clobbers_nobody_and_refuses_what_is_one_way() {
    let (bench, world) = shipped(&["v1", "v2"]).await;
    world.lock().live = "theirs".into();
    let report = bench.engine().roll_back(&plain(&world), None, "why").await;
    assert_eq!(report.outcome, Outcome::Refused);
    assert_eq!(report.failure.unwrap().code, code::ROLLBACK_ELSEWHERE);
    assert_eq!(world.live(), "theirs");
    world.lock().live = "v2".into();
    world.lock().one_way = Some("a table is gone".into());
    let report = bench.engine().roll_back(&plain(&world), None, "why").await;
    assert_eq!(report.failure.unwrap().code, code::ROLLBACK_ONE_WAY);
    assert_eq!(world.writes().len(), 2, "nothing was written");
    assert_eq!(bench.state().await.state, LockState::Free);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_dies_on_its_way_is_resumed_to_its_end() {
    let (bench, world) = shipped(&["v1", "v2", "v3"]).await;
    world.lock().rollback_fails = true;
    let report = bench.engine().roll_back(&plain(&world), Some("v1".into()), "back").await;
    assert_eq!(report.outcome, Outcome::Stuck);
    assert_eq!(bench.state().await.state, LockState::Suspect);
    world.lock().rollback_fails = false;
    let pending = bench.engine().pending(&target()).await.unwrap().unwrap();
    let report = bench.engine().resume(&plain(&world), pending.run).await;
    assert_eq!((report.outcome, world.live()), (Outcome::Released, "v1".into()), "{report:?}");
}

#[tokio::test]
async fn a_rollback_after_which_the_release_is_not_live_is_no_success() {
    let (bench, world) = shipped(&["v1"]).await;
    // v1 is gone by the time v2 comes: v2's way back leads to nothing.
    world.lock().live = "".into();
    let report = bench.engine().ship(&plain(&world), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released);
    let report = bench.engine().roll_back(&plain(&world), None, "back to v1").await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert_eq!(report.failure.unwrap().code, code::ROLLBACK_STUCK);
    assert_eq!(bench.state().await.state, LockState::Suspect);
}

/// What was undone by the process before is looked at again: somebody may have released since.
#[tokio::test]
async fn a_rollback_of_two_deploys_is_no_success_while_one_is_somebody_elses() {
    let (bench, one, two) = (Bench::new(), World::default(), World::default());
    let pipeline = Pipeline::to(TARGET)
        .deploy(fake(&one))
        .rollback_with(Back(one.clone()))
        .deploy(Fake { id: "second", world: two.clone() })
        .rollback_with(Back(two.clone()))
        .build()
        .unwrap();
    for version in ["v1", "v2"] {
        let report = bench.engine().ship(&pipeline, candidate(version)).await;
        assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    }
    one.lock().rollback_fails = true;
    let report = bench.engine().roll_back(&pipeline, None, "back").await;
    assert_eq!((report.outcome, two.live()), (Outcome::Stuck, "v1".into()), "{report:?}");
    two.lock().live = "theirs".into();
    one.lock().rollback_fails = false;
    let run = report.run.unwrap();
    let report = bench.engine().resume(&pipeline, run).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
    assert_eq!((one.live(), two.live()), ("v1".into(), "theirs".into()));
    two.lock().live = "v1".into();
    let report = bench.engine().resume(&pipeline, run).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
}

/// The run undid the second deploy, and stuck in the first; then a person made its release live after
/// all, and adopted it: all of it is to be undone.
#[tokio::test]
async fn a_rollback_undoes_also_what_the_adopted_run_had_undone() {
    let (bench, one, two) = (Bench::new(), World::default(), World::default());
    let pipeline = |after| {
        Pipeline::to(TARGET)
            .deploy(fake(&one))
            .rollback_with(Back(one.clone()))
            .deploy(Fake { id: "second", world: two.clone() })
            .rollback_with(Back(two.clone()))
            .verify(enforced(gate("after", [after])))
            .build()
            .unwrap()
    };
    let report = bench.engine().ship(&pipeline(Says::Pass), candidate("v1")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    one.lock().rollback_fails = true;
    let report = bench.engine().ship(&pipeline(Says::Fail), candidate("v2")).await;
    assert_eq!((report.outcome, two.live()), (Outcome::Stuck, "v1".into()), "{report:?}");
    two.lock().live = "v2".into();
    let (run, adopt) = (report.run.unwrap(), Some(Decision::Adopt));
    let report = bench.engine().reconcile(&pipeline(Says::Pass), run, adopt, "it is good").await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    one.lock().rollback_fails = false;
    let report = bench.engine().roll_back(&pipeline(Says::Pass), None, "it is not").await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!((one.live(), two.live()), ("v1".into(), "v1".into()));
}

/// A target that a run left suspect after its write had landed.
async fn suspect(bench: &Bench, world: &World) -> (RunId, Pipeline) {
    let pipeline = Pipeline::to(TARGET)
        .on_interrupt(OnInterrupt::LeaveForResume)
        .deploy(fake(world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(gate("after", [Says::Pass])))
        .build()
        .unwrap();
    world.lock().rollouts = [Rollout::InProgress { poll_after: Duration::from_millis(10) }].into();
    let running = bench.engine().ship(&pipeline, candidate("v2"));
    let (run, interrupter) = (running.run(), running.interrupter());
    while world.live() != "v2" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    interrupter.interrupt();
    assert_eq!(running.await.outcome, Outcome::Interrupted);
    world.lock().rollouts.clear();
    (run, pipeline)
}

#[tokio::test]
async fn without_a_decision_reconcile_tells_what_it_finds_and_changes_nothing() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let (run, pipeline) = suspect(&bench, &world).await;
    let before = bench.kinds().await;
    let report = bench.engine().reconcile(&pipeline, run, None, "").await;
    assert_eq!(report.outcome.exit_code(), 4);
    let failure = report.failure.unwrap();
    assert!(report.live.is_some(), "who decides is told what is live");
    assert_eq!(failure.code, code::RECONCILE_UNDECIDED);
    assert!(failure.to_string().contains("after the change"), "{failure}");
    assert_eq!(bench.kinds().await, before);
}

#[tokio::test]
async fn each_decision_holds_only_when_what_was_found_allows_it() {
    use Decision::{Adopt, ConfirmOld, Override, RollBack};
    for (decision, live, outcome, ends_live) in [
        (Adopt, "v2", Outcome::Released, "v2"),
        (Adopt, "v1", Outcome::Stuck, "v1"),
        (Adopt, "theirs", Outcome::Stuck, "theirs"),
        (ConfirmOld, "v1", Outcome::RolledBack, "v1"),
        (ConfirmOld, "v2", Outcome::Stuck, "v2"),
        (RollBack, "v2", Outcome::RolledBack, "v1"),
        (RollBack, "v1", Outcome::RolledBack, "v1"),
        (RollBack, "theirs", Outcome::Stuck, "theirs"),
        (Override, "theirs", Outcome::Overridden, "theirs"),
    ] {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        let (run, pipeline) = suspect(&bench, &world).await;
        world.lock().live = live.into();
        let report = bench.engine().reconcile(&pipeline, run, Some(decision), "because").await;
        let case = format!("{decision:?} with {live}: {report:?}");
        assert_eq!(report.outcome, outcome, "{case}");
        assert_eq!(world.live(), ends_live, "{case}");
        let stuck = outcome == Outcome::Stuck;
        let state = if stuck { LockState::Suspect } else { LockState::Free };
        assert_eq!(bench.state().await.state, state, "{case}");
        let recorded = bench.bodies().await.into_iter().any(|body| {
            matches!(body, Body::Reconciled { decision: d, reason, .. }
                if d == decision && reason == "because")
        });
        assert!(recorded, "{case}");
    }
}

/// It may look at another place: there the old release is live, and was never touched.
#[tokio::test]
async fn where_another_pipeline_has_nothing_to_undo_the_target_stays_suspect() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let (run, _) = suspect(&bench, &world).await;
    let other = plain(&World::with_live("v1"));
    let decision = Some(Decision::RollBack);
    let report = bench.engine().reconcile(&other, run, decision, "because").await;
    assert_eq!(report.outcome, Outcome::Stuck, "live is {}: {report:?}", world.live());
    assert_eq!(report.failure.unwrap().code, code::RECONCILE_REFUSED);
    assert_eq!(bench.state().await.state, LockState::Suspect);
    let report = bench.engine().reconcile(&plain(&world), run, decision, "because").await;
    assert_eq!((report.outcome, world.live()), (Outcome::RolledBack, "v1".into()), "{report:?}");
}

#[tokio::test]
async fn another_pipeline_is_offered_what_it_may_do_alone() {
    for (live, offered) in [("v2", &["--roll-back", "--override"][..]), ("v1", &["--override"])] {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        let (run, _) = suspect(&bench, &world).await;
        world.lock().live = live.into();
        let report = bench.engine().reconcile(&plain(&world), run, None, "").await;
        assert_eq!(report.failure.unwrap().code, code::RECONCILE_UNDECIDED);
        let flags: Vec<_> = report
            .next
            .iter()
            .map(|next| match &next.action {
                Action::Verb(Verb::Reconcile, args) => args[0].clone(),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(flags, offered, "{live}");
    }
}

/// A holder that was stopped in the middle of a write may go on with it at any time: until it cannot,
/// nothing that is found is worth anything.
#[tokio::test]
async fn nothing_is_settled_while_an_earlier_holder_may_still_write() {
    use Decision::{Adopt, ConfirmOld, RollBack};
    for decision in [None, Some(Adopt), Some(ConfirmOld), Some(RollBack)] {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        let (run, pipeline) = suspect(&bench, &world).await;
        if decision == Some(ConfirmOld) {
            world.lock().live = "v1".into();
        }
        let live = world.live();
        world.lock().intruded = true;
        let settle = || match decision {
            None => bench.engine().resume(&pipeline, run),
            Some(_) => bench.engine().reconcile(&pipeline, run, decision, "because"),
        };
        let report = settle().await;
        assert_eq!(report.outcome, Outcome::Stuck, "{decision:?}: {report:?}");
        assert_eq!(report.failure.as_ref().unwrap().code, BOOM);
        assert!(report.next.len() > 1, "{report:?}");
        assert_eq!(bench.state().await.state, LockState::Suspect, "{decision:?}");
        assert_eq!(world.live(), live, "{decision:?}");
        world.lock().intruded = false;
        let report = settle().await;
        let outcomes = [Outcome::Released, Outcome::RolledBack];
        assert!(outcomes.contains(&report.outcome), "{decision:?}: {report:?}");
        assert_eq!(world.lock().fenced_off.last(), report.fence.as_ref(), "{decision:?}");
    }
}

#[tokio::test]
async fn an_override_frees_the_target_though_an_earlier_holder_may_still_write() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let (run, pipeline) = suspect(&bench, &world).await;
    world.lock().intruded = true;
    let decision = Some(Decision::Override);
    let report = bench.engine().reconcile(&pipeline, run, decision, "it is dead").await;
    assert_eq!(report.outcome, Outcome::Overridden, "{report:?}");
    assert_eq!(bench.state().await.state, LockState::Free);
}

#[tokio::test]
async fn a_resumed_rollback_goes_on_only_when_no_earlier_holder_may_still_write() {
    let (bench, world) = shipped(&["v1", "v2"]).await;
    world.lock().rollback_fails = true;
    let report = bench.engine().roll_back(&plain(&world), None, "back").await;
    assert_eq!(report.outcome, Outcome::Stuck);
    world.lock().rollback_fails = false;
    world.lock().intruded = true;
    let run = report.run.unwrap();
    let report = bench.engine().resume(&plain(&world), run).await;
    assert_eq!((report.outcome, world.live()), (Outcome::Stuck, "v2".into()), "{report:?}");
    world.lock().intruded = false;
    let report = bench.engine().resume(&plain(&world), run).await;
    assert_eq!((report.outcome, world.live()), (Outcome::Released, "v1".into()), "{report:?}");
}

#[tokio::test]
async fn adopting_what_does_not_verify_is_refused() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let (run, _) = suspect(&bench, &world).await;
    let failing = Pipeline::to(TARGET)
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(gate("after", [Says::Fail])))
        .build()
        .unwrap();
    let report = bench.engine().reconcile(&failing, run, Some(Decision::Adopt), "because").await;
    assert_eq!(report.outcome, Outcome::Stuck);
    let failure = report.failure.unwrap();
    assert_eq!(failure.code, code::RECONCILE_REFUSED);
    assert!(failure.to_string().contains("to adopt the new release"), "{failure}");
    assert_eq!(bench.state().await.state, LockState::Suspect);
}

#[tokio::test]
async fn a_free_target_needs_no_decision() {
    let (bench, world) = shipped(&["v1"]).await;
    let run = bench.bodies().await.len();
    let report = bench
        .engine()
        .reconcile(&plain(&world), RunId::generate(), Some(Decision::RollBack), "why")
        .await;
    assert_eq!(report.outcome, Outcome::Unchanged);
    assert_eq!(report.failure.unwrap().code, code::RECONCILE_NOTHING);
    assert_eq!(bench.bodies().await.len(), run);
}

#[tokio::test]
async fn a_suspect_target_is_settled_by_the_run_that_left_it_and_by_no_other() {
    let (bench, world) = shipped(&["v1"]).await;
    let first = bench.last_opened().await.unwrap();
    let (run, pipeline) = suspect(&bench, &world).await;
    let before = bench.kinds().await;
    for decision in [None, Some(Decision::Adopt), Some(Decision::Override)] {
        let report = bench.engine().reconcile(&pipeline, first, decision, "because").await;
        assert_eq!(report.outcome, Outcome::Stuck, "{decision:?}: {report:?}");
        let failure = report.failure.unwrap();
        assert_eq!(failure.code, code::LOCK_SUSPECT);
        assert!(failure.to_string().contains(&run.to_string()), "whose it is: {failure}");
    }
    assert_eq!(bench.kinds().await, before);
    assert_eq!(bench.state().await.state, LockState::Suspect);
}

/// The holder is still at work when the decision is made, and undoes what was seen: only what is seen
/// under the lock counts.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_before_the_takeover_decides_nothing() {
    for (decision, seen, then) in
        [(Decision::Adopt, "v2", "v1"), (Decision::ConfirmOld, "v1", "v2")]
    {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        world.lock().rollouts =
            [Rollout::InProgress { poll_after: Duration::from_millis(10) }].into();
        let holder = engine(FailsRenewals::hanging(&bench));
        let holder = holder.ship(&plain(&world), candidate("v2"));
        while world.live() != "v2" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.lock().live = seen.into();
        let deciding =
            bench.engine().reconcile(&plain(&world), holder.run(), Some(decision), "looks good");
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.lock().live = then.into();
        bench.leases_lapse();
        let report = deciding.await;
        assert_eq!(report.outcome, Outcome::Stuck, "{report:?}");
        assert_eq!(report.failure.unwrap().code, code::RECONCILE_REFUSED);
        assert_eq!(bench.state().await.state, LockState::Suspect);
        assert_eq!(holder.await.failure.unwrap().code, code::LOCK_LOST);
    }
}
