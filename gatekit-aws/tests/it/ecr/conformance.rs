//! The public suites of deployer and rollback, as any implementation runs them.

use std::sync::Arc;

use async_trait::async_trait;
use gatekit_aws::ecr;
use gatekit_core::ledger::Ledger;
use gatekit_core::{Candidate, Digest, TargetName};
use gatekit_testkit::conformance::deployer::{
    Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth,
};
use gatekit_testkit::conformance::{deployer, rollback};

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

/// One test for each behaviour of a suite, and none forgotten.
macro_rules! conforms {
    ($($module:ident: $kind:ident, $suite:ident;)+ @ $names:tt) => {
        $(conforms!(@one $module, $kind, $suite, $names);)+
    };
    (@one $module:ident, $kind:ident, $suite:ident, { $($name:ident),+ $(,)? }) => {
        mod $module {
            use super::*;

            #[test]
            fn no_behaviour_is_forgotten() {
                assert_eq!($suite::NAMES, [$(stringify!($name)),+]);
            }

            $(#[tokio::test]
            async fn $name() {
                $suite::$name(&Kind::$kind).await;
            })+
        }
    };
}

conforms!(
    single: Single, deployer;
    indexes: Indexes, deployer;
    @ {
        it_describes_itself_the_same_in_every_process,
        no_secret_is_shown,
        reading_writes_nothing,
        reading_is_repeatable,
        reading_is_cancel_safe,
        another_candidate_has_another_scope,
        the_scope_leaves_out_what_was_there,
        another_process_goes_on_with_change_and_receipt,
        it_is_before_and_then_after,
        what_is_in_place_is_recognised,
        another_runs_effect_is_not_its_own,
        somebody_elses_release_is_found,
        live_tells_what_is_live,
        a_half_way_state_is_not_taken_for_a_whole_one,
        applying_again_has_no_second_effect,
        a_lost_answer_is_found_again,
        every_write_has_its_permit,
        an_overtaken_fence_writes_nothing,
        a_late_apply_clobbers_nobody,
        it_goes_on_wherever_it_was_killed,
        errors_tell_what_was_written,
        a_rollout_ends,
        a_release_that_fails_is_no_success,
        a_pause_is_answered,
    }
);

conforms!(
    single_undone: Single, rollback;
    indexes_undone: Indexes, rollback;
    @ {
        reversibility_is_told_without_writing,
        undoing_what_never_landed_harms_nothing,
        undoing_ends_where_it_began,
        undoing_twice_harms_nothing,
        watching_the_undoing_writes_nothing,
        every_undoing_write_has_its_permit,
        an_overtaken_fence_undoes_nothing,
        somebody_elses_release_is_not_touched,
        another_runs_release_is_not_touched,
        what_landed_in_part_is_undone,
        undoing_goes_on_wherever_it_was_killed,
        a_lost_answer_is_undone,
        a_failed_release_is_undone,
        a_one_way_change_is_not_undone,
    }
);
