//! How a run ends, and what it reports.

use std::time::Duration;

use tokio::time::Instant;

use super::queue;
use super::run::{Run, Stop, described};
use crate::code;
use crate::deployer::Live;
use crate::error::{Error, Failure, NextAction, Verb};
use crate::id::StageId;
use crate::ledger::Body;
use crate::ledger::refusal::suspect_next;
use crate::outcome::{Outcome, RunReport};
use crate::pipeline::OnInterrupt;

/// How long what is live may take to be read before no further try is worth it.
const ENOUGH: Duration = Duration::from_secs(5);

impl Run {
    /// What is live, for a report: not to be told is no reason to fail. But a later rollback to this
    /// release looks for it, so a read that errs is tried a few times more.
    pub(crate) async fn live_for_report(&self) -> Option<Live> {
        let (mut tries, begun) = (0, Instant::now());
        loop {
            tries += 1;
            let error = match self.pipeline.live().await {
                Ok(live) => return live,
                Err(error) => error,
            };
            // A backend that gave no answer at all, or was patient itself, has been waited for enough.
            let waited = *error.code() == code::GATE_DEADLINE || begun.elapsed() > ENOUGH;
            let gives_up = tries == 4 || waited;
            if gives_up || self.pause(Duration::from_millis(250)).await.is_err() {
                self.recorder.progress(None, format!("what is live could not be read: {error}"));
                return None;
            }
        }
    }

    /// Ends a run that came to its end, or unwinds one that did not.
    pub(crate) async fn finish(self, end: Result<Outcome, Stop>) -> RunReport {
        let unwinds = self.pipeline.on_interrupt == OnInterrupt::Unwind;
        match end {
            Ok(outcome) => self.close(outcome, None).await,
            Err(Stop::Interrupted) if self.touched() && unwinds => {
                let cause = Self::interrupted().to_failure();
                self.unwind(cause).await
            }
            Err(Stop::Broken(cause)) => self.unwind(cause.to_failure()).await,
            Err(stop) => self.halt(stop).await,
        }
    }

    /// Ends a run without another write to the target.
    pub(crate) async fn halt(self, stop: Stop) -> RunReport {
        match stop {
            // Nothing that was touched ends so: should it ever, it is not let go.
            Stop::End(_, error) | Stop::Park(_, error) if self.touched() => {
                self.stuck(error.to_failure()).await
            }
            Stop::End(outcome, error) => self.close(outcome, Some(error.to_failure())).await,
            Stop::Park(stage, error) => self.park(stage, error.to_failure()).await,
            Stop::Ended(outcome) => self.ended(outcome).await,
            Stop::Broken(error) if self.touched() => self.stuck(error.to_failure()).await,
            Stop::Broken(error) => self.close(Outcome::Refused, Some(error.to_failure())).await,
            Stop::Interrupted => self.leave().await,
            Stop::LetGo => {
                let failure = Self::interrupted().to_failure();
                self.report(Outcome::Interrupted, Some(failure))
            }
            Stop::Lost(error) => self.lost(error.to_failure()),
        }
    }

    /// Closes the run, which frees the target in the same transaction.
    pub(crate) async fn close(self, outcome: Outcome, failure: Option<Failure>) -> RunReport {
        let live = self.live_for_report().await;
        let held = self.recorder.hold().is_some();
        let body = Body::Closed { outcome, failure: failure.clone(), live: live.clone() };
        if let Err(error) = self.recorder.append(body).await {
            return if held {
                self.not_closed(error)
            } else {
                self.unrecorded(outcome, failure, error).await
            };
        }
        if !held {
            self.leave_queue().await;
        }
        RunReport { live, ..self.report(outcome, failure) }
    }

    /// The end could not be journalled: whatever it was, nobody may rely on it.
    fn not_closed(&self, error: Error) -> RunReport {
        let lost = if *error.code() == code::LOCK_LOST {
            error
        } else {
            Error::new(code::LOCK_LOST, "the end of the run could not be journalled")
                .with_source(error)
        };
        self.lost(lost.to_failure())
    }

    /// This process has touched nothing, and not even that could be journalled.
    async fn unrecorded(
        &self,
        outcome: Outcome,
        failure: Option<Failure>,
        error: Error,
    ) -> RunReport {
        let claims_untouched = !matches!(outcome, Outcome::Stuck | Outcome::Interrupted);
        if claims_untouched && *error.code() == code::LOCK_HELD {
            return self.in_other_hands(error).await;
        }
        let mut failure = failure.unwrap_or_else(|| error.to_failure());
        if failure.code != *error.code() {
            failure.causes.push(format!("and the journal could not be written: {error}"));
        }
        self.report(outcome, Some(failure))
    }

    /// Another process carries the run, or has left its target suspect: what this one came to says
    /// nothing of the target.
    async fn in_other_hands(&self, error: Error) -> RunReport {
        let state = self.ledger.state(self.pipeline.target()).await.ok();
        match state.filter(|state| state.run == Some(self.id())).and_then(|state| state.holder) {
            Some(holder) => self.refuse_second_process(&holder),
            None => self.lost(error.to_failure()),
        }
    }

    /// Gives the lock back and tells how another process ended the run: the journal has its end.
    async fn ended(mut self, outcome: Outcome) -> RunReport {
        if let Err(error) = queue::give_back(&mut self).await {
            // Nothing was touched: the lease lapses by itself, and frees the target.
            tracing::warn!(%error, "a lock could not be given back");
        }
        let live = self.live_for_report().await;
        RunReport { live, ..self.told_end(outcome) }
    }

    /// How a run ended that this process did not end. Only a release is a success for who asks, and for
    /// who resumes there is nothing left to do then.
    pub(crate) fn told_end(&self, outcome: Outcome) -> RunReport {
        let nothing = nothing_left(outcome).to_failure();
        match outcome {
            Outcome::Released | Outcome::Unchanged if !self.recalled => self.report(outcome, None),
            Outcome::Released | Outcome::Unchanged => {
                self.report(Outcome::Unchanged, Some(nothing))
            }
            // Whatever is live.
            Outcome::Overridden => self.report(Outcome::Stuck, Some(nothing)),
            outcome => self.report(outcome, Some(nothing)),
        }
    }

    pub(crate) fn lost(&self, failure: Failure) -> RunReport {
        let mut report = self.report(Outcome::Stuck, Some(failure));
        if report.next.is_empty() {
            report.next.push(NextAction::verb(Verb::Status, &[]));
            report.next.extend(suspect_next());
        }
        report
    }

    /// Leaves the run for `resume`. A touched target becomes suspect, an untouched one free.
    async fn leave(self) -> RunReport {
        let failure = Self::interrupted().to_failure();
        match self.recorder.append(Body::Left { why: failure.to_string() }).await {
            Err(error) if self.touched() => self.not_closed(error),
            Err(error) => self.unrecorded(Outcome::Interrupted, Some(failure), error).await,
            Ok(()) => self.report(Outcome::Interrupted, Some(failure)),
        }
    }

    /// Gives the lock back, if it is held, and waits.
    async fn park(mut self, stage: Option<StageId>, failure: Failure) -> RunReport {
        if let Err(error) = queue::give_back(&mut self).await {
            return self.not_closed(error);
        }
        let why = described(&failure);
        match self.recorder.append(Body::Parked { stage, why }).await {
            Err(error) => self.unrecorded(Outcome::Failed, None, error).await,
            Ok(()) => self.report(Outcome::Waiting, Some(failure)),
        }
    }

    async fn leave_queue(&self) {
        if let Err(error) = self.ledger.leave(self.pipeline.target(), self.id()).await {
            // The ticket lapses by itself: whoever is behind it skips it.
            tracing::warn!(%error, "a ticket could not be given back");
        }
    }

    /// Reports that the run is stuck, and leaves the target suspect.
    pub(crate) async fn stuck(self, failure: Failure) -> RunReport {
        match self.recorder.append(Body::Stuck { failure: failure.clone() }).await {
            Err(error) => self.not_closed(error),
            Ok(()) => {
                let live = self.live_for_report().await;
                RunReport { live, ..self.lost(failure) }
            }
        }
    }

    fn interrupted() -> Error {
        Error::new(code::RUN_INTERRUPTED, "the run was interrupted")
    }

    /// Several may wait on one target: this one is meant.
    fn resume_next(&self) -> NextAction {
        NextAction::verb(Verb::Resume, &[&self.id().to_string()])
    }

    pub(crate) fn report(&self, outcome: Outcome, failure: Option<Failure>) -> RunReport {
        let mut next = failure.as_ref().map(|failure| failure.next.clone()).unwrap_or_default();
        if next.is_empty() {
            next.extend(match outcome {
                Outcome::Waiting | Outcome::Interrupted => Some(self.resume_next()),
                Outcome::RolledBack | Outcome::Failed | Outcome::Refused => {
                    Some(NextAction::verb(Verb::Log, &[]))
                }
                _ => None,
            });
        }
        RunReport {
            outcome,
            run: Some(self.id()),
            target: self.pipeline.target().clone(),
            fence: self.recorder.fence(),
            failure,
            live: None,
            next,
        }
    }
}

/// The run has come to its end, in whichever process.
pub(crate) fn nothing_left(outcome: Outcome) -> Error {
    Error::new(code::RESUME_NOTHING, "the run has ended: nothing to resume")
        .with_context("outcome", outcome.as_str())
        .with_next(NextAction::verb(Verb::Log, &[]))
}
