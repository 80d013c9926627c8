//! Undoing what was begun, newest first, until `locate` says that the old release is back.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::caught::caught;
use super::history::Begun;
use super::rollout::Direction;
use super::run::{Run, Stop};
use crate::code;
use crate::deployer::Location;
use crate::error::{Error, Failure};
use crate::ledger::Body;
use crate::outcome::{Outcome, RunReport};
use crate::pipeline::Deploy;
use crate::rollback::Reversibility;

impl Run {
    /// Undoes everything that was begun, because of `cause`.
    pub(crate) async fn unwind(mut self, cause: Failure) -> RunReport {
        let undone = match self.start_unwinding(&cause).await {
            Ok(()) => self.undo_all().await,
            Err(stop) => Err(stop),
        };
        let confirmed = match undone {
            Ok(()) => self.is_undone().await,
            Err(stop) => Err(stop),
        };
        // Why it was to be undone is what a person has to mend.
        let confirmed = confirmed.map_err(|stop| match stop {
            Stop::Broken(error) => {
                let because = format!("{cause} [{}]", cause.code);
                Stop::Broken(error.with_context("because", because))
            }
            stop => stop,
        });
        self.undone(confirmed, Outcome::RolledBack, Some(cause)).await
    }

    /// Asks once more where everything stands: what was undone first, or by an earlier process, need
    /// not be so any more. What a deploy was before its first change is the old release; repairs were
    /// made on the way.
    pub(crate) async fn is_undone(&self) -> Result<(), Stop> {
        let mut first = BTreeSet::new();
        for begun in self.begun.iter().filter(|begun| !begun.already && !begun.recovery) {
            if !first.insert(&begun.stage) {
                continue;
            }
            let Some(deploy) = self.pipeline.deploy(&begun.stage) else { continue };
            let location = self.locate(deploy, begun).await?;
            if location != Location::Before {
                let error = Error::new(code::ROLLBACK_STUCK, "what was undone is no longer so");
                return Err(stuck(begun, error.with_context("located", location)));
            }
        }
        Ok(())
    }

    async fn start_unwinding(&mut self, cause: &Failure) -> Result<(), Stop> {
        self.unwinding = true;
        self.deadline = Instant::now() + self.settings.deadline;
        self.record(Body::Unwinding { cause: cause.clone() }).await
    }

    /// Closes a run whose undoing came to its end, or leaves the target suspect.
    pub(crate) async fn undone(
        self,
        undone: Result<(), Stop>,
        outcome: Outcome,
        cause: Option<Failure>,
    ) -> RunReport {
        match undone {
            Ok(()) => self.close(outcome, cause).await,
            Err(stop) => self.halt(stop).await,
        }
    }

    /// Undoes the deploys that were begun and not undone yet, newest first.
    pub(crate) async fn undo_all(&mut self) -> Result<(), Stop> {
        for index in (0..self.begun.len()).rev() {
            if self.begun[index].already || self.begun[index].undone {
                continue;
            }
            let begun = self.begun[index].clone();
            let Some(deploy) = self.pipeline.deploy(&begun.stage).cloned() else {
                return Err(stuck(
                    &begun,
                    Error::new(code::ROLLBACK_STUCK, "the pipeline has no such deploy any more"),
                ));
            };
            self.undo(&deploy, &begun).await?;
            self.record(Body::RolledBack { stage: begun.stage, of: begun.of }).await?;
            self.begun[index].undone = true;
        }
        Ok(())
    }

    /// Undoes one deploy. Writes nothing when it never landed, or when somebody else's release is
    /// there.
    async fn undo(&self, deploy: &Deploy, begun: &Begun) -> Result<(), Stop> {
        match self.locate(deploy, begun).await? {
            Location::Before => return Ok(()),
            Location::After | Location::Between(_) => {}
            location @ Location::Elsewhere(_) => {
                return Err(stuck(
                    begun,
                    Error::new(
                        code::ROLLBACK_ELSEWHERE,
                        "another release is live, and it is not touched",
                    )
                    .with_context("located", location),
                ));
            }
            location @ Location::Unknown(_) => {
                return Err(stuck(
                    begun,
                    Error::new(code::ROLLBACK_STUCK, "it cannot be told where the target stands")
                        .with_context("located", location),
                ));
            }
        }
        if let Some(why) = &deploy.irreversible {
            return Err(stuck(
                begun,
                Error::new(code::DEPLOY_IRREVERSIBLE, "the deploy is irreversible")
                    .with_context("why", why),
            ));
        }
        match deploy.deploy.reversibility(&begun.stage, &begun.change) {
            Ok(Reversibility::Free) => {}
            Ok(Reversibility::OneWay(why) | Reversibility::Unknown(why)) => {
                let error = Error::new(code::ROLLBACK_ONE_WAY, "the change cannot be undone");
                return Err(stuck(begun, error.with_context("why", why)));
            }
            Err(error) => return Err(stuck(begun, error)),
        }
        self.record(Body::RollingBack {
            stage: begun.stage.clone(),
            of: begun.of,
            change: begun.change.clone(),
            receipt: begun.receipt.clone(),
        })
        .await?;
        let cx = self.writing_context(&begun.stage);
        let call = deploy.deploy.roll_back(&cx, &begun.change, begun.receipt.as_ref());
        let mut failure = match caught(&begun.stage, call).await {
            Ok(()) => None,
            Err(error) => Some(self.write_failed(error)?),
        };
        if failure.is_none() {
            (_, failure) = self.observe(&*deploy.deploy, begun, None, Direction::Back).await?;
        }
        let location = self.locate(deploy, begun).await?;
        if location == Location::Before {
            return Ok(());
        }
        let mut error =
            Error::new(code::ROLLBACK_STUCK, "the undoing did not end at the old release")
                .with_context("located", location);
        if let Some(failure) = failure {
            error = error.with_source(failure);
        }
        Err(stuck(begun, error))
    }
}

fn stuck(begun: &Begun, error: Error) -> Stop {
    Stop::Broken(error.with_context("stage", &begun.stage))
}
