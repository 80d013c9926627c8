//! The public suites of deployer and rollback, as any implementation runs them.

use std::sync::Arc;

use async_trait::async_trait;
use gatekit_aws::ecr;
use gatekit_core::ledger::Ledger;
use gatekit_core::{Candidate, Digest, TargetName};
use gatekit_testkit::conformance::deployer::{
    Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth,
};

use super::world::{TAG, World, target};

/// Which repository it is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// One with images for one platform.
    Single,
    /// One with indexes, where every tag is fixed but the one that moves.
    Indexes,
}

#[async_trait]
impl DeployerSubject for Kind {
    type World = Site;

    fn capability(&self) -> Capability {
        Capability::new().starting_empty().with_others().losing_answers()
    }

    async fn world(&self, live: Start) -> Site {
        let world = match self {
            Self::Single => World::new(),
            Self::Indexes => World::with("IMMUTABLE_WITH_EXCLUSION", &["production-*"]),
        };
        let image = |name: &str| match self {
            Self::Single => world.image(name),
            Self::Indexes => {
                let (amd, arm) = (world.image(name), world.image_for(name, "arm64", 64));
                let platform = |of: &str| serde_json::json!({ "os": "linux", "architecture": of });
                world.index(&[(&amd, platform("amd64")), (&arm, platform("arm64"))])
            }
        };
        let images = ["old", "new", "others"].map(image);
        if live == Start::Old {
            world.set_tag(TAG, &images[0]);
        }
        Site { world, images }
    }
}

#[derive(Debug)]
struct Site {
    world: World,
    images: [Digest; 3],
}

#[async_trait]
impl DeployerWorld for Site {
    type Deployer = ecr::MoveTag;
    type Rollback = ecr::RestoreTag;

    fn target(&self) -> TargetName {
        target()
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.world.ledger) as _
    }

    fn candidate(&self, release: Release) -> Candidate {
        let image = if release == Release::Old { &self.images[0] } else { &self.images[1] };
        Candidate::new().with_artifact("myapp", image.clone())
    }

    fn deployer(&self, release: Release) -> ecr::MoveTag {
        self.world.move_to(&self.candidate(release).artifacts["myapp"])
    }

    fn rollback(&self, _: Release) -> ecr::RestoreTag {
        ecr::RestoreTag::new(&self.world.aws())
    }

    async fn truth(&self) -> Truth {
        match self.world.names(TAG) {
            None => Truth::Nothing,
            Some(image) if image == self.images[0] => Truth::Old,
            Some(image) if image == self.images[1] => Truth::New,
            Some(image) if image == self.images[2] => Truth::Others,
            other => Truth::Partly(format!("{other:?}")),
        }
    }

    async fn trace(&self) -> Trace {
        let tags = self.world.ecr.tags(&self.world.repository);
        let images = self.images.clone().map(|image| self.world.has(&image));
        let state = Digest::of(format!("{tags:?} {images:?}"));
        Trace::of_state(state).with_effects(self.world.ecr.effects())
    }

    fn secrets(&self) -> Vec<String> {
        vec!["CANARY-secret".to_owned()]
    }

    async fn somebody_else_releases(&self) {
        self.world.set_tag(TAG, &self.images[2]);
    }

    async fn lose_answer(&self, after: u64) {
        self.world.ecr.lose_answer(after);
    }
}

gatekit_testkit::deployer_conforms!(
    #[tokio::test]
    single: Kind::Single,
    indexes: Kind::Indexes,
);

gatekit_testkit::rollback_conforms!(
    #[tokio::test]
    single_undone: Kind::Single,
    indexes_undone: Kind::Indexes,
);
