//! For which platforms an image is.

use gatekit_aws::ecr::{Platforms, Repository};
use gatekit_core::Digest;
use gatekit_emulators::Trouble;
use serde_json::json;

use super::world::World;

async fn told(world: &World, digest: &Digest) -> Vec<String> {
    let repository = Repository::new(&world.aws(), &world.repository);
    match repository.platforms(digest).await.unwrap() {
        Some(Platforms::Told(platforms)) => platforms.iter().map(ToString::to_string).collect(),
        other => vec![format!("{other:?}")],
    }
}

#[tokio::test]
async fn an_index_says_it_itself() {
    let world = World::new();
    let (amd, arm) = (world.image("amd"), world.image_for("arm", "arm64", 64));
    let attestation = world.image("attestation");
    let index = world.index(&[
        (&amd, json!({ "os": "linux", "architecture": "amd64" })),
        (&arm, json!({ "os": "linux", "architecture": "arm64", "variant": "v8" })),
        (&attestation, json!({ "os": "unknown", "architecture": "unknown" })),
    ]);
    assert_eq!(told(&world, &index).await, ["linux/amd64", "linux/arm64/v8"]);
    assert!(!world.calls().contains(&"GetDownloadUrlForLayer".to_owned()));
}

#[tokio::test]
async fn a_single_image_says_it_in_its_configuration() {
    let world = World::new();
    let image = world.image_for("arm", "arm64", 64);
    assert_eq!(told(&world, &image).await, ["linux/arm64"]);
    let nothing = Repository::new(&world.aws(), &world.repository);
    assert_eq!(nothing.platforms(&Digest::of("nothing")).await.unwrap(), None);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_told() {
    let world = World::new();
    let image = world.image("image");
    for trouble in [Trouble::Denied, Trouble::Unknown] {
        world.inject("GetDownloadUrlForLayer", trouble, 1);
        let told = told(&world, &image).await.concat();
        assert!(told.contains("NotTold"), "{told}");
    }
    // Longer than any configuration is, none at all, and one that does not say.
    for config in [format!("\"{}\"", "x".repeat(1 << 20)), "no JSON".to_owned(), "{}".to_owned()] {
        let told = told(&world, &world.image_of(config, 64)).await.concat();
        assert!(told.contains("NotTold") && !told.contains("http://"), "{told}");
    }
    let index = world.index(&[(&image, json!({ "os": "linux" }))]);
    assert!(told(&world, &index).await.concat().contains("NotTold"));
}

#[test]
fn an_image_is_found_by_its_name_as_ecs_has_it() {
    let world = World::new();
    let (aws, digest) = (world.aws(), Digest::of("x"));
    let host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    for (name, known) in [
        (format!("{host}/team/myapp@sha256:{digest}"), true),
        (format!("{host}/team/myapp:v1@sha256:{digest}"), true),
        (format!("123456789012.dkr-ecr.eu-central-1.on.aws/myapp@sha256:{digest}"), true),
        (format!("{host}/team/myapp:v1"), false),
        (format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/myapp@sha256:{digest}"), false),
        (format!("x.dkr.ecr.eu-central-1.amazonaws.com/myapp@sha256:{digest}"), false),
        (format!("docker.io/library/nginx@sha256:{digest}"), false),
        (format!("nginx@sha256:{digest}"), false),
    ] {
        let found = Repository::of_image(&aws, &name).map(|(_, found)| found);
        assert_eq!(found, known.then(|| digest.clone()), "{name}");
    }
}
