//! What becomes of a bake; time is virtual.

use gatekit_aws::cloudwatch::Alarms;
use gatekit_aws::code;
use gatekit_core::{Code, Gate as _, Verdict};
use gatekit_emulators::{Alarm, AlarmState, Aws as Account, Injection};
use tokio::time::{Duration, Instant, advance};

use super::{account, gate, run, s};
use crate::account::in_process;

fn troubles(account: &Account, all: &[&str]) {
    for trouble in all {
        account.inject(trouble.parse::<Injection>().unwrap());
    }
}

/// The word of a verdict, its code and its message.
fn told(verdict: &Verdict) -> (&'static str, Code, &str) {
    let finding = verdict.finding().unwrap();
    (verdict.word(), finding.code.clone(), &finding.message)
}

#[tokio::test(start_paused = true)]
async fn alarms_that_stay_quiet_pass_at_the_end_of_the_bake_and_are_told_with_their_times() {
    let account = account();
    account.put_alarm(Alarm::composite("web"));
    let gate = gate(&account, &["web"]).bake(s(300));
    let begun = Instant::now();
    let verdict = gate.check(&run(&gate, s(600))).await.unwrap();
    let Verdict::Pass(proof) = &verdict else { panic!("{verdict:?}") };
    let took = begun.elapsed();
    assert!((s(300)..s(301)).contains(&took), "it took {took:?}");
    let facts = proof.evidence()[0].facts();
    assert_eq!(facts["baked_s"], 300);
    assert!((24..=41).contains(&facts["looks"].as_u64().unwrap()), "{facts}");
    let alarms = facts["alarms"].as_array().unwrap();
    let of = |key: &str| alarms.iter().map(|it| it[key].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["web", "web-5xx"]);
    assert_eq!(of("kind"), ["composite", "metric"]);
    assert_eq!(of("state"), ["OK", "OK"]);
    assert!(of("since").iter().all(|it| it.ends_with('Z')));
    assert!(account.calls().iter().all(|it| it.operation == "DescribeAlarms"));
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_fires_fails_it_at_once() {
    for alarm in [Alarm::metric("latency"), Alarm::composite("latency")] {
        let account = account();
        account.put_alarm(alarm.at(s(100), AlarmState::Alarm));
        let gate = gate(&account, &["latency"]).bake(s(300));
        let begun = Instant::now();
        let verdict = gate.check(&run(&gate, s(600))).await.unwrap();
        let (word, code, message) = told(&verdict);
        assert_eq!((word, code), ("fail", code::ALARM_FIRING));
        assert!(message.starts_with("`latency` is in ALARM since 2"), "{message}");
        assert!(message.contains("alarm is in ALARM"), "the service's own reason: {message}");
        assert!((s(100)..s(113)).contains(&begun.elapsed()));
        assert_eq!(verdict.finding().unwrap().evidence.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_fired_before_the_run_judges_nothing() {
    let account = account();
    account.put_alarm(Alarm::metric("old").first(AlarmState::Alarm));
    let gate = gate(&account, &["old"]).bake(s(300));
    let begun = Instant::now();
    let verdict = gate.check(&run(&gate, s(600))).await.unwrap();
    let (word, code, message) = told(&verdict);
    assert_eq!((word, code), ("inconclusive", code::ALARM_FIRED_BEFORE));
    assert!(message.starts_with("`old` is in ALARM"), "{message}");
    assert!(message.contains("was firing before the deploy") && !message.contains("web-5xx"));
    assert!(begun.elapsed() < s(1));
}

#[tokio::test(start_paused = true)]
async fn one_that_fired_during_the_run_fails_it_though_another_fired_before() {
    let account = account();
    account.put_alarm(Alarm::metric("old").first(AlarmState::Alarm));
    let gate = gate(&account, &["old"]);
    let run = run(&gate, s(600));
    advance(s(60)).await;
    account.turn_alarm("web-5xx", AlarmState::Alarm);
    advance(s(60)).await;
    let verdict = gate.check(&run).await.unwrap();
    let (word, code, message) = told(&verdict);
    assert_eq!((word, code), ("fail", code::ALARM_FIRING));
    assert!(message.contains("`web-5xx`") && !message.contains("`old`"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn one_that_fired_as_the_run_was_opened_is_held_against_it_because_clocks_differ() {
    let account = account();
    account.turn_alarm("web-5xx", AlarmState::Alarm);
    let gate = gate(&account, &[]);
    let verdict = gate.check(&run(&gate, s(600))).await.unwrap();
    assert_eq!(told(&verdict).1, code::ALARM_FIRING);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_fires_again_during_the_bake_was_not_firing_before() {
    let account = account();
    let alarm = Alarm::metric("again").first(AlarmState::Alarm);
    account.put_alarm(alarm.at(s(1), AlarmState::Ok).at(s(30), AlarmState::Alarm));
    advance(s(2)).await;
    let gate = gate(&account, &["again"]).bake(s(300));
    let verdict = gate.check(&run(&gate, s(600))).await.unwrap();
    assert_eq!(told(&verdict).1, code::ALARM_FIRING);
}

#[tokio::test(start_paused = true)]
async fn no_data_is_no_good_news_unless_it_is_taken_for_that() {
    let account = account();
    account.put_alarm(Alarm::metric("errors").first(AlarmState::InsufficientData));
    let strict = gate(&account, &["errors"]).bake(s(60));
    let verdict = strict.check(&run(&strict, s(600))).await.unwrap();
    let (word, code, message) = told(&verdict);
    assert_eq!((word, code), ("inconclusive", code::ALARM_NO_DATA));
    assert!(message.contains("`errors` is in INSUFFICIENT_DATA") && !message.contains("web-5xx"));
    let lenient = strict.clone().allow_insufficient_data();
    assert_ne!(strict.describe(), lenient.describe());
    assert!(lenient.check(&run(&lenient, s(600))).await.unwrap().is_pass());
    // Data that comes is no reason to doubt it.
    account.put_alarm(
        Alarm::metric("errors").first(AlarmState::InsufficientData).at(s(90), AlarmState::Ok),
    );
    assert!(lenient.check(&run(&lenient, s(600))).await.unwrap().is_pass());
}

#[tokio::test(start_paused = true)]
async fn alarms_that_are_not_there_are_named() {
    let account = account();
    let gate = gate(&account, &["nothing", "nobody"]).bake(s(60));
    let verdict = gate.check(&run(&gate, s(600))).await.unwrap();
    let (word, code, message) = told(&verdict);
    assert_eq!((word, code), ("inconclusive", code::ALARM_UNKNOWN));
    assert!(message.starts_with("`nobody`, `nothing`: no metric or composite alarm"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_cannot_be_evaluated_is_not_quiet() {
    let account = account();
    account.put_alarm(Alarm::metric("bad").evaluated_badly("EVALUATION_ERROR"));
    let gate = gate(&account, &["bad"]);
    let verdict = gate.check(&run(&gate, s(600))).await.unwrap();
    let (word, code, message) = told(&verdict);
    assert_eq!((word, code), ("inconclusive", code::ALARM_NOT_EVALUATED));
    assert!(message.contains("`bad`") && message.contains("EVALUATION_ERROR"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn what_happens_between_two_looks_is_noticed() {
    let account = account();
    // At the same moment, so that no look can see it.
    let alarm = Alarm::metric("flaps").at(s(100), AlarmState::Alarm).at(s(100), AlarmState::Ok);
    account.put_alarm(alarm);
    let gate = gate(&account, &["flaps"]).bake(s(300));
    let begun = Instant::now();
    let verdict = gate.check(&run(&gate, s(600))).await.unwrap();
    let (word, code, message) = told(&verdict);
    assert_eq!((word, code), ("inconclusive", code::ALARM_UNSTEADY));
    assert!(message.contains("`flaps`"), "{message}");
    assert!((s(100)..s(113)).contains(&begun.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn neither_throttling_nor_a_network_that_is_gone_ends_a_bake() {
    let account = account();
    let all = ["throttled:9", "server-error:7", "cut-before:5", "cut-after:5", "silent:2"];
    troubles(&account, &all);
    let gate = gate(&account, &[]).bake(s(60));
    let begun = Instant::now();
    assert!(gate.check(&run(&gate, s(900))).await.unwrap().is_pass());
    let met = account.calls().iter().filter(|it| it.trouble.is_some()).count();
    assert_eq!(met, 28);
    assert!(begun.elapsed() > s(60));
}

#[tokio::test(start_paused = true)]
async fn what_never_answers_is_an_error_before_the_deadline_and_no_pass() {
    for (trouble, code) in [
        ("throttled:1000", code::THROTTLED),
        ("server-error:1000", code::UNAVAILABLE),
        ("cut-before:1000", code::UNREACHABLE),
        ("silent:1000", code::UNREACHABLE),
    ] {
        let account = account();
        troubles(&account, &[trouble]);
        let gate = gate(&account, &[]).bake(s(30));
        let begun = Instant::now();
        let error = gate.check(&run(&gate, s(120))).await.unwrap_err();
        assert_eq!(*error.code(), code);
        assert!((s(100)..s(120)).contains(&begun.elapsed()), "{trouble}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_denial_ends_it_at_once_and_names_what_is_to_be_allowed() {
    let account = account();
    troubles(&account, &["denied:1"]);
    let gate = gate(&account, &[]).bake(s(30));
    let begun = Instant::now();
    let error = gate.check(&run(&gate, s(120))).await.unwrap_err();
    assert_eq!(*error.code(), code::DENIED);
    assert!(error.to_string().contains("cloudwatch:DescribeAlarms"), "{error}");
    assert!(begun.elapsed() < s(1));
}

#[tokio::test(start_paused = true)]
async fn a_bake_that_takes_longer_than_there_is_time_is_not_even_begun() {
    let account = account();
    let gate = gate(&account, &[]).bake(s(600));
    let verdict = gate.check(&run(&gate, s(600))).await.unwrap();
    let (word, code, message) = told(&verdict);
    assert_eq!((word, code), ("inconclusive", code::ALARM_NO_TIME));
    assert!(message.starts_with("a bake of 600.0 s does not fit"), "{message}");
    assert!(account.calls().is_empty());
    let endless = gate.bake(Duration::MAX);
    let verdict = endless.check(&run(&endless, s(600))).await.unwrap();
    assert_eq!(told(&verdict).1, code::ALARM_NO_TIME);
}

#[tokio::test(start_paused = true)]
async fn without_a_bake_it_looks_once() {
    let account = account();
    let gate = gate(&account, &[]);
    assert!(gate.check(&run(&gate, s(60))).await.unwrap().is_pass());
    assert_eq!(account.calls().len(), 1);
}

#[tokio::test]
async fn zero_alarms_empty_names_and_too_many_are_refused() {
    let aws = in_process(&account());
    let many: Vec<_> = (0..101).map(|n| format!("alarm-{n}")).collect();
    for names in [Vec::new(), vec![" ".to_owned()], many] {
        let refused = Alarms::of(&aws, "alarms", names).unwrap_err();
        assert_eq!(*refused.code(), code::ALARM_CONFIG);
    }
    let refused = Alarms::of(&aws, "no id", ["web-5xx"]).unwrap_err();
    assert_eq!(refused.code().as_str(), "config.name");
    let twice = Alarms::of(&aws, "alarms", ["b", "a", "b"]).unwrap();
    let once = Alarms::of(&aws, "alarms", ["a", "b"]).unwrap();
    assert_eq!(twice.describe(), once.describe());
}
