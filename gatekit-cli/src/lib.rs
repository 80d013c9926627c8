//! Turns pipelines into a deploy binary: `plan`, `ship`, `status`, `log`, `rollback`, `resume`,
//! `reconcile`, `approve`, `reject`, `waive` and `verify`, and `ledger copy` for all pipelines at once,
//! with help, completions, progress for people and JSON for programs.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use gatekit_cli::{App, Env};
//! use gatekit_core::{Pipeline, enforced};
//! use gatekit_http::Smoke;
//! use gatekit_local::{PreviousRelease, ReleaseDir};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(clap::Args, Serialize, Deserialize)]
//! struct Release {
//!     /// The directory to release
//!     #[arg(long)]
//!     app: std::path::PathBuf,
//! }
//!
//! fn main() -> ExitCode {
//!     App::new("deploy")
//!         .pipeline("production/api", async |release: Release, env: Env| {
//!             let dir = ReleaseDir::new("/srv/api", &release.app, "./server")?;
//!             let back = PreviousRelease::of(&dir);
//!             let smoke = Smoke::urls(["http://127.0.0.1:8080/ready"]).build()?;
//!             let target = env.target().as_str();
//!             Pipeline::to(target).deploy(dir).rollback_with(back).verify(enforced(smoke)).build()
//!         })
//!         .run()
//! }
//! ```
//!
//! # Output and exit codes
//! People read the end of a run on standard output and its progress on standard error; a terminal is
//! shown what the run and each of its stages wait for, and for how long. `--output json` prints one
//! object a line, on standard output:
//!
//! | verb | what it prints |
//! |---|---|
//! | what ships, `rollback`, `resume`, `reconcile` | the events of the run, `{"v":1,"event":..}`, and last what it came to, with `outcome`, `code`, `exit`, `next`, `message` and `causes` |
//! | `plan`, `approve`, `reject`, `waive` | one object, with `outcome` and `exit` |
//! | `ledger copy` | one object, with `outcome` `copied`, whether it was `already`, the `targets` and `exit` |
//! | `verify` | one object, with `verified` and `exit` |
//! | `status` | one object, with neither: it is 0 when it can be told |
//! | `log` | an object for each entry and none after them; with `--verify` one with `verified` and `exit`, with `--head` one with `head` |
//!
//! An error that no run came to, of whichever verb, is one object of the shape that a run ends with.
//!
//! The exit codes are those of [`Outcome::exit_code`](gatekit_core::Outcome::exit_code), and 2 for a
//! call that cannot be understood. A verb that only prints exits with 5 when that cannot be written
//! (`output.write`), unless it would have been another than 0; a release keeps its exit code and warns
//! on standard error. A reader that goes away is no error.

#![expect(clippy::future_not_send, reason = "a program's own futures stay on its one thread")]

pub mod code;

mod app;
mod call;
mod caught;
mod command;
mod common;
mod env;
mod help;
#[cfg(feature = "postgres")]
mod ledger;
mod log;
mod look;
mod out;
mod output;
mod people;
mod place;
mod progress;
mod recipe;
mod shipment;
mod signals;
mod terminal;
mod verbs;

pub use app::App;
pub use env::Env;
pub use shipment::Shipment;
