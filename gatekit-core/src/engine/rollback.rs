//! Returning to an earlier release: a run of its own, which undoes what was released since.

use super::history::{Begun, Releases, RunHistory};
use super::queue::suspect;
use super::run::{Run, Stop};
use crate::candidate::Candidate;
use crate::code;
use crate::deployer::{Live, Location};
use crate::error::{Error, NextAction, Verb};
use crate::id::RunId;
use crate::ledger::{Body, Lineage, LockState, Mode};
use crate::outcome::{Outcome, RunReport};
use crate::rollback::Reversibility;

/// How far back a release may lie.
const DEPTH: usize = 100;

/// What a rollback undoes, and what is live afterwards.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    to: RunId,
    candidate: Candidate,
    undo: Vec<RunId>,
}

impl Run {
    pub(crate) async fn roll_back(mut self, to: Option<String>, reason: String) -> RunReport {
        let way = match self.way(to.as_deref()).await {
            Ok(way) => way,
            // Nothing was opened: there is nothing to close.
            Err(Stop::End(outcome, error)) => {
                return RunReport { run: None, ..self.report(outcome, Some(error.to_failure())) };
            }
            Err(stop) => return self.halt(stop).await,
        };
        let (to, undo) = (way.to, way.undo.clone());
        let mode = Mode::RollBack { to, undo: undo.clone(), reason };
        let opened = match self.learn(way.candidate).await {
            Ok(()) => self.open(mode).await,
            Err(error) => Err(self.ledger_stop(error)),
        };
        match opened {
            Ok(()) => self.begin_roll_back(to, undo).await,
            Err(stop) => self.unheld(stop).await,
        }
    }

    pub(crate) async fn resume_roll_back(
        mut self,
        history: RunHistory,
        to: RunId,
        undo: Vec<RunId>,
    ) -> RunReport {
        if !history.touched {
            if let Err(stop) = self.carry_on().await {
                return self.unheld(stop).await;
            }
            return self.begin_roll_back(to, undo).await;
        }
        if let Err(stop) = self.take_over().await {
            return self.not_taken_over(stop).await;
        }
        if let Err(stop) = self.fence_off().await {
            return self.halt(stop).await;
        }
        // Read again: until the takeover another process may have carried the run on.
        let history = match self.recall().await {
            Ok(history) => history,
            Err(stop) => return self.halt(stop).await,
        };
        match self.changes(&undo).await {
            Ok(begun) => self.begun = begun,
            Err(stop) => return self.halt(stop).await,
        }
        self.mark_undone(&history);
        self.go_back(to).await
    }

    /// What this rollback has undone already, by its own entries.
    pub(crate) fn mark_undone(&mut self, history: &RunHistory) {
        for (stage, of) in &history.undone {
            Begun::mark_undone(&mut self.begun, stage, *of);
        }
    }

    /// From the queue to the older release, of a rollback that has touched nothing yet.
    async fn begin_roll_back(mut self, to: RunId, undo: Vec<RunId>) -> RunReport {
        match self.ready_to_go_back(to, &undo).await {
            Ok(begun) => self.begun = begun,
            Err(stop) => return self.finish(Err(stop)).await,
        }
        self.go_back(to).await
    }

    async fn ready_to_go_back(&mut self, to: RunId, undo: &[RunId]) -> Result<Vec<Begun>, Stop> {
        let begun = self.changes(undo).await?;
        self.reversible(&begun)?;
        self.claim_what_they_had(undo).await?;
        let ticket = self.queue().await?;
        self.still_open().await?;
        let now = self.way(Some(&to.to_string())).await?;
        if now.undo != undo {
            return Err(refused(Error::new(
                code::PLAN_CHANGED,
                "another run was released meanwhile: the rollback would undo it too",
            )));
        }
        // Newest first: what the last release left must still be there, or be gone.
        if let Some(newest) = begun.last()
            && let Some(deploy) = self.pipeline.deploy(&newest.stage)
        {
            let location = self.locate(deploy, newest).await?;
            if matches!(location, Location::Elsewhere(_) | Location::Unknown(_)) {
                return Err(refused(
                    Error::new(
                        code::ROLLBACK_ELSEWHERE,
                        "the target is not where the last release left it: nothing was written",
                    )
                    .with_context("located", location),
                ));
            }
        }
        let (lineage, scopes, also) = (Lineage::Older, Vec::new(), self.also());
        self.record(Body::Granted { ticket, lineage, scopes, also }).await?;
        self.point_along().await?;
        self.safe_point()?;
        Ok(begun)
    }

    /// Undoes the changes, and closes with the older release live.
    pub(crate) async fn go_back(mut self, to: RunId) -> RunReport {
        self.unwinding = true;
        let undone = match self.undo_all().await {
            Ok(()) => self.is_undone().await,
            Err(stop) => Err(stop),
        };
        let confirmed = match undone {
            Ok(()) => self.is_live(to).await,
            Err(stop) => Err(stop),
        };
        self.undone(confirmed, Outcome::Released, None).await
    }

    /// Everything since is undone: now the older release itself must be live. It need not be: its
    /// service may have died long before the release that is rolled back was shipped.
    async fn is_live(&self, to: RunId) -> Result<(), Stop> {
        let history = RunHistory::read(&*self.ledger, self.pipeline.target(), to).await;
        let wanted = history.map_err(|error| self.ledger_stop(error))?.live();
        let live = self.pipeline.live().await.map_err(Stop::Broken)?;
        if same_release(live.as_ref(), wanted.as_ref()) {
            return Ok(());
        }
        Err(Stop::Broken(
            Error::new(
                code::ROLLBACK_STUCK,
                "everything since is undone, and the release that was asked for is not live",
            )
            .with_context("asked for", told(wanted))
            .with_context("live", told(live)),
        ))
    }

    /// The changes of the runs to undo, oldest first, as [`Run::undo_all`] takes them. Without their
    /// receipts: a rollback in between may have restored the same release with other ids. Also what
    /// a run had undone by itself: it was adopted afterwards, so that was live again.
    pub(crate) async fn changes(&self, undo: &[RunId]) -> Result<Vec<Begun>, Stop> {
        let mut begun = Vec::new();
        for run in undo.iter().rev() {
            let history = RunHistory::read(&*self.ledger, self.pipeline.target(), *run).await;
            let history = history.map_err(|error| self.ledger_stop(error))?;
            let live = |begun| Begun { receipt: None, undone: false, ..begun };
            begun.extend(history.begun.into_iter().map(live));
        }
        Ok(begun)
    }

    /// What the undone runs had locked along is touched again, whatever the pipeline locks by now.
    async fn claim_what_they_had(&mut self, undo: &[RunId]) -> Result<(), Stop> {
        for run in undo {
            let history = RunHistory::read(&*self.ledger, self.pipeline.target(), *run).await;
            let also = history.map_err(|error| self.ledger_stop(error))?.also;
            self.claim = self.claim.clone().along(also);
        }
        Ok(())
    }

    fn reversible(&self, begun: &[Begun]) -> Result<(), Stop> {
        for begun in begun {
            let one_way = |why: String| {
                refused(
                    Error::new(
                        code::ROLLBACK_ONE_WAY,
                        format!(
                            "the change of `{}` by run `{}` cannot be undone",
                            begun.stage, begun.of
                        ),
                    )
                    .with_context("why", why)
                    .with_next(NextAction::verb(Verb::Ship, &[])),
                )
            };
            let Some(deploy) = self.pipeline.deploy(&begun.stage) else {
                return Err(one_way("the pipeline has no such deploy any more".to_owned()));
            };
            if let Some(why) = &deploy.irreversible {
                return Err(one_way(why.clone()));
            }
            let back = deploy.deploy.reversibility(&begun.stage, &begun.change);
            match back.map_err(refused)? {
                Reversibility::Free => {}
                Reversibility::OneWay(why) | Reversibility::Unknown(why) => {
                    return Err(one_way(why));
                }
            }
        }
        Ok(())
    }

    /// The release that is asked for is the newest by the journal: that is only a success while it is
    /// also what is live.
    async fn newest_already(&self, name: &str, wanted: Option<Live>) -> Stop {
        let state = match self.ledger.state(self.pipeline.target()).await {
            Ok(state) => state,
            Err(error) => return self.ledger_stop(error),
        };
        if let (LockState::Suspect, Some(run)) = (state.state, state.run) {
            let own = self.pipeline.target();
            return suspect(own, state.along_with.as_ref().unwrap_or(own), run, state.fence);
        }
        let live = match self.pipeline.live().await {
            Ok(live) => live,
            Err(error) => return Stop::End(Outcome::Failed, error),
        };
        let message = format!("`{name}` is the newest release already");
        if same_release(live.as_ref(), wanted.as_ref()) {
            let nothing = Error::new(code::ROLLBACK_NOTHING, message);
            return Stop::End(
                Outcome::Unchanged,
                nothing.with_next(NextAction::verb(Verb::Log, &[])),
            );
        }
        refused(
            Error::new(code::ROLLBACK_ELSEWHERE, format!("{message}, and is not live"))
                .with_context("live", told(live))
                .with_next(NextAction::verb(Verb::Status, &[]))
                .with_next(NextAction::verb(Verb::Ship, &[])),
        )
    }

    /// Which runs lie between what is released now and the release that is asked for.
    async fn way(&self, to: Option<&str>) -> Result<Way, Stop> {
        let releases = Releases::read(&*self.ledger, self.pipeline.target(), DEPTH).await;
        let stack = releases.map_err(|error| self.ledger_stop(error))?.stack;
        let status = NextAction::verb(Verb::Log, &[]);
        let index = match to {
            None if stack.len() < 2 => {
                return Err(refused(
                    Error::new(code::ROLLBACK_NOTHING, "there is no earlier release to return to")
                        .with_next(status),
                ));
            }
            None => 1,
            Some(name) => match stack.iter().position(|release| release.is_called(name)) {
                Some(0) => return Err(self.newest_already(name, stack[0].live()).await),
                Some(index) => index,
                None => {
                    let known: Vec<_> = stack.iter().filter_map(RunHistory::live).collect();
                    let known: Vec<_> = known.iter().map(ToString::to_string).collect();
                    return Err(refused(
                        Error::new(
                            code::ROLLBACK_UNKNOWN_RELEASE,
                            format!("no release in effect is called `{}`", name.escape_debug()),
                        )
                        .with_context("in effect", known.join(", "))
                        .with_next(status),
                    ));
                }
            },
        };
        Ok(Way {
            to: stack[index].run,
            candidate: stack[index].candidate.clone(),
            undo: stack[..index].iter().map(|release| release.run).collect(),
        })
    }
}

fn same_release(one: Option<&Live>, other: Option<&Live>) -> bool {
    one.map(|live| &live.release) == other.map(|live| &live.release)
}

fn told(live: Option<Live>) -> String {
    live.map_or("nothing".to_owned(), |live| live.to_string())
}

fn refused(error: Error) -> Stop {
    Stop::End(Outcome::Refused, error)
}
