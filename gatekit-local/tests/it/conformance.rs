//! The public suites of deployer and rollback on release directories, as any implementation runs them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::Ledger;
use gatekit_core::{Candidate, Digest, TargetName};
use gatekit_local::{PreviousRelease, ReleaseDir, ReleaseId};
use gatekit_testkit::conformance::deployer::{
    Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth,
};
use std::sync::Arc;

use crate::world::{SLEEP, World};

const CANARY: &str = "CANARY-5f1d";

/// What the new release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Another directory, with its service.
    App,
    /// A release that is under the root already; undone by an object that has nothing to ship.
    Kept,
    /// The same release, stopped.
    Stopped,
}

#[async_trait]
impl DeployerSubject for Form {
    type World = Site;

    fn capability(&self) -> Capability {
        let capability = Capability::new().with_others().with_one_way();
        match self {
            Self::App => capability.starting_empty().with_failures(),
            Self::Kept => capability,
            // Nothing is lost by stopping: what runs may be pruned only once it does not.
            Self::Stopped => capability,
        }
    }

    async fn world(&self, live: Start) -> Site {
        let world = World::new();
        world.app("one", &[("file", "one"), ("secret", CANARY)]);
        world.app("two", &[("file", "two"), ("secret", CANARY)]);
        world.app("three", &[("file", "three")]);
        let mut site = Site { form: *self, world, one: None, two: None };
        if *self == Self::Kept {
            site.two = site.ship("two").await;
        }
        if live == Start::Old {
            site.one = site.ship("one").await;
        }
        site
    }
}

#[derive(Debug)]
struct Site {
    form: Form,
    world: World,
    one: Option<ReleaseId>,
    two: Option<ReleaseId>,
}

impl Site {
    async fn ship(&self, app: &str) -> Option<ReleaseId> {
        self.world.ship(&self.world.deployer(app, SLEEP)).await.change.wish.release
    }

    fn kept(&self) -> ReleaseDir {
        let two = self.two.clone().unwrap();
        ReleaseDir::kept(self.world.root(), two).unwrap().with_settle(Duration::from_millis(150))
    }
}

#[async_trait]
impl DeployerWorld for Site {
    type Deployer = ReleaseDir;
    type Rollback = PreviousRelease;

    fn target(&self) -> TargetName {
        self.world.target()
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.world.ledger()
    }

    fn candidate(&self, release: Release) -> Candidate {
        let app = if release == Release::Old { "one" } else { "two" };
        match (self.form, release) {
            (Form::App, _) | (_, Release::Old) => {
                let artifact = ReleaseDir::artifact(self.world.path(app)).unwrap();
                Candidate::new().with_version(app).with_artifact("app", artifact)
            }
            _ => Candidate::new(),
        }
    }

    fn deployer(&self, release: Release) -> ReleaseDir {
        match (release, self.form) {
            (Release::Old, _) => self.world.deployer("one", SLEEP),
            (Release::New, Form::App) => self.world.deployer("two", SLEEP),
            (Release::New, Form::Kept) => self.kept(),
            (Release::New, Form::Stopped) => self.world.stopped(),
            (Release::Failing, _) => self.world.deployer("two", "exit 7"),
        }
    }

    fn rollback(&self, release: Release) -> PreviousRelease {
        match self.form {
            Form::Kept => {
                let existing = ReleaseDir::existing(self.world.root()).unwrap();
                PreviousRelease::of(&existing.with_settle(Duration::from_millis(150)))
            }
            _ => PreviousRelease::of(&self.deployer(release)),
        }
    }

    /// By the content of the files: behind the link, and in the working directory of each process.
    async fn truth(&self) -> Truth {
        let content = |dir: &Path| fs::read_to_string(dir.join("file")).ok();
        let link = content(&self.world.root().join("current"));
        let runs: Vec<_> = self.world.pids().into_iter().collect();
        let runs: Vec<_> =
            runs.iter().map(|pid| content(Path::new(&format!("/proc/{pid}/cwd")))).collect();
        let stopped = self.form == Form::Stopped;
        match (link.as_deref(), runs.as_slice()) {
            (None, []) => Truth::Nothing,
            (Some("one"), []) if stopped => Truth::New,
            (Some("one"), [Some(one)]) if one == "one" => Truth::Old,
            (Some("two"), [Some(two)]) if two == "two" && !stopped => Truth::New,
            (Some("three"), [Some(three)]) if three == "three" => Truth::Others,
            other => Truth::Partly(format!("{other:?}")),
        }
    }

    async fn trace(&self) -> Trace {
        let mut pids = self.world.pids();
        pids.sort_unstable();
        Trace::of_state(Digest::of(format!("{pids:?} {:?}", self.world.snapshot())))
    }

    /// The files of the releases: they are nobody's business.
    fn secrets(&self) -> Vec<String> {
        vec![CANARY.to_owned()]
    }

    async fn somebody_else_releases(&self) {
        self.ship("three").await;
    }

    async fn make_one_way(&self) {
        let one = self.one.as_ref().unwrap();
        fs::remove_dir_all(self.world.root().join("releases").join(one.as_str())).unwrap();
    }
}

gatekit_testkit::deployer_conforms!(
    #[tokio::test]
    app: Form::App,
    kept: Form::Kept,
    stopped: Form::Stopped,
);

gatekit_testkit::rollback_conforms!(
    #[tokio::test]
    app_undone: Form::App,
    kept_undone: Form::Kept,
    stopped_undone: Form::Stopped,
);
