//! The flags that every verb takes.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};
use gatekit_core::TargetName;

/// The heading of what every verb takes.
pub(crate) const EVERY_VERB: &str = "Options of every verb";

// What every verb is told: not `///`, which would be the program's own description.
#[derive(Debug, Clone, Args)]
#[group(skip)]
#[command(next_help_heading = EVERY_VERB)]
pub(crate) struct Common {
    /// What is released to; one lock, one queue and one journal each [default: the pipeline's]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) target: Option<TargetName>,

    /// How long to wait in the queue before the run parks
    #[arg(long, global = true, value_name = "TIME", default_value = "30m", value_parser = duration)]
    pub(crate) queue_timeout: Duration,

    /// How long the lock lasts without a renewal
    #[arg(long, global = true, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) lease: Duration,

    /// How long a rollout and its verification may take, and again its unwinding
    #[arg(long, global = true, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub(crate) deadline: Duration,

    /// Who acts, as the journal names it: a claim, not a proof [default: $USER]
    #[arg(
        long, global = true, value_name = "NAME", env = "GATEKIT_ACTOR", value_parser = not_empty
    )]
    pub(crate) actor: Option<String>,

    /// For people, or one JSON object per line
    #[arg(long, global = true, value_name = "FORMAT", default_value = "human")]
    pub(crate) output: Output,

    /// The ledger, as `sqlite:PATH` or `postgres://USER@HOST:PORT/DATABASE`, with the password in
    /// `PGPASSWORD` or in a file, `?password_file=FILE`; in GitHub Actions
    /// `sqlite:PATH?durable=true`, where the runner keeps the file between jobs [default: the
    /// program's]
    #[arg(long, global = true, value_name = "URL", env = "GATEKIT_LEDGER", hide_env_values = true)]
    pub(crate) ledger: Option<String>,
}

/// For whom it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Human,
    Json,
}

/// Whether a command line, understood or not, asks for JSON.
pub(crate) fn says_json(words: &[OsString]) -> bool {
    words.iter().any(|word| word == "--output=json")
        || words.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from(span).map_err(|_| "it must not be negative".to_owned())
}

pub(crate) fn not_empty(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("it must not be empty") } else { Ok(text.to_owned()) }
}

/// Long enough that no other is meant.
pub(crate) fn beginning_of_a_digest(text: &str) -> Result<String, &'static str> {
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let whole = (12..=64).contains(&text.len()) && digits;
    if whole { Ok(text.to_owned()) } else { Err("it must be 12 to 64 hexadecimal digits") }
}
