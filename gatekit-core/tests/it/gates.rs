//! What can be said of any gate, and what becomes of it in a run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gatekit_core::testing::plan_context;
use gatekit_core::{
    Candidate, Code, Error, Event, EventBody, Evidence, Finding, Freshness, Gate, GateExt as _,
    Outcome, Pipeline, PlanContext, Reporter, Result, RetryPolicy, StageId, Verdict, code,
    enforced, gate_fn,
};
use serde_json::json;
use tokio::sync::Notify;

use crate::world::*;

fn context(deadline: Duration) -> PlanContext {
    plan_context(&target(), Candidate::new(), &StageId::new("it").unwrap(), deadline)
}

const LONG: Duration = Duration::from_secs(60);
const NO: Code = Code::new("test.no");

fn pass(source: &str) -> Verdict {
    Verdict::pass([Evidence::read(source, source, json!(source))])
}

fn finding(message: &str) -> Finding {
    Finding::new(NO, message)
}

/// A gate that gives one answer after the other, the last again and again, and counts them.
fn answers(
    id: &str,
    all: impl Fn(usize) -> Result<Verdict> + Send + Sync + 'static,
) -> (impl Gate, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let gate = gate_fn(id, move |_| {
        let answer = all(count.fetch_add(1, Ordering::SeqCst));
        async { answer }
    });
    (gate.unwrap(), asked)
}

async fn checked(gate: impl Gate) -> Verdict {
    gate.check(&context(LONG)).await.unwrap()
}

#[tokio::test]
async fn a_gate_that_takes_too_long_is_inconclusive() {
    let never = gate_fn("never", |_| std::future::pending()).unwrap();
    let verdict = checked(never.timeout(Duration::from_millis(20))).await;
    assert!(matches!(&verdict, Verdict::Inconclusive(why) if why.code == code::GATE_TIMEOUT));
    for limit in [LONG, Duration::MAX] {
        let (quick, _) = answers("quick", |_| Ok(pass("quick")));
        assert!(checked(quick.timeout(limit)).await.is_pass());
    }
}

const QUICK: Duration = Duration::from_millis(5);

#[tokio::test]
async fn what_cannot_be_told_is_asked_again_and_an_answer_is_an_answer() {
    let temporary = || Err(Error::new(NO, "busy").retry_later());
    for (first, asked) in [
        (
            Box::new(|| Ok(Verdict::Inconclusive(finding("?"))))
                as Box<dyn Fn() -> _ + Send + Sync>,
            3,
        ),
        (Box::new(temporary), 3),
        (Box::new(|| Err(Error::new(NO, "for good"))), 1),
        (Box::new(|| Ok(Verdict::Fail(finding("no")))), 1),
        (Box::new(|| Ok(Verdict::Wait(finding("not yet")))), 1),
    ] {
        let (gate, count) = answers("it", move |n| if n < 2 { first() } else { Ok(pass("it")) });
        let answer = gate.retry(RetryPolicy::curl(5, QUICK)).check(&context(LONG)).await;
        assert_eq!(count.load(Ordering::SeqCst), asked, "{answer:?}");
        assert_eq!(answer.is_ok_and(|verdict| verdict.is_pass()), asked == 3);
    }
}

#[tokio::test]
async fn retries_end_with_their_number_their_time_and_the_deadline() {
    let unknown = || answers("it", |_| Ok(Verdict::Inconclusive(finding("?"))));
    for (policy, deadline, asked) in [
        (RetryPolicy::curl(2, QUICK), LONG, 3),
        (RetryPolicy::never(), LONG, 1),
        (RetryPolicy::curl(9, LONG).within(LONG / 2), LONG * 9, 1),
        (RetryPolicy::curl(9, LONG), LONG / 2, 1),
    ] {
        let (gate, count) = unknown();
        let verdict = gate.retry(policy).check(&context(deadline)).await.unwrap();
        assert!(!verdict.is_pass());
        assert_eq!(count.load(Ordering::SeqCst), asked, "{policy:?}");
    }
}

#[tokio::test]
async fn a_condition_that_does_not_hold_is_the_evidence() {
    let condition = |cx: &PlanContext| cx.candidate().inputs.contains_key("migrations");
    let (gate, count) = answers("it", |_| Ok(Verdict::Fail(finding("no"))));
    let gate = gate.when("it has migrations", condition);
    let Verdict::Pass(proof) = gate.check(&context(LONG)).await.unwrap() else {
        panic!("it passes")
    };
    let facts = json!({"condition": "it has migrations", "holds": false});
    assert_eq!(proof.evidence()[0].facts(), &facts);
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let migrates = Candidate::new().with_input("migrations", "2");
    let cx = plan_context(&target(), migrates, &StageId::new("it").unwrap(), LONG);
    assert!(matches!(gate.check(&cx).await.unwrap(), Verdict::Fail(_)));
}

#[tokio::test]
async fn both_of_two_gates_have_to_pass_and_the_worse_is_told() {
    let says = |word: &'static str| {
        answers(word, move |_| match word {
            "pass" => Ok(pass("pass")),
            "wait" => Ok(Verdict::Wait(finding("wait"))),
            "unknown" => Ok(Verdict::Inconclusive(finding("unknown"))),
            "err" => Err(Error::new(NO, "err")),
            _ => Ok(Verdict::Fail(finding("fail"))),
        })
        .0
    };
    for (one, other, told) in [
        ("pass", "wait", "wait"),
        ("wait", "pass", "wait"),
        ("wait", "unknown", "unknown"),
        ("err", "wait", "err"),
        ("fail", "unknown", "fail"),
        ("unknown", "fail", "fail"),
    ] {
        let both = says(one).all(says(other));
        assert_eq!(both.id().as_str(), one);
        assert_eq!(checked(both).await.finding().unwrap().message, told, "{one}, {other}");
    }
    let Verdict::Pass(proof) = checked(says("pass").all(says("pass"))).await else { panic!() };
    assert_eq!(proof.evidence().len(), 2);
}

#[tokio::test]
async fn what_is_said_of_a_gate_is_part_of_the_fingerprint() {
    let fingerprint = |gate: Box<dyn Fn() -> gatekit_core::GateSlot>| {
        let world = World::with_live("v1");
        let builder = Pipeline::to(TARGET).gate(gate()).deploy(fake(&world));
        builder.rollback_with(Back(world.clone())).build().unwrap().fingerprint().clone()
    };
    let it = || answers("it", |_| Ok(pass("it"))).0;
    let all: Vec<_> = [
        Box::new(move || enforced(it())) as Box<dyn Fn() -> _>,
        Box::new(move || enforced(it().timeout(LONG))),
        Box::new(move || enforced(it().timeout(LONG * 2))),
        Box::new(move || enforced(it().retry(RetryPolicy::curl(1, LONG)))),
        Box::new(move || enforced(it().when("a", |_| true))),
        Box::new(move || enforced(it().when("b", |_| true))),
        Box::new(move || enforced(it().all(answers("other", |_| Ok(pass("it"))).0))),
    ]
    .into_iter()
    .map(fingerprint)
    .collect();
    for (i, one) in all.iter().enumerate() {
        assert!(all[i + 1..].iter().all(|other| other != one), "{i}");
    }
}

#[test]
fn two_pieces_of_evidence_age_as_the_one_that_ages_sooner() {
    use Freshness::{BoundToCandidate, For, Immediate};
    for (one, other, both) in [
        (BoundToCandidate, BoundToCandidate, BoundToCandidate),
        (BoundToCandidate, For(LONG), For(LONG)),
        (For(LONG), For(QUICK), For(QUICK)),
        (For(LONG), Immediate, Immediate),
        (BoundToCandidate, Immediate, Immediate),
    ] {
        assert_eq!((one.shorter(other), other.shorter(one)), (both, both));
    }
}

#[tokio::test]
async fn what_is_wrapped_is_asked_again_under_the_lock_as_what_it_wraps() {
    for (fresh, times) in [(Freshness::BoundToCandidate, 1), (Freshness::Immediate, 2)] {
        let (bench, world) = (Bench::new(), World::with_live("v1"));
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let gate = gate_fn("it", move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Ok(pass("it")) }
        });
        let gate = gate.unwrap().fresh_for(fresh).timeout(LONG).retry(RetryPolicy::never());
        let builder = Pipeline::to(TARGET).gate(enforced(gate)).deploy(fake(&world));
        let pipeline = builder.rollback_with(Back(world.clone())).build().unwrap();
        let report = bench.engine().ship(&pipeline, candidate("v2")).await;
        assert_eq!(report.outcome, Outcome::Released, "{report:?}");
        assert_eq!(asked.load(Ordering::SeqCst), times);
    }
}

/// What is told of gates, and a bell that rings when one has answered.
#[derive(Debug, Clone, Default)]
struct Hears(Arc<Mutex<Vec<String>>>, Arc<Notify>);

impl Reporter for Hears {
    fn event(&mut self, event: &Event) {
        let told = match &event.event {
            EventBody::GateAsked { stage, .. } => format!("asked {stage}"),
            EventBody::GateAnswered { stage, word, .. } => {
                self.1.notify_one();
                format!("{stage}: {word}")
            }
            EventBody::Step { entry, .. } if entry.body.kind() == "verdict" => "verdict".to_owned(),
            _ => return,
        };
        self.0.lock().unwrap().push(told);
    }
}

#[tokio::test]
async fn who_listens_knows_which_gate_of_a_set_is_waited_for() {
    let (bench, world) = (Bench::new(), World::with_live("v1"));
    let hears = Hears::default();
    let bell = Arc::clone(&hears.1);
    // It waits until somebody was told of the other's answer.
    let slow = gate_fn("slow", move |_| {
        let bell = Arc::clone(&bell);
        async move {
            bell.notified().await;
            Ok(pass("slow"))
        }
    });
    let quick = answers("quick", |_| Ok(pass("quick"))).0;
    let pipeline = Pipeline::to(TARGET).gates([enforced(slow.unwrap()), enforced(quick)]);
    let pipeline = pipeline.deploy(fake(&world)).rollback_with(Back(world.clone()));
    let engine = bench.engine().reporter(hears.clone());
    let report = engine.ship(&pipeline.build().unwrap(), candidate("v2")).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let told = hears.0.lock().unwrap();
    let expected = ["asked slow", "asked quick", "quick: pass", "slow: pass", "verdict", "verdict"];
    assert_eq!(told[..6], expected, "{told:?}");
}
