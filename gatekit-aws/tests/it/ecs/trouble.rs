//! Trouble on the way: lost answers, refused calls, and what goes without them.

use std::sync::Arc;
use std::time::Duration;

use gatekit_aws::ecs::PreviousRevision;
use gatekit_core::ledger::MemoryLedger;
use gatekit_core::{
    Candidate, Deployer as _, Effect, Engine, Outcome, Rollback as _, RunReport, TargetName,
    testing,
};
use gatekit_emulators::{Aws as Account, Injection, Scenario, Trouble};
use serde_json::json;

use super::shipping::{
    FIRST, OTHERS, account, called, deploy, end, image, pipeline, register, service, serving, ship,
    ship_image, why, with_image,
};
use crate::account;

const PASSING: [Trouble; 6] = [
    Trouble::Throttled,
    Trouble::ServerError,
    Trouble::CutBefore,
    Trouble::CutAfter,
    Trouble::Silent,
    Trouble::Slow,
];

fn next(account: &Account) -> Vec<String> {
    account.calls().into_iter().map(|it| it.operation).collect()
}

/// Whatever passes in a release that goes well, at any of its calls, three times in a row.
#[tokio::test(start_paused = true)]
async fn no_passing_trouble_at_any_call_fails_a_good_release() {
    let quiet = account(Scenario::Ok);
    assert_eq!(ship_image(&quiet).await.outcome, Outcome::Released);
    let calls = u32::try_from(quiet.calls().len()).unwrap();
    for trouble in PASSING {
        for after in 0..calls {
            let account = account(Scenario::Ok);
            let injection = Injection { operation: None, after, trouble, times: 3 };
            account.inject(injection);
            let report = ship_image(&account).await;
            let at = || format!("{trouble} after {after}: {}: {:?}", why(&report), next(&account));
            assert_eq!(report.outcome, Outcome::Released, "{}", at());
            assert_eq!(serving(&account), Ok(image("two").to_string()), "{}", at());
        }
    }
}

/// The same where it fails in the end: nobody is told of a success.
#[tokio::test(start_paused = true)]
async fn no_passing_trouble_at_any_call_makes_a_success_of_a_failure() {
    for trouble in PASSING {
        for after in 0..60 {
            let account = account(Scenario::BreakerRollback);
            let injection = Injection { operation: None, after, trouble, times: 3 };
            account.inject(injection);
            let report = ship_image(&account).await;
            let at = || format!("{trouble} after {after}: {}: {:?}", why(&report), next(&account));
            assert_eq!(report.outcome, Outcome::RolledBack, "{}", at());
            assert_eq!(serving(&account), Ok(FIRST.to_owned()), "{}", at());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_begins_no_second_deployment() {
    for trouble in [Trouble::CutAfter, Trouble::Silent] {
        let account = account(Scenario::StaleThenOk);
        account.inject(Injection::of(trouble, "UpdateService", 1));
        assert_eq!(ship_image(&account).await.outcome, Outcome::Released);
        assert_eq!(called(&account)["UpdateService"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_that_did_not_land_is_sent_again() {
    for trouble in [Trouble::CutBefore, Trouble::ServerError, Trouble::Throttled] {
        let account = account(Scenario::Ok);
        account.inject(Injection::of(trouble, "UpdateService", 2));
        assert_eq!(ship_image(&account).await.outcome, Outcome::Released);
        assert_eq!(called(&account)["UpdateService"], 3);
    }
}

/// A second call would be a second deployment, and whose a forced one is cannot be told.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_forced_deployment_leaves_the_target_suspect() {
    for trouble in [Trouble::CutAfter, Trouble::CutBefore] {
        let account = account(Scenario::Ok);
        account.inject(Injection::of(trouble, "UpdateService", 1));
        let report = ship(service(&account::in_process(&account)).force()).await;
        let landed = trouble == Trouble::CutAfter;
        let ends = if landed { Outcome::Stuck } else { Outcome::RolledBack };
        assert_eq!(report.outcome, ends, "{}", why(&report));
        assert_eq!(called(&account)["UpdateService"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_optional_may_be_missing() {
    let optional = gatekit_aws::operations::ALL
        .iter()
        .filter(|it| it.service() == "ecs" && it.need == gatekit_aws::operations::Need::Optional);
    let optional: Vec<_> = optional.map(|it| it.name()).collect();
    assert!(optional.len() >= 6, "{optional:?}");
    for trouble in [Trouble::Denied, Trouble::Unknown, Trouble::NotImplemented] {
        for scenario in [Scenario::Ok, Scenario::AlarmRollback, Scenario::CrashLoop] {
            let account = account(scenario);
            for operation in &optional {
                account.inject(Injection::of(trouble, operation, 1000));
            }
            let report = ship_image(&account).await;
            let good = scenario == Scenario::Ok;
            let ends = if good { Outcome::Released } else { Outcome::RolledBack };
            assert_eq!(report.outcome, ends, "{scenario}: {}", why(&report));
            // Without the tasks it cannot be told that they crash, and no breaker ends it.
            let waited = end(&report).1.ends_with(".deadline");
            assert_eq!(waited, scenario == Scenario::CrashLoop, "{}", why(&report));
            assert_eq!(waited, why(&report).contains("tasks run"), "{}", why(&report));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_call_names_the_action_that_is_missing() {
    for (operation, touched) in
        [("DescribeServices", false), ("RegisterTaskDefinition", true), ("UpdateService", true)]
    {
        let account = account(Scenario::Ok);
        account.inject(Injection::of(Trouble::Denied, operation, 1000));
        let report = ship_image(&account).await;
        let ends = if touched { Outcome::RolledBack } else { Outcome::Failed };
        assert_eq!(end(&report), (ends, "aws.denied"), "{}", why(&report));
        let action = format!("ecs:{operation}");
        assert!(why(&report).contains(&action), "{}", why(&report));
        let next = report.failure.as_ref().unwrap().next.iter();
        assert!(next.clone().any(|it| format!("{it:?}").contains(&action)), "{next:?}");
    }
}

/// Nobody can tell where the target stands: it is suspect, and `resume` goes on with new ones.
#[tokio::test(start_paused = true)]
async fn credentials_that_expire_in_the_wait_leave_the_target_suspect_until_resume() {
    let account = account(Scenario::Ok);
    let engine = Engine::new(Arc::new(MemoryLedger::new()));
    let ship = || async {
        engine.ship(&pipeline(with_image(&account::in_process(&account))), Candidate::new()).await
    };
    account.inject(Injection { operation: None, after: 12, trouble: Trouble::Expired, times: 40 });
    let report: RunReport = ship().await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    let causes = format!("{:?}", report.failure);
    assert!(causes.contains("credentials"), "{causes}");
    let run = report.run.unwrap();
    while account.calls().iter().filter(|it| it.trouble.is_some()).count() < 40 {
        let again = engine.resume(&pipeline(with_image(&account::in_process(&account))), run).await;
        assert_ne!(again.outcome, Outcome::Released, "{}", why(&again));
    }
    let again = engine.resume(&pipeline(with_image(&account::in_process(&account))), run).await;
    assert!(
        matches!(again.outcome, Outcome::Released | Outcome::RolledBack),
        "{:?} {}",
        again.outcome,
        why(&again)
    );
}

/// Somebody else's deployment is neither overwritten nor taken for the run's own.
#[tokio::test(start_paused = true)]
async fn what_somebody_else_deploys_meanwhile_is_left_alone() {
    let account = account(Scenario::Slow);
    let aws = account::in_process(&account);
    let other = account.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        deploy(&other, &register(&other, &[("web", OTHERS)]));
    });
    let report = ship(with_image(&aws)).await;
    assert_eq!(end(&report), (Outcome::Stuck, "rollback.elsewhere"), "{}", why(&report));
    assert_eq!(called(&account)["UpdateService"], 1);
}

#[tokio::test(start_paused = true)]
async fn forty_rollouts_ask_less_than_twenty_times_a_second() {
    let account = account(Scenario::Slow);
    let parts = account::twice_in_process(&account);
    let ships = (0..40).map(|n| {
        let image = image(&n.to_string());
        let aws = parts[n % 2].clone();
        async move { ship(service(&aws).image(image)).await }
    });
    let mut running = tokio::task::JoinSet::new();
    ships.for_each(|it| {
        running.spawn(it);
    });
    running.join_all().await;
    let polls: Vec<_> =
        account.calls().into_iter().filter(|it| it.operation == "DescribeServices").collect();
    assert!(polls.len() > 100, "{}", polls.len());
    let begun = polls[0].at;
    let later: Vec<_> = polls.iter().filter(|it| it.at > begun + Duration::from_secs(10)).collect();
    for window in later.windows(20) {
        assert!(window[19].at - window[0].at >= Duration::from_secs(1));
    }
}

/// What was refused at first is sent again, and not over what somebody else has deployed meanwhile.
#[tokio::test(start_paused = true)]
async fn an_update_that_waits_is_not_sent_over_somebody_elses() {
    let account = account(Scenario::Ok);
    account.inject(Injection::of(Trouble::Throttled, "UpdateService", 3));
    let other = account.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        deploy(&other, &register(&other, &[("web", OTHERS)]));
    });
    let report = ship_image(&account).await;
    assert_eq!(report.outcome, Outcome::Stuck, "{}", why(&report));
    account.with_account(gatekit_emulators::Account::hasten);
    assert_eq!(serving(&account), Ok(OTHERS.to_owned()));
}

/// The same image, deployed by hand while the run had deployed nothing yet.
#[tokio::test(start_paused = true)]
async fn somebody_elses_deployment_of_the_same_image_is_not_undone() {
    let account = account(Scenario::Ok);
    let service = with_image(&account::in_process(&account));
    let target = TargetName::new("production/web").unwrap();
    let minute = Duration::from_secs(60);
    let cx = testing::plan_context(&target, Candidate::new(), &service.id(), minute);
    let change = service.plan(&cx).await.unwrap().change;
    deploy(&account, &register(&account, &[("web", &image("two").to_string())]));
    account.with_account(gatekit_emulators::Account::hasten);
    let ledger = Arc::new(MemoryLedger::new());
    let cx = testing::apply_context(&cx, ledger, minute).await.unwrap();
    let refused = service.apply(&cx, &change, None).await.unwrap_err();
    assert_eq!(refused.code().as_str(), "ecs.elsewhere");
    let refused = PreviousRevision::of(&service).roll_back(&cx, &change, None).await.unwrap_err();
    assert_eq!(refused.code().as_str(), "ecs.elsewhere");
    assert_eq!(serving(&account), Ok(image("two").to_string()));
    assert!(!called(&account).contains_key("UpdateService"));
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_credentials_is_not_kept() {
    let account = account(Scenario::Ok);
    account.inject(Injection::of(Trouble::Expired, "DescribeServices", 1000));
    let report = ship_image(&account).await;
    assert_eq!(end(&report).1, "aws.credentials", "{}", why(&report));
    let told = format!("{report:?}");
    assert!(!told.contains("security token included"), "{told}");
}

/// An endpoint that is no AWS, or one of a version that nobody knows.
#[tokio::test(start_paused = true)]
async fn an_answer_that_lacks_what_it_must_have_is_told() {
    let account = account(Scenario::Ok);
    account.inject(Injection::of(Trouble::Empty, "DescribeTaskDefinition", 1000));
    let report = ship_image(&account).await;
    assert_eq!(end(&report), (Outcome::Failed, "aws.answer"), "{}", why(&report));
    assert!(why(&report).contains("ecs:DescribeTaskDefinition"), "{}", why(&report));
    // Neither the service, nor that it is missing.
    let account = self::account(Scenario::Ok);
    account.inject(Injection::of(Trouble::Empty, "DescribeServices", 1000));
    let report = ship_image(&account).await;
    assert_eq!(end(&report), (Outcome::Failed, "aws.answer"), "{}", why(&report));
}

#[tokio::test(start_paused = true)]
async fn what_aws_refuses_is_told_in_its_words() {
    let account = account(Scenario::Ok);
    let revision = register(&account, &[("web", OTHERS)]);
    let service = service(&account::in_process(&account)).revision("web:2");
    let target = TargetName::new("production/web").unwrap();
    let minute = Duration::from_secs(60);
    let cx = testing::plan_context(&target, Candidate::new(), &service.id(), minute);
    let change = service.plan(&cx).await.unwrap().change;
    let gone = json!({ "taskDefinition": revision });
    account.with_account(|it| it.call("DeregisterTaskDefinition", &gone)).unwrap();
    let ledger = Arc::new(MemoryLedger::new());
    let cx = testing::apply_context(&cx, ledger, minute).await.unwrap();
    let refused = service.apply(&cx, &change, None).await.unwrap_err();
    assert_eq!((refused.code().as_str(), refused.effect()), ("aws.refused", Effect::None));
    assert!(refused.to_string().contains("inactive"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn without_a_way_back_nothing_is_written() {
    let account = account(Scenario::Ok);
    let first = json!({ "taskDefinition": "web:1" });
    account.with_account(|it| it.call("DeregisterTaskDefinition", &first)).unwrap();
    let service = with_image(&account::in_process(&account));
    let target = TargetName::new("production/web").unwrap();
    let minute = Duration::from_secs(60);
    let cx = testing::plan_context(&target, Candidate::new(), &service.id(), minute);
    let change = service.plan(&cx).await.unwrap().change;
    let ledger = Arc::new(MemoryLedger::new());
    let cx = testing::apply_context(&cx, ledger, minute).await.unwrap();
    let refused = PreviousRevision::of(&service).roll_back(&cx, &change, None).await.unwrap_err();
    assert_eq!(refused.code().as_str(), "ecs.no_way_back");
    assert!(!called(&account).contains_key("UpdateService"));
}
