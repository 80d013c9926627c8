//! The public suites of deployer and rollback.

use std::sync::Arc;

use async_trait::async_trait;
use gatekit_core::ledger::Ledger;
use gatekit_core::{Candidate, Digest, TargetName};
use gatekit_emulators::{Injection, Trouble};
use gatekit_supabase::functions::{Deploy, Restore};
use gatekit_testkit::conformance::deployer::{
    Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth,
};
use tempfile::TempDir;

use super::world::{TOKEN, World, target};

/// Which functions are deployed.
#[derive(Debug, Clone, Copy)]
enum Kind {
    One,
    Two,
}

impl Kind {
    fn slugs(self) -> &'static [&'static str] {
        match self {
            Self::One => &["hello"],
            Self::Two => &["hello", "world"],
        }
    }
}

#[async_trait]
impl DeployerSubject for Kind {
    type World = Site;

    fn capability(&self) -> Capability {
        Capability::new().starting_empty().with_others().losing_answers().with_one_way()
    }

    async fn world(&self, live: Start) -> Site {
        let world = World::new();
        let new = tempfile::tempdir().unwrap();
        for slug in self.slugs() {
            let path = format!("supabase/functions/{slug}/index.ts");
            world.write(&path, format!("old {slug}"));
            let place = new.path().join(&path);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, format!("new {slug}")).unwrap();
        }
        let site = Site { world, new, slugs: self.slugs() };
        if live == Start::Old {
            let deploy = site.deployer(Release::Old);
            site.world.run(&deploy).ship().await;
        }
        site
    }
}

#[derive(Debug)]
struct Site {
    /// With the files of the old release.
    world: World,
    new: TempDir,
    slugs: &'static [&'static str],
}

#[async_trait]
impl DeployerWorld for Site {
    type Deployer = Deploy;
    type Rollback = Restore;

    fn target(&self) -> TargetName {
        target()
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.world.ledger) as _
    }

    fn candidate(&self, release: Release) -> Candidate {
        Candidate::new().with_version(format!("{release:?}"))
    }

    fn deployer(&self, release: Release) -> Deploy {
        let old = release == Release::Old;
        let root = if old { self.world.root.path() } else { self.new.path() };
        self.world.deploy_from(root, self.slugs)
    }

    fn rollback(&self, release: Release) -> Restore {
        Restore::of(&self.deployer(release))
    }

    async fn truth(&self) -> Truth {
        let is_all = |is: &str| {
            let has = |slug: &&&str| self.world.has(slug, &format!("{is} {slug}"));
            let turned = |slug: &&&str| self.world.told(slug, "verify_jwt") != true;
            self.slugs.iter().filter(has).count() == self.slugs.len()
                && self.slugs.iter().filter(turned).count() == 0
        };
        let bodies: Vec<_> = self.slugs.iter().filter_map(|slug| self.world.body(slug)).collect();
        if bodies.is_empty() {
            return Truth::Nothing;
        }
        let known = [("old", Truth::Old), ("new", Truth::New), ("others", Truth::Others)];
        let found = known.into_iter().find(|(is, _)| is_all(is));
        found.map_or_else(|| Truth::Partly(format!("{} artefacts", bodies.len())), |(_, it)| it)
    }

    async fn trace(&self) -> Trace {
        let (state, effects) = self.world.emulator.with_project(|project| {
            let state: Vec<_> = self.slugs.iter().map(|it| project.told(it).cloned()).collect();
            (Digest::of(format!("{state:?}")), project.effects())
        });
        Trace::of_state(state).with_effects(effects)
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }

    async fn somebody_else_releases(&self) {
        self.world.emulator.with_project(|project| {
            for slug in self.slugs {
                project.deploy(slug, &format!("others {slug}"), true);
            }
        });
    }

    async fn lose_answer(&self, after: u64) {
        let lost = Injection::of(Trouble::CutAfter, "writes", 1);
        self.world.emulator.inject(lost.after(u32::try_from(after).unwrap()));
    }

    async fn make_one_way(&self) {
        std::fs::remove_dir_all(self.world.keep.path().join("artefacts")).unwrap();
    }
}

gatekit_testkit::deployer_conforms!(
    #[tokio::test]
    one: Kind::One,
    two: Kind::Two,
);

gatekit_testkit::rollback_conforms!(
    #[tokio::test]
    one_undone: Kind::One,
    two_undone: Kind::Two,
);
