//! The gates before and after the deploy, and what becomes of the tag.

use gatekit_emulators::{Alarm, AlarmState, ScanReport, Scenario};

use crate::shipping::World;
use crate::site::FIRST;

#[track_caller]
fn is_as_before(world: &World) {
    assert_eq!(world.site.serving(), Ok(FIRST.to_owned()));
    assert_eq!(world.live().as_ref(), Some(&world.v1), "the tag did not move");
}

#[test]
fn a_service_that_is_not_ready_is_rolled_back_and_the_tag_does_not_move() {
    let world = World::new(Scenario::Ok);
    world.site.web.set("/ready", 500);
    let done = world.ship_unasked(&[]).expect(3, "rolled_back", "verify.failed");
    assert!(done.why().contains("/ready"), "{}", done.why());
    is_as_before(&world);
    assert_eq!(world.site.called("PutImage"), 0);
}

#[test]
fn a_rollout_that_the_breaker_rolls_back_moves_no_tag() {
    let world = World::new(Scenario::BreakerRollback);
    let done = world.ship_unasked(&[]);
    assert_eq!(done.exit, Some(3), "{done:?}");
    is_as_before(&world);
}

#[test]
fn an_alarm_that_has_begun_to_fire_keeps_the_tag_where_it_is() {
    let world = World::new(Scenario::AlarmRollback);
    let done = world.ship_unasked(&["--alarm", "web-5xx", "--alarm-bake", "1s"]);
    assert_eq!(done.exit, Some(3), "{done:?}");
    is_as_before(&world);
}

#[test]
fn an_alarm_that_fires_already_is_named_as_such() {
    let world = World::new(Scenario::Ok);
    world.site.account.put_alarm(Alarm::metric("web-latency").first(AlarmState::Alarm));
    let done = world.ship_unasked(&["--alarm", "web-latency", "--alarm-bake", "1s"]);
    assert_eq!(done.exit, Some(1), "{done:?}");
    assert!(done.report().to_string().contains("alarm.fired_before"), "{done:?}");
    let unknown = world.ship_unasked(&["--alarm", "web-latenzy", "--alarm-bake", "1s"]);
    assert_eq!(unknown.exit, Some(1), "{unknown:?}");
    assert!(unknown.report().to_string().contains("alarm.unknown"), "{unknown:?}");
    let long = world.ship_unasked(&["--alarm", "web-latency", "--alarm-bake", "40m"]);
    assert_eq!(long.exit, Some(2), "{long:?}");
    assert!(format!("{long:?}").contains("usage.bake"), "{long:?}");
    is_as_before(&world);
    let writes = ["RegisterTaskDefinition", "UpdateService"];
    let calls = world.site.account.calls();
    assert!(!calls.iter().any(|it| writes.contains(&it.operation.as_str())), "{calls:?}");
}

#[test]
fn the_scan_gate_refuses_what_is_bad_and_what_was_never_scanned() {
    let world = World::new(Scenario::Ok);
    let refused = |least: &str, code: &str| {
        let done = world.ship_unasked(&["--scan-gate", least]);
        let came = (done.exit, done.report()["outcome"].as_str());
        assert_eq!(came, (Some(1), Some("refused")), "{done:?}");
        assert!(done.report().to_string().contains(code), "{done:?}");
    };
    let scanned = |found: &[(&str, &str)]| {
        let report = ScanReport::basic(found);
        world.ecr.set_scan(&world.repository, &world.v2, vec![report]);
    };
    refused("high", "scan.not_found");
    scanned(&[("CVE-2026-1", "CRITICAL")]);
    refused("high", "scan.findings");
    refused("critical", "scan.findings");
    scanned(&[("CVE-2026-2", "HIGH")]);
    refused("high", "scan.findings");
    is_as_before(&world);
    world.ship_unasked(&["--scan-gate", "critical"]).expect(0, "released", "");
    assert_eq!(world.live().as_ref(), Some(&world.v2));
}

#[test]
fn a_scan_that_tells_nothing_or_does_not_end_is_no_pass() {
    let world = World::new(Scenario::Ok);
    let refused = |report: ScanReport, code: &str| {
        world.ecr.set_scan(&world.repository, &world.v2, vec![report]);
        let base = world.site.url();
        let image = ["ship", "--image-tag", "v2", "--repository", &world.repository];
        let service = ["--cluster", "demo", "--service", "web", "--base-url", &base];
        let quick = ["--approvals", "0", "--scan-gate", "high", "--deadline", "5s"];
        let done = world.site.run([&image, &service[..], &quick].concat());
        assert!(matches!(done.exit, Some(1 | 5)), "{done:?}");
        assert!(done.report().to_string().contains(code), "{done:?}");
    };
    refused(ScanReport::at("FAILED"), "scan.unusable");
    refused(ScanReport::at("IN_PROGRESS"), "scan.pending");
    is_as_before(&world);
    assert_eq!(world.site.called("UpdateService"), 0);
}

#[test]
fn a_tag_that_cannot_move_is_refused_before_anything_is_touched() {
    let world = World::with(Scenario::Ok, "IMMUTABLE");
    let done = world.ship_unasked(&[]);
    assert!(matches!(done.exit, Some(1 | 5)), "{done:?}");
    assert_eq!(done.report()["code"], "ecr.immutable");
    is_as_before(&world);
    assert_eq!(world.site.called("UpdateService"), 0);
    world.ship_unasked(&["--no-move-tag"]).expect(0, "released", "");
    assert_eq!(world.live().as_ref(), Some(&world.v1));
}

#[test]
fn a_release_is_taken_back_and_its_tag_with_it() {
    let world = World::new(Scenario::Ok);
    world.ship("v1", &["--approvals", "0"]).expect(0, "released", "");
    world.ship_unasked(&[]).expect(0, "released", "");
    let back = world.site.run(["rollback", "--reason", "it is slow", "--deadline", "60s"]);
    assert_eq!(back.exit, Some(0), "{back:?}");
    assert_eq!(world.site.serving(), Ok(world.image(&world.v1)));
    assert_eq!(world.live().as_ref(), Some(&world.v1));
}
