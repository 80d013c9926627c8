//! One run: its state and its waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::Settings;
use super::caught::caught;
use super::history::{Begun, Releases};
use super::interrupt::Interrupter;
use super::keeper::LeaseKeeper;
use super::recorder::Recorder;
use super::recovery::Recoveries;
use super::reporting::EventSender;
use crate::candidate::Candidate;
use crate::code;
use crate::context::{ApplyContext, Hearing, PlanContext, RunFacts};
use crate::deployer::Location;
use crate::error::{Error, Failure, Result};
use crate::id::{Fence, RunId, StageId, TargetName};
use crate::ledger::{Body, Claim, Hold, Ledger, StageScope};
use crate::outcome::Outcome;
use crate::pipeline::{Deploy, Pipeline};

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
    /// Who opened it.
    pub(crate) requester: String,
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
            requester: settings.actor.clone(),
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
            claim: Claim::new(target, run, actor).along(pipeline.also_lock.iter().cloned()),
            deadline: Instant::now() + settings.deadline,
            facts: Arc::new(facts),
            hearing: Arc::default(),
            keeper: None,
            recalled: false,
            requester: settings.actor.clone(),
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

    /// What is locked along, and under which fences.
    pub(crate) fn also(&self) -> BTreeMap<TargetName, Fence> {
        self.recorder.hold().map(|hold| hold.also).unwrap_or_default()
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
            requester: self.requester.clone(),
            last_release: releases.last(),
            last_closed: releases.newest_closed,
        });
        Ok(())
    }

    /// Reads what was released last anew, if any run has ended since, or the journal only began with
    /// this one.
    pub(crate) async fn learn_what_changed(&mut self) -> Result<()> {
        let last = self.ledger.read_kind(self.pipeline.target(), "closed", None, 1).await?;
        let last = last.first().map(|record| &record.hash);
        if self.facts.chain.is_some() && last == self.facts.last_closed.as_ref() {
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
            told: Arc::default(),
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
            // The run may have used up its time, and has to be told the truth still.
            let patience = Instant::now() + Duration::from_secs(30);
            let cx = self.context(&begun.stage, patience);
            let question = deploy.deploy.locate(&cx, &begun.change, begun.receipt.as_ref());
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
