//! Ships of this program, of images in a repository of the test's own.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use gatekit_emulators::{Ecr, Scenario};
use gatekit_peers::Shared;

use crate::site::{Done, Site, account, push};

/// The tag that names what is live.
pub(crate) const LIVE: &str = "production-latest";

/// A site with a repository: `v1` is live by its tag, and not yet by its service, and `v2` is shipped.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) site: Site,
    pub(crate) ecr: Ecr,
    pub(crate) repository: String,
    pub(crate) v1: String,
    pub(crate) v2: String,
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Self {
        Self::with(scenario, "MUTABLE")
    }

    pub(crate) fn with(scenario: Scenario, mutability: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let repository = format!("production/{}-{number}", std::process::id());
        let ecr = Ecr::new(&Shared::Registry.place().unwrap()).unwrap();
        ecr.create(&repository, mutability, &[]);
        let (v1, v2) = (push(&ecr, &repository, "v1"), push(&ecr, &repository, "v2"));
        for (tag, digest) in [("v1", &v1), (LIVE, &v1), ("v2", &v2)] {
            ecr.set_tag(&repository, tag, digest);
        }
        let account = account(scenario).with_ecr(ecr.clone());
        let site = Site::of(env!("CARGO_BIN_EXE_production-release"), account);
        Self { site, ecr, repository, v1, v2 }
    }

    /// A ship of a tag, quick to despair.
    pub(crate) fn ship_command(&self, tag: &str, what: &[&str]) -> Command {
        let base = self.site.url();
        let image = ["ship", "--image-tag", tag, "--repository", &self.repository];
        let service = ["--cluster", "demo", "--service", "web", "--base-url", &base];
        let pace = ["--smoke-retries", "2", "--smoke-delay", "200ms", "--deadline", "60s"];
        self.site.command([&image, &service[..], &pace, what].concat())
    }

    pub(crate) fn ship(&self, tag: &str, what: &[&str]) -> Done {
        Done::of(&self.ship_command(tag, what).output().unwrap())
    }

    /// Ships `v2`, for which nobody is asked.
    pub(crate) fn ship_unasked(&self, what: &[&str]) -> Done {
        self.ship("v2", &[&["--approvals", "0"], what].concat())
    }

    /// Approves as somebody, what that ship asked for.
    pub(crate) fn approve(&self, asked: &Done, actor: &str) -> Done {
        let run = asked.report()["run"].as_str().unwrap();
        self.site.run(["approve", run, "--actor", actor])
    }

    /// What the tag of what is live names.
    pub(crate) fn live(&self) -> Option<String> {
        self.ecr.tags(&self.repository).get(LIVE).cloned()
    }

    /// How the service names an image of the repository.
    pub(crate) fn image(&self, digest: &str) -> String {
        format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/{}@{digest}", self.repository)
    }
}
