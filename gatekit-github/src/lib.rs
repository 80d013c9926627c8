//! gatekit in GitHub Actions: what a run does is told in the log with groups and annotations, in the
//! step's summary, and in its outputs.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use gatekit_core::{Candidate, Engine, Pipeline, Result, ledger::Ledger};
//! # async fn example(ledger: Arc<dyn Ledger>, pipeline: Pipeline, token: secrecy::SecretString) -> Result<u8> {
//! use gatekit_github::Actions;
//!
//! let actions = Actions::from_env();
//! actions.mask(&token);
//! let engine = Engine::new(ledger).reporter(actions.reporter());
//! let report = engine.ship(&pipeline, Candidate::new()).await;
//! actions.finish(&report)?;
//! # Ok(report.outcome.exit_code())
//! # }
//! ```
//!
//! Commands go to the standard error: the runner reads both streams, and a script that captures the
//! standard output (`out=$(deploy ship --output json)`) swallows no annotation and no mask.
//!
//! Follows <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.

pub mod code;

mod actions;
mod command;
mod file;
mod summary;

pub use actions::{Actions, ActionsReporter};
