//! What a user would build to push migrations and to list them: measured as a whole process.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use gatekit_core::ledger::{Ledger, MemoryLedger};
use gatekit_core::{Candidate, Engine, Outcome, Pipeline};
use gatekit_store::SqliteLedger;
use gatekit_supabase::Database;
use gatekit_supabase::migrations::{Detail, FolderReader, Push, list};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Debug, Parser)]
struct Cli {
    #[arg(long, global = true, default_value = "")]
    url: String,

    #[arg(long, global = true, default_value = "supabase/migrations")]
    folder: PathBuf,

    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Applies what is pending, and prints how that ended.
    Push {
        /// The ledger, in memory unless it is a file.
        #[arg(long)]
        ledger: Option<PathBuf>,
    },
    /// Lists what is in the folder beside what is applied.
    List,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("supabase-migrations: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    let database = Database::at(&cli.url)?;
    match cli.task {
        Task::Push { ledger } => {
            let ledger: Arc<dyn Ledger> = match ledger {
                Some(path) => Arc::new(SqliteLedger::builder(path).durable(true).build()?),
                None => Arc::new(MemoryLedger::new()),
            };
            let pipeline = Pipeline::to("bench/db")
                .deploy(Push::new(database, cli.folder)?)
                .irreversible("a migration is mended by the next one")
                .build()?;
            let report = Engine::new(ledger).ship(&pipeline, Candidate::new()).await;
            println!("{:?}", report.outcome);
            match report.outcome {
                Outcome::Released | Outcome::Unchanged => Ok(()),
                _ => Err(format!("{:?}", report.failure).into()),
            }
        }
        Task::List => {
            let folder = FolderReader::of(cli.folder);
            let listed = list(&database, &folder, Detail::Versions, Duration::from_secs(60));
            println!("{}", listed.await?);
            Ok(())
        }
    }
}
