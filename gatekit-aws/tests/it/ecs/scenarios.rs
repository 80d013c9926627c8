//! How a release ends in each scenario, in virtual time and over HTTP.

use std::time::Duration;

use gatekit_core::Outcome::{self, Failed, Released, RolledBack, Stuck};
use gatekit_core::RunReport;
use gatekit_emulators::{Aws as Account, Clock, Scenario};

use super::shipping::{
    FIRST, account, called, deploy, end, image, register, serving, ship, ship_image, why,
    with_image,
};
use crate::account;

/// The outcome of the release of an image, and the codes it may have: where ECS itself gives up a
/// moment after gatekit would, either may be first.
const ENDS: [(Scenario, Outcome, &[&str]); 18] = [
    (Scenario::Ok, Released, &[""]),
    (Scenario::Slow, Released, &[""]),
    (Scenario::BreakerRollback, RolledBack, &["deploy.rolled_back", "deploy.failed"]),
    (Scenario::ForcedRollback, RolledBack, &["deploy.rolled_back", "deploy.failed"]),
    (Scenario::BreakerStop, RolledBack, &["deploy.failed"]),
    (Scenario::AlarmRollback, RolledBack, &["deploy.rolled_back"]),
    (Scenario::Superseded, Stuck, &["rollback.elsewhere"]),
    (Scenario::StaleThenOk, Released, &[""]),
    (Scenario::StaleThenRollback, RolledBack, &["deploy.rolled_back", "deploy.failed"]),
    (Scenario::MissingThenOk, Released, &[""]),
    (Scenario::Deleted, Stuck, &["rollback.stuck"]),
    (Scenario::DesiredZero, RolledBack, &["deploy.nothing_ran"]),
    (Scenario::NoNewDeployment, RolledBack, &["ecs.no_new_deployment"]),
    (Scenario::CrashLoop, RolledBack, &["deploy.failed"]),
    (Scenario::Unpullable, RolledBack, &["deploy.failed"]),
    (Scenario::ExternalController, Failed, &["ecs.controller"]),
    (Scenario::BlueGreenPause, RolledBack, &["deploy.pause_rejected"]),
    (Scenario::RollbackFails, Stuck, &["rollback.stuck"]),
];

/// What is wrong with how a release ended, by what truly serves.
fn wrong(scenario: Scenario, account: &Account, report: &RunReport) -> Option<String> {
    let expected = ENDS.iter().find(|(it, ..)| *it == scenario);
    let Some((_, outcome, codes)) = expected else { return Some(format!("{scenario}: no end")) };
    let told = || format!("{scenario}: {:?}: {}", end(report), why(report));
    if report.outcome != *outcome || !codes.contains(&end(report).1) {
        return Some(told());
    }
    let serves = serving(account);
    let is_true = match report.outcome {
        Released => serves == Ok(image("two").to_string()),
        // With no tasks desired, none serves.
        RolledBack => serves == Ok(FIRST.to_owned()) || scenario == Scenario::DesiredZero,
        _ => serves != Ok(image("two").to_string()),
    };
    (!is_true).then(|| format!("{}, and {serves:?} serves", told()))
}

#[tokio::test(start_paused = true)]
async fn every_scenario_ends_as_it_truly_does() {
    let mut wrongs = Vec::new();
    for scenario in Scenario::ALL {
        let account = account(scenario);
        let report = ship_image(&account).await;
        wrongs.extend(wrong(scenario, &account, &report));
    }
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

/// Time is real, and all go at once. What takes minutes goes faster.
#[tokio::test]
async fn every_scenario_ends_as_it_truly_does_over_http() {
    let mut running = tokio::task::JoinSet::new();
    for scenario in Scenario::ALL {
        running.spawn(async move {
            let speed = if scenario == Scenario::Slow { 20.0 } else { 1.0 };
            let account = Account::new(scenario, Clock::at_speed(speed));
            let listening = account.listen(0).await.unwrap();
            let report = ship(with_image(&account::at(&listening.url()))).await;
            wrong(scenario, &account, &report)
        });
    }
    let wrongs: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_with_why_tasks_stopped_and_what_the_service_says() {
    let report = ship_image(&account(Scenario::Unpullable)).await;
    let told = why(&report);
    assert!(told.contains("3× CannotPullContainerError: pull image manifest"), "{told}");
    assert!(told.contains("(service web)"), "{told}");
    let report = ship_image(&account(Scenario::CrashLoop)).await;
    let told = why(&report);
    assert!(told.contains("3× Essential container in task exited"), "{told}");
    assert!(told.contains("container `web` exited with 137"), "{told}");
    let report = ship_image(&account(Scenario::AlarmRollback)).await;
    assert!(why(&report).contains("web-5xx"), "{}", why(&report));
}

/// Not later than three polls after the third stop for the same reason.
#[tokio::test(start_paused = true)]
async fn a_rollout_is_given_up_soon_after_the_third_stop_for_one_reason() {
    let account = account(Scenario::Unpullable);
    let report = ship_image(&account).await;
    assert_eq!(report.outcome, RolledBack);
    let calls = account.calls();
    let third_stop = Duration::from_secs(9);
    let undone = calls.iter().find(|it| it.operation == "StopServiceDeployment").unwrap();
    let reads = calls.iter().filter(|it| it.operation == "DescribeServices").map(|it| it.at);
    let reads: Vec<_> = reads.filter(|at| *at > third_stop && *at <= undone.at).collect();
    // Those that follow at once are of the same poll, or of the way back.
    let pauses = reads.windows(2).filter(|it| it[1] - it[0] >= Duration::from_secs(1));
    assert!(!reads.is_empty() && pauses.count() < 3, "{reads:?}");
}

#[tokio::test(start_paused = true)]
async fn five_minutes_take_at_most_160_calls_and_the_end_is_seen_within_two_seconds() {
    for _ in 0..10 {
        let account = account(Scenario::Slow);
        let begun = tokio::time::Instant::now();
        assert_eq!(ship_image(&account).await.outcome, Released);
        let late = begun.elapsed().saturating_sub(Duration::from_secs(300));
        assert!(late <= Duration::from_secs(2), "{late:?}");
        assert!(account.calls().len() <= 160, "{}", account.calls().len());
    }
}

/// Also where tasks stop again and again, and the service goes back.
#[tokio::test(start_paused = true)]
async fn five_minutes_that_end_badly_take_at_most_160_calls() {
    for _ in 0..10 {
        let account = Account::new(Scenario::BreakerRollback, Clock::at_speed(9.0 / 300.0));
        let begun = tokio::time::Instant::now();
        assert_eq!(ship_image(&account).await.outcome, RolledBack);
        let took = begun.elapsed().as_secs();
        assert!((240..360).contains(&took), "{took} s");
        assert!(account.calls().len() <= 160, "{}", account.calls().len());
    }
}

/// However many revisions its family has: an own one is looked for among the newer ones alone.
#[tokio::test(start_paused = true)]
async fn a_long_history_costs_no_calls() {
    let young = account(Scenario::Ok);
    let old = account(Scenario::Ok);
    for n in 0..30 {
        let revision = register(&old, &[("web", &image(&n.to_string()).to_string())]);
        deploy(&old, &revision);
        old.with_account(gatekit_emulators::Account::hasten);
    }
    for account in [&young, &old] {
        assert_eq!(ship_image(account).await.outcome, Released);
    }
    assert_eq!(called(&old)["DescribeTaskDefinition"], called(&young)["DescribeTaskDefinition"]);
    assert_eq!(called(&old)["ListTaskDefinitions"], 1);
}
