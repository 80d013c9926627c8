//! The workflow, with its own scripts.

use std::process::Stdio;

use gatekit_emulators::Scenario;

use crate::shipping::{IMAGE, site};
use crate::site::FIRST;
use crate::step::{command, is_sound, outputs, run, scripts, told, workflow};

/// What its variables are in these tests.
fn values<'a>(base: &'a str, image: &'a str) -> [(&'a str, &'a str); 4] {
    [("CLUSTER", "demo"), ("SERVICE", "web"), ("IMAGE", image), ("BASE_URL", base)]
}

#[test]
fn it_has_what_it_must_have() {
    is_sound(&workflow("workflows/staging.yml"), "release", "staging");
}

#[test]
fn its_script_ships_and_tells_the_step() {
    let (site, workflow) = (site(Scenario::Ok), workflow("workflows/staging.yml"));
    let steps = scripts(&workflow, "release");
    let names = steps[0]["env"].as_hash().unwrap().keys().map(|name| name.as_str().unwrap());
    let base = site.url();
    let given = values(&base, IMAGE).map(|(name, _)| name);
    assert_eq!(names.collect::<Vec<_>>(), given, "these tests give what the workflow gives");

    let shipped = run(&site, steps[0], "ann", &values(&base, IMAGE));
    assert_eq!(shipped.exit, Some(0), "{}", shipped.log);
    assert_eq!(shipped.output("outcome"), Some("released"));
    assert_eq!(site.serving(), Ok(IMAGE.to_owned()));
    let forged = run(&site, steps[0], "ann", &values(&base, "$(touch /tmp/forged) --force"));
    assert_eq!(forged.exit, Some(2), "a value is no code and no flag: {}", forged.log);
}

#[test]
fn a_job_that_was_killed_is_brought_to_its_end_by_its_last_step() {
    let (site, workflow) = (site(Scenario::Slow), workflow("workflows/staging.yml"));
    let steps = scripts(&workflow, "release");
    let base = site.url();
    let mut ship = command(&site, steps[0], "ann", &values(&base, IMAGE));
    let mut ship = ship.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    site.wait_for_rollout(&mut ship);
    // The very process that was started: `exec` left no shell around it.
    ship.kill().unwrap();
    ship.wait().unwrap();
    let outputs = outputs(&site);
    let opened = told(&outputs, "run").unwrap();
    assert_eq!(told(&outputs, "outcome"), None, "{outputs}");
    let resumed = run(&site, steps[1], "ann", &[("RUN", opened)]);
    assert_eq!(resumed.exit, Some(0), "{}", resumed.log);
    assert_eq!(resumed.output("outcome"), Some("released"), "{}", resumed.log);
    assert_ne!(site.serving(), Ok(FIRST.to_owned()));
    assert_eq!(site.called("UpdateService"), 1);
}
