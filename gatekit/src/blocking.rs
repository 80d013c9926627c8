//! Runs for callers without a runtime: build scripts, `xtask`s, plain `main`s.
//!
//! ```
//! use std::sync::Arc;
//!
//! use gatekit::blocking::Engine;
//! use gatekit::ledger::MemoryLedger;
//!
//! let engine = Engine::new(gatekit::Engine::new(Arc::new(MemoryLedger::new())))?;
//! let target = gatekit::TargetName::new("production/api")?;
//! assert_eq!(engine.status(&target)?.queue.len(), 0);
//! # Ok::<(), gatekit::Error>(())
//! ```

use std::env;

use gatekit_core::ledger::{Decision, TargetState};
use gatekit_core::{
    Candidate, Effect, Error, NextAction, Pending, Pipeline, Preview, Result, RunId, RunReport,
    TargetName, Verified,
};
use tokio::runtime::{Builder, Handle, Runtime};

use code::USAGE_BLOCKING;

/// The code of calls that are made where they must not be.
pub mod code {
    gatekit_core::codes! {
        /// A blocking call was made where it must not be: on a runtime's thread, or a ship in a build
        /// script.
        USAGE_BLOCKING = "usage.blocking",
            next: "await `gatekit::Engine` on a runtime; ship from a program, not from a build";
    }
}

/// An engine whose calls block the caller until they are done.
///
/// It has a runtime of its own with one thread, the caller's: a run goes on only while a call is made,
/// except for its lease, which a thread of its own renews. MUST NOT be used, nor dropped, within
/// another runtime; the calls err there with `usage.blocking`.
#[derive(Debug)]
#[must_use = "call `.ship(..)`"]
pub struct Engine {
    engine: gatekit_core::Engine,
    runtime: Runtime,
}

impl Engine {
    /// The same engine, for callers without a runtime.
    ///
    /// # Errors
    /// `usage.blocking` within a runtime, or when none can be made.
    pub fn new(engine: gatekit_core::Engine) -> Result<Self> {
        outside_a_runtime()?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|source| {
            let error = Error::new(USAGE_BLOCKING, "no runtime can be made");
            error.with_effect(Effect::None).with_source(source)
        })?;
        Ok(Self { engine, runtime })
    }

    /// What a ship would do: see [`Engine::preview`](gatekit_core::Engine::preview). Writes nothing,
    /// so a build script may ask.
    ///
    /// # Errors
    /// Those of the engine; `usage.blocking`.
    pub fn preview(
        &self,
        pipeline: &Pipeline,
        candidate: Candidate,
        gates: bool,
    ) -> Result<Preview> {
        self.block_on(self.engine.preview(pipeline, candidate, gates))?
    }

    /// Whether what is live passes the verify gates: see
    /// [`Engine::verify`](gatekit_core::Engine::verify).
    ///
    /// # Errors
    /// Those of the engine; `usage.blocking`.
    pub fn verify(&self, pipeline: &Pipeline) -> Result<Verified> {
        self.block_on(self.engine.verify(pipeline))?
    }

    /// Who holds the target, and who waits.
    ///
    /// # Errors
    /// Those of the ledger; `usage.blocking`.
    pub fn status(&self, target: &TargetName) -> Result<TargetState> {
        self.block_on(self.engine.state(target))?
    }

    /// Ships: see [`Engine::ship`](gatekit_core::Engine::ship). Nothing interrupts it: a process that
    /// is killed leaves the target suspect, for [`resume`](Self::resume).
    ///
    /// # Errors
    /// `usage.blocking` within a runtime, and in a build script: a build must not ship, for cargo runs
    /// it whenever it likes, and in parallel. Whatever happens to the run is in its report.
    pub fn ship(&self, pipeline: &Pipeline, candidate: Candidate) -> Result<RunReport> {
        self.write(async { self.engine.ship(pipeline, candidate).await })
    }

    /// Goes on with a run: see [`Engine::resume`](gatekit_core::Engine::resume).
    ///
    /// # Errors
    /// As [`ship`](Self::ship).
    pub fn resume(&self, pipeline: &Pipeline, run: RunId) -> Result<RunReport> {
        self.write(async { self.engine.resume(pipeline, run).await })
    }

    /// Which run [`resume`](Self::resume) and [`reconcile`](Self::reconcile) are about: see
    /// [`Engine::pending`](gatekit_core::Engine::pending).
    ///
    /// # Errors
    /// Those of the ledger; `usage.blocking`.
    pub fn pending(&self, target: &TargetName) -> Result<Option<Pending>> {
        self.block_on(self.engine.pending(target))?
    }

    /// Returns to an earlier release: see [`Engine::roll_back`](gatekit_core::Engine::roll_back).
    ///
    /// # Errors
    /// As [`ship`](Self::ship).
    pub fn roll_back(
        &self,
        pipeline: &Pipeline,
        to: Option<String>,
        reason: impl Into<String>,
    ) -> Result<RunReport> {
        self.write(async { self.engine.roll_back(pipeline, to, reason).await })
    }

    /// Settles a suspect target as a person decides: see
    /// [`Engine::reconcile`](gatekit_core::Engine::reconcile).
    ///
    /// # Errors
    /// As [`ship`](Self::ship).
    pub fn reconcile(
        &self,
        pipeline: &Pipeline,
        run: RunId,
        decision: Option<Decision>,
        reason: impl Into<String>,
    ) -> Result<RunReport> {
        self.write(async { self.engine.reconcile(pipeline, run, decision, reason).await })
    }

    fn write(&self, run: impl Future<Output = RunReport>) -> Result<RunReport> {
        outside_a_build_script(|name| env::var_os(name).is_some())?;
        self.block_on(run)
    }

    fn block_on<T>(&self, call: impl Future<Output = T>) -> Result<T> {
        outside_a_runtime()?;
        Ok(self.runtime.block_on(call))
    }
}

fn outside_a_runtime() -> Result<()> {
    if Handle::try_current().is_err() {
        return Ok(());
    }
    Err(Error::new(USAGE_BLOCKING, "a blocking call on a thread of a runtime")
        .with_effect(Effect::None)
        .with_next(NextAction::outside("await `gatekit::Engine` there")))
}

/// What cargo sets for build scripts alone, all of it:
/// <https://doc.rust-lang.org/cargo/reference/environment-variables.html>.
fn outside_a_build_script(is_set: impl Fn(&str) -> bool) -> Result<()> {
    if !["OUT_DIR", "HOST", "TARGET", "NUM_JOBS"].into_iter().all(is_set) {
        return Ok(());
    }
    Err(Error::new(USAGE_BLOCKING, "a build script must not ship")
        .with_effect(Effect::None)
        .with_next(NextAction::outside("ship from an `xtask` or a program: a build may plan")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_script_is_told_by_all_that_cargo_sets() {
        assert!(outside_a_build_script(|_| false).is_ok());
        assert!(outside_a_build_script(|name| name == "OUT_DIR" || name == "TARGET").is_ok());
        let error = outside_a_build_script(|_| true).unwrap_err();
        assert_eq!(error.code(), &USAGE_BLOCKING);
        assert_eq!(error.effect(), Effect::None);
    }
}
