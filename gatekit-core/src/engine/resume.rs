//! Going on with a run that another process began.

use super::caught::caught;
use super::history::RunHistory;
use super::run::{Run, Stop};
use crate::code;
use crate::error::{Error, NextAction, Verb};
use crate::ledger::refusal::suspect_next;
use crate::ledger::{Body, Holder, Mode};
use crate::outcome::{Outcome, RunReport};

use super::admission::Plans;

impl Run {
    /// Goes on where the journal of this run ends.
    pub(crate) async fn resume(mut self) -> RunReport {
        let history = match self.recall().await {
            Ok(history) => history,
            Err(stop) => return self.untold(stop).await,
        };
        let state = match self.ledger.state(self.pipeline.target()).await {
            Ok(state) => state,
            Err(error) => {
                let stop = self.ledger_stop(error);
                return self.untold(stop).await;
            }
        };
        let holds = state.run == Some(self.id());
        if let Some((outcome, _)) = history.closed.as_ref().filter(|_| !holds) {
            return self.told_end(*outcome);
        }
        if history.fingerprint != *self.pipeline.fingerprint() {
            return self.refuse_other_pipeline(&history);
        }
        if let Some(holder) = state.holder.filter(|_| holds && !history.touched) {
            return self.refuse_second_process(&holder);
        }
        if let Mode::RollBack { to, undo, .. } = &history.mode {
            let (to, undo) = (*to, undo.clone());
            return self.resume_roll_back(history, to, undo).await;
        }
        if !history.touched {
            if let Err(stop) = self.carry_on().await {
                return self.unheld(stop).await;
            }
            let end = self.forward().await;
            return self.finish(end).await;
        }
        if let Err(stop) = self.take_over().await {
            return self.not_taken_over(stop).await;
        }
        if let Some(error) = self.recorder.hold().and_then(|hold| self.not_claimed(&hold)) {
            return self.halt(Stop::Lost(error)).await;
        }
        if let Err(stop) = self.fence_off().await {
            return self.halt(stop).await;
        }
        // Read again: until the takeover another process may have carried the run on.
        let history = match self.recall().await {
            Ok(history) => history,
            Err(stop) => return self.halt(stop).await,
        };
        self.begun = history.begun;
        self.recoveries = history.recoveries;
        self.scopes = history.scopes;
        if let Some(cause) = history.unwinding {
            return self.unwind(cause).await;
        }
        let end = self.steps(Plans::new()).await;
        self.finish(end).await
    }

    /// Ends a call that could not take the run over: whoever held it may have brought the run to its
    /// end meanwhile.
    pub(crate) async fn not_taken_over(mut self, stop: Stop) -> RunReport {
        match self.recall().await.ok().and_then(|history| history.closed) {
            Some((outcome, _)) => self.told_end(outcome),
            None => self.unheld(stop).await,
        }
    }

    /// Shuts out, at every resource, the holder that was overtaken: nothing may be judged while a
    /// write of its can still land.
    pub(crate) async fn fence_off(&self) -> Result<(), Stop> {
        for deploy in self.pipeline.deploys_and_repairs() {
            let stage = &deploy.id;
            let cx = self.writing_context(stage);
            if let Err(error) = caught(stage, deploy.deploy.fence_off(&cx)).await {
                let mut error = self.write_failed(error)?;
                for next in suspect_next() {
                    error = error.with_next(next);
                }
                return Err(Stop::Broken(error));
            }
        }
        Ok(())
    }

    /// Journals that this process carries the run now.
    pub(crate) async fn carry_on(&self) -> Result<(), Stop> {
        self.record(Body::Continued { process: self.claim.process.clone() }).await
    }

    /// Under the lock: until the grant another process may have taken this very run to its end. Gives
    /// the entry that opened it.
    pub(crate) async fn still_open(&self) -> Result<u64, Stop> {
        let alone = self.alone().await.map_err(|error| self.ledger_stop(error))?;
        if let Some(opened) = alone.and_then(|own| own.opened) {
            return Ok(opened);
        }
        let target = self.pipeline.target();
        let history = RunHistory::read(&*self.ledger, target, self.id()).await;
        let history = history.map_err(|error| self.ledger_stop(error))?;
        match history.closed {
            None => Ok(history.opened),
            Some((outcome, _)) => Err(Stop::Ended(outcome)),
        }
    }

    /// Reads what the journal tells of this run, and takes its candidate on.
    pub(crate) async fn recall(&mut self) -> Result<RunHistory, Stop> {
        self.recalled = true;
        let target = self.pipeline.target();
        let history = RunHistory::read(&*self.ledger, target, self.id()).await;
        let history = history.map_err(|error| self.ledger_stop(error))?;
        self.requester.clone_from(&history.requester);
        let learned = self.learn(history.candidate.clone()).await;
        learned.map_err(|error| self.ledger_stop(error))?;
        Ok(history)
    }

    /// Ends a run that was not opened, or not taken over: nothing is journalled about it.
    pub(crate) async fn unheld(self, stop: Stop) -> RunReport {
        match stop {
            Stop::End(outcome, error) => self.report(outcome, Some(error.to_failure())),
            Stop::Interrupted => self.finish(Err(Stop::LetGo)).await,
            stop => self.finish(Err(stop)).await,
        }
    }

    /// Ends a call that could not learn how far the run came. It may have touched the target, so no
    /// outcome that says otherwise will do.
    pub(crate) async fn untold(self, stop: Stop) -> RunReport {
        match stop {
            Stop::End(_, error) => self.lost(error.to_failure()),
            stop => self.unheld(stop).await,
        }
    }

    pub(crate) fn refuse_second_process(&self, holder: &Holder) -> RunReport {
        let held = Error::new(code::LOCK_HELD, "the run is under way in another process")
            .with_context("run", self.id())
            .with_context("actor", &holder.actor)
            .with_context("pid", holder.pid)
            .with_next(NextAction::verb(Verb::Status, &[]));
        self.report(Outcome::Refused, Some(held.to_failure()))
    }

    fn refuse_other_pipeline(&self, history: &RunHistory) -> RunReport {
        let mut error = Error::new(
            code::RESUME_FINGERPRINT,
            "the pipeline is not the one that the run began with: it cannot go on",
        )
        .with_context("run", self.id())
        .with_context("began with", history.fingerprint.short())
        .with_context("is now", self.pipeline.fingerprint().short());
        if history.touched {
            let back = &["--roll-back", "--reason", "TEXT"];
            error = error.with_next(NextAction::verb(Verb::Reconcile, back).by("operator"));
            for next in suspect_next() {
                error = error.with_next(next);
            }
            return self.report(Outcome::Stuck, Some(error.to_failure()));
        }
        let same = "resume with the arguments, the secrets and the build that it began with";
        let error =
            error.with_next(NextAction::outside(same)).with_next(NextAction::verb(Verb::Ship, &[]));
        self.report(Outcome::Refused, Some(error.to_failure()))
    }
}
