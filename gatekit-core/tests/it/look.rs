//! Looking without touching: previews, verification of what is live, and what runs ask people for.

use std::time::Duration;

use gatekit_core::ledger::Word::Approve;
use gatekit_core::ledger::{Acquired, Body, Claim, Entry, Guard};
use gatekit_core::{
    Approval, Engine, Evidence, GateSlot, Live, Location, Manual, Outcome, Pipeline, Preview,
    RunId, StageId, Timestamp, Verdict, advisory, code, enforced, gate_fn,
};
use serde_json::json;

use crate::world::*;

const HOUR: Duration = Duration::from_secs(3600);

fn gated(world: &World, gates: impl IntoIterator<Item = GateSlot>) -> Pipeline {
    let builder = Pipeline::to(TARGET).gates(gates).deploy(fake(world));
    builder.rollback_with(Back(world.clone())).build().unwrap()
}

async fn previewed(bench: &Bench, pipeline: &Pipeline) -> Preview {
    let before = bench.kinds().await.len();
    let preview = bench.engine().preview(pipeline, candidate("v2"), true).await.unwrap();
    assert_eq!(bench.kinds().await.len(), before, "a look is not journalled");
    preview
}

#[tokio::test]
async fn a_preview_tells_what_would_be_touched_and_what_every_gate_says() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let seen = gate_fn("scopes", async |cx| {
        let scopes: Vec<_> = cx.planned().iter().map(|scope| scope.stage.to_string()).collect();
        Ok(Verdict::pass([Evidence::read("scopes", b"", json!(scopes))]))
    });
    let gates = [enforced(seen.unwrap()), advisory(gate("advice", [Says::Fail]))];
    let pipeline = gated(&world, gates);
    let asked = previewed(&bench, &pipeline).await;
    assert_eq!(asked.stop, None);
    assert_eq!(asked.scopes.len(), 1, "{asked:?}");
    let ids: Vec<_> = asked.verdicts.iter().map(|judged| judged.stage.as_str()).collect();
    assert_eq!(ids, ["scopes", "advice"]);
    let Verdict::Pass(proof) = &asked.verdicts[0].verdict else { panic!("{asked:?}") };
    assert_eq!(proof.evidence()[0].facts(), &json!(["fake"]), "gates see what would be touched");
    let planned = bench.engine().preview(&pipeline, candidate("v2"), false).await.unwrap();
    assert!(planned.verdicts.is_empty(), "nobody asked for them");
    assert_eq!((planned.intent, planned.scopes), (asked.intent, asked.scopes));
    assert!(world.writes().is_empty());
}

/// The worst of what blocks is what the run would end by, and the first of equals.
#[tokio::test]
async fn a_preview_ends_as_the_ship_would() {
    use Says::{Errs, Fail, Hangs, Inconclusive, Pass, Wait};
    for (says, outcome, blames) in [
        (vec![Pass, Pass], None, ""),
        (vec![Pass, Fail], Some(Outcome::Refused), "gate-1"),
        (vec![Fail, Fail], Some(Outcome::Refused), "gate-0"),
        (vec![Inconclusive, Fail], Some(Outcome::Refused), "gate-1"),
        (vec![Wait, Pass], Some(Outcome::Waiting), "gate-0"),
        (vec![Wait, Inconclusive], Some(Outcome::Refused), "gate-1"),
        (vec![Errs, Pass], Some(Outcome::Refused), "gate-0"),
        (vec![Hangs, Pass], Some(Outcome::Refused), "gate-0"),
    ] {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        let what = format!("{says:?}");
        let gates = says.into_iter().zip(["gate-0", "gate-1"]);
        let pipeline = gated(&world, gates.map(|(says, id)| enforced(gate(id, [says]))));
        let engine = bench.engine().with_deadline(Duration::from_millis(300));
        let preview = engine.preview(&pipeline, candidate("v2"), true).await.unwrap();
        assert_eq!(preview.verdicts.len(), 2, "{what}: all are asked");
        let stop = preview.stop.as_ref();
        assert_eq!(stop.map(|(outcome, _)| *outcome), outcome, "{what}");
        if let Some((_, failure)) = stop {
            assert!(failure.to_string().contains(blames), "{what}: {failure}");
            assert!(failure.next.is_empty(), "{what}: there is no run to go on with");
        }
        let report = engine.ship(&pipeline, candidate("v2")).await;
        assert_eq!(outcome.unwrap_or(Outcome::Released), report.outcome, "{what}");
    }
}

#[tokio::test]
async fn a_preview_counts_what_somebody_answers_for() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let gates = || ["lint", "tests"].map(|id| enforced(gate(id, [Says::Fail])));
    let pipeline = gated(&world, gates());
    let engine = bench.engine();
    let run = engine.ship(&pipeline, candidate("v2")).await.run.unwrap();
    let id = |text: &str| StageId::new(text).unwrap();
    engine.waive(&pipeline, run, &id("lint"), HOUR, "r").await.unwrap();
    let (outcome, failure) = previewed(&bench, &pipeline).await.stop.unwrap();
    assert_eq!(outcome, Outcome::Refused);
    assert!(failure.to_string().contains("tests"), "{failure}");
    // The longest that there is.
    engine.waive(&pipeline, run, &id("tests"), HOUR * 24 * 30, "r").await.unwrap();
    assert_eq!(previewed(&bench, &pipeline).await.stop, None);
    let waits = gated(&world, [enforced(Approval::quorum(1))]);
    let (outcome, _) = previewed(&bench, &waits).await.stop.unwrap();
    assert_eq!(outcome, Outcome::Waiting, "nobody answers for an approval");
}

/// `waive` refuses to write such an entry, but another program may.
#[tokio::test]
async fn a_waiver_of_what_may_not_be_waived_answers_for_nothing() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = gated(&world, [enforced(Approval::quorum(1))]);
    let engine = bench.engine();
    let run = engine.ship(&pipeline, candidate("v2")).await.run.unwrap();
    let intent = engine.request(&target(), run).await.unwrap().intent;
    let until = Timestamp::now().after(HOUR);
    let stage = StageId::new("approval").unwrap();
    let waiver = Body::Waiver { stage, intent, until, reason: "r".to_owned() };
    let entry = Entry::new(target(), run, "mallory", None, waiver);
    bench.ledger.append(&target(), &entry, Guard::Open).await.unwrap();
    let (outcome, _) = previewed(&bench, &pipeline).await.stop.unwrap();
    assert_eq!(outcome, Outcome::Waiting);
    assert_eq!(engine.resume(&pipeline, run).await.outcome, Outcome::Waiting);
    assert!(world.writes().is_empty());
}

#[tokio::test]
async fn a_preview_of_a_suspect_target_or_without_a_plan_says_so() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let pipeline = plain(&world);
    world.lock().one_way = Some("it deletes".to_owned());
    let (outcome, failure) = previewed(&bench, &pipeline).await.stop.unwrap();
    assert_eq!((outcome, &failure.code), (Outcome::Refused, &code::ROLLBACK_ONE_WAY));
    world.lock().one_way = None;
    assert_eq!(previewed(&bench, &pipeline).await.stop, None);
    world.lock().apply = Apply::LosesAnswer;
    world.lock().located = Some(Location::Unknown("nobody knows".into()));
    let stuck = bench.engine().ship(&pipeline, candidate("v2")).await;
    assert_eq!(stuck.outcome, Outcome::Stuck, "{stuck:?}");
    let (outcome, failure) = previewed(&bench, &pipeline).await.stop.unwrap();
    assert_eq!((outcome, &failure.code), (Outcome::Stuck, &code::LOCK_SUSPECT));
}

#[tokio::test]
async fn what_is_live_is_verified_by_what_the_enforced_gates_say() {
    let verified = |stages: Vec<GateSlot>| async move {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        let mut builder =
            Pipeline::to(TARGET).deploy(fake(&world)).rollback_with(Back(world.clone()));
        for stage in stages {
            builder = builder.verify(stage);
        }
        let verified = bench.engine().verify(&builder.build().unwrap()).await.unwrap();
        assert_eq!(verified.live, Some(Live::new("v1", Some("v1".into()))));
        assert!(bench.kinds().await.is_empty(), "nothing is journalled");
        (verified.verdicts.len(), verified.failure.map(|failure| failure.code))
    };
    let [pass, fail, hint] = [("pass", Says::Pass), ("fail", Says::Fail), ("hint", Says::Fail)]
        .map(|(id, says)| gate(id, [says]));
    assert_eq!(verified(vec![]).await, (0, Some(code::VERIFY_NOTHING)));
    assert_eq!(verified(vec![advisory(hint.clone())]).await, (1, Some(code::VERIFY_NOTHING)));
    assert_eq!(verified(vec![enforced(pass.clone())]).await, (1, None));
    assert_eq!(verified(vec![enforced(pass.clone()), advisory(hint)]).await, (2, None));
    assert_eq!(
        verified(vec![enforced(pass), enforced(fail)]).await,
        (2, Some(code::VERIFY_FAILED))
    );
}

/// The gates are asked about the release that was made last, not about any candidate.
#[tokio::test]
async fn what_is_live_is_verified_as_the_last_release() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let version = gate_fn("version", async |cx| {
        let version = cx.candidate().version.clone();
        Ok(Verdict::pass([Evidence::read("candidate", b"", json!(version))]))
    });
    let builder = Pipeline::to(TARGET).deploy(fake(&world)).rollback_with(Back(world.clone()));
    let pipeline = builder.verify(enforced(version.unwrap())).build().unwrap();
    assert_eq!(bench.engine().ship(&pipeline, candidate("v2")).await.outcome, Outcome::Released);
    let verified = bench.engine().verify(&pipeline).await.unwrap();
    let Verdict::Pass(proof) = &verified.verdicts[0].verdict else { panic!("{verified:?}") };
    assert_eq!(proof.evidence()[0].facts(), &json!("v2"));
}

async fn asking(engine: &Engine) -> Vec<RunId> {
    engine.asking(&target()).await.unwrap().into_iter().map(|request| request.run).collect()
}

#[tokio::test]
async fn the_runs_that_ask_are_those_that_wait_for_a_word_and_can_go_on() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let engine = bench.engine().with_queue_timeout(Duration::ZERO);
    assert_eq!(asking(&engine).await, []);
    let approval = gated(&world, [enforced(Approval::quorum(1))]);
    let first = engine.ship(&approval, candidate("v2")).await.run.unwrap();
    let second = engine.ship(&approval, candidate("v3")).await.run.unwrap();
    let refused = gated(&world, [enforced(gate("lint", [Says::Fail]))]);
    assert_eq!(engine.ship(&refused, candidate("v4")).await.outcome, Outcome::Refused);
    assert_eq!(asking(&engine).await, [second, first], "newest first, and no run that has ended");
    let request = engine.request(&target(), second).await.unwrap();
    assert_eq!((request.run, request.requester.as_str()), (second, "tester"));
    assert_eq!((request.candidate, request.scopes.len()), (candidate("v3"), 1));
    // One that waits in the queue waits for nobody's word.
    let bea = bench.engine().with_actor("bea");
    let seen = bea.request(&target(), first).await.unwrap();
    bea.answer(&seen, None, Approve, "").await.unwrap();
    let holder = Claim::new(target(), RunId::generate(), "the holder");
    bench.ledger.enqueue(&holder).await.unwrap();
    let held = bench.ledger.acquire(&holder, HOUR).await.unwrap();
    let Acquired::Granted(hold) = held else { panic!("{held:?}") };
    assert_eq!(engine.resume(&approval, first).await.outcome, Outcome::Waiting);
    assert_eq!(asking(&engine).await, [second]);
    bench.ledger.release(&hold).await.unwrap();
    assert_eq!(engine.resume(&approval, first).await.outcome, Outcome::Released);
    assert_eq!(asking(&engine).await, [second], "it began later");
    // Nobody goes on with one from before the newest release.
    assert_eq!(engine.ship(&plain(&world), candidate("v5")).await.outcome, Outcome::Released);
    assert_eq!(asking(&engine).await, []);
}

#[tokio::test]
async fn a_word_on_one_of_two_stages_leaves_the_other() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let manual = |id: &str| enforced(Manual::new(id, "do it").unwrap());
    let pipeline = gated(&world, [manual("upload"), manual("secret")]);
    let engine = bench.engine();
    let run = engine.ship(&pipeline, candidate("v2")).await.run.unwrap();
    let upload = StageId::new("upload").unwrap();
    let seen = engine.request(&target(), run).await.unwrap();
    engine.answer(&seen, Some(&upload), Approve, "").await.unwrap();
    assert_eq!(engine.resume(&pipeline, run).await.outcome, Outcome::Waiting);
    let request = engine.request(&target(), run).await.unwrap();
    let waits: Vec<_> = request.waiting.iter().map(|(stage, _)| stage.as_str()).collect();
    assert_eq!(waits, ["secret"]);
}

#[tokio::test]
async fn the_arguments_of_the_newest_release_are_given_back() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let engine = bench.engine().with_arguments(json!({"port": 1}));
    assert_eq!(engine.last_arguments(&target()).await.unwrap(), None);
    assert_eq!(engine.ship(&plain(&world), candidate("v2")).await.outcome, Outcome::Released);
    let refused = gated(&world, [enforced(gate("lint", [Says::Fail]))]);
    let other = bench.engine().with_arguments(json!({"port": 2}));
    assert_eq!(other.ship(&refused, candidate("v3")).await.outcome, Outcome::Refused);
    assert_eq!(engine.last_arguments(&target()).await.unwrap(), Some(json!({"port": 1})));
}
