//! A release that people have to approve.

use gatekit_emulators::{Call, Scenario};
use serde_json::Value;

use crate::shipping::World;
use crate::site::FIRST;

#[test]
fn a_release_waits_is_approved_by_another_and_its_tag_moves_at_last() {
    let world = World::new(Scenario::Ok);
    let asked = world.ship("v2", &[]).expect(75, "waiting", "gate.waiting");
    assert_eq!(world.site.called("UpdateService"), 0, "nothing is touched before");
    world.approve(&asked, "ann").expect(1, "refused", "approval.own");
    world.site.run(["resume"]).expect(75, "waiting", "gate.waiting");
    world.approve(&asked, "bea").expect(0, "approved", "");
    world.site.run(["resume"]).expect(0, "released", "");
    assert_eq!(world.site.serving(), Ok(world.image(&world.v2)));
    assert_eq!(world.live().as_ref(), Some(&world.v2));
    // The image that was live keeps a tag, whatever a lifecycle policy does.
    let tags = world.ecr.tags(&world.repository);
    let keeps = |tag: &&String| tag.starts_with("gatekit-production-latest-before-");
    assert_eq!(tags.keys().find(keeps).map(|tag| &tags[tag]), Some(&world.v1));

    // The tag after the service: it names what was seen to be good.
    let calls = world.site.account.calls();
    let at = |name: &str| calls.iter().rposition(|call| call.operation == name).unwrap();
    assert!(at("UpdateService") < at("PutImage"));
    // No byte of a layer moves: for its platform the configuration is read, which is no layer.
    let put = calls.iter().filter(|call| call.operation == "PutImage");
    let config = |call: &Call| {
        let manifest = call.ask["imageManifest"].as_str().unwrap();
        serde_json::from_str::<Value>(manifest).unwrap()["config"]["digest"].clone()
    };
    let configs: Vec<_> = put.map(config).collect();
    let fetched = calls.iter().filter(|call| call.operation == "GetDownloadUrlForLayer");
    for call in fetched {
        assert!(configs.contains(&call.ask["layerDigest"]), "{call:?}");
    }
}

#[test]
fn a_quorum_of_two_needs_two() {
    let world = World::new(Scenario::Ok);
    let asked = world.ship("v2", &["--approvals", "2"]).expect(75, "waiting", "gate.waiting");
    world.approve(&asked, "bea").expect(0, "approved", "");
    world.approve(&asked, "bea").expect(0, "approved", "");
    world.site.run(["resume"]).expect(75, "waiting", "gate.waiting");
    world.approve(&asked, "carl").expect(0, "approved", "");
    world.site.run(["resume"]).expect(0, "released", "");
}

#[test]
fn a_rejected_release_touches_nothing() {
    let world = World::new(Scenario::Ok);
    let asked = world.ship("v2", &[]).expect(75, "waiting", "gate.waiting");
    let run = asked.report()["run"].as_str().unwrap();
    let rejected = world.site.run(["reject", run, "--actor", "bea"]);
    assert_eq!(rejected.exit, Some(0), "{rejected:?}");
    let ended = world.site.run(["resume"]);
    assert_eq!((ended.exit, &ended.report()["outcome"]), (Some(1), &"refused".into()), "{ended:?}");
    assert_eq!(world.site.serving(), Ok(FIRST.to_owned()));
    assert_eq!(world.live().as_ref(), Some(&world.v1));
}

/// What was approved is a digest: whoever moves the tag meanwhile changes nothing of it, and is seen.
#[test]
fn a_tag_that_is_moved_meanwhile_is_told_and_never_followed() {
    let world = World::new(Scenario::Ok);
    let asked = world.ship("v2", &[]).expect(75, "waiting", "gate.waiting");
    world.ecr.set_tag(&world.repository, "v2", &world.v1);
    world.approve(&asked, "bea").expect(0, "approved", "");
    let ended = world.site.run(["resume"]);
    assert_eq!((ended.exit, &ended.report()["outcome"]), (Some(1), &"refused".into()), "{ended:?}");
    let told = ended.report().to_string();
    assert!(told.contains("ecr.tag_moved") && told.contains(&world.v1), "{told}");
    assert_eq!(world.site.called("UpdateService"), 0);
    assert_eq!(world.live().as_ref(), Some(&world.v1));
}
