//! The gate on what a tag names, and the public suite of gates on it.

use std::time::Duration;

use async_trait::async_trait;
use gatekit_aws::ecr;
use gatekit_core::testing::plan_context;
use gatekit_core::{Candidate, Digest, Gate as _, Verdict};
use gatekit_emulators::Trouble;
use gatekit_testkit::conformance::gate::{self, Capability, GateSubject, GateWorld, Scene};

use super::world::{World, target};

const CHOSEN: &str = "v1";

#[tokio::test]
async fn a_gate_tells_that_a_tag_was_moved_or_taken_away() {
    let world = World::new();
    let (image, other) = (world.image("image"), world.image("other"));
    world.set_tag("v1", &image);
    let gate = ecr::TagNames::of(&world.aws(), &world.repository, "v1", image).unwrap();
    let cx = plan_context(&target(), Candidate::new(), &gate.id(), Duration::from_secs(60));
    let Verdict::Pass(proof) = gate.check(&cx).await.unwrap() else { panic!("it names it") };
    assert_eq!(proof.evidence().len(), 1);

    let code_of = |verdict: Verdict| match verdict {
        Verdict::Fail(finding) => finding.code.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    world.set_tag("v1", &other);
    assert_eq!(code_of(gate.check(&cx).await.unwrap()), "ecr.tag_moved");
    world.ecr.take_tag(&world.repository, "v1");
    assert_eq!(code_of(gate.check(&cx).await.unwrap()), "ecr.no_tag");
}

#[derive(Debug)]
struct OfTag;

#[async_trait]
impl GateSubject for OfTag {
    type World = Site;

    fn capability(&self) -> Capability {
        Capability::new()
    }

    async fn world(&self) -> Site {
        let world = World::new();
        let images = ["image", "other"].map(|name| world.image(name));
        world.set_tag(CHOSEN, &images[0]);
        Site { world, images }
    }
}

#[derive(Debug)]
struct Site {
    world: World,
    images: [Digest; 2],
}

#[async_trait]
impl GateWorld for Site {
    type Gate = ecr::TagNames;

    fn gate(&self) -> ecr::TagNames {
        let Self { world, images } = self;
        ecr::TagNames::of(&world.aws(), &world.repository, CHOSEN, images[0].clone()).unwrap()
    }

    async fn show(&self, scene: Scene) {
        match scene {
            Scene::Passes => self.world.set_tag(CHOSEN, &self.images[0]),
            Scene::Fails => self.world.set_tag(CHOSEN, &self.images[1]),
            _ => self.world.inject("DescribeImages", Trouble::Denied, u32::MAX),
        }
    }

    async fn trace(&self) -> Digest {
        Digest::of(self.world.ecr.effects().to_string())
    }

    fn secrets(&self) -> Vec<String> {
        vec!["CANARY-secret".to_owned()]
    }
}

#[tokio::test]
async fn a_gate_on_a_tag_conforms() {
    gate::all(&OfTag).await;
}
