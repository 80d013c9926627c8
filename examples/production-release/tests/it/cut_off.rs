//! A release that is killed or interrupted in its rollout.

use gatekit_emulators::Scenario;

use crate::shipping::World;
use crate::site::{FIRST, Site, signal};

#[test]
fn a_ship_that_is_killed_in_its_rollout_is_resumed_to_its_end_with_its_own_image() {
    let world = World::new(Scenario::Slow);
    let mut child = Site::spawn(world.ship_command("v2", &["--approvals", "0"]));
    world.site.wait_for_rollout(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(world.site.run(["status"]).report()["state"], "suspect");
    assert_eq!(world.live().as_ref(), Some(&world.v1));
    world.site.run(["resume", "--deadline", "60s"]).expect(0, "released", "");
    assert_eq!(world.site.serving(), Ok(world.image(&world.v2)));
    assert_eq!(world.live().as_ref(), Some(&world.v2));
    assert_eq!(world.site.called("UpdateService"), 1, "nothing is deployed twice");
}

#[test]
fn an_interrupted_rollout_is_rolled_back_and_the_tag_does_not_move() {
    let world = World::new(Scenario::Slow);
    let mut child = Site::spawn(world.ship_command("v2", &["--approvals", "0"]));
    world.site.wait_for_rollout(&mut child);
    signal("-INT", &child);
    let done = Site::ended(child);
    assert_eq!(
        (done.exit, &done.report()["outcome"]),
        (Some(3), &"rolled_back".into()),
        "{done:?}"
    );
    assert_eq!(world.site.serving(), Ok(FIRST.to_owned()));
    assert_eq!(world.live().as_ref(), Some(&world.v1));
}
