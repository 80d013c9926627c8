//! The public suites of deployer and rollback, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_aws::Aws;
use gatekit_aws::ecs::{PreviousRevision, Service};
use gatekit_core::ledger::{Ledger, MemoryLedger};
use gatekit_core::{Candidate, Digest, TargetName};
use gatekit_emulators::{Aws as Account, Injection, Scenario, Trouble};
use gatekit_testkit::conformance::deployer::{
    Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth,
};

use super::shipping::{FIRST, OTHERS, REPOSITORY, account, deploy, register, service, serving};
use crate::account;

/// How a release is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// By an image, in a revision of the run's own.
    Image,
    /// By a revision that exists.
    Revision,
    /// By an image, to a service whose rollouts pause.
    Paused,
}

#[async_trait]
impl DeployerSubject for Form {
    type World = Cluster;

    fn capability(&self) -> Capability {
        let capability = Capability::new().with_others().losing_answers();
        let capability = capability.with_patience(Duration::from_secs(120));
        match self {
            Self::Image | Self::Revision => capability.with_failures(),
            Self::Paused => capability.with_pauses(),
        }
    }

    async fn world(&self, _: Start) -> Cluster {
        let scenario = match self {
            Self::Paused => Scenario::BlueGreenPause,
            Self::Image | Self::Revision => Scenario::Ok,
        };
        let account = account(scenario);
        if *self == Self::Revision {
            for release in [Release::New, Release::Failing] {
                register(&account, &[("web", &image(release))]);
            }
        }
        Cluster { form: *self, account, ledger: Arc::new(MemoryLedger::new()) }
    }
}

/// A cluster of an account of its own.
#[derive(Debug)]
struct Cluster {
    form: Form,
    account: Account,
    ledger: Arc<MemoryLedger>,
}

fn digest(release: Release) -> Digest {
    let digit = match release {
        Release::Old => "0",
        Release::New => "2",
        Release::Failing => "f",
    };
    digit.repeat(64).parse().unwrap()
}

fn image(release: Release) -> String {
    format!("{REPOSITORY}@sha256:{}", digest(release))
}

impl Cluster {
    fn aws(&self) -> Aws {
        account::in_process(&self.account)
    }
}

#[async_trait]
impl DeployerWorld for Cluster {
    type Deployer = Service;
    type Rollback = PreviousRevision;

    fn target(&self) -> TargetName {
        TargetName::new("production/web").unwrap()
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.ledger) as Arc<dyn Ledger>
    }

    fn candidate(&self, release: Release) -> Candidate {
        Candidate::new().with_artifact("web", digest(release))
    }

    fn deployer(&self, release: Release) -> Service {
        let service = service(&self.aws());
        match (self.form, release) {
            (Form::Image | Form::Paused, _) => service.image(image(release).parse().unwrap()),
            (Form::Revision, Release::Old) => service.revision("web:1"),
            (Form::Revision, Release::New) => service.revision("web:2"),
            (Form::Revision, Release::Failing) => service.revision("web:3"),
        }
    }

    fn rollback(&self, _: Release) -> PreviousRevision {
        PreviousRevision::of(&service(&self.aws()))
    }

    async fn truth(&self) -> Truth {
        match serving(&self.account) {
            Ok(it) if it == FIRST => Truth::Old,
            Ok(it) if it == image(Release::New) => Truth::New,
            Ok(it) if it == OTHERS => Truth::Others,
            Ok(other) => Truth::Partly(format!("{other} serves")),
            Err(why) => Truth::Partly(why),
        }
    }

    async fn trace(&self) -> Trace {
        let effects = self.account.with_account(|it| it.effects()) as u64;
        Trace::of_state(Digest::of(effects.to_string())).with_effects(effects)
    }

    fn secrets(&self) -> Vec<String> {
        vec!["CANARY-secret-key".to_owned()]
    }

    async fn somebody_else_releases(&self) {
        deploy(&self.account, &register(&self.account, &[("web", OTHERS)]));
        for _ in 0..60 {
            if self.truth().await == Truth::Others {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn lose_answer(&self, after: u64) {
        let after = u32::try_from(after).unwrap();
        self.account.inject(Injection::of(Trouble::CutAfter, "writes", 1).after(after));
    }
}

gatekit_testkit::deployer_conforms!(
    #[tokio::test(start_paused = true)]
    image: Form::Image,
    revision: Form::Revision,
    paused: Form::Paused,
);

gatekit_testkit::rollback_conforms!(
    #[tokio::test(start_paused = true)]
    image_undone: Form::Image,
    revision_undone: Form::Revision,
    paused_undone: Form::Paused,
);
