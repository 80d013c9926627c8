//! What people name by a tag is shipped by its digest.

use gatekit_aws::{code, ecr, ecs};
use gatekit_core::Digest;

use super::world::{REGION, World, written};

#[tokio::test]
async fn a_tag_of_ecr_is_fixed_to_its_digest() {
    let world = World::new();
    let image = world.image("image");
    world.set_tag("v1", &image);
    let host = format!("123456789012.dkr.ecr.{REGION}.amazonaws.com");
    let name = format!("{host}/{}", world.repository);
    let fixed = format!("{name}:v1@{}", written(&image));
    let aws = world.aws();
    assert_eq!(ecr::pinned(&aws, &format!("{name}:v1")).await.unwrap(), fixed);
    let repository = ecr::Repository::new(&aws, &world.repository);
    assert_eq!(repository.pinned("v1").await.unwrap(), fixed);
    let parsed: ecs::Image = fixed.parse().unwrap();
    assert_eq!((parsed.repository(), parsed.digest()), (name.as_str(), &image));

    world.set_tag("latest", &image);
    let fixed = format!("{name}:latest@{}", written(&image));
    assert_eq!(ecr::pinned(&aws, &name).await.unwrap(), fixed);
}

#[tokio::test]
async fn a_digest_is_left_as_it_is_and_asks_nobody() {
    let world = World::new();
    let given = format!("ghcr.io/team/web:1@{}", written(&Digest::of("x")));
    assert_eq!(ecr::pinned(&world.aws(), &given).await.unwrap(), given);
    assert_eq!(world.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_fixed_is_refused_each_with_its_code() {
    let world = World::new();
    let ours = format!("123456789012.dkr.ecr.{REGION}.amazonaws.com");
    for (reference, expected) in [
        (format!("{ours}/{}:no-such", world.repository), code::ECR_NO_TAG),
        (format!("{ours}/no/such:v1"), code::ECR_NO_REPOSITORY),
        (format!("{ours}/{}:-x", world.repository), code::ECR_CONFIG),
        ("123456789012.dkr.ecr.us-east-2.amazonaws.com/web:v1".to_owned(), code::ECR_CONFIG),
        ("ghcr.io/team/web:1".to_owned(), code::IMAGE),
        ("web".to_owned(), code::IMAGE),
        ("web@sha256:12".to_owned(), code::IMAGE),
        (String::new(), code::IMAGE),
    ] {
        let error = ecr::pinned(&world.aws(), &reference).await.unwrap_err();
        assert_eq!(*error.code(), expected, "{reference}: {error}");
    }
    let error = ecr::pinned(&world.aws(), "ghcr.io/team/web:1").await.unwrap_err();
    let next = format!("{:?}", error.to_failure().next);
    assert!(next.contains("skopeo inspect docker://ghcr.io/team/web:1"), "{next}");
    let repository = ecr::Repository::new(&world.aws(), &world.repository);
    assert_eq!(*repository.pinned("v1").await.unwrap_err().code(), code::ECR_NO_TAG);
}
