//! The command line.

#![expect(missing_docs, reason = "what is documented here is printed by `--help`")]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use gatekit_core::TargetName;
use gatekit_core::ledger::{Decision, Head};
use gatekit_http::VersionFrom;

/// Releases a directory and its process on this machine: queued, verified, rolled back when the
/// truth is bad, and resumable when the holder is killed.
///
/// Without a command it shows what that means: in a fresh temporary root it ships four versions of a
/// small web service, two of them bad.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub common: Common,
}

const EXAMPLES: &str = "\
Examples:
  local-release
      the demonstration, in a temporary root
  local-release ship --app ./build --start './server --port 8080' \\
      --check http://127.0.0.1:8080/ready --expect-version 1.4.0 --version-from header:X-Version
      release a directory, and believe it only when it answers
  local-release status --output json
      what is live, who holds the target, who waits
  local-release rollback --reason 'checkout is broken'
      back to the release before
  local-release resume
      go on where a killed or interrupted run stopped
  local-release log --verify
      check the hash chain of the journal

Exit codes:
  0 released or unchanged   1 refused or superseded, nothing touched   2 usage or configuration
  3 rolled back, the old release is confirmed live   4 stuck, a person must act
  5 failed before anything was touched   75 waiting, resume later   130 interrupted";

#[derive(Debug, Args)]
pub struct Common {
    /// Where releases, logs and the ledger lie
    #[arg(long, global = true, value_name = "DIR", default_value = ".local-release")]
    pub root: PathBuf,

    /// What is released to; one lock, one queue and one journal each
    #[arg(long, global = true, value_name = "NAME", default_value = "local/app")]
    pub target: TargetName,

    /// How long to wait in the queue before the run parks
    #[arg(long, global = true, value_name = "TIME", default_value = "30m", value_parser = duration)]
    pub queue_timeout: Duration,

    /// How long the lock lasts without a renewal
    #[arg(long, global = true, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub lease: Duration,

    /// How long a rollout and its verification may take, and again its unwinding
    #[arg(long, global = true, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub deadline: Duration,

    /// Who acts, as the journal names it: a claim, not a proof [default: $USER]
    #[arg(long, global = true, value_name = "NAME")]
    pub actor: Option<String>,

    /// For people, or one JSON object per line
    #[arg(long, global = true, value_name = "FORMAT", default_value = "human")]
    pub output: Output,

    /// The ledger, as `sqlite:PATH` [default: ledger.db in the root]
    #[arg(long, global = true, value_name = "URL", env = "GATEKIT_LEDGER", hide_env_values = true)]
    pub ledger: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Human,
    Json,
}

impl Output {
    /// Whether a program reads it.
    #[must_use]
    pub fn is_json(self) -> bool {
        self == Self::Json
    }
}

/// Whether a command line, understood or not, asks for JSON.
#[must_use]
pub fn says_json(words: &[OsString]) -> bool {
    words.iter().any(|word| word == "--output=json")
        || words.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Release a directory and its process
    Ship(Ship),
    /// Show what is live, who holds the target and who waits
    Status,
    /// Print the journal, one entry a line
    Log(Log),
    /// Return to an earlier release
    Rollback {
        /// The release to return to: its id, its version, or its run [default: the one before]
        #[arg(long, value_name = "RELEASE")]
        to: Option<String>,
        /// Why, for the journal
        #[arg(long, value_name = "TEXT", value_parser = not_empty)]
        reason: String,
    },
    /// Go on with a run that was killed, interrupted or parked
    Resume,
    /// Settle a suspect target; without a decision, tell what is found
    Reconcile(Reconcile),
    /// Stop the service, through lock and journal like every other change
    Stop,
    /// Serve the demo's web service
    #[command(hide = true)]
    DemoService {
        #[arg(long)]
        port: u16,
    },
}

#[derive(Debug, Args)]
pub struct Ship {
    /// The directory to release
    #[arg(long, value_name = "DIR")]
    pub app: PathBuf,

    /// The shell line that starts it, run in the release's directory; it must stay in the foreground
    #[arg(long, value_name = "CMD", value_parser = not_empty)]
    pub start: String,

    /// A URL that must answer 2xx; may be given several times
    #[arg(long = "check", value_name = "URL", required = true)]
    pub checks: Vec<String>,

    /// The version that the checks must show
    #[arg(long, value_name = "V")]
    pub expect_version: Option<String>,

    /// Where they show it: `body` (contains it), `header:NAME` or `json:POINTER` (equals it)
    #[arg(long, value_name = "WHERE", default_value = "body")]
    pub version_from: VersionFrom,

    /// Accept answers from a proxy in front of the service; without it, only the service's own
    /// process may answer
    #[arg(long)]
    pub behind_proxy: bool,

    /// How often a failed round of checks is repeated
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub check_retries: u32,

    /// How long to wait between two rounds of checks
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration)]
    pub check_delay: Duration,

    /// How long the service may take to stop before it is killed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub grace: Duration,
}

#[derive(Debug, Args)]
pub struct Log {
    /// Check the hash chain, and print nothing but the result
    #[arg(long)]
    pub verify: bool,

    /// Print only the end of the chain, `SEQ:HASH`, to be kept elsewhere
    #[arg(long, conflicts_with = "verify")]
    pub head: bool,

    /// With --verify: the chain must still contain this exported end
    #[arg(long, value_name = "SEQ:HASH", requires = "verify")]
    pub against: Option<Head>,
}

#[derive(Debug, Args)]
pub struct Reconcile {
    /// The new release stays: it must be live and pass verification
    #[arg(long, group = "decision", requires = "reason")]
    pub adopt: bool,
    /// The old release is live
    #[arg(long, group = "decision", requires = "reason")]
    pub confirm_old: bool,
    /// Undo what the run began
    #[arg(long, group = "decision", requires = "reason")]
    pub roll_back: bool,
    /// Free the target whatever is live, and answer for it
    #[arg(long = "override", group = "decision", requires = "reason")]
    pub overrule: bool,
    /// Why, for the journal; a decision needs one
    #[arg(long, value_name = "TEXT", value_parser = not_empty)]
    pub reason: Option<String>,
}

impl Reconcile {
    pub fn decision(&self) -> Option<Decision> {
        [
            (self.adopt, Decision::Adopt),
            (self.confirm_old, Decision::ConfirmOld),
            (self.roll_back, Decision::RollBack),
            (self.overrule, Decision::Override),
        ]
        .into_iter()
        .find_map(|(given, decision)| given.then_some(decision))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from(span).map_err(|_| "it must not be negative".to_owned())
}

fn not_empty(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("it must not be empty") } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
