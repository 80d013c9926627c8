//! Every rule of a move.

use gatekit_aws::{code, ecr};
use gatekit_core::{Deployer as _, Effect, Location, Rollout};
use gatekit_emulators::Trouble;

use super::world::{REGION, TAG, World, config};

#[tokio::test]
async fn a_tag_moves_and_both_images_keep_one() {
    let world = World::new();
    let (old, new) = (world.image("old"), world.image("new"));
    world.set_tag(TAG, &old);
    let mover = world.move_to(&new);
    let run = world.run(&mover);
    let planned = run.plan().await.unwrap();
    assert_eq!(planned.summary, format!("{}:{TAG} sha256:{old} -> sha256:{new}", world.repository));
    let (change, receipt) = run.ship().await;
    assert_eq!(world.names(TAG), Some(new.clone()));
    let mark = format!("gatekit-{TAG}-{}", run.cx.run());
    assert_eq!(world.names(&mark), Some(new.clone()));
    let keeper = format!("gatekit-{TAG}-before-{}", run.cx.run());
    assert_eq!(world.names(&keeper), Some(old.clone()));
    assert_eq!(receipt.runs, [run.cx.run()]);
    let observed = mover.observe(&run.cx, &change, &receipt).await.unwrap();
    assert_eq!(observed, Rollout::Settled);
    run.undo(&change, Some(&receipt)).await.unwrap();
    assert_eq!(world.names(TAG), Some(old));
    assert!(world.has(&new));
}

/// The names that keep images do not pile up beyond one for each release.
#[tokio::test]
async fn an_image_that_a_run_has_released_needs_no_second_name() {
    let world = World::new();
    let images = ["one", "two", "three"].map(|name| world.image(name));
    for image in &images {
        world.run(&world.move_to(image)).ship().await;
    }
    let tags = world.ecr.tags(&world.repository);
    assert_eq!(tags.len(), 4, "{tags:?}");
    assert!(!tags.keys().any(|tag| tag.contains("before")), "{tags:?}");
}

#[tokio::test]
async fn what_is_there_already_is_left_alone() {
    let world = World::new();
    let image = world.image("image");
    world.set_tag(TAG, &image);
    let mover = world.move_to(&image);
    let run = world.run(&mover);
    let planned = run.plan().await.unwrap();
    assert!(planned.summary.ends_with(&format!("already sha256:{image}")), "{}", planned.summary);
    assert_eq!(run.locate(&planned.change).await, Location::After);
    run.apply(&planned.change).await.unwrap();
    run.undo(&planned.change, None).await.unwrap();
    assert_eq!(world.ecr.effects(), 0);
}

/// An index stays an index: its digest is that of the same bytes.
#[tokio::test]
async fn an_index_is_moved_as_it_is() {
    let world = World::new();
    let images = [world.image("amd"), world.image_for("arm", "arm64", 64)];
    let platform = |of: &str| serde_json::json!({ "os": "linux", "architecture": of });
    let index = world.index(&[(&images[0], platform("amd64")), (&images[1], platform("arm64"))]);
    world.run(&world.move_to(&index)).ship().await;
    assert_eq!(world.names(TAG), Some(index));
}

#[tokio::test]
async fn a_tag_that_moved_since_the_plan_is_not_overwritten() {
    let world = World::new();
    let [old, new, other] = ["old", "new", "other"].map(|name| world.image(name));
    world.set_tag(TAG, &old);
    let mover = world.move_to(&new);
    let run = world.run(&mover);
    let change = run.plan().await.unwrap().change;
    for moved in [Some(&other), None] {
        match moved {
            Some(image) => world.set_tag(TAG, image),
            None => world.ecr.take_tag(&world.repository, TAG),
        }
        let error = run.apply(&change).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (&code::ECR_TAG_MOVED, Effect::None));
    }
    assert_eq!(world.ecr.effects(), 0);
    let error = run.undo(&change, None).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::ECR_CANNOT_TELL, Effect::None));
    assert!(matches!(run.locate(&change).await, Location::Unknown(_)));
}

/// The image would be deleted with its last tag.
#[tokio::test]
async fn undoing_a_first_release_removes_the_tag_and_not_the_image() {
    let world = World::new();
    let image = world.image("untagged");
    let mover = world.move_to(&image);
    let run = world.run(&mover);
    let (change, receipt) = run.ship().await;
    // Even when somebody has taken away the name that kept it.
    world.ecr.take_tag(&world.repository, &format!("gatekit-{TAG}-{}", run.cx.run()));
    run.undo(&change, Some(&receipt)).await.unwrap();
    assert_eq!(world.names(TAG), None);
    assert!(world.has(&image), "the image is gone");
    assert_eq!(run.locate(&change).await, Location::Before);
    run.undo(&change, None).await.unwrap();
}

#[tokio::test]
async fn an_image_that_is_not_there_cannot_be_planned() {
    let world = World::new();
    let image = world.image("image");
    let elsewhere = gatekit_core::Digest::of("nothing");
    let error = world.run(&world.move_to(&elsewhere)).plan().await.unwrap_err();
    assert_eq!(error.code(), &code::ECR_NO_IMAGE);
    let mover = ecr::MoveTag::new(&world.aws(), "no/such", image.clone()).to(TAG).unwrap();
    let error = world.run(&mover).plan().await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::ECR_NO_REPOSITORY, Effect::None));
    let mover = ecr::MoveTag::new(&world.aws(), &world.repository, image);
    let mover = mover.in_registry("999999999999").to(TAG).unwrap();
    let error = world.run(&mover).plan().await.unwrap_err();
    assert_eq!(error.code(), &code::ECR_NO_REPOSITORY);
}

/// What is put back has the digest that was asked for, or is not put back at all.
#[tokio::test]
async fn bytes_of_another_digest_are_not_put() {
    let world = World::new();
    let (old, new) = (world.image("old"), world.image("new"));
    world.set_tag(TAG, &old);
    let change = world.run(&world.move_to(&new)).plan().await.unwrap().change;
    world.ecr.add_newline();
    // As another process: what the one that planned has fetched was as it should be.
    let mover = world.move_to(&new);
    let run = world.run(&mover);
    for error in [run.plan().await.unwrap_err(), run.apply(&change).await.unwrap_err()] {
        assert_eq!((error.code(), error.effect()), (&code::ECR_DIGEST, Effect::None));
    }
    assert_eq!(world.ecr.effects(), 0);
}

#[tokio::test]
async fn an_old_image_that_is_gone_cannot_be_put_back() {
    let world = World::new();
    let (old, new) = (world.image("old"), world.image("new"));
    world.set_tag(TAG, &old);
    let mover = world.move_to(&new);
    let run = world.run(&mover);
    let (change, receipt) = run.ship().await;
    world.delete(&old);
    let before = world.ecr.effects();
    let error = run.undo(&change, Some(&receipt)).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::ECR_NO_IMAGE, Effect::None));
    assert_eq!(world.ecr.effects(), before);
    assert_eq!(world.names(TAG), Some(new));
}

#[tokio::test]
async fn an_immutable_repository_is_told_before_anything_is_touched() {
    for (mutability, exempt, moves) in [
        ("IMMUTABLE", &[][..], false),
        ("IMMUTABLE_WITH_EXCLUSION", &["staging-*"][..], false),
        ("IMMUTABLE_WITH_EXCLUSION", &["prod*"][..], true),
        ("MUTABLE_WITH_EXCLUSION", &["*-latest"][..], false),
        ("MUTABLE_WITH_EXCLUSION", &["v*"][..], true),
    ] {
        let world = World::with(mutability, exempt);
        let (old, new) = (world.image("old"), world.image("new"));
        world.set_tag(TAG, &old);
        let mover = world.move_to(&new);
        let run = world.run(&mover);
        if moves {
            run.ship().await;
            continue;
        }
        let error = run.plan().await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (&code::ECR_IMMUTABLE, Effect::None));
        // A caller who may not ask finds out when it is to move.
        world.inject("DescribeRepositories", Trouble::Denied, 1);
        let change = run.plan().await.unwrap().change;
        let error = run.apply(&change).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (&code::ECR_IMMUTABLE, Effect::None));
        assert_eq!(world.names(TAG), Some(old));
    }
}

/// The first move of a tag is none: a repository of fixed tags takes it, and it can be undone.
#[tokio::test]
async fn a_new_tag_of_an_immutable_repository() {
    let world = World::with("IMMUTABLE", &[]);
    let image = world.image("image");
    let mover = world.move_to(&image);
    let run = world.run(&mover);
    let (change, receipt) = run.ship().await;
    run.undo(&change, Some(&receipt)).await.unwrap();
    assert_eq!(world.names(TAG), None);
    assert!(world.has(&image));
}

#[tokio::test]
async fn an_index_that_has_lost_an_image_does_not_move() {
    let world = World::new();
    let images = [world.image("amd"), world.image_for("arm", "arm64", 64)];
    let platform = |of: &str| serde_json::json!({ "os": "linux", "architecture": of });
    let index = world.index(&[(&images[0], platform("amd64")), (&images[1], platform("arm64"))]);
    world.delete(&images[1]);
    let mover = world.move_to(&index);
    let run = world.run(&mover);
    let change = run.plan().await.unwrap().change;
    let error = run.apply(&change).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::ECR_INCOMPLETE, Effect::None));
    assert_eq!(world.names(TAG), None);
}

#[tokio::test]
async fn a_change_of_another_region_is_not_carried_on() {
    let world = World::new();
    let image = world.image("image");
    let mover = world.move_to(&image);
    let run = world.run(&mover);
    let change = run.plan().await.unwrap().change;
    assert_eq!(change.region, REGION);
    let other = gatekit_aws::Aws::new(&config(&world.url(), "us-east-1"));
    let other = ecr::MoveTag::new(&other, &world.repository, image).to(TAG).unwrap();
    let error = world.run(&other).apply(&change).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (&code::ECR_CONFIG, Effect::None));
    assert_ne!(
        world.run(&other).plan().await.unwrap().scope,
        world.run(&mover).plan().await.unwrap().scope
    );
    assert_eq!(world.ecr.effects(), 0);
}

#[tokio::test]
async fn what_is_later_found_in_place_was_written_once() {
    let world = World::new();
    let (old, new) = (world.image("old"), world.image("new"));
    world.set_tag(TAG, &old);
    let mover = world.move_to(&new);
    let run = world.run(&mover);
    let (change, receipt) = run.ship().await;
    let effects = world.ecr.effects();
    assert_eq!(run.apply(&change).await.unwrap(), receipt);
    assert_eq!(world.ecr.effects(), effects);
}

#[tokio::test]
async fn names_are_checked_when_it_is_built() {
    let world = World::new();
    let digest = gatekit_core::Digest::of("x");
    let to = |repository: &str, tag: &str| {
        ecr::MoveTag::new(&world.aws(), repository, digest.clone()).to(tag)
    };
    assert_eq!(to("My App", TAG).unwrap_err().code(), &code::ECR_CONFIG);
    assert_eq!(to("myapp", "a:b").unwrap_err().code(), &code::ECR_CONFIG);
    assert_eq!(to("myapp", &"x".repeat(128)).unwrap_err().code(), &code::ECR_CONFIG);
    let error = to("myapp", TAG).unwrap().keeping_under("-x").unwrap_err();
    assert_eq!(error.code(), &code::ECR_CONFIG);
}

#[tokio::test]
async fn a_tag_is_resolved_to_its_digest() {
    let world = World::new();
    let image = world.image("image");
    world.set_tag("sha-1", &image);
    let resolved = ecr::resolve(&world.aws(), &world.repository, "sha-1").await.unwrap();
    assert_eq!(resolved, Some(image));
    assert_eq!(ecr::resolve(&world.aws(), &world.repository, "sha-2").await.unwrap(), None);
    let error = ecr::resolve(&world.aws(), "no/such", "sha-1").await.unwrap_err();
    assert_eq!(error.code(), &code::ECR_NO_REPOSITORY);
}
