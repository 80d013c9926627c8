//! One deploy: apply, observe, locate.

use std::time::Duration;

use tokio::time::Instant;

use super::admission::{changed, one_way};
use super::caught::caught;
use super::history::Begun;
use super::run::{Run, Stop};
use crate::code;
use crate::deployer::{Go, Location, Pause, Planned, Rollout};
use crate::error::{Error, Failure, Result};
use crate::id::StageId;
use crate::ledger::{Body, GatePhase, StageScope};
use crate::pipeline::{Deploy, ErasedDeploy};
use serde_json::Value;

/// How long a poll that failed for a while is left alone, or a pause that was answered.
const POLL_AGAIN: Duration = Duration::from_secs(1);

/// The shortest pause between two polls, whatever a deployer asks for.
const POLL_AT_LEAST: Duration = Duration::from_millis(10);

/// How a deploy failed, and where it stands.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    pub(crate) location: Location,
}

/// Which way a rollout goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Back,
}

impl Run {
    /// Makes a deploy live: goes on with the one that was begun, or begins with `planned`. Tells how
    /// it failed, if a recovery may be for it.
    pub(crate) async fn roll_out(
        &mut self,
        deploy: &Deploy,
        planned: Option<Planned<Value>>,
    ) -> Result<Result<(), Failed>, Stop> {
        let stage = deploy.id.clone();
        let index = match self.current(&stage) {
            Some(index) => index,
            None => self.begin(deploy, planned).await?,
        };
        if self.begun[index].settled {
            return Ok(Ok(()));
        }
        if let Some(hook) = &self.begun[index].rejected {
            return Err(Stop::Broken(pause_rejected(&stage, hook)));
        }
        let begun = self.begun[index].clone();
        let (rollout, failure) = match self.apply(deploy, index).await? {
            Err(failure) => (None, Some(failure)),
            Ok(()) => {
                let begun = self.begun[index].clone();
                let (rollout, failure) =
                    self.observe(&*deploy.deploy, &begun, Some(deploy), Direction::Forward).await?;
                (rollout, failure)
            }
        };
        let location = self.locate(deploy, &self.begun[index]).await?;
        // `locate` is the only judge: neither a cheerful rollout nor a gloomy one decides. But when
        // the call itself failed, there is no receipt to tell our effect from another's; and what
        // the pipeline's own gates rejected at a pause stays rejected.
        let ours = self.begun[index].receipt.is_some();
        let rejected =
            failure.as_ref().is_some_and(|failure| *failure.code() == code::DEPLOY_PAUSE_REJECTED);
        if location == Location::After && ours && !rejected {
            self.record(Body::Settled { stage, already: false }).await?;
            self.begun[index].settled = true;
            return Ok(Ok(()));
        }
        let error = failure.unwrap_or_else(|| not_live(&begun.stage, &location));
        let failure = error.to_failure();
        let told = Body::StageFailed {
            stage,
            failure: failure.clone(),
            rollout,
            location: location.clone(),
        };
        self.record(told).await?;
        if rejected { Err(Stop::Broken(error)) } else { Ok(Err(Failed { failure, location })) }
    }

    /// What a stage stands for: its newest change, unless it is begun anew.
    pub(crate) fn current(&self, stage: &StageId) -> Option<usize> {
        self.begun.iter().rposition(|begun| begun.stage == *stage && !begun.retried)
    }

    /// Finds the deploy in place, or journals that it begins: from then on the target is touched.
    async fn begin(
        &mut self,
        deploy: &Deploy,
        planned: Option<Planned<Value>>,
    ) -> Result<usize, Stop> {
        let stage = deploy.id.clone();
        let planned = match planned {
            Some(planned) => planned,
            None => self.plan_again(deploy).await?,
        };
        let mut begun = Begun::new(stage.clone(), self.id(), planned.change);
        begun.recovery = self.recoveries.includes(&stage);
        if self.locate(deploy, &begun).await? == Location::After {
            self.record(Body::Settled { stage, already: true }).await?;
            begun.settled = true;
            begun.already = true;
        } else {
            self.safe_point()?;
            self.record(Body::Applying { stage, change: begun.change.clone() }).await?;
        }
        self.begun.push(begun);
        Ok(self.begun.len() - 1)
    }

    /// Plans a deploy under way: one that a resumed run had not begun yet, or that is begun anew.
    /// Within what was granted to it, and only what can be undone.
    pub(crate) async fn plan_again(&self, deploy: &Deploy) -> Result<Planned<Value>, Stop> {
        let stage = deploy.id.clone();
        let cx = self.context(&stage, self.deadline);
        let planned = self.ask(&stage, self.deadline, deploy.deploy.plan(&cx)).await?;
        let planned = planned.map_err(|error| self.broken(error))?;
        let scope = StageScope::new(stage, planned.scope.clone(), &*planned.summary);
        let refused = match changed(&[scope], self.scopes.as_deref().unwrap_or_default()) {
            Some(error) => Some(error),
            None => one_way(deploy, &planned).unwrap_or_else(Some),
        };
        refused.map_or(Ok(planned), |error| Err(self.broken(error)))
    }

    /// Calls `apply`, which is awaited whatever happens, and journals its receipt.
    async fn apply(&mut self, deploy: &Deploy, index: usize) -> Result<Result<(), Error>, Stop> {
        let begun = &self.begun[index];
        let stage = begun.stage.clone();
        let cx = self.writing_context(&stage);
        let call = deploy.deploy.apply(&cx, &begun.change, begun.receipt.as_ref());
        match caught(&stage, call).await {
            Ok(receipt) => {
                self.record(Body::Applied { stage, receipt: receipt.clone() }).await?;
                self.begun[index].receipt = Some(receipt);
                Ok(Ok(()))
            }
            Err(error) => {
                // As far as it got: a resumed run would read it in the journal.
                if let Some(receipt) = cx.into_checkpoint() {
                    self.begun[index].receipt = Some(receipt);
                }
                self.write_failed(error).map(Err)
            }
        }
    }

    /// A write that was refused because the lock is gone ends the run; any other failure is judged
    /// by where the target stands.
    pub(crate) fn write_failed(&self, error: Error) -> Result<Error, Stop> {
        if matches!(error.code().area(), "lock" | "ledger") {
            return Err(self.ledger_stop(error));
        }
        Ok(error)
    }

    /// Polls until the rollout ends or the deadline comes. Tells how it ended, and whether that was
    /// a failure.
    pub(crate) async fn observe(
        &self,
        deploy: &dyn ErasedDeploy,
        begun: &Begun,
        pauses: Option<&Deploy>,
        direction: Direction,
    ) -> Result<(Option<Rollout>, Option<Error>), Stop> {
        let stage = &begun.stage;
        let (mut answered, mut last_told) = (None, None);
        loop {
            let cx = self.context(stage, self.deadline);
            let receipt = begun.receipt.as_ref();
            let poll = async {
                match (direction, receipt) {
                    (Direction::Forward, Some(receipt)) => {
                        deploy.observe(&cx, &begun.change, receipt).await
                    }
                    (Direction::Forward, None) => Ok(Rollout::NothingRan),
                    (Direction::Back, receipt) => {
                        deploy.observe_back(&cx, &begun.change, receipt).await
                    }
                }
            };
            let polled = self.ask(stage, self.deadline, poll).await?;
            last_told = cx.last_told().or(last_told);
            let rollout = match polled {
                Ok(rollout) => rollout,
                Err(error) if error.is_temporary() && Instant::now() < self.deadline => {
                    self.pause(POLL_AGAIN).await?;
                    continue;
                }
                Err(error) => return Ok((None, Some(with_last(error, last_told)))),
            };
            match (&rollout, pauses) {
                (Rollout::InProgress { poll_after }, _) if Instant::now() < self.deadline => {
                    let left = self.deadline.saturating_duration_since(Instant::now());
                    self.pause((*poll_after).clamp(POLL_AT_LEAST, left.max(POLL_AT_LEAST))).await?;
                }
                // A backend may be slow to show that it was answered. If it still pauses after that,
                // the answer may have been lost: it is given again.
                (Rollout::Paused(pause), _) if answered.as_ref() == Some(pause) => {
                    if Instant::now() >= self.deadline {
                        return Ok((Some(rollout), Some(unsettled(stage, last_told))));
                    }
                    self.pause(POLL_AGAIN).await?;
                    answered = None;
                }
                (Rollout::Paused(pause), Some(paused)) => {
                    if let Some(failure) = self.answer(paused, begun, pause).await? {
                        return Ok((Some(rollout), Some(failure)));
                    }
                    answered = Some(pause.clone());
                }
                _ => {
                    let failure = failed(stage, &rollout, last_told);
                    return Ok((Some(rollout), failure));
                }
            }
        }
    }

    /// Asks the gates at a pause and answers it; tells why when the rollout is not to go on.
    async fn answer(
        &self,
        deploy: &Deploy,
        begun: &Begun,
        pause: &Pause,
    ) -> Result<Option<Error>, Stop> {
        let stage = &begun.stage;
        let rejected = if deploy.at_pause.is_empty() {
            Some("the pipeline has no gates to answer it".to_owned())
        } else {
            let judged = self.judge(&deploy.at_pause, GatePhase::Pause).await?;
            judged.err().map(|failure| failure.to_string())
        };
        let go = if rejected.is_none() { Go::Continue } else { Go::RollBack };
        let Some(receipt) = &begun.receipt else { return Ok(None) };
        let went_on = go == Go::Continue;
        self.record(Body::Answered { stage: stage.clone(), pause: pause.clone(), went_on }).await?;
        let cx = self.writing_context(stage);
        let call = deploy.deploy.proceed(&cx, &begun.change, receipt, pause, go);
        let answered = match caught(stage, call).await {
            Ok(()) => None,
            Err(error) => Some(self.write_failed(error)?),
        };
        // Rejected stays rejected, whether or not the backend could be told.
        Ok(match rejected {
            None => answered,
            Some(why) => {
                let error = pause_rejected(stage, &pause.hook).with_context("why", why);
                Some(match answered {
                    Some(source) => error.with_source(source),
                    None => error,
                })
            }
        })
    }
}

pub(crate) fn pause_rejected(stage: &StageId, hook: &str) -> Error {
    Error::new(
        code::DEPLOY_PAUSE_REJECTED,
        format!("the rollout of `{stage}` is not to go on from its pause `{hook}`"),
    )
}

fn unsettled(stage: &StageId, last_told: Option<String>) -> Error {
    let what = format!("the rollout of `{stage}` did not settle before the deadline");
    with_last(Error::new(code::DEPLOY_DEADLINE, what), last_told)
}

/// An error with what people were told last before it.
fn with_last(error: Error, last_told: Option<String>) -> Error {
    match last_told {
        Some(told) => error.with_context("last", told),
        None => error,
    }
}

/// What a rollout that has ended says; `None` when it says that all is well.
fn failed(stage: &StageId, rollout: &Rollout, last_told: Option<String>) -> Option<Error> {
    let (code, what) = match rollout {
        Rollout::Settled => return None,
        Rollout::InProgress { .. } => return Some(unsettled(stage, last_told)),
        Rollout::Failed(why) => (code::DEPLOY_FAILED, format!("failed: {why}")),
        Rollout::RolledBack { by, why } => {
            (code::DEPLOY_ROLLED_BACK, format!("was rolled back by {by}: {why}"))
        }
        Rollout::Superseded { by } => (code::DEPLOY_SUPERSEDED, format!("was superseded by {by}")),
        Rollout::NothingRan => {
            (code::DEPLOY_NOTHING_RAN, "was accepted, and nothing ran".to_owned())
        }
        Rollout::Paused(pause) => {
            (code::DEPLOY_PAUSE_REJECTED, format!("paused at `{}`", pause.hook))
        }
    };
    Some(Error::new(code, format!("the rollout of `{stage}` {what}")))
}

/// The failure of a deploy that is not where it should be.
pub(crate) fn not_live(stage: &StageId, location: &Location) -> Error {
    Error::new(code::DEPLOY_NOT_LIVE, format!("deploy `{stage}` is not live"))
        .with_context("located", location)
}
