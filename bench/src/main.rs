//! The measuring programs of `cargo xtask bench`: each measures one thing and prints what it
//! saw, as `name value` lines. What they are compared with, and judged by, is `xtask`'s business.

mod append;
mod clock;
mod journal;
mod line;
mod nothing;
mod queue;
mod server;
mod ship;
mod smoke;
mod waiter;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Ships through gates and deploys that do nothing, beside as many bare commits.
    Ship {
        /// An empty directory to work in.
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        runs: usize,
    },
    /// Appends to a journal of one entry and to one of many.
    Append {
        /// An empty directory to work in.
        #[arg(long)]
        dir: PathBuf,
        #[arg(long, default_value_t = 100_000)]
        entries: u64,
        #[arg(long)]
        runs: usize,
    },
    /// Makes a ledger with a journal of that many entries, and a file of what is hashed in it.
    Journal {
        #[arg(long)]
        ledger: PathBuf,
        #[arg(long)]
        entries: u64,
        #[arg(long)]
        bytes: PathBuf,
    },
    /// Answers requests until its standard input ends.
    Serve,
    /// Asks URLs of that server with a smoke gate.
    Smoke {
        #[arg(long)]
        base: String,
        #[arg(long)]
        urls: usize,
    },
    /// Lets processes wait for one lock, measures what their waiting costs, then lets them through.
    Queue {
        /// What they wait with.
        #[arg(long)]
        with: queue::Lock,
        /// An empty directory to work in.
        #[arg(long)]
        dir: PathBuf,
        #[arg(long, default_value_t = 100)]
        waiters: usize,
        /// For how many seconds they merely wait.
        #[arg(long, default_value_t = 20)]
        idle: u64,
    },
    /// Acquires and releases a free target of a ledger on a server.
    Grants {
        #[arg(long)]
        url: String,
        #[arg(long)]
        runs: usize,
    },
    /// Lets many wait for the targets of a ledger on a server, then lets them through.
    Turns {
        #[arg(long)]
        url: String,
        #[arg(long)]
        targets: usize,
        #[arg(long)]
        waiters: usize,
        /// For how many milliseconds each holds it, half of that at least.
        #[arg(long)]
        hold: u64,
        /// How many releases there were before.
        #[arg(long)]
        finished: usize,
    },
    /// Appends to journals of a thousand entries and of many on a server.
    Appends {
        #[arg(long)]
        url: String,
        #[arg(long)]
        entries: u64,
        #[arg(long)]
        runs: usize,
    },
    /// One of those processes: ships something through a queue of gatekit.
    #[command(hide = true)]
    Waiter {
        #[arg(long)]
        ledger: PathBuf,
    },
    /// One of those processes: tries to make a directory, and sleeps between its tries.
    #[command(hide = true)]
    Poller {
        #[arg(long)]
        lock: PathBuf,
        #[arg(long)]
        pause: u64,
    },
    /// Holds for a moment what whoever started it has locked.
    #[command(hide = true)]
    Holder,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatekit-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match task {
        Task::Ship { dir, runs } => ship::measure(&runtime, &dir, runs),
        Task::Append { dir, entries, runs } => append::measure(&runtime, &dir, entries, runs),
        Task::Journal { ledger, entries, bytes } => {
            journal::make(&runtime, &ledger, entries)?;
            journal::bytes(&ledger, &bytes)
        }
        Task::Serve => runtime.block_on(smoke::serve()),
        Task::Smoke { base, urls } => runtime.block_on(smoke::ask(&base, urls)),
        Task::Queue { with, dir, waiters, idle } => {
            queue::measure(&runtime, with, &dir, waiters, Duration::from_secs(idle))
        }
        Task::Grants { url, runs } => runtime.block_on(server::grants(&url, runs)),
        Task::Turns { url, targets, waiters, hold, finished } => {
            let hold = Duration::from_millis(hold);
            let crowd = server::Crowd { targets, waiters, hold, finished };
            runtime.block_on(server::turns(&url, crowd))
        }
        Task::Appends { url, entries, runs } => {
            runtime.block_on(server::appends(&url, entries, runs))
        }
        Task::Waiter { ledger } => runtime.block_on(waiter::wait(&ledger)),
        Task::Poller { lock, pause } => waiter::poll(&lock, Duration::from_secs(pause)),
        Task::Holder => waiter::hold(),
    }
}
