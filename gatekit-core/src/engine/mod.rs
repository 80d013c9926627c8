//! The engine: it takes a candidate through a pipeline, and answers for the target until the truth
//! about it is known.
//!
//! [`ship`](Engine::ship) → `admission` (plan, gates) → `queue` (lock, recheck, plan again) →
//! `rollout` (apply, observe, locate) → `gates` (verify) → closed; anything that fails after the
//! first write and that no `recovery` is for goes through `unwind`. `history` reads back what the
//! journal tells, for `resume`, `rollback` and `reconcile`.

mod admission;
mod caught;
mod ending;
mod gates;
mod hearing;
mod history;
mod interrupt;
mod keeper;
mod people;
mod preview;
mod queue;
mod reconcile;
mod recorder;
mod recovery;
mod reporting;
mod resume;
mod rollback;
mod rollout;
mod run;
mod running;
mod unwind;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub(crate) use caught::{caught, caught_at_once};
pub use history::Pending;
pub(crate) use history::Releases;
pub use interrupt::Interrupter;
pub use people::Request;
pub use preview::{Judged, Preview, Verified};
pub(crate) use recorder::Recorder;
pub(crate) use reporting::EventSender;
pub use running::Running;

use crate::candidate::Candidate;
use crate::code;
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::id::{RunId, TargetName};
use crate::ledger::{Decision, Ledger, TargetState};
use crate::pipeline::Pipeline;

use run::Run;

/// The shortest lease: below it, renewing at a third is at the mercy of the scheduler.
const MIN_LEASE: Duration = Duration::from_millis(300);

/// The longest wait: the clock cannot be asked what time it is after any longer one.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What a run is told beside its pipeline and its candidate.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) actor: String,
    pub(crate) arguments: Value,
    pub(crate) lease: Duration,
    pub(crate) queue_timeout: Duration,
    pub(crate) patience: Duration,
    pub(crate) deadline: Duration,
}

/// Takes candidates through pipelines, on one ledger. Cheap to clone.
///
/// Every run is a task of its own on the current tokio runtime: dropping its handle drops no call
/// that is in flight. A runtime that is shut down in the middle of a run counts as a killed holder:
/// `resume` goes on.
///
/// # Default
/// The actor is `$USER`, or `unknown`; a lease of 60 s; 30 min of patience in the queue, and none for
/// gates that wait; 5 min for
/// planning and gates, again for everything from the grant to the last verification, and again for
/// unwinding; no arguments; no reporters.
#[derive(Debug, Clone)]
#[must_use = "call `.ship(..)`"]
pub struct Engine {
    ledger: Arc<dyn Ledger>,
    settings: Settings,
    events: EventSender,
}

impl Engine {
    /// An engine on `ledger`.
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger,
            settings: Settings {
                actor: std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()),
                arguments: Value::Null,
                lease: Duration::from_secs(60),
                queue_timeout: Duration::from_secs(30 * 60),
                patience: Duration::ZERO,
                deadline: Duration::from_secs(5 * 60),
            },
            events: EventSender::silent(),
        }
    }

    /// Adds a reporter, which gets the events of every run of this engine.
    pub fn reporter(mut self, reporter: impl Reporter) -> Self {
        self.events.add(Box::new(reporter));
        self
    }

    /// Names who acts. A claim: on one machine nobody checks it.
    pub fn with_actor(mut self, actor: impl Into<String>) -> Self {
        self.settings.actor = actor.into();
        self
    }

    /// The arguments that a later process rebuilds the pipeline from. Journalled: MUST NOT contain
    /// secrets.
    pub fn with_arguments(mut self, arguments: Value) -> Self {
        self.settings.arguments = arguments;
        self
    }

    /// How long the lock lasts without a renewal; it is renewed at a third.
    ///
    /// # Errors
    /// Those of [`Engine::check_lease`].
    pub fn with_lease(mut self, lease: Duration) -> Result<Self> {
        Self::check_lease(lease)?;
        self.settings.lease = lease;
        Ok(self)
    }

    /// Whether a lock may last that long, asked before a ledger is opened or made.
    ///
    /// # Errors
    /// `config.duration` below 300 ms or above a day.
    pub fn check_lease(lease: Duration) -> Result<()> {
        if lease < MIN_LEASE || lease > Duration::from_secs(24 * 3600) {
            return Err(Error::new(code::CONFIG_DURATION, "the lease is out of range")
                .with_context("lease", format!("{lease:?}"))
                .with_context("allowed", "300 ms to 24 h"));
        }
        Ok(())
    }

    /// How long a run waits in the queue before it parks, at most ten years.
    pub fn with_queue_timeout(mut self, timeout: Duration) -> Self {
        self.settings.queue_timeout = timeout.min(LONGEST);
        self
    }

    /// How long a run waits in its own process for a gate that says wait, like an approval, before it
    /// parks: at most ten years. It holds nothing meanwhile.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.settings.patience = patience.min(LONGEST);
        self
    }

    /// How long planning and gates may take, then everything from the grant to the last
    /// verification, then unwinding; each for itself, and at most ten years.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline.min(LONGEST);
        self
    }

    /// Ships `candidate` through `pipeline`: opens a run, and gives its handle at once.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn ship(&self, pipeline: &Pipeline, candidate: Candidate) -> Running {
        self.spawn(pipeline, RunId::generate(), |run| run.ship(candidate))
    }

    /// Goes on with `run`, which [`Engine::pending`] names: settled deploys are kept, a deploy in
    /// flight is applied again with the same change, unwinding goes on unwinding.
    ///
    /// Of a run that has ended it tells how, with `resume.nothing`: `unchanged` when that was a release,
    /// which may have been replaced since; `stuck` when a person freed its target whatever was live; else
    /// the outcome with which it ended.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn resume(&self, pipeline: &Pipeline, run: RunId) -> Running {
        self.spawn(pipeline, run, Run::resume)
    }

    /// Returns to an earlier release: to the one before the newest, or to the one that `to` names by
    /// its id, its version or its run. A run of its own, which skips lineage and gates, but never the
    /// lock, reversibility or `locate`.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn roll_back(
        &self,
        pipeline: &Pipeline,
        to: Option<String>,
        reason: impl Into<String>,
    ) -> Running {
        let reason = reason.into();
        self.spawn(pipeline, RunId::generate(), |run| run.roll_back(to, reason))
    }

    /// Settles a suspect target as a person decides, after looking where it stands. Without a
    /// decision it only tells the findings, in the failure's context, and the outcome is `stuck`.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn reconcile(
        &self,
        pipeline: &Pipeline,
        run: RunId,
        decision: Option<Decision>,
        reason: impl Into<String>,
    ) -> Running {
        let reason = reason.into();
        self.spawn(pipeline, run, move |run| run.reconcile(decision, reason))
    }

    /// Who holds the target, and who waits.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn state(&self, target: &TargetName) -> Result<TargetState> {
        self.ledger.state(target).await
    }

    /// The run that `resume` and `reconcile` are about: the one that holds the target or left it
    /// suspect, else the newest that neither ended nor is under way, unless something was released
    /// since. `None` also while a run of another target, along with which this one was locked, has left
    /// it suspect: see [`RunReport::settled_elsewhere`](crate::RunReport::settled_elsewhere).
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn pending(&self, target: &TargetName) -> Result<Option<Pending>> {
        history::pending(&*self.ledger, target).await
    }

    /// The arguments of the run that made the newest release, to rebuild its pipeline from.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn last_arguments(&self, target: &TargetName) -> Result<Option<Value>> {
        let releases = history::Releases::read(&*self.ledger, target, 1).await?;
        Ok(releases.stack.into_iter().next().map(|release| release.arguments))
    }

    fn run(&self, pipeline: &Pipeline, run: RunId, interrupter: Interrupter) -> Run {
        Run::new(
            Arc::clone(&self.ledger),
            self.settings.clone(),
            pipeline.clone(),
            run,
            self.events.clone(),
            interrupter,
        )
    }

    fn spawn<F>(
        &self,
        pipeline: &Pipeline,
        run: RunId,
        work: impl FnOnce(Run) -> F + Send + 'static,
    ) -> Running
    where
        F: Future<Output = crate::RunReport> + Send + 'static,
    {
        let interrupter = Interrupter::default();
        let state = self.run(pipeline, run, interrupter.clone());
        let target = pipeline.target().clone();
        Running::spawn(target, run, self.events.clone(), interrupter, work(state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::MemoryLedger;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_lease_is_neither_shorter_than_a_renewal_nor_longer_than_a_day() {
        for (lease, good) in
            [(MIN_LEASE - MS, false), (MIN_LEASE, true), (DAY, true), (DAY + MS, false)]
        {
            assert_eq!(Engine::check_lease(lease).is_ok(), good, "{lease:?}");
        }
    }

    #[test]
    fn patience_of_years_is_kept_and_more_is_cut() {
        for (asked, kept) in [(DAY * 365 * 9, DAY * 365 * 9), (Duration::MAX, LONGEST)] {
            let engine = Engine::new(Arc::new(MemoryLedger::new())).with_queue_timeout(asked);
            assert_eq!(engine.settings.queue_timeout, kept);
        }
    }
}
