//! Going on with a run that another process began.

use super::history::{RunHistory, suspect_next};
use super::run::{Run, Stop};
use crate::code;
use crate::error::{Error, NextAction, Verb};
use crate::ledger::Mode;
use crate::outcome::{Outcome, RunReport};

use super::admission::Plans;

impl Run {
    /// Goes on where the journal of this run ends.
    pub(crate) async fn resume(mut self) -> RunReport {
        let history = match self.recall().await {
            Ok(history) => history,
            Err(stop) => return self.finish(Err(stop)).await,
        };
        if history.closed.is_some() {
            let nothing = Error::new(code::RESUME_NOTHING, "the run has ended: nothing to resume")
                .with_next(NextAction::verb(Verb::Status, &[]));
            return self.report(Outcome::Unchanged, Some(nothing.to_failure()));
        }
        if history.fingerprint != *self.pipeline.fingerprint() {
            return self.refuse_other_pipeline(&history);
        }
        if let Mode::RollBack { to, undo, .. } = &history.mode {
            let (to, undo) = (*to, undo.clone());
            return self.resume_roll_back(history, to, undo).await;
        }
        if !history.touched() {
            let end = self.forward().await;
            return self.finish(end).await;
        }
        if let Err(stop) = self.take_over().await {
            return self.not_taken_over(stop).await;
        }
        self.begun = history.begun;
        self.scopes = history.scopes;
        if let Some(cause) = history.unwinding {
            return self.unwind(cause).await;
        }
        let end = self.steps(Plans::new()).await;
        self.finish(end).await
    }

    /// Reads what the journal tells of this run, and takes its candidate on.
    pub(crate) async fn recall(&mut self) -> Result<RunHistory, Stop> {
        let target = self.pipeline.target();
        let history = RunHistory::read(&*self.ledger, target, self.id()).await;
        let history = history.map_err(|error| self.ledger_stop(error))?;
        let learned = self.learn(history.candidate.clone()).await;
        learned.map_err(|error| self.ledger_stop(error))?;
        Ok(history)
    }

    /// The target stays as it is: no entry is written for a takeover that did not happen.
    pub(crate) async fn not_taken_over(self, stop: Stop) -> RunReport {
        match stop {
            Stop::End(outcome, error) => self.report(outcome, Some(error.to_failure())),
            Stop::Interrupted => self.finish(Err(Stop::LetGo)).await,
            stop => self.finish(Err(stop)).await,
        }
    }

    fn refuse_other_pipeline(&self, history: &RunHistory) -> RunReport {
        let mut error = Error::new(
            code::RESUME_FINGERPRINT,
            "the pipeline is not the one that the run began with: it cannot go on",
        )
        .with_context("run", self.id())
        .with_context("began with", history.fingerprint.short())
        .with_context("is now", self.pipeline.fingerprint().short());
        if history.touched() {
            let back = &["--roll-back", "--reason", "TEXT"];
            error = error.with_next(NextAction::verb(Verb::Reconcile, back).by("operator"));
            for next in suspect_next() {
                error = error.with_next(next);
            }
            return self.report(Outcome::Stuck, Some(error.to_failure()));
        }
        let error = error.with_next(NextAction::verb(Verb::Ship, &[]));
        self.report(Outcome::Refused, Some(error.to_failure()))
    }
}
