//! The program: an image is shipped, or what runs is deployed again.

use clap::Args;
use gatekit_aws::ecs::{Image, Preflight, PreviousRevision};
use gatekit_aws::{Aws, ecr};
use gatekit_cli::{App, Env, Shipment};
use gatekit_core::{Candidate, Code, Effect, Error, NextAction, Pipeline, Result, enforced};
use serde::{Deserialize, Serialize};

use crate::account;
use crate::flags::{Checks, DEADLINE, SERVICE, Site};

/// Neither an image nor `--force` is in the arguments.
const USAGE_IMAGE: Code = Code::new("usage.image");

const EXAMPLES: &str = "\
Examples:
  staging-release ship --cluster demo --service api \\
      --image 123456789012.dkr.ecr.eu-west-1.amazonaws.com/api:sha-4f2a91c \\
      --base-url https://staging.example.com
      deploy what the tag names now, follow it, and believe it only when /health answers
  staging-release ship --cluster demo --service api --force --base-url https://staging.example.com
      deploy the same revision again
  staging-release status --output json
      what is live, who holds the target, who waits
  staging-release resume
      go on where a killed or interrupted run stopped
  staging-release rollback --reason 'checkout is broken'
      back to the release before";

/// What is released. Journalled: it holds no secrets.
#[derive(Debug, Args, Serialize, Deserialize)]
struct Ship {
    #[command(flatten)]
    site: Site,

    /// The image: a tag in ECR is resolved to its digest once; of another registry, give the digest
    #[arg(
        long,
        value_name = "IMAGE[:TAG|@DIGEST]",
        required_unless_present = "force",
        conflicts_with = "force"
    )]
    image: Option<String>,

    /// Deploy the revision that runs again: its tags are pulled anew
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    checks: Checks,
}

/// The program.
pub fn app() -> App {
    App::new("staging-release")
        .about(
            "Releases an image to a service of Amazon ECS: by its digest, queued, followed to the \
             true end of its own deployment, smoke-tested, and rolled back when the truth is bad.",
        )
        .version(env!("CARGO_PKG_VERSION"))
        .examples(EXAMPLES)
        .deadline(DEADLINE)
        .codes(gatekit_aws::code::ALL)
        .pipeline("staging/service", async |ship: Ship, env: Env| {
            let aws = account::from_env().await?;
            let ship = ship.complete(&aws, &env).await?;
            let noted = ship.site.noted();
            ship.shipment(&aws, &env)?.with_arguments(&ship).map(|it| it.with_note(SERVICE, noted))
        })
}

impl Ship {
    /// Fixes what was given to the digest that it means now; what was journalled is fixed.
    async fn complete(mut self, aws: &Aws, env: &Env) -> Result<Self> {
        if !env.plans_anew() {
            return Ok(self);
        }
        self.site.is_of_target(env).await?;
        if let Some(image) = &self.image {
            self.image = Some(ecr::pinned(aws, image).await?);
        }
        Ok(self)
    }

    fn shipment(&self, aws: &Aws, env: &Env) -> Result<Shipment> {
        let (service, candidate) = match &self.image {
            Some(reference) => {
                let image: Image = reference.parse()?;
                let candidate = Candidate::new()
                    .with_version(label(reference, &image))
                    .with_artifact("image", image.digest().clone())
                    .with_input("image", reference);
                (self.site.deployer_of(aws, image)?, candidate)
            }
            None if self.force => {
                let candidate =
                    Candidate::new().with_version("again").with_input("force", self.site.noted());
                (self.site.deployer(aws)?.force(), candidate)
            }
            None => {
                let next = "give `--image`, or `--force`";
                return Err(Error::new(USAGE_IMAGE, "there is no image to ship")
                    .with_effect(Effect::None)
                    .with_next(NextAction::outside(next)));
            }
        };
        let back = PreviousRevision::of(&service);
        let (before, after) = self.checks.alarms(aws, env)?.unzip();
        let mut first = vec![enforced(Preflight::of(&service)?)];
        first.extend(before.map(enforced));
        let mut pipeline = Pipeline::to(env.target().as_str())
            .gates(first)
            .deploy(service)
            .rollback_with(back)
            .verify(enforced(self.checks.smoke(&["/health"])?));
        if let Some(alarms) = after {
            pipeline = pipeline.verify(enforced(alarms));
        }
        Ok(Shipment::new(pipeline.build()?).with_candidate(move || Ok(candidate)))
    }
}

/// What people call an image: its name without the registry, and the beginning of its digest.
fn label(reference: &str, image: &Image) -> String {
    let name = reference.split('@').next().unwrap_or(reference);
    let name = name.rsplit('/').next().unwrap_or(name);
    let digest = image.digest().as_str();
    format!("{name} {}", digest.get(..12).unwrap_or(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_called_by_its_name_and_the_beginning_of_its_digest() {
        let digest = "2".repeat(64);
        for (name, called) in [
            ("registry.example.com:5000/team/web:v1", "web:v1 222222222222"),
            ("registry.example.com/web", "web 222222222222"),
            ("web", "web 222222222222"),
        ] {
            let reference = format!("{name}@sha256:{digest}");
            let image: Image = reference.parse().unwrap();
            assert_eq!(label(&reference, &image), called);
        }
    }
}
