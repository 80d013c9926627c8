//! An emulated AWS account to try a release tool with.

use std::io::{self, Write as _};

use clap::Parser;
use gatekit_emulators::{Aws, Clock, Ecr, Injection, Scenario};

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

    /// What goes wrong with the next calls, as `throttled:3:DescribeServices`.
    #[arg(long, value_name = "TROUBLE[:TIMES[:OPERATION]]")]
    fault: Vec<Injection>,

    /// An OCI registry that allows deletion: ECR is emulated in front of it.
    #[arg(long, value_name = "URL", requires = "repository")]
    registry: Option<String>,

    /// The repositories of that ECR, with tags that may move.
    #[arg(long, value_name = "NAME", requires = "registry")]
    repository: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  aws-emulator --scenario breaker-rollback
  AWS_ENDPOINT_URL=http://127.0.0.1:4566 aws ecs wait services-stable --cluster demo --services web";

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let cli = Cli::parse();
    let mut aws = Aws::new(cli.scenario, Clock::at_speed(cli.speed));
    if let Some(registry) = cli.registry {
        let ecr = Ecr::new(&registry)?;
        cli.repository.iter().for_each(|name| ecr.create(name, "MUTABLE", &[]));
        aws = aws.with_ecr(ecr);
    }
    cli.fault.into_iter().for_each(|fault| aws.inject(fault));
    let listening = aws.listen(cli.port).await?;
    writeln!(io::stdout(), "{} {}", listening.url(), cli.scenario)?;
    tokio::signal::ctrl_c().await
}
