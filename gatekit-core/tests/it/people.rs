//! What people say about a run: approvals, confirmations, waivers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Word::{self, Approve, Reject};
use gatekit_core::ledger::{Acquired, Body, Claim, Entry, Guard, Ledger, StageScope};
use gatekit_core::testing::{Call, Fate, Interceptor, intercepted};
use gatekit_core::{
    Approval, Engine, Evidence, GateExt as _, GateSlot, Manual, NextAction, Outcome, Pipeline,
    Result, Rollout, RunId, StageId, Verb, Verdict, advisory, code, enforced, gate_fn,
};
use serde_json::Value;

use crate::ledgers::failing;
use crate::world::*;

const HOUR: Duration = Duration::from_secs(3600);

fn by(bench: &Bench, actor: &str) -> Engine {
    bench.engine().with_actor(actor)
}

/// Says it about what the run would touch now.
async fn say(
    engine: &Engine,
    run: RunId,
    stage: Option<&StageId>,
    word: Word,
    comment: &str,
) -> Result<StageId> {
    let seen = engine.request(&target(), run).await?;
    engine.answer(&seen, stage, word, comment).await
}

fn stage(id: &str) -> StageId {
    StageId::new(id).unwrap()
}

/// The facts of the evidence on which that gate passed last.
async fn facts(bench: &Bench, id: &str) -> Vec<Value> {
    let passed = bench.bodies().await.into_iter().rev().find_map(|body| match body {
        Body::Verdict { stage, verdict: Verdict::Pass(proof), .. } if stage.as_str() == id => {
            Some(proof)
        }
        _ => None,
    });
    passed.unwrap().evidence().iter().map(|evidence| evidence.facts().clone()).collect()
}

async fn parked(engine: &Engine, pipeline: &Pipeline, version: &str) -> RunId {
    let report = engine.ship(pipeline, candidate(version)).await;
    assert_eq!(report.outcome, Outcome::Waiting, "{report:?}");
    let waits =
        [code::APPROVAL_WAITING, code::MANUAL_WAITING].iter().any(|code| names(&report, code));
    assert!(waits, "{report:?}");
    assert_eq!(code_of(&report), Some(code::GATE_WAITING.as_str()));
    report.run.unwrap()
}

#[tokio::test]
async fn enough_approvals_let_a_parked_run_go_on() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(2)));
    let ann = by(&bench, "ann");
    let run = parked(&ann, &pipeline, "v2").await;
    let request = ann.request(&target(), run).await.unwrap();
    assert_eq!((request.requester.as_str(), request.waiting.len()), ("ann", 1));
    assert_eq!(request.scopes[0].summary, "v1 becomes v2");
    for _ in 0..2 {
        // Twice by the same person is once.
        say(&by(&bench, "bea"), run, None, Approve, "fine").await.unwrap();
        let report = ann.resume(&pipeline, run).await;
        assert_eq!(report.outcome, Outcome::Waiting, "{report:?}");
    }
    say(&by(&bench, "cyd"), run, None, Approve, "").await.unwrap();
    let report = ann.resume(&pipeline, run).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let facts = facts(&bench, "approval").await;
    assert_eq!((&facts[0]["by"], &facts[1]["by"]), (&"bea".into(), &"cyd".into()));
}

#[tokio::test]
async fn who_asks_cannot_approve_and_a_forged_entry_does_not_count() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(1)));
    let ann = by(&bench, "ann");
    let run = parked(&ann, &pipeline, "v2").await;
    let error = say(&ann, run, None, Approve, "").await.unwrap_err();
    assert_eq!(error.code(), &code::APPROVAL_OWN);
    let request = ann.request(&target(), run).await.unwrap();
    let (id, scope) = (run.to_string(), request.scope());
    let approve = NextAction::verb(Verb::Approve, &[&id, "--scope", scope.short()]);
    assert_eq!(error.to_failure().next, [approve.by("somebody else")]);
    let forged = Body::Approval {
        stage: stage("approval"),
        word: Approve,
        intent: request.intent,
        scope: StageScope::of_all(&request.scopes),
        comment: String::new(),
    };
    let entry = Entry::new(target(), run, "ann", None, forged);
    bench.ledger.append(&target(), &entry, Guard::Open).await.unwrap();
    // Who resumes is somebody else, who asked is not.
    let report = by(&bench, "bea").resume(&pipeline, run).await;
    assert_eq!(report.outcome, Outcome::Waiting, "{report:?}");
    assert!(report.failure.unwrap().to_string().contains("ann asked for it"));
}

#[tokio::test]
async fn one_rejection_refuses_the_run_for_good() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(1)));
    let ann = by(&bench, "ann");
    let run = parked(&ann, &pipeline, "v2").await;
    say(&by(&bench, "bea"), run, None, Approve, "").await.unwrap();
    say(&by(&bench, "cyd"), run, None, Reject, "not today").await.unwrap();
    let report = ann.resume(&pipeline, run).await;
    assert_eq!((report.outcome, code_of(&report)), (Outcome::Refused, Some("gate.failed")));
    assert!(names(&report, &code::APPROVAL_REJECTED), "{report:?}");
    assert_eq!(report.next, [NextAction::verb(Verb::Log, &[])], "nobody answers for a rejection");
    assert!(report.failure.unwrap().to_string().contains("cyd rejected it: not today"));
    let late = say(&by(&bench, "bea"), run, None, Approve, "").await.unwrap_err();
    assert_eq!(late.code(), &code::APPROVAL_TOO_LATE);
}

/// Also when the plan is again the one that was approved before.
#[tokio::test]
async fn a_rejection_is_of_the_run_whatever_it_would_touch() {
    let manual = || enforced(Manual::new("upload", "upload it").unwrap());
    let approval = || enforced(Approval::quorum(1));
    for (gate, rejected) in
        [(approval as fn() -> GateSlot, code::APPROVAL_REJECTED), (manual, code::MANUAL_REJECTED)]
    {
        for approved in [true, false] {
            let (bench, world) = (Bench::new(), World::with_live("v1"));
            let pipeline = gated(&world, gate());
            let (ann, bea) = (by(&bench, "ann"), by(&bench, "bea"));
            let run = parked(&ann, &pipeline, "v2").await;
            if approved {
                say(&bea, run, None, Approve, "").await.unwrap();
                world.lock().scope_salt = 1;
                assert_eq!(ann.resume(&pipeline, run).await.outcome, Outcome::Waiting);
            }
            say(&bea, run, None, Reject, "not like this").await.unwrap();
            world.lock().scope_salt = if approved { 0 } else { 1 };
            let report = ann.resume(&pipeline, run).await;
            assert_eq!(report.outcome, Outcome::Refused, "{approved}: {report:?}");
            assert!(names(&report, &rejected), "{approved}: {report:?}");
            assert!(world.writes().is_empty());
        }
        // Until the same person says otherwise.
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        let pipeline = gated(&world, gate());
        let (ann, bea) = (by(&bench, "ann"), by(&bench, "bea"));
        let run = parked(&ann, &pipeline, "v2").await;
        say(&bea, run, None, Reject, "").await.unwrap();
        say(&bea, run, None, Approve, "").await.unwrap();
        assert_eq!(ann.resume(&pipeline, run).await.outcome, Outcome::Released);
    }
}

#[tokio::test]
async fn an_approval_is_of_one_run_one_plan_and_one_time() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(1).by(["bea"]).within(HOUR)));
    let (ann, bea) = (by(&bench, "ann"), by(&bench, "bea"));
    let run = parked(&ann, &pipeline, "v2").await;
    say(&by(&bench, "cyd"), run, None, Approve, "").await.unwrap();
    let report = ann.resume(&pipeline, run).await;
    assert!(report.failure.unwrap().to_string().contains("cyd may not approve it"));
    say(&bea, run, None, Approve, "").await.unwrap();
    // Another scope: the plan that was approved is no more.
    world.lock().scope_salt = 1;
    let report = ann.resume(&pipeline, run).await;
    assert_eq!(report.outcome, Outcome::Waiting, "{report:?}");
    assert!(report.failure.unwrap().to_string().contains("bea judged another plan"));
    say(&bea, run, None, Approve, "again").await.unwrap();
    assert_eq!(ann.resume(&pipeline, run).await.outcome, Outcome::Released);
    // The same candidate once more is another run.
    world.lock().live = "v1".to_owned();
    parked(&ann, &pipeline, "v2").await;
}

#[tokio::test]
async fn who_asked_may_take_it_back_and_a_stranger_may_not_reject() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(1).by(["bea"]).within(Duration::ZERO)));
    let ann = by(&bench, "ann");
    let run = parked(&ann, &pipeline, "v2").await;
    say(&by(&bench, "cyd"), run, None, Reject, "").await.unwrap();
    let report = ann.resume(&pipeline, run).await;
    assert_eq!(report.outcome, Outcome::Waiting, "{report:?}");
    assert!(report.failure.unwrap().to_string().contains("cyd may not reject it"));
    say(&ann, run, None, Reject, "a typo").await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let report = ann.resume(&pipeline, run).await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
}

#[tokio::test]
async fn what_nobody_could_ever_approve_is_not_waited_for() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(2).by(["ann", "bea"])));
    let report = by(&bench, "ann").ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    assert!(names(&report, &code::APPROVAL_TOO_FEW), "{report:?}");
    let why = report.failure.unwrap().to_string();
    assert!(why.contains("2 have to approve, and only these may: ann, bea, but for ann"), "{why}");
    assert!(
        format!("{:?}", report.next[0]).contains("have somebody else ask"),
        "{:?}",
        report.next
    );
    parked(&by(&bench, "cyd"), &pipeline, "v2").await;

    let nobody = Approval::quorum(1).by(Vec::<String>::new());
    let report = by(&bench, "cyd").ship(&gated(&world, enforced(nobody)), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    assert!(names(&report, &code::APPROVAL_TOO_FEW), "{report:?}");
}

#[tokio::test]
async fn an_approval_ages() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(1).within(Duration::ZERO)));
    let ann = by(&bench, "ann");
    let run = parked(&ann, &pipeline, "v2").await;
    say(&by(&bench, "bea"), run, None, Approve, "").await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let report = ann.resume(&pipeline, run).await;
    assert_eq!(report.outcome, Outcome::Waiting, "{report:?}");
    assert!(report.failure.unwrap().to_string().contains("bea approved it too long ago"));
}

#[tokio::test]
async fn a_run_with_patience_waits_for_its_approval_in_its_own_process() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    // It takes a moment, and after the wait it has all of its time for that.
    let slow = gate_fn("slow", |_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Verdict::pass([Evidence::read("slow", "", Value::Null)]))
    });
    let pipeline = Pipeline::to(TARGET)
        .gate(enforced(Approval::quorum(1)))
        .gate(enforced(slow.unwrap()))
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let (sender, told) = mpsc::channel();
    let ann = by(&bench, "ann").with_patience(HOUR).reporter(Tells(sender));
    let running = ann.ship(&pipeline, candidate("v2"));
    let (bea, run) = (by(&bench, "bea"), running.run());
    loop {
        let asked = bea.request(&target(), run).await;
        if asked.is_ok_and(|request| !request.scopes.is_empty()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Others have much to say meanwhile.
    let other = Body::Queued { ticket: 1 };
    let other = Entry::new(target(), RunId::generate(), "cid", None, other);
    for _ in 0..100 {
        bench.ledger.append(&target(), &other, Guard::Open).await.unwrap();
    }
    say(&bea, run, None, Approve, "").await.unwrap();
    // Sooner than it asks its gates again of itself.
    let report = tokio::time::timeout(Duration::from_secs(30), running.wait()).await.unwrap();
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let kinds = bench.kinds().await;
    assert!(!kinds.contains(&"parked"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "planned").count(), 1, "asked once");
    let told: Vec<_> = told.try_iter().filter(|told| told.contains("waiting")).collect();
    assert!(told.len() == 1 && told[0].contains("0 of 1"), "{told:?}");
}

#[tokio::test]
async fn a_word_has_to_be_about_a_stage_that_waits() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = Pipeline::to(TARGET)
        .gates([
            enforced(Manual::new("upload", "upload it").unwrap()),
            enforced(Manual::new("secret", "set the secret").unwrap()),
            advisory(Manual::new("cake", "buy a cake").unwrap()),
        ])
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let ann = by(&bench, "ann");
    let run = parked(&ann, &pipeline, "v2").await;
    let which = say(&ann, run, None, Approve, "").await.unwrap_err();
    assert_eq!(which.code(), &code::APPROVAL_WHICH);
    assert!(which.to_string().contains("upload, secret"), "{which}");
    let cake = say(&ann, run, Some(&stage("cake")), Approve, "").await.unwrap_err();
    assert_eq!(cake.code(), &code::APPROVAL_NOTHING);
    for id in ["upload", "secret"] {
        // Whoever asked may be the one who does it.
        say(&ann, run, Some(&stage(id)), Approve, "done").await.unwrap();
    }
    assert_eq!(ann.resume(&pipeline, run).await.outcome, Outcome::Released);
    let nobody = say(&ann, RunId::generate(), None, Approve, "").await.unwrap_err();
    assert_eq!(nobody.code(), &code::LEDGER_ENTRY);
}

/// Rejects the run when a gate is asked for the `at`th time.
#[derive(Debug)]
struct RejectsAt {
    ledger: Arc<dyn Ledger>,
    run: RunId,
    at: usize,
    asked: AtomicUsize,
}

#[async_trait]
impl Interceptor for RejectsAt {
    async fn before(&self, _: &StageId, call: Call, _: Option<&Value>, _: Option<&Value>) -> Fate {
        if call == Call::Check && self.asked.fetch_add(1, Ordering::SeqCst) == self.at {
            let cyd = engine(Arc::clone(&self.ledger)).with_actor("cyd");
            let stage = stage("approval");
            let request = cyd.request(&target(), self.run).await.unwrap();
            let rejection = Body::Approval {
                stage,
                word: Reject,
                intent: request.intent,
                scope: StageScope::of_all(&request.scopes),
                comment: "stop".into(),
            };
            let entry = Entry::new(target(), self.run, "cyd", None, rejection);
            self.ledger.append(&target(), &entry, Guard::Open).await.unwrap();
        }
        Fate::Happens
    }

    async fn after(&self, _: &StageId, _: Call) {}
}

/// Gates are asked before the queue, and again under the lock, where they have heard what was said by then.
#[tokio::test]
async fn a_rejection_that_comes_just_before_the_grant_is_heard() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(1)));
    let ann = by(&bench, "ann");
    let run = parked(&ann, &pipeline, "v2").await;
    say(&by(&bench, "bea"), run, None, Approve, "").await.unwrap();
    let ledger = Arc::clone(&bench.ledger);
    let rejects = RejectsAt { ledger, run, at: 1, asked: AtomicUsize::new(0) };
    let rejects: Arc<dyn Interceptor> = Arc::new(rejects);
    let report = ann.resume(&intercepted(&pipeline, &rejects), run).await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    assert!(world.writes().is_empty());
}

#[tokio::test]
async fn a_word_about_a_run_that_was_granted_its_target_is_too_late() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(1)));
    let (ann, bea) = (by(&bench, "ann"), by(&bench, "bea"));
    let run = parked(&ann, &pipeline, "v2").await;
    say(&bea, run, None, Approve, "").await.unwrap();
    world.lock().rollouts = [Rollout::InProgress { poll_after: HOUR }].into();
    let running = ann.with_deadline(HOUR).resume(&pipeline, run);
    while world.writes().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let late = say(&by(&bench, "cyd"), run, None, Reject, "").await.unwrap_err();
    assert_eq!(late.code(), &code::APPROVAL_TOO_LATE);
    running.interrupter().interrupt();
    let report = running.await;
    assert_eq!(report.outcome, Outcome::RolledBack);
    assert_eq!(report.next, [NextAction::verb(Verb::Log, &[])], "there is nothing to resume");
}

#[tokio::test]
async fn what_a_person_could_not_do_refuses_the_run() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Manual::new("upload", "upload it").unwrap()));
    let ann = by(&bench, "ann");
    let run = parked(&ann, &pipeline, "v2").await;
    say(&ann, run, None, Reject, "the shop is closed").await.unwrap();
    let report = ann.resume(&pipeline, run).await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    assert!(names(&report, &code::MANUAL_REJECTED), "{report:?}");
}

#[tokio::test]
async fn a_waiver_lets_the_same_candidate_pass_a_gate_that_blocked_it() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(gate("checks", [Says::Fail])));
    let ann = by(&bench, "ann");
    let refused = ann.ship(&pipeline, candidate("v2")).await;
    assert_eq!(refused.outcome, Outcome::Refused, "{refused:?}");
    let run = refused.run.unwrap();
    let checks = stage("checks");
    let bea = by(&bench, "bea");
    let other = bea.waive(&pipeline, run, &stage("fake"), HOUR, "r").await.unwrap_err();
    assert_eq!(other.code(), &code::WAIVER_NOTHING);
    for lasts in [Duration::ZERO, HOUR * 24 * 31] {
        let error = bea.waive(&pipeline, run, &checks, lasts, "r").await.unwrap_err();
        assert_eq!(error.code(), &code::CONFIG_DURATION);
    }
    bea.waive(&pipeline, run, &checks, HOUR, "the checker is broken").await.unwrap();
    let another = ann.ship(&pipeline, candidate("v3")).await;
    assert_eq!(another.outcome, Outcome::Refused, "of another candidate: {another:?}");
    let report = ann.ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert!(bench.kinds().await.contains(&"waived"));
}

#[tokio::test]
async fn a_waiver_ends() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(gate("checks", [Says::Fail])));
    let ann = by(&bench, "ann");
    let run = ann.ship(&pipeline, candidate("v2")).await.run.unwrap();
    ann.waive(&pipeline, run, &stage("checks"), Duration::from_millis(1), "r").await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(ann.ship(&pipeline, candidate("v2")).await.outcome, Outcome::Refused);
}

/// Evidence about the candidate alone does not age; that somebody answers for it does.
#[tokio::test]
async fn a_waiver_that_ends_in_the_queue_is_over() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(gate("checks", [Says::Fail])));
    let ann = by(&bench, "ann");
    let run = ann.ship(&pipeline, candidate("v2")).await.run.unwrap();
    let holder = Claim::new(target(), RunId::generate(), "the holder");
    bench.ledger.enqueue(&holder).await.unwrap();
    let held = bench.ledger.acquire(&holder, HOUR).await.unwrap();
    let Acquired::Granted(hold) = held else { panic!("{held:?}") };
    ann.waive(&pipeline, run, &stage("checks"), Duration::from_secs(2), "r").await.unwrap();
    let running = ann.ship(&pipeline, candidate("v2"));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(bench.kinds().await.contains(&"waived"), "it was passed before the queue");
    bench.ledger.release(&hold).await.unwrap();
    let report = running.await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    assert!(world.writes().is_empty());
}

#[tokio::test]
async fn neither_an_approval_nor_what_runs_can_be_waived() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(1).timeout(HOUR)));
    let ann = by(&bench, "ann");
    let run = parked(&ann, &pipeline, "v2").await;
    let refused = ann.waive(&pipeline, run, &stage("approval"), HOUR, "r").await.unwrap_err();
    assert_eq!(refused.code(), &code::WAIVER_REFUSED);

    let verified = Pipeline::to(TARGET)
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .verify(enforced(gate("smoke", [Says::Fail])))
        .build()
        .unwrap();
    let report = ann.ship(&verified, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    let run = report.run.unwrap();
    let nothing = ann.waive(&verified, run, &stage("smoke"), HOUR, "r").await.unwrap_err();
    assert_eq!(nothing.code(), &code::WAIVER_NOTHING);
}

#[tokio::test]
async fn a_closure_is_a_gate() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let says_who = gate_fn("who", |cx| async move {
        let seen = Evidence::read("cx", cx.actor(), cx.actor().into());
        Ok(Verdict::pass([seen]))
    });
    let pipeline = gated(&world, enforced(says_who.unwrap()));
    let report = by(&bench, "ann").ship(&pipeline, candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert_eq!(facts(&bench, "who").await, ["ann"]);
}

#[tokio::test]
async fn the_newest_open_run_is_told_until_something_is_released() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let engine = by(&bench, "ann");
    let newest = async || engine.newest_open(&target()).await.unwrap().map(|open| open.run);
    assert_eq!(newest().await, None);
    let waits = gated(&world, enforced(gate("checks", [Says::Wait])));
    assert_eq!(engine.ship(&waits, candidate("v2")).await.outcome, Outcome::Waiting);
    let parked = engine.ship(&waits, candidate("v3")).await;
    assert_eq!(parked.outcome, Outcome::Waiting);
    let fails = gated(&world, enforced(gate("checks", [Says::Fail])));
    assert_eq!(engine.ship(&fails, candidate("v4")).await.outcome, Outcome::Refused);
    assert_eq!(newest().await, parked.run);
    let passes = gated(&world, enforced(gate("checks", [Says::Pass])));
    assert_eq!(engine.ship(&passes, candidate("v5")).await.outcome, Outcome::Released);
    assert_eq!(newest().await, None);
}

/// Somebody judged what it would touch, and it would touch something else by now.
#[tokio::test]
async fn a_word_holds_for_what_was_looked_at() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(1)));
    let ann = by(&bench, "ann");
    let run = parked(&ann, &pipeline, "v2").await;
    let bea = by(&bench, "bea");
    let seen = bea.request(&target(), run).await.unwrap();
    world.lock().scope_salt += 1;
    assert_eq!(ann.resume(&pipeline, run).await.outcome, Outcome::Waiting);
    let moved = bea.answer(&seen, None, Approve, "").await.unwrap_err();
    assert_eq!(moved.code(), &code::APPROVAL_MOVED);
    assert_eq!(ann.resume(&pipeline, run).await.outcome, Outcome::Waiting, "nobody approved this");
    say(&bea, run, None, Approve, "").await.unwrap();
    assert_eq!(ann.resume(&pipeline, run).await.outcome, Outcome::Released);
}

/// It has asked nobody what to think of its plan: the next resume does.
#[tokio::test]
async fn a_run_that_was_cut_off_before_it_asked_hears_nobody_yet() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(1)));
    // opened, verdict: the next append finds no ledger.
    let dying = engine(failing(&bench, 3)).with_actor("ann").ship(&pipeline, candidate("v2"));
    let run = dying.run();
    assert_eq!(dying.await.outcome, Outcome::Failed);
    assert_eq!(bench.kinds().await.last(), Some(&"verdict"));
    let bea = by(&bench, "bea");
    let seen = bea.request(&target(), run).await.unwrap();
    assert_eq!((seen.waiting.len(), seen.asks().count()), (1, 0));
    let early = bea.answer(&seen, None, Approve, "").await.unwrap_err();
    assert_eq!(early.code(), &code::APPROVAL_NOTHING);
    let ann = by(&bench, "ann");
    assert_eq!(ann.resume(&pipeline, run).await.outcome, Outcome::Waiting);
    say(&bea, run, None, Approve, "").await.unwrap();
    assert_eq!(ann.resume(&pipeline, run).await.outcome, Outcome::Released);
}

/// A freeze hears nobody: a word there would be lost.
#[tokio::test]
async fn a_word_is_taken_only_where_it_counts() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let window = gate("window", [Says::Wait, Says::Wait, Says::Pass]);
    let frozen = gated(&world, enforced(window.clone()));
    let (ann, bea) = (by(&bench, "ann"), by(&bench, "bea"));
    let run = ann.ship(&frozen, candidate("v2")).await.run.unwrap();
    assert_eq!(ann.asking(&target()).await.unwrap().len(), 1, "it is told that it waits");
    for word in [Approve, Reject] {
        for named in [None, Some(&stage("window"))] {
            let error = say(&bea, run, named, word, "").await.unwrap_err();
            assert_eq!(error.code(), &code::APPROVAL_NOTHING, "{word:?} {named:?}");
        }
    }
    let both = Pipeline::to(TARGET)
        .gates([enforced(window), enforced(Approval::quorum(1).timeout(HOUR))])
        .deploy(fake(&world))
        .rollback_with(Back(world.clone()))
        .build()
        .unwrap();
    let run = ann.ship(&both, candidate("v3")).await.run.unwrap();
    let approved = say(&bea, run, None, Approve, "").await.unwrap();
    assert_eq!(approved, stage("approval"), "the only one that hears people");
    let report = ann.resume(&both, run).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
}

#[tokio::test]
async fn who_rejects_and_then_approves_has_approved() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, enforced(Approval::quorum(1).within(Duration::ZERO)));
    let ann = by(&bench, "ann");
    let run = parked(&ann, &pipeline, "v2").await;
    let bea = by(&bench, "bea");
    say(&bea, run, None, Reject, "not yet").await.unwrap();
    say(&bea, run, None, Approve, "now").await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    // The approval is too old, and the rejection was taken back by it.
    assert_eq!(ann.resume(&pipeline, run).await.outcome, Outcome::Waiting);
}
