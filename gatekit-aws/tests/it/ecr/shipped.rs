//! Whole runs: gates, the move, a failure after it, and the way back.

use std::sync::Arc;

use gatekit_aws::ecr;
use gatekit_core::{
    Candidate, Code, Digest, Engine, Evidence, Finding, Outcome, Pipeline, RunReport, Verdict,
    enforced, gate_fn,
};
use gatekit_emulators::ScanReport;
use serde_json::json;

use super::world::{TAG, World, written};

/// Ships an image; `healthy` is what the verification says afterwards.
fn pipeline(world: &World, image: &Digest, healthy: bool) -> Pipeline {
    let aws = world.aws();
    let scan = ecr::Scan::of(&aws, &world.repository, image.clone()).unwrap();
    let scan = scan.settling_for(std::time::Duration::from_millis(20));
    let health = gate_fn("health", move |_| async move {
        let seen = Evidence::read("health", format!("{healthy}"), json!({ "healthy": healthy }));
        Ok(match healthy {
            true => Verdict::pass([seen]),
            false => Verdict::Fail(Finding::new(Code::new("test.ill"), "it is ill")),
        })
    });
    let mover = ecr::MoveTag::new(&aws, &world.repository, image.clone()).to(TAG).unwrap();
    Pipeline::to("production/api")
        .gate(enforced(scan))
        .deploy(mover)
        .rollback_with(ecr::RestoreTag::new(&aws))
        .verify(enforced(health.unwrap()))
        .build()
        .unwrap()
}

async fn ship(world: &World, engine: &Engine, image: &Digest, healthy: bool) -> RunReport {
    let candidate = Candidate::new().with_artifact("image", image.clone());
    engine.ship(&pipeline(world, image, healthy), candidate).await
}

#[tokio::test]
async fn releases_go_forward_and_back() {
    let world = World::new();
    let images = ["one", "two", "three"].map(|name| world.image(name));
    for image in &images {
        let clean = vec![ScanReport::basic(&[("CVE-1", "LOW")])];
        world.ecr.set_scan(&world.repository, &written(image), clean);
    }
    let engine = Engine::new(Arc::clone(&world.ledger) as _);
    for image in &images[..2] {
        let report = ship(&world, &engine, image, true).await;
        assert_eq!(report.outcome, Outcome::Released, "{report:?}");
        assert_eq!(world.names(TAG), Some(image.clone()));
    }
    let report = ship(&world, &engine, &images[1], true).await;
    assert_eq!(report.outcome, Outcome::Unchanged, "{report:?}");

    // It is ill: the release before is back, and still its own.
    let report = ship(&world, &engine, &images[2], false).await;
    assert_eq!(report.outcome, Outcome::RolledBack, "{report:?}");
    assert_eq!(world.names(TAG), Some(images[1].clone()));

    let back = engine.roll_back(&pipeline(&world, &images[1], true), None, "a test").await;
    assert_eq!(back.outcome, Outcome::Released, "{back:?}");
    assert_eq!(world.names(TAG), Some(images[0].clone()));
    let back = engine.roll_back(&pipeline(&world, &images[0], true), None, "a test").await;
    assert_ne!(back.outcome, Outcome::Stuck, "there is no release before the first: {back:?}");

    // Nobody ships what has not been scanned, or has been found out.
    let bad = world.image("bad");
    let report = ship(&world, &engine, &bad, true).await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    world.ecr.set_scan(
        &world.repository,
        &written(&bad),
        vec![ScanReport::enhanced("ACTIVE", &[("CVE-9", "CRITICAL", "YES")])],
    );
    let report = ship(&world, &engine, &bad, true).await;
    assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
    assert_eq!(world.names(TAG), Some(images[0].clone()));
    assert!(images.iter().all(|image| world.has(image)), "an image is gone");
}

/// Where another release is live than the last one, there is nothing to roll back.
#[tokio::test]
async fn what_somebody_else_has_moved_is_not_moved_back() {
    let world = World::new();
    let [one, two, theirs] = ["one", "two", "theirs"].map(|name| world.image(name));
    for image in [&one, &two] {
        world.ecr.set_scan(&world.repository, &written(image), vec![ScanReport::basic(&[])]);
    }
    let engine = Engine::new(Arc::clone(&world.ledger) as _);
    for image in [&one, &two] {
        let report = ship(&world, &engine, image, true).await;
        assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    }
    world.set_tag(TAG, &theirs);
    let back = engine.roll_back(&pipeline(&world, &two, true), None, "a test").await;
    assert_eq!(back.outcome, Outcome::Refused, "{back:?}");
    assert_eq!(world.names(TAG), Some(theirs));
}
