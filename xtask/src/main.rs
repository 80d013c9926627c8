//! The commands of gatekit's own workshop: `cargo xtask --help` lists them.

mod bench;
mod chaos;
mod explore;
mod failure;
mod fuzz;
mod invariants;
mod lint;
mod lone_test;
mod measure;
mod mutants;
mod oracle;
mod peers;
mod servers;
mod step;
mod test;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::failure::Failure;

/// The workshop of gatekit.
///
/// Every command prints what it runs and ends with the exit code of the first command that fails.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask lint                            what CI demands of every line
  cargo xtask test                            all tests, then the doc tests
  cargo xtask test -- -p gatekit-core verdict the tests of one crate whose names contain `verdict`
  cargo xtask invariants                      every kept patch is noticed by its test
  cargo xtask bench                           the figures, beside what a user would run instead
  cargo xtask bench core                      those of the engine, the ledger and the queue
  cargo xtask bench ledger                    those of the ledger on a PostgreSQL server
  cargo xtask bench aws                       those of releases to AWS, beside its command line
  cargo xtask bench supabase                  those of migrations, beside Supabase's command line
  cargo xtask chaos                           200 kills of a real ship, each settled and checked
  cargo xtask explore                         every pair of faults of the explored pipelines
  cargo xtask oracle supabase                 300 folders through Supabase's command line, too
  cargo xtask fuzz                            each fuzz target for a minute";

#[derive(Debug, Subcommand)]
enum Task {
    /// Checks formatting, clippy on all targets and the documentation, with warnings denied.
    #[command(after_help = "\
Examples:
  cargo xtask lint
  cargo fmt --all && cargo xtask lint         format first")]
    Lint,

    /// Runs all tests, with cargo-nextest when it is installed, then the doc tests.
    ///
    /// The environment reaches the tests unchanged. A missing program that tests need is an error,
    /// never a skipped test. With `CI` set, nextest runs its `ci` profile.
    #[command(after_help = "\
Examples:
  cargo xtask test
  cargo xtask test -- -p gatekit-core
  cargo xtask test --no-doc -- verdict        tests whose names contain `verdict`
  cargo xtask test -- verdict -- --nocapture  without cargo-nextest: arguments of the test program")]
    Test {
        /// Leaves the doc tests out.
        #[arg(long)]
        no_doc: bool,

        /// Arguments for the test runner; the doc tests do not get them.
        #[arg(last = true, value_name = "RUNNER_ARGS")]
        runner_args: Vec<OsString>,
    },

    /// Measures whole programs and prints each figure beside its target and what a user would run
    /// instead.
    ///
    /// `status`: ships a small service with `local-release` into a root of its own under the target
    /// directory, measures `local-release status` there, and stops the service.
    ///
    /// `core`: runs, journals, queues and checks; see the rows. Takes five minutes, most of it for
    /// the peer that polls. Needs `flock`, `sha256sum` and `curl`.
    ///
    /// `ledger`: grants, turns and appends on a PostgreSQL server that it starts, beside pgbench.
    /// `append` fills a journal with ten million entries first.
    ///
    /// `aws`: releases to an emulated account, beside AWS's command line, the waiter of its SDK, the
    /// official action for GitHub's workflows (where it can be cloned and Node is there) and skopeo.
    /// Takes eight minutes, most of it for peers that poll. Needs `curl`.
    ///
    /// `supabase`: migrations on a PostgreSQL server that it starts and that speaks TLS, beside both command
    /// lines of Supabase and psql. Needs npm and `openssl`.
    #[command(after_help = "\
Examples:
  cargo xtask bench
  cargo xtask bench --runs 100
  cargo xtask bench core --check              exit 1 when a figure misses its target
  cargo xtask bench core queue verify         two rows of it")]
    Bench {
        /// What is measured.
        #[arg(value_enum, default_value_t = Bench::Status)]
        what: Bench,

        /// Chooses rows of `core` (ship, append, queue, verify, smoke), `ledger` (grant, turns, append),
        /// `aws` (truth, lag, failing, process, tag, calls) or `supabase` (nothing, many, list, together)
        /// [default: all]
        rows: Vec<String>,

        /// How often each program is run, after one run that does not count.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
        runs: u16,

        /// Ends with exit code 1 when a figure misses its target.
        #[arg(long)]
        check: bool,

        /// Waits for peers that take more than two minutes, for `aws`: up to half an hour.
        #[arg(long)]
        long: bool,
    },

    /// Breaks every invariant on purpose, and shows that its test fails.
    ///
    /// Applies each patch of `xtask/invariants` in turn to a copy of the sources under the target
    /// directory, and runs the test that the register names: it must pass without the patch and
    /// fail with it.
    #[command(after_help = "\
Examples:
  cargo xtask invariants
  cargo xtask invariants lease                the patches whose names contain `lease`")]
    Invariants {
        /// Chooses the patches whose names contain it.
        patch: Option<String>,
    },

    /// Mutates the engine and the ledgers, and shows which mutants no test notices.
    ///
    /// Tests one share of at least 200 mutants with cargo-mutants, which is installed under the target
    /// directory when it is missing. Survivors are listed with the reason why they may live in
    /// `xtask/mutants/README.md`; ends with exit code 1 when there are too many or unlisted ones. Takes an
    /// hour or so.
    #[command(after_help = "\
Examples:
  cargo xtask mutants
  cargo xtask mutants --seed 1                the next share: consecutive seeds cover all mutants")]
    Mutants {
        /// Chooses the share.
        #[arg(long, default_value_t = 0)]
        seed: usize,

        /// How many mutants are built and tested at once.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
        jobs: u8,
    },

    /// Kills what works with a ledger at random moments, and checks what is left.
    ///
    /// `releases`: the real `local-release`. SIGKILL in ship, rollback, resume and reconcile, at least
    /// half of them after `applying`, and SIGSTOP beyond the lease. After each exactly one of the two
    /// releases serves, alone, it is the reported one, the log verifies and the target is free. Ends
    /// with a histogram of the last entries at the kills. A failure prints its seed and round, and keeps
    /// the root.
    ///
    /// `workers`: forty processes that claim, change and free targets on a PostgreSQL server: directly,
    /// through PgBouncer and through a proxy. They die before and while they change something, the
    /// server is restarted, the pooler killed, connections are cut, answers lost. Fences are unique
    /// and increase, tickets are granted in their order, one at most changes a target, whoever dies
    /// meanwhile leaves it suspect, no acknowledged entry is lost, every chain verifies.
    ///
    /// `migrations`: the real `supabase-release`, which pushes to a PostgreSQL server, directly and through
    /// PgBouncer. SIGKILL and SIGTERM, connections that are cut, restarts of the server, in turn. What each call
    /// said is true; no file is applied in part or twice; whoever goes on as the program says ends with
    /// everything applied; nothing stays unknown. Ends with what the calls came to.
    #[command(after_help = "\
Examples:
  cargo xtask chaos
  cargo xtask chaos releases --kills 20 --seed 7
  cargo xtask chaos releases --ledger pooler  with the ledger on PostgreSQL, behind PgBouncer
  cargo xtask chaos workers --minutes 5
  cargo xtask chaos migrations --kills 40")]
    Chaos {
        /// What is killed.
        #[arg(value_enum, default_value_t = Chaos::Releases)]
        what: Chaos,

        /// Where the ledger of `releases` is.
        #[arg(long, value_enum, default_value_t = chaos::Ledger::Sqlite)]
        ledger: chaos::Ledger,

        /// How many SIGKILLs, for `releases`; how many blows of all kinds, for `migrations`.
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
        kills: u16,

        /// How long it lasts, for `workers`.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
        minutes: u16,

        /// Decides the moments, as far as the machine lets it [default: another one each time]
        #[arg(long)]
        seed: Option<u64>,
    },

    /// Walks every single fault and every ordered pair of faults of the explored pipelines, and checks
    /// what must never happen on each path.
    ///
    /// Prints, scene by scene, the sites at which something can go wrong (O appends that need no lock, H
    /// under the lock, P of permits, L other changes of the ledger, R looks into it, C calls that read, W
    /// calls that write, each times the kinds of faults there), what that predicts, and how many paths
    /// were walked.
    /// A path that fails is printed as a script, which `--replay` walks alone.
    #[command(after_help = "\
Examples:
  cargo xtask explore                         everything: a million paths, half an hour
  cargo xtask explore --singles               a minute, most of which builds
  cargo xtask explore 'one deploy'            the scenes whose names contain this
  cargo xtask explore --ledger pooler --singles
  cargo xtask explore 'one deploy' --replay 'stop-before(append 5 applied) then fail(state, 1st call)'")]
    Explore {
        /// Chooses the scenes whose names contain it.
        name: Option<String>,

        /// Over which ledger: on a server it takes a hundred times as long.
        #[arg(long, value_enum, default_value_t = explore::Ledger::Memory)]
        ledger: explore::Ledger,

        /// Leaves the pairs out.
        #[arg(long)]
        singles: bool,

        /// Walks that path alone, and tells its story; over the ledger in memory.
        #[arg(long, value_name = "SCRIPT", conflicts_with_all = ["singles", "ledger"])]
        replay: Option<String>,
    },

    /// Lets gatekit and what it has to agree with do the same, and compares what they leave.
    ///
    /// `supabase`: folders of migrations at random, pushed by both command lines of Supabase and by gatekit,
    /// each into a database of its own. Schema, data and history have to be the same, and so has what is said,
    /// but for the differences that are listed in `gatekit-supabase/tests/it/oracle/differences.rs`. A folder
    /// that fails is kept, and told with its seed. Takes ten minutes. Needs npm.
    #[command(after_help = "\
Examples:
  cargo xtask oracle supabase
  cargo xtask oracle supabase --folders 1 --seed 17")]
    Oracle {
        /// What gatekit is compared with.
        #[arg(value_enum)]
        what: oracle::Oracle,

        /// How many folders.
        #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u16).range(1..))]
        folders: u16,

        /// The seed of the first; the others have those after it [default: another one each time]
        #[arg(long)]
        seed: Option<u32>,
    },

    /// Runs the fuzz targets one after the other, each for a while.
    ///
    /// Needs a nightly toolchain and cargo-fuzz. What was found lies under `fuzz/artifacts`; the
    /// inputs that are worth keeping for the next time lie under `fuzz/corpus`.
    #[command(after_help = "\
Examples:
  cargo xtask fuzz
  cargo xtask fuzz --seconds 600 journal_entry")]
    Fuzz {
        /// How long each target runs.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,

        /// The only target to run.
        target: Option<String>,
    },

    /// Runs one program and prints its wall time and peak memory; for `bench`.
    #[command(hide = true)]
    BenchOne {
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// What is live, as `local-release` tells it.
    Status,
    /// Runs, journals, queues and checks.
    Core,
    /// The ledger on a PostgreSQL server.
    Ledger,
    /// Releases to AWS.
    Aws,
    /// Migrations.
    Supabase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Chaos {
    /// Calls of `local-release`.
    Releases,
    /// Processes that share a ledger on a PostgreSQL server.
    Workers,
    /// Pushes of `supabase-release`.
    Migrations,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Lint => lint::run(),
        Task::Test { no_doc, runner_args } => test::run(&runner_args, !no_doc),
        Task::Bench { what: Bench::Core, rows, runs, check, .. } => {
            bench::core(&rows, usize::from(runs), check)
        }
        Task::Bench { what: Bench::Ledger, rows, runs, check, .. } => {
            bench::ledger(&rows, usize::from(runs), check)
        }
        Task::Bench { what: Bench::Aws, rows, runs, check, long } => {
            bench::aws(&rows, usize::from(runs), long, check)
        }
        Task::Bench { what: Bench::Supabase, rows, runs, check, .. } => {
            bench::supabase(&rows, usize::from(runs), check)
        }
        Task::Bench { what: Bench::Status, rows, runs, check, .. } => match rows.as_slice() {
            [] => bench::status(usize::from(runs), check),
            _ => Err(Failure { message: "`status` has no rows".to_owned(), code: 2 }),
        },
        Task::Invariants { patch } => invariants::run(patch.as_deref()),
        Task::Mutants { seed, jobs } => mutants::run(seed, jobs),
        Task::Chaos { what: Chaos::Releases, ledger, kills, seed, .. } => {
            chaos::releases(ledger, kills, seed)
        }
        Task::Chaos { what: Chaos::Workers, minutes, seed, .. } => chaos::workers(minutes, seed),
        Task::Chaos { what: Chaos::Migrations, kills, seed, .. } => chaos::migrations(kills, seed),
        Task::Explore { name, ledger, singles, replay } => {
            explore::run(ledger, name.as_deref(), singles, replay.as_deref())
        }
        Task::Oracle { what, folders, seed } => oracle::run(what, folders, seed),
        Task::Fuzz { seconds, target } => fuzz::run(seconds, target),
        Task::BenchOne { command } => measure::measure_here(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { message, code }) => {
            eprintln!("xtask: {message}");
            ExitCode::from(code)
        }
    }
}
