//! The measuring programs of `cargo xtask bench aws`: each measures one thing and prints what it saw,
//! as `name value` lines. What they are judged by is `xtask`'s business.
//!
//! The service is emulated, with scripted timelines: what a real account would add is told nowhere
//! here. `aws-release` is what is measured as a whole process.

mod calls;
mod counted;
mod failing;
mod fleet;
mod lag;
mod line;
mod relay;
mod tag;
mod tool;
mod truth;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use gatekit_peers::{Action, AwsTools};

use crate::tool::Tool;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Debug, Parser)]
struct Cli {
    /// The folder in which peers are found or installed.
    #[arg(long)]
    peers: PathBuf,

    /// An empty directory to work in.
    #[arg(long)]
    dir: PathBuf,

    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// What each tool says of each ending.
    Truth {
        /// For how many seconds a peer is waited for.
        #[arg(long)]
        patience: u64,
    },
    /// How long after the end of a rollout its verdict comes.
    Lag {
        /// How many rollouts whose time passes by itself, and how many that are waited for.
        #[arg(long)]
        rollouts: usize,
        #[arg(long)]
        real: usize,
    },
    /// How soon a rollout that fails is given up.
    Failing {
        #[arg(long)]
        rollouts: usize,
        /// Waits for the command line, too, which takes ten minutes.
        #[arg(long)]
        long: bool,
    },
    /// Moves the tag of an image of 200 MiB.
    Tag {
        /// `aws-release`.
        #[arg(long)]
        program: PathBuf,
        #[arg(long)]
        runs: usize,
    },
    /// How often AWS is asked in a rollout of five minutes, and in many at once.
    Calls {
        #[arg(long)]
        rollouts: usize,
        #[arg(long)]
        services: usize,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatekit-bench-aws: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { peers, dir, task }: Cli) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cli = || AwsTools::find(&peers).map(|tools| tools.cli());
    match task {
        Task::Truth { patience } => {
            let mut tools = vec![Tool::Gatekit, Tool::Cli(cli()?)];
            match Action::find(&peers) {
                Ok(action) => tools.push(Tool::Action(action.root().to_owned())),
                // Only GitHub has it.
                Err(error) => eprintln!("the action cannot be had, and is left out: {error}"),
            }
            let patience = Duration::from_secs(patience);
            runtime.block_on(truth::measure(&tools, patience, &dir))
        }
        Task::Lag { rollouts, real } => {
            lag::in_virtual_time(rollouts)?;
            runtime.block_on(lag::in_real_time(&cli()?, real))
        }
        Task::Failing { rollouts, long } => {
            failing::in_virtual_time(rollouts)?;
            if long { runtime.block_on(failing::by_command_line(&cli()?)) } else { Ok(()) }
        }
        Task::Tag { program, runs } => runtime.block_on(tag::measure(&peers, &program, &dir, runs)),
        Task::Calls { rollouts, services } => calls::in_virtual_time(rollouts, services),
    }
}
