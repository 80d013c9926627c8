//! The workflows, with their own scripts.

use std::process::Command;

use gatekit_emulators::{ScanReport, Scenario};
use yaml_rust2::Yaml;

use crate::shipping::World;
use crate::site::FIRST;
use crate::step::{Step, is_sound, run, scripts, workflow};

fn release() -> Yaml {
    workflow("workflows/production.yml")
}

/// The step that ships `v2`, which was scanned and is clean.
fn ship(world: &World, actor: &str) -> Step {
    world.ecr.set_scan(&world.repository, &world.v2, vec![ScanReport::basic(&[])]);
    let base = world.site.url();
    let values = [
        ("IMAGE_TAG", "v2"),
        ("REPOSITORY", &world.repository),
        ("CLUSTER", "demo"),
        ("SERVICE", "web"),
        ("BASE_URL", &base),
        ("ALARM", "web-5xx"),
    ];
    let workflow = release();
    let step = scripts(&workflow, "release")[0];
    let names = step["env"].as_hash().unwrap().keys().map(|name| name.as_str().unwrap());
    let given = values.iter().map(|(name, _)| *name);
    assert!(names.eq(given), "these tests give what the workflow gives");
    run(&world.site, step, actor, &values)
}

#[test]
fn they_have_what_they_must_have() {
    is_sound(&release(), "release", "production");
    is_sound(&workflow("workflows/approve.yml"), "approve", "production");
    let release = release();
    let ship = scripts(&release, "release")[0];
    assert_eq!(ship["continue-on-error"].as_bool(), Some(true), "75 is no failure");
}

#[test]
fn a_release_waits_and_is_approved_by_the_other_workflow() {
    let world = World::new(Scenario::Ok);
    let asked = ship(&world, "ann");
    assert_eq!((asked.exit, asked.output("outcome")), (Some(75), Some("waiting")), "{}", asked.log);
    let opened = asked.output("run").unwrap();
    let approve = workflow("workflows/approve.yml");
    let steps = scripts(&approve, "approve");
    let own = run(&world.site, steps[0], "ann", &[("WORD", "approve"), ("RUN", opened)]);
    assert_eq!(own.exit, Some(1), "{}", own.log);
    let forged = [("WORD", "approve"), ("RUN", "--actor=bea")];
    let forged = run(&world.site, steps[0], "ann", &forged);
    assert_eq!(forged.exit, Some(2), "an input is no flag: {}", forged.log);
    let word = run(&world.site, steps[0], "bea", &[("WORD", "approve"), ("RUN", opened)]);
    assert_eq!(word.exit, Some(0), "{}", word.log);
}

#[test]
fn a_release_that_is_rejected_ends_refused() {
    let world = World::new(Scenario::Ok);
    let asked = ship(&world, "ann");
    let opened = asked.output("run").unwrap();
    let approve = workflow("workflows/approve.yml");
    let steps = scripts(&approve, "approve");
    let word = run(&world.site, steps[0], "bea", &[("WORD", "reject"), ("RUN", opened)]);
    assert_eq!(word.exit, Some(0), "{}", word.log);
    let ended = run(&world.site, steps[1], "bea", &[("RUN", opened)]);
    assert_eq!((ended.exit, ended.output("outcome")), (Some(1), Some("refused")), "{}", ended.log);
    assert_eq!(world.site.serving(), Ok(FIRST.to_owned()));
}

#[test]
fn the_job_ends_as_the_ship_did() {
    let workflow = release();
    let last = *scripts(&workflow, "release").last().unwrap();
    assert_eq!(last["if"].as_str(), Some("always()"));
    for (end, well) in [
        ("released", true),
        ("unchanged", true),
        ("waiting", true),
        ("", false),
        ("usage", false),
        ("refused", false),
        ("superseded", false),
        ("rolled_back", false),
        ("stuck", false),
        ("failed", false),
        ("interrupted", false),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["-e", "-c", last["run"].as_str().unwrap()]).env("OUTCOME", end);
        assert_eq!(bash.status().unwrap().success(), well, "`{end}`");
    }
}
