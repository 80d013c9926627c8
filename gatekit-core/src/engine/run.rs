//! One run: its state, its waits, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::caught::caught;
use super::history::{Begun, Releases, suspect_next};
use super::interrupt::Interrupter;
use super::keeper::LeaseKeeper;
use super::recorder::Recorder;
use super::recovery::Recoveries;
use super::reporting::EventSender;
use super::{Settings, queue};
use crate::candidate::Candidate;
use crate::code;
use crate::context::{ApplyContext, Hearing, PlanContext, RunFacts};
use crate::deployer::{Live, Location};
use crate::error::{Error, Failure, NextAction, Result, Verb};
use crate::id::{RunId, StageId};
use crate::ledger::{Body, Claim, Hold, Ledger, StageScope};
use crate::outcome::{Outcome, RunReport};
use crate::pipeline::{Deploy, OnInterrupt, Pipeline};

/// Why a run does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nothing was touched: the run ends so.
    End(Outcome, Error),
    /// Nothing was touched: the run waits for a gate, or (without a stage) in the queue.
    Park(Option<StageId>, Error),
    /// Another process has taken the run to that end: this one has touched nothing.
    Ended(Outcome),
    /// Something failed after the first write.
    Broken(Error),
    /// The first interrupt.
    Interrupted,
    /// The second interrupt: nothing more is written, not even to the journal.
    LetGo,
    /// The fence is overtaken or the ledger out of reach: nothing more is written to the world.
    Lost(Error),
}

/// The state of one run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) settings: Settings,
    pub(crate) pipeline: Pipeline,
    pub(crate) claim: Claim,
    pub(crate) facts: Arc<RunFacts>,
    pub(crate) hearing: Arc<Hearing>,
    pub(crate) recorder: Recorder,
    pub(crate) events: EventSender,
    pub(crate) interrupter: Interrupter,
    pub(crate) keeper: Option<LeaseKeeper>,
    /// The run was opened by an earlier call.
    pub(crate) recalled: bool,
    /// The deploys in the order they were begun, with those found in place.
    pub(crate) begun: Vec<Begun>,
    pub(crate) recoveries: Recoveries,
    /// What the plan under the lock will touch, and what recoveries touch.
    pub(crate) scopes: Option<Vec<StageScope>>,
    /// Unwinding ignores the first interrupt.
    pub(crate) unwinding: bool,
    /// When the present part of the run has to be done.
    pub(crate) deadline: Instant,
}

impl Run {
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        settings: Settings,
        pipeline: Pipeline,
        run: RunId,
        events: EventSender,
        interrupter: Interrupter,
    ) -> Self {
        let target = pipeline.target().clone();
        let candidate = Candidate::new();
        let facts = RunFacts {
            run,
            target: target.clone(),
            intent: candidate.intent(&target, pipeline.fingerprint()),
            candidate,
            actor: settings.actor.clone(),
            last_release: None,
            last_closed: None,
            chain: None,
        };
        let actor = settings.actor.clone();
        Self {
            recorder: Recorder::new(
                Arc::clone(&ledger),
                target.clone(),
                run,
                actor.clone(),
                events.clone(),
            ),
            claim: Claim::new(target, run, actor),
            deadline: Instant::now() + settings.deadline,
            facts: Arc::new(facts),
            hearing: Arc::default(),
            keeper: None,
            recalled: false,
            begun: Vec::new(),
            recoveries: Recoveries::default(),
            scopes: None,
            unwinding: false,
            ledger,
            settings,
            pipeline,
            events,
            interrupter,
        }
    }

    pub(crate) fn id(&self) -> RunId {
        self.claim.run
    }

    /// Names what is shipped, and reads what was released last.
    pub(crate) async fn learn(&mut self, candidate: Candidate) -> Result<()> {
        let releases = Releases::read(&*self.ledger, self.pipeline.target(), 1).await?;
        let first = self.ledger.read(self.pipeline.target(), 0, 1).await?;
        self.facts = Arc::new(RunFacts {
            chain: first.into_iter().next().map(|record| record.hash),
            run: self.id(),
            target: self.pipeline.target().clone(),
            intent: candidate.intent(self.pipeline.target(), self.pipeline.fingerprint()),
            candidate,
            actor: self.settings.actor.clone(),
            last_release: releases.last(),
            last_closed: releases.newest_closed,
        });
        Ok(())
    }

    /// Reads what was released last anew, if any run has ended since, or the journal only began with
    /// this one.
    pub(crate) async fn learn_what_changed(&mut self) -> Result<()> {
        let last = self.ledger.read_kind(self.pipeline.target(), "closed", None, 1).await?;
        let last = last.first().map(|record| record.seq);
        if self.facts.chain.is_some() && last == self.facts.last_closed {
            return Ok(());
        }
        self.learn(self.facts.candidate.clone()).await
    }

    /// Whether the run may have changed the target.
    pub(crate) fn touched(&self) -> bool {
        self.recorder.touched()
    }

    pub(crate) fn context(&self, stage: &StageId, deadline: Instant) -> PlanContext {
        let cancel = match &self.keeper {
            Some(keeper) if self.unwinding => keeper.lost().clone(),
            Some(keeper) => keeper.stop().clone(),
            None => self.interrupter.stop().clone(),
        };
        PlanContext {
            facts: Arc::clone(&self.facts),
            stage: stage.clone(),
            deadline,
            cancel,
            events: self.events.clone(),
            hearing: Arc::clone(&self.hearing),
            ledger: Some(Arc::clone(&self.ledger)),
        }
    }

    pub(crate) fn writing_context(&self, stage: &StageId) -> ApplyContext {
        ApplyContext::new(self.context(stage, self.deadline), self.recorder.clone())
    }

    /// Journals an entry; the run goes no further without it.
    pub(crate) async fn record(&self, body: Body) -> Result<(), Stop> {
        self.recorder.append(body).await.map_err(|error| self.ledger_stop(error))
    }

    /// What an error of the ledger means for the run: while nothing is held it has merely failed;
    /// from the grant on the lock counts as lost.
    pub(crate) fn ledger_stop(&self, error: Error) -> Stop {
        if *error.code() == code::LOCK_LOST {
            Stop::Lost(error)
        } else if self.keeper.is_none() {
            Stop::End(Outcome::Failed, error)
        } else {
            let lost = Error::new(code::LOCK_LOST, "the ledger cannot be written: the run stops")
                .with_source(error);
            Stop::Lost(lost)
        }
    }

    /// Begins to hold the target.
    pub(crate) fn hold(&mut self, hold: Hold) -> Result<(), Stop> {
        let (ledger, interrupted) = (Arc::clone(&self.ledger), self.interrupter.stop());
        let keeper = LeaseKeeper::start(ledger, hold.clone(), interrupted).map_err(Stop::Lost)?;
        self.keeper = Some(keeper);
        self.recorder.set_hold(Some(hold));
        self.deadline = Instant::now() + self.settings.deadline;
        Ok(())
    }

    /// Ends when the run has to stop where it is.
    pub(crate) async fn stopped(&self) -> Stop {
        let lost = async {
            match &self.keeper {
                Some(keeper) => {
                    keeper.lost().cancelled().await;
                    Stop::Lost(keeper.why().into())
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            stop = lost => stop,
            () = self.interrupter.let_go().cancelled() => Stop::LetGo,
            () = self.interrupter.stop().cancelled(), if !self.unwinding => Stop::Interrupted,
        }
    }

    /// A safe point: stops here if the run has to.
    pub(crate) fn safe_point(&self) -> Result<(), Stop> {
        match self.stopped().now_or_never() {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    /// Waits, unless the run has to stop.
    pub(crate) async fn pause(&self, pause: Duration) -> Result<(), Stop> {
        tokio::select! {
            biased;
            stop = self.stopped() => Err(stop),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    /// Asks something cancel-safe: dropped when the run has to stop, and at the deadline.
    pub(crate) async fn ask<T: Send>(
        &self,
        what: &StageId,
        deadline: Instant,
        question: impl Future<Output = Result<T>> + Send,
    ) -> Result<Result<T>, Stop> {
        tokio::select! {
            biased;
            stop = self.stopped() => Err(stop),
            answer = caught(what, question) => Ok(answer),
            () = tokio::time::sleep_until(deadline) => Ok(Err(Error::new(
                code::GATE_DEADLINE,
                format!("stage `{what}` gave no answer before the deadline"),
            )
            .retry_later())),
        }
    }

    /// Where a deploy stands. An error counts as unknown; what is unknown, or in between, is asked
    /// for a few times more, because backends show their writes late.
    pub(crate) async fn locate(&self, deploy: &Deploy, begun: &Begun) -> Result<Location, Stop> {
        let mut tries = 0;
        loop {
            tries += 1;
            let cx = self.context(&begun.stage, self.deadline);
            let question = deploy.deploy.locate(&cx, &begun.change, begun.receipt.as_ref());
            let patience = Instant::now() + Duration::from_secs(30);
            let location = match self.ask(&begun.stage, patience, question).await? {
                Ok(location) => location,
                Err(error) => Location::Unknown(described(&error.to_failure())),
            };
            let may_change = matches!(location, Location::Between(_) | Location::Unknown(_));
            if !may_change || tries == 4 {
                return Ok(location);
            }
            self.pause(Duration::from_millis(250)).await?;
        }
    }

    /// What is live, for a report: not to be told is no reason to fail. But a later rollback to this
    /// release looks for it, so a read that errs is tried a few times more.
    pub(crate) async fn live_for_report(&self) -> Option<Live> {
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.pipeline.live().await {
                Ok(live) => return live,
                Err(error) => error,
            };
            // What gave no answer at all has been waited for long enough.
            let gives_up = tries == 4 || *error.code() == code::GATE_DEADLINE;
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
                self.unwind(interrupted().to_failure()).await
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
            Stop::LetGo => self.report(Outcome::Interrupted, Some(interrupted().to_failure())),
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
        let elsewhere = Error::new(code::RESUME_NOTHING, "another process took the run to its end")
            .with_context("outcome", outcome.as_str())
            .with_next(NextAction::verb(Verb::Log, &[]))
            .to_failure();
        let report = match outcome {
            _ if self.recalled => {
                self.report(Outcome::Unchanged, Some(nothing_left().to_failure()))
            }
            Outcome::Released | Outcome::Unchanged => self.report(outcome, None),
            // Whatever is live: that is no success for who asked for a release.
            Outcome::Overridden => self.report(Outcome::Stuck, Some(elsewhere)),
            outcome => self.report(outcome, Some(elsewhere)),
        };
        RunReport { live, ..report }
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
        let failure = interrupted().to_failure();
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

    pub(crate) fn report(&self, outcome: Outcome, failure: Option<Failure>) -> RunReport {
        let mut next = failure.as_ref().map(|failure| failure.next.clone()).unwrap_or_default();
        if next.is_empty() {
            let verb = match outcome {
                Outcome::Waiting | Outcome::Interrupted => Some(Verb::Resume),
                Outcome::RolledBack | Outcome::Failed => Some(Verb::Log),
                _ => None,
            };
            next.extend(verb.map(|verb| NextAction::verb(verb, &[])));
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

fn interrupted() -> Error {
    Error::new(code::RUN_INTERRUPTED, "the run was interrupted")
        .with_next(NextAction::verb(Verb::Resume, &[]))
}

/// The run has come to its end, in whichever process.
pub(crate) fn nothing_left() -> Error {
    Error::new(code::RESUME_NOTHING, "the run has ended: nothing to resume")
        .with_next(NextAction::verb(Verb::Status, &[]))
}

/// The whole of a failure in one line.
pub(crate) fn described(failure: &Failure) -> String {
    let mut text = failure.to_string();
    for cause in &failure.causes {
        text.push_str(": ");
        text.push_str(cause);
    }
    text
}
