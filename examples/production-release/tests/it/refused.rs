//! What cannot be released: each with its own code and a way on, and nothing is touched.

use gatekit_emulators::Scenario;

use crate::shipping::World;
use crate::site::FIRST;

#[test]
fn what_is_given_and_cannot_be_used_is_refused_with_its_code() {
    let world = World::new(Scenario::Ok);
    for words in [
        &["--approvals", "-1"][..],
        &["--approvals", "many"],
        &["--scan-gate", "low"],
        &["--no-move-tag", "--move-tag", "live"],
        &["--strange"],
    ] {
        world.ship("v2", words).expect(2, "usage", "usage.command_line");
    }
    world.ship("no-such", &[]).expect(2, "usage", "ecr.no_tag");
    world.ship("a:b", &[]).expect(2, "usage", "ecr.config");
    world.ship_unasked(&["--move-tag", "a b"]).expect(2, "usage", "ecr.config");
    assert_eq!(world.site.serving(), Ok(FIRST.to_owned()));
    assert_eq!(world.site.called("UpdateService") + world.site.called("PutImage"), 0);
}

#[test]
fn a_repository_a_cluster_and_a_service_that_are_not_there_have_codes_of_their_own() {
    let world = World::new(Scenario::Ok);
    let base = world.site.url();
    let refused = |repository: &str, cluster: &str, service: &str, exit, outcome, code: &str| {
        let words = ["ship", "--image-tag", "v2", "--approvals", "0", "--base-url", &base];
        let where_ = ["--repository", repository, "--cluster", cluster, "--service", service];
        let target = format!("production/{cluster}-{service}");
        let words = [&words[..], &where_, &["--target", &target]].concat();
        world.site.run(words).expect(exit, outcome, code);
    };
    refused("no/such", "demo", "web", 2, "usage", "ecr.no_repository");
    refused(&world.repository, "no-such", "web", 5, "failed", "ecs.no_cluster");
    refused(&world.repository, "demo", "no-such", 5, "failed", "ecs.no_service");
    assert_eq!(world.site.called("UpdateService") + world.site.called("PutImage"), 0);
}
