//! The arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gatekit_http::VersionFrom;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the program takes with every verb.
#[derive(Debug, Args)]
pub struct Place {
    /// Where releases, logs and the ledger lie
    #[arg(long, global = true, value_name = "DIR", default_value = ".local-release")]
    pub root: PathBuf,
}

/// What is released. Journalled: it holds no secrets.
#[derive(Debug, Args, Serialize, Deserialize)]
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
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
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

/// `stop` needs nothing.
#[derive(Debug, Args, Serialize, Deserialize)]
pub struct Stop {}

fn as_text<S: Serializer>(from: &VersionFrom, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(from)
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VersionFrom, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from(span).map_err(|_| "it must not be negative".to_owned())
}

fn not_empty(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("it must not be empty") } else { Ok(text.to_owned()) }
}
