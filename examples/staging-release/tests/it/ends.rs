//! How a release ends, and that it says the truth about it.

use std::time::Duration;

use gatekit_emulators::{Alarm, AlarmState, Scenario};

use crate::shipping::{IMAGE, ship, ship_image, site};
use crate::site::FIRST;

#[test]
fn an_image_is_released_and_the_same_again_is_unchanged() {
    let site = site(Scenario::Ok);
    let done = ship_image(&site).expect(0, "released", "");
    assert_eq!(done.report()["exit"], 0);
    assert_eq!(site.serving(), Ok(IMAGE.to_owned()));
    let updates = site.called("UpdateService");
    ship_image(&site).expect(0, "unchanged", "");
    assert_eq!(site.called("UpdateService"), updates, "nothing is deployed twice");

    let status = site.run(["status"]);
    assert_eq!(status.exit, Some(0), "{status:?}");
    assert_eq!(status.report()["state"], "free", "{status:?}");
    assert_eq!(site.run(["log", "--verify"]).exit, Some(0));
}

#[test]
fn a_plan_touches_nothing() {
    let site = site(Scenario::Ok);
    let base = site.url();
    let service = ["--cluster", "demo", "--service", "web", "--base-url", &base];
    let planned = site.run([&["plan"][..], &service, &["--image", IMAGE]].concat());
    assert_eq!(planned.exit, Some(0), "{planned:?}");
    assert_eq!(site.called("UpdateService") + site.called("RegisterTaskDefinition"), 0);
    assert_eq!(site.serving(), Ok(FIRST.to_owned()));
}

#[test]
fn a_rollout_that_the_breaker_rolls_back_is_no_success_and_says_why() {
    let site = site(Scenario::BreakerRollback);
    let done = ship_image(&site);
    assert_eq!(
        (done.exit, &done.report()["outcome"]),
        (Some(3), &"rolled_back".into()),
        "{done:?}"
    );
    let code = done.report()["code"].as_str().unwrap();
    assert!(["deploy.rolled_back", "deploy.failed"].contains(&code), "{done:?}");
    let why = done.why();
    assert!(why.contains("3× Essential container in task exited"), "{why}");
    assert!(why.contains("exited with 1"), "{why}");
    assert_eq!(site.serving(), Ok(FIRST.to_owned()));
}

#[test]
fn a_release_that_somebody_else_overtakes_is_left_alone() {
    let site = site(Scenario::Superseded);
    ship_image(&site).expect(4, "stuck", "rollback.elsewhere");
    assert_ne!(site.serving(), Ok(IMAGE.to_owned()));
    assert_ne!(site.serving(), Ok(FIRST.to_owned()), "theirs is not clobbered");
    // Until a person decides, nothing is shipped over it.
    assert_eq!(site.run(["status"]).report()["state"], "suspect");
}

#[test]
fn a_service_that_does_not_answer_is_rolled_back() {
    let site = site(Scenario::Ok);
    site.web.set("/health", 503);
    let done = ship_image(&site).expect(3, "rolled_back", "verify.failed");
    assert!(done.why().contains("/health"), "{}", done.why());
    assert_eq!(site.serving(), Ok(FIRST.to_owned()));
    site.web.set("/health", 200);
    ship_image(&site).expect(0, "released", "");
}

#[test]
fn a_pause_without_end_is_cut_by_the_deadline() {
    let site = site(Scenario::Ok);
    site.web.set("/health", 503);
    let base = site.url();
    let words = ["ship", "--cluster", "demo", "--service", "web", "--image", IMAGE];
    let long = ["--base-url", &base, "--deadline", "10s", "--smoke-delay", "18446744073709551615"];
    let done = site.run([&words[..], &long].concat()).expect(3, "rolled_back", "verify.failed");
    assert!(done.why().contains("/health"), "{}", done.why());
    assert_eq!(site.serving(), Ok(FIRST.to_owned()));
}

#[test]
fn what_runs_is_deployed_again() {
    let site = site(Scenario::Ok);
    ship(&site, &["--force"]).expect(0, "released", "");
    assert_eq!(site.serving(), Ok(FIRST.to_owned()));
    // Each time anew: it is asked for what its tags name by then.
    ship(&site, &["--force"]).expect(0, "released", "");
    assert_eq!(site.called("UpdateService"), 2);
}

#[test]
fn an_alarm_that_fires_after_the_deploy_rolls_it_back() {
    let site = site(Scenario::Ok);
    // In the emulator's time, which passes twice as fast: well after the rollout.
    let fires = Alarm::metric("web-latency").at(Duration::from_secs(20), AlarmState::Alarm);
    site.account.put_alarm(fires);
    let alarms = ["--alarm", "web-5xx", "--alarm", "web-latency", "--alarm-bake", "20"];
    let done = ship(&site, &[&["--image", IMAGE][..], &alarms].concat());
    let done = done.expect(3, "rolled_back", "verify.failed");
    assert!(done.why().contains("web-latency"), "{}", done.why());
    assert_eq!(site.serving(), Ok(FIRST.to_owned()));
}

#[test]
fn quiet_alarms_let_it_pass() {
    let site = site(Scenario::Ok);
    let alarms = ["--image", IMAGE, "--alarm", "web-5xx", "--alarm-bake", "1s"];
    ship(&site, &alarms).expect(0, "released", "");
    assert!(site.called("DescribeAlarms") > 1, "for a while, and not once");
}

#[test]
fn a_release_is_taken_back() {
    let site = site(Scenario::Ok);
    let other = IMAGE.replace("222", "333");
    ship_image(&site).expect(0, "released", "");
    ship(&site, &["--image", &other]).expect(0, "released", "");
    let back = site.run(["rollback", "--reason", "it is slow"]);
    assert_eq!(back.exit, Some(0), "{back:?}");
    assert_eq!(site.serving(), Ok(IMAGE.to_owned()));
}
