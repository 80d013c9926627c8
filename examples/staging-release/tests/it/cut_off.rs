//! A release that is killed or interrupted in its rollout.

use gatekit_emulators::Scenario;

use crate::shipping::{IMAGE, ship_command, site};
use crate::site::{FIRST, Site, signal};

#[test]
fn a_ship_that_is_killed_in_its_rollout_is_resumed_to_its_end() {
    let site = site(Scenario::Slow);
    let mut child = Site::spawn(ship_command(&site, &["--image", IMAGE]));
    site.wait_for_rollout(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(site.run(["status"]).report()["state"], "suspect");
    // Its image is that of the journal: nothing has to be told again.
    site.run(["resume", "--deadline", "60s"]).expect(0, "released", "");
    assert_eq!(site.serving(), Ok(IMAGE.to_owned()));
    assert_eq!(site.called("UpdateService"), 1, "nothing is deployed twice");
    assert_eq!(site.called("RegisterTaskDefinition"), 1);
}

#[test]
fn an_interrupted_rollout_is_stopped_and_rolled_back() {
    let site = site(Scenario::Slow);
    let mut child = Site::spawn(ship_command(&site, &["--image", IMAGE]));
    site.wait_for_rollout(&mut child);
    signal("-INT", &child);
    let done = Site::ended(child);
    assert_eq!(
        (done.exit, &done.report()["outcome"]),
        (Some(3), &"rolled_back".into()),
        "{done:?}"
    );
    assert_eq!(site.called("StopServiceDeployment"), 1, "{done:?}");
    assert_eq!(site.serving(), Ok(FIRST.to_owned()));
    assert_eq!(site.run(["status"]).report()["state"], "free");
}

/// On a runner, where a cancelled job has ten seconds to live.
#[test]
fn in_a_workflow_an_interrupted_rollout_is_left_for_resume() {
    let site = site(Scenario::Slow);
    let mut ship = ship_command(&site, &["--image", IMAGE]);
    ship.env("GITHUB_ACTIONS", "true");
    let mut child = Site::spawn(ship);
    site.wait_for_rollout(&mut child);
    signal("-TERM", &child);
    let done = Site::ended(child);
    assert_eq!(
        (done.exit, &done.report()["outcome"]),
        (Some(130), &"interrupted".into()),
        "{done:?}"
    );
    assert_eq!(site.called("StopServiceDeployment"), 0);
    site.run(["resume", "--deadline", "60s"]).expect(0, "released", "");
    assert_eq!(site.serving(), Ok(IMAGE.to_owned()));
}
