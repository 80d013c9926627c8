//! The program: an image that was chosen by its tag is approved, deployed by its digest, and named by
//! the tag of what is live at last.

use clap::{Args, ValueEnum};
use gatekit_aws::Aws;
use gatekit_aws::ecr::{MoveTag, Repository, RestoreTag, Scan, Severity, TagNames};
use gatekit_aws::ecs::{Image, Preflight, PreviousRevision};
use gatekit_cli::{App, Env, Shipment};
use gatekit_core::{
    Approval, Candidate, Code, Digest, Effect, Error, NextAction, Pipeline, Result, enforced,
};
use serde::{Deserialize, Serialize};
use staging_release::account;
use staging_release::flags::{Checks, DEADLINE, SERVICE, Site};

/// The image was never resolved to its digest.
const USAGE_IMAGE: Code = Code::new("usage.image");

const EXAMPLES: &str = "\
Examples:
  production-release plan --image-tag v1.4.0 --repository api --cluster demo --service api \\
      --base-url https://api.example.com
      what a ship would touch, without touching it
  production-release ship --image-tag v1.4.0 --repository api --cluster demo --service api \\
      --base-url https://api.example.com --scan-gate high --alarm api-5xx
      ask for it; it waits until somebody else has approved (exit code 75)
  production-release approve RUN
      say yes to it, as somebody else; RUN and --scope are in what the ship printed
  production-release resume
      go on: after an approval, or where a killed or interrupted run stopped
  production-release rollback --reason 'checkout is broken'
      back to the release before, its tag included";

/// What is released. Journalled: it holds no secrets.
#[derive(Debug, Args, Serialize, Deserialize)]
struct Ship {
    /// The tag of the image; what is approved and shipped is the digest that it names now
    #[arg(long, value_name = "TAG")]
    image_tag: String,

    /// The repository in ECR, as team/api
    #[arg(long, value_name = "REPOSITORY")]
    repository: String,

    /// The image with its digest, once it is resolved.
    #[arg(skip)]
    image: Option<String>,

    #[command(flatten)]
    site: Site,

    /// How many others have to approve; 0 for none
    #[arg(long, value_name = "N", default_value_t = 1)]
    approvals: u32,

    /// Refuse an image in which ECR's scan has found something that bad, or worse
    #[arg(long, value_name = "LEAST", value_enum)]
    scan_gate: Option<ScanGate>,

    #[command(flatten)]
    checks: Checks,

    /// The tag that names what is live: it moves to the image at last
    #[arg(long, value_name = "TAG", default_value = "production-latest")]
    move_tag: String,

    /// Move no tag
    #[arg(long, conflicts_with = "move_tag")]
    no_move_tag: bool,
}

/// The least that a scan must not have found.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ScanGate {
    High,
    Critical,
}

/// The program.
pub fn app() -> App {
    App::new("production-release")
        .about(
            "Releases an image to a service of Amazon ECS: chosen by its tag, approved and deployed \
             by its digest, followed to the true end of its own deployment, smoke-tested, and rolled \
             back when the truth is bad. The tag of what is live moves last.",
        )
        .version(env!("CARGO_PKG_VERSION"))
        .examples(EXAMPLES)
        .deadline(DEADLINE)
        .codes(gatekit_aws::code::ALL)
        .pipeline("production/service", async |ship: Ship, env: Env| {
            let aws = account::from_env().await?;
            let ship = ship.complete(&aws, &env).await?;
            let noted = ship.site.noted();
            ship.shipment(&aws, &env)?.with_arguments(&ship).map(|it| it.with_note(SERVICE, noted))
        })
}

impl Ship {
    /// Resolves the tag to the digest that it names now; what was journalled is resolved.
    async fn complete(mut self, aws: &Aws, env: &Env) -> Result<Self> {
        if !env.plans_anew() {
            return Ok(self);
        }
        self.site.is_of_target(env).await?;
        self.image = Some(Repository::new(aws, &self.repository).pinned(&self.image_tag).await?);
        Ok(self)
    }

    fn shipment(&self, aws: &Aws, env: &Env) -> Result<Shipment> {
        let reference = self.image.as_deref().ok_or_else(|| {
            Error::new(USAGE_IMAGE, "the run was opened without the digest of its image")
                .with_effect(Effect::None)
                .with_next(NextAction::outside("ship anew"))
        })?;
        let image: Image = reference.parse()?;
        let digest = image.digest().clone();
        let service = self.site.deployer_of(aws, image)?;
        let mut first = vec![
            enforced(Preflight::of(&service)?),
            enforced(TagNames::of(aws, &self.repository, &self.image_tag, digest.clone())?),
        ];
        if let Some(least) = self.scan_gate {
            first.push(enforced(self.scan(aws, digest.clone(), least)?));
        }
        let (before, after) = self.checks.alarms(aws, env)?.unzip();
        first.extend(before.map(enforced));
        let mut gates = Pipeline::to(env.target().as_str()).gates(first);
        if self.approvals > 0 {
            gates = gates.gate(enforced(Approval::quorum(self.approvals)));
        }
        let back = PreviousRevision::of(&service);
        let mut pipeline = gates
            .deploy(service)
            .rollback_with(back)
            .verify(enforced(self.checks.smoke(&["/health", "/ready"])?));
        if let Some(alarms) = after {
            pipeline = pipeline.verify(enforced(alarms));
        }
        // Last: it names what was seen to be good, and whatever fails before leaves it where it is.
        if !self.no_move_tag {
            let moving = MoveTag::new(aws, &self.repository, digest.clone()).to(&self.move_tag)?;
            pipeline = pipeline.deploy(moving).rollback_with(RestoreTag::new(aws));
        }
        let candidate = Candidate::new()
            .with_version(&self.image_tag)
            .with_artifact("image", digest)
            .with_input("image", reference);
        Ok(Shipment::new(pipeline.build()?).with_candidate(move || Ok(candidate)))
    }

    fn scan(&self, aws: &Aws, digest: Digest, least: ScanGate) -> Result<Scan> {
        let scan = Scan::of(aws, &self.repository, digest)?;
        Ok(match least {
            ScanGate::High => scan.none_from(Severity::High),
            ScanGate::Critical => {
                scan.none_from(Severity::Critical).at_most(Severity::High, u32::MAX)
            }
        })
    }
}
