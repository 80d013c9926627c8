//! Puts releases through gates: queue for the target, check, plan, deploy, wait for the truth,
//! verify, and roll back when the truth is bad.
//!
//! > gatekit never reports a success that did not happen, and never loses track of a target it has
//! > touched.
//!
//! This crate is the others under one name: the contracts, the pipeline and the engine of
//! `gatekit-core` at its root, and by feature
//!
//! | feature | module | what it has |
//! |---|---|---|
//! | `sqlite` (default) | [`store`] | the ledger of one machine |
//! | `http` (default) | [`http`] | the smoke gate |
//! | `local` (default) | [`local`] | release directories; programs as gates and deployers |
//! | `aws` | `aws` | services of Amazon ECS, tags of ECR, gates on scans and alarms; needs Rust 1.94.1 |
//! | `supabase` | `supabase` | migrations of PostgreSQL, beside the CLI of Supabase; edge functions, a gate on secrets |
//! | `cli` | `cli` | pipelines as a deploy binary |
//! | `github` | `github` | runs told in GitHub Actions |
//! | `blocking` | `blocking` | runs for callers without a runtime |
//!
//! The `guide` (with the features `blocking`, `local` and `sqlite`) tells how to write gates and deployers, and
//! what to do at two in the morning.
//!
//! # A first pipeline
//! ```
//! use gatekit::{Candidate, Engine, Pipeline, enforced};
//! use gatekit::local::{Command, PreviousRelease, Program, ReleaseDir};
//! use gatekit::store::SqliteLedger;
//!
//! # async fn example() -> gatekit::Result<()> {
//! let release = ReleaseDir::new("/srv/api", "./build", "./server --port 8080")?;
//! let back = PreviousRelease::of(&release);
//! let pipeline = Pipeline::to("production/api")
//!     .gate(enforced(Command::new("tests", Program::new("cargo").args(["test"]))?))
//!     .deploy(release)
//!     .rollback_with(back)
//!     .build()?;
//! let ledger = SqliteLedger::open("/var/lib/deploy/ledger.db")?;
//! let report = Engine::new(std::sync::Arc::new(ledger)).ship(&pipeline, Candidate::new()).await;
//! # let _ = report;
//! # Ok(())
//! # }
//! ```

pub use gatekit_core::*;

/// The SQLite ledger.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod store {
    pub use gatekit_store::*;
}

/// What a URL can answer: the smoke gate.
#[cfg(feature = "http")]
pub mod http {
    pub use gatekit_http::*;
}

/// What one machine alone can do: release directories, and programs as gates and deployers.
#[cfg(feature = "local")]
pub mod local {
    pub use gatekit_local::*;
}

/// Releases to AWS that are followed to their true end.
#[cfg(feature = "aws")]
pub mod aws {
    pub use gatekit_aws::*;
}

/// Releases to Supabase whose history tells the truth.
#[cfg(feature = "supabase")]
pub mod supabase {
    pub use gatekit_supabase::*;
}

/// Pipelines as a deploy binary.
#[cfg(feature = "cli")]
pub mod cli {
    pub use gatekit_cli::*;
}

/// Runs told in GitHub Actions.
#[cfg(feature = "github")]
pub mod github {
    pub use gatekit_github::*;
}

#[cfg(feature = "blocking")]
pub mod blocking;

#[cfg(all(feature = "blocking", feature = "local", feature = "sqlite"))]
pub mod guide;

/// The programs of the README are compiled.
#[cfg(all(doctest, feature = "blocking", feature = "cli", feature = "local", feature = "sqlite"))]
#[doc = include_str!("../../README.md")]
mod readme {}
