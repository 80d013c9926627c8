//! What a user would build to deploy a service anew, or to move a tag: measured as a whole process.
//!
//! Region, credentials and endpoints are those of the environment.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use aws_config::BehaviorVersion;
use clap::{Parser, Subcommand};
use gatekit_aws::{Aws, ecr, ecs};
use gatekit_core::ledger::{Ledger, MemoryLedger};
use gatekit_core::{Candidate, Digest, Engine, Outcome, Pipeline, enforced};
use gatekit_http::Smoke;
use gatekit_store::SqliteLedger;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Debug, Parser)]
struct Cli {
    /// The ledger, in memory unless it is a file.
    #[arg(long)]
    ledger: Option<PathBuf>,

    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Deploys the service `web` of the cluster `demo` anew, follows that, and checks two URLs.
    Force {
        #[arg(long)]
        base_url: String,
    },
    /// Moves a tag of a repository to an image by its digest.
    MoveTag {
        #[arg(long)]
        repository: String,
        #[arg(long)]
        tag: String,
        #[arg(long)]
        digest: Digest,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aws-release: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    let ledger: Arc<dyn Ledger> = match &cli.ledger {
        Some(path) => Arc::new(SqliteLedger::builder(path).durable(true).build()?),
        None => Arc::new(MemoryLedger::new()),
    };
    let aws = Aws::new(&aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await);
    let pipeline = match cli.task {
        Task::Force { base_url } => {
            let service = ecs::Service::new(&aws, "demo", "web")?.force();
            let back = ecs::PreviousRevision::of(&service);
            let smoke = Smoke::urls(["health", "ready"].map(|it| format!("{base_url}/{it}")));
            Pipeline::to("production/web")
                .deploy(service)
                .rollback_with(back)
                .verify(enforced(smoke.build()?))
                .build()?
        }
        Task::MoveTag { repository, tag, digest } => Pipeline::to("production/tag")
            .deploy(ecr::MoveTag::new(&aws, repository, digest).to(tag)?)
            .rollback_with(ecr::RestoreTag::new(&aws))
            .build()?,
    };
    let report = Engine::new(ledger).ship(&pipeline, Candidate::new()).await;
    match report.outcome {
        Outcome::Released => Ok(()),
        outcome => Err(format!("{outcome:?}: {:?}", report.failure).into()),
    }
}
