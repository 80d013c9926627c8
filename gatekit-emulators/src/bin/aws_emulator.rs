//! An emulated AWS account to try a release tool with.

use std::io::{self, Write as _};

use clap::Parser;
use gatekit_emulators::{Aws, Clock, Ecr, Injection, ScanReport, Scenario};
use serde_json::json;

/// Serves an emulated AWS account on the loopback, for any tool that knows `AWS_ENDPOINT_URL`.
///
/// It has the cluster `demo` with the service `web`, whose next deployment goes as the scenario says.
#[derive(Debug, Parser)]
#[command(name = "aws-emulator", after_help = EXAMPLES)]
struct Cli {
    /// How the next deployment goes.
    #[arg(long, value_name = "NAME", default_value = "ok")]
    scenario: Scenario,

    /// The port; 0 for a free one.
    #[arg(long, default_value_t = 4566)]
    port: u16,

    /// How many times as fast as the wall's the service's time passes.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,

    /// A registry of images that allows deletion, as http://127.0.0.1:5000. An ECR before it has the
    /// repository `web` with the images `v1`, which is `production-latest` too, and `v2`.
    #[arg(long, value_name = "URL")]
    registry: Option<String>,

    /// What goes wrong with the next calls, as `throttled:3:DescribeServices`.
    #[arg(long, value_name = "TROUBLE[:TIMES[:OPERATION]]")]
    fault: Vec<Injection>,
}

const EXAMPLES: &str = "\
Examples:
  aws-emulator --scenario breaker-rollback
  AWS_ENDPOINT_URL=http://127.0.0.1:4566 aws ecs wait services-stable --cluster demo --services web";

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let cli = Cli::parse();
    let mut aws = Aws::new(cli.scenario, Clock::at_speed(cli.speed));
    if let Some(registry) = &cli.registry {
        aws = aws.with_ecr(images(registry).await?);
    }
    cli.fault.into_iter().for_each(|fault| aws.inject(fault));
    let listening = aws.listen(cli.port).await?;
    writeln!(io::stdout(), "{} {}", listening.url(), cli.scenario)?;
    tokio::signal::ctrl_c().await
}

/// An ECR with images to release, in which a scan has found nothing.
async fn images(registry: &str) -> io::Result<Ecr> {
    const REPOSITORY: &str = "web";
    let ecr = Ecr::new(registry)?;
    ecr.create(REPOSITORY, "MUTABLE", &[]);
    for (version, tags) in [("1", &["v1", "production-latest"][..]), ("2", &["v2"])] {
        let labels = json!({ "Labels": { "version": version } });
        let config =
            json!({ "os": "linux", "architecture": "amd64", "config": labels }).to_string();
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind, "layers": [],
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
                        "digest": ecr.push_blob(REPOSITORY, config.as_bytes()).await?,
                        "size": config.len() },
        });
        let digest = ecr.push_manifest(REPOSITORY, kind, &manifest.to_string()).await?;
        tags.iter().for_each(|tag| ecr.set_tag(REPOSITORY, tag, &digest));
        ecr.set_scan(REPOSITORY, &digest, vec![ScanReport::basic(&[])]);
    }
    Ok(ecr)
}
