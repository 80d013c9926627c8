//! What cannot be released: each with its own code and a way on, and nothing is touched.

use std::time::{Duration, Instant};

use gatekit_emulators::{Ecr, Injection, Scenario, Trouble};
use gatekit_peers::Shared;
use serde_json::json;

use crate::shipping::{IMAGE, ship, ship_command, site};
use crate::site::{Done, FIRST, Site, account, push};

#[track_caller]
fn is_untouched(site: &Site) {
    assert_eq!(site.called("UpdateService") + site.called("RegisterTaskDefinition"), 0);
    assert_eq!(site.serving(), Ok(FIRST.to_owned()));
}

#[test]
fn a_call_that_cannot_be_understood_is_refused() {
    let site = site(Scenario::Ok);
    let base = site.url();
    for what in [
        &[][..],
        &["--image", IMAGE, "--force"],
        &["--image", IMAGE, "--smoke-retries", "-1"],
        &["--image", IMAGE, "--smoke-delay", "soon"],
        &["--image", IMAGE, "--container", " "],
        &["--image", IMAGE, "--alarm", ""],
        &["--image", IMAGE, "--strange"],
    ] {
        ship(&site, what).expect(2, "usage", "usage.command_line");
    }
    let without = ["ship", "--service", "web", "--image", IMAGE, "--base-url", &base];
    site.run(without).expect(2, "usage", "usage.command_line");
    assert_eq!(site.account.calls(), [], "nobody is asked");
}

#[test]
fn what_is_given_and_cannot_be_used_is_refused_with_its_code() {
    let site = site(Scenario::Ok);
    for (image, code) in [
        ("registry.example.com/web:v1", "ecs.image"),
        ("registry.example.com/web@sha256:12", "ecs.image"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:v1", "ecr.config"),
    ] {
        let done = ship(&site, &["--image", image]).expect(2, "usage", code);
        assert!(done.why().contains("digest"), "the way out: {}", done.why());
    }
    let mut ship = site.command(["ship", "--cluster", "demo", "--service", "web"]);
    ship.args(["--image", IMAGE, "--base-url", "ftp://example.com"]);
    Done::of(&ship.output().unwrap()).expect(2, "usage", "smoke.url");
    is_untouched(&site);
}

#[test]
fn a_cluster_a_service_and_a_container_that_are_not_there_have_codes_of_their_own() {
    let site = site(Scenario::Ok);
    let base = site.url();
    let refused = |cluster, service, more: &[&str], code, next| {
        let words = ["ship", "--cluster", cluster, "--service", service, "--image", IMAGE];
        let words = [&words[..], &["--base-url", &base], more].concat();
        let done = site.run(words).expect(5, "failed", code);
        assert!(done.why().contains(next), "{}", done.why());
    };
    refused("no-such", "web", &["--target", "staging/a"], "ecs.no_cluster", "name, region");
    refused("demo", "no-such", &["--target", "staging/b"], "ecs.no_service", "create it first");
    refused("demo", "web", &["--container", "no-such"], "ecs.container", "name the container");
    is_untouched(&site);
}

#[test]
fn a_deployment_of_somebody_else_is_not_disturbed() {
    let site = site(Scenario::Ok);
    let again = json!({ "cluster": "demo", "service": "web", "forceNewDeployment": true });
    site.account.call("UpdateService", &again).unwrap();
    let done = ship(&site, &["--image", IMAGE]).expect(5, "failed", "ecs.in_progress");
    assert!(done.why().contains("wait until it has ended"), "{}", done.why());
    assert_eq!(site.called("UpdateService") + site.called("RegisterTaskDefinition"), 0);
}

#[test]
fn a_target_is_one_service() {
    let site = site(Scenario::Ok);
    ship(&site, &["--image", IMAGE]).expect(0, "released", "");
    let base = site.url();
    let other = ["ship", "--cluster", "demo", "--service", "other", "--image", IMAGE];
    let other = [&other[..], &["--base-url", &base]].concat();
    let done = site.run(&other).expect(2, "usage", "usage.service");
    assert!(done.why().contains("--target"), "{}", done.why());
    let own = [&other[..], &["--target", "staging/other"]].concat();
    site.run(own).expect(5, "failed", "ecs.no_service");
}

#[test]
fn a_tag_of_ecr_is_shipped_by_its_digest_and_an_unknown_one_is_refused() {
    let ecr = Ecr::new(&Shared::Registry.place().unwrap()).unwrap();
    let account = account(Scenario::Ok).with_ecr(ecr.clone());
    let site = Site::of(env!("CARGO_BIN_EXE_staging-release"), account);
    let repository = format!("t/{}", std::process::id());
    ecr.create(&repository, "MUTABLE", &[]);
    let name = format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/{repository}");
    let tagged = |tag: &str| format!("{name}:{tag}");
    ship(&site, &["--image", &tagged("no-such")]).expect(2, "usage", "ecr.no_tag");
    let elsewhere = "123456789012.dkr.ecr.us-east-1.amazonaws.com/no/such:v1";
    ship(&site, &["--image", elsewhere]).expect(2, "usage", "ecr.no_repository");
    is_untouched(&site);

    let digest = push(&ecr, &repository, "one");
    ecr.set_tag(&repository, "v1", &digest);
    ship(&site, &["--image", &tagged("v1")]).expect(0, "released", "");
    assert_eq!(site.serving(), Ok(format!("{name}@{digest}")));
}

#[test]
fn an_account_without_region_or_credentials_is_told_before_anything_is_asked() {
    let site = site(Scenario::Ok);
    for (missing, code) in [
        (&["AWS_REGION"][..], "account.region"),
        (&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "account.credentials"),
    ] {
        let mut ship = ship_command(&site, &["--image", IMAGE]);
        missing.iter().for_each(|name| {
            ship.env_remove(name);
        });
        Done::of(&ship.output().unwrap()).expect(2, "usage", code);
    }
    assert_eq!(site.account.calls(), []);
}

#[test]
fn denied_and_expired_callers_are_told_which_action_and_nothing_is_half_done() {
    for (trouble, operation, code, told) in [
        (Trouble::Denied, "UpdateService", "aws.denied", "ecs:UpdateService"),
        (Trouble::Denied, "DescribeServices", "aws.denied", "ecs:DescribeServices"),
        (Trouble::Expired, "DescribeServices", "aws.credentials", "credentials"),
        (Trouble::Unknown, "DescribeServices", "aws.unsupported", "ecs:DescribeServices"),
    ] {
        let site = site(Scenario::Ok);
        site.account.inject(Injection::of(trouble, operation, u32::MAX));
        let done = ship(&site, &["--image", IMAGE]);
        assert_eq!(done.report()["code"], code, "{done:?}");
        assert!(matches!(done.exit, Some(3 | 5)), "{done:?}");
        assert!(done.why().contains(told), "{}", done.why());
        assert_eq!(site.serving(), Ok(FIRST.to_owned()));
    }
}

/// That passes by itself: nothing is wrong with the call.
#[test]
fn an_endpoint_that_is_not_there_is_no_fault_of_the_call() {
    let site = site(Scenario::Ok);
    let base = site.url();
    let words = ["ship", "--cluster", "demo", "--service", "web", "--image", IMAGE];
    let mut ship = site.command([&words[..], &["--base-url", &base, "--deadline", "2s"]].concat());
    ship.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let begun = Instant::now();
    Done::of(&ship.output().unwrap()).expect(5, "failed", "aws.unreachable");
    // What is live is asked for, for the report; but not for minutes.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
