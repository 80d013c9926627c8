//! Settling a suspect target as a person decides.

use super::history::{Begun, RunHistory};
use super::queue::suspect;
use super::rollout::{not_live, pause_rejected};
use super::run::{Run, Stop, described};
use crate::code;
use crate::deployer::Location;
use crate::error::{Error, NextAction, Verb};
use crate::id::StageId;
use crate::ledger::{Body, Decision, GatePhase, Holder, LockState, Mode};
use crate::outcome::{Outcome, RunReport};
use crate::pipeline::{Deploy, Step};

impl Run {
    /// Takes up what the run began, or was about to undo.
    async fn take_up(&mut self, history: &RunHistory) -> Result<(), Stop> {
        match &history.mode {
            Mode::RollBack { undo, .. } => {
                self.begun = self.changes(undo).await?;
                self.mark_undone(history);
            }
            Mode::Ship => self.begun.clone_from(&history.begun),
        }
        Ok(())
    }

    /// Where everything begun stands, in that order.
    async fn located(&self) -> Result<Vec<(StageId, Location)>, Stop> {
        let mut located = Vec::new();
        for begun in &self.begun {
            let location = match self.pipeline.deploy(&begun.stage) {
                Some(deploy) => self.locate(deploy, begun).await?,
                None => Location::Unknown("the pipeline has no such deploy".to_owned()),
            };
            located.push((begun.stage.clone(), location));
        }
        Ok(located)
    }

    pub(crate) async fn reconcile(
        mut self,
        decision: Option<Decision>,
        reason: String,
    ) -> RunReport {
        let looked = match self.is_suspect().await {
            Ok(holder) => self.look().await.map(|(history, found)| (holder, history, found)),
            Err(stop) => Err(stop),
        };
        let (holder, history, found) = match looked {
            Ok(looked) => looked,
            Err(Stop::End(outcome @ (Outcome::Unchanged | Outcome::Stuck), error)) => {
                return self.report(outcome, Some(error.to_failure()));
            }
            Err(stop) => return self.untold(stop).await,
        };
        let Some(decision) = decision else {
            if let Some(holder) = holder {
                return self.refuse_second_process(&holder);
            }
            let gone = match self.gone_from_place(&history).await {
                Ok(gone) => gone,
                Err(stop) => return self.untold(stop).await,
            };
            let undecided = self.undecided(&history, &found, gone.is_none()).to_failure();
            let live = self.live_for_report().await;
            return RunReport { live, ..self.report(Outcome::Stuck, Some(undecided)) };
        };
        if let Err(stop) = self.take_over().await {
            return self.unheld(stop).await;
        }
        match self.fence_off().await {
            Ok(()) => {}
            // Who overrides answers for whatever may still land.
            Err(Stop::Broken(error)) if decision == Decision::Override => {
                let told = format!("an earlier holder may still write: {error}");
                self.recorder.progress(None, told);
            }
            Err(stop) => return self.keep_suspect(stop).await,
        }
        // Look again: only what is seen under the lock may be decided on.
        let (history, found) = match self.look().await {
            Ok(looked) => looked,
            Err(stop) => return self.keep_suspect(stop).await,
        };
        let recorded =
            self.record(Body::Reconciled { decision, reason, found: found.clone() }).await;
        if let Err(stop) = recorded {
            return self.keep_suspect(stop).await;
        }
        self.decide(decision, &history, &found).await
    }

    /// Whether there is something to decide; gives the holder that is still at work.
    async fn is_suspect(&self) -> Result<Option<Holder>, Stop> {
        let state = self.ledger.state(self.pipeline.target()).await;
        let state = state.map_err(|error| self.ledger_stop(error))?;
        match (state.state, state.run) {
            (LockState::Suspect | LockState::Mutating, Some(run))
                if run == self.id() && state.along_with.is_none() =>
            {
                Ok(state.holder)
            }
            (LockState::Suspect, Some(other)) => {
                let own = self.pipeline.target();
                let target = state.along_with.as_ref().unwrap_or(own);
                Err(suspect(own, target, other, state.fence))
            }
            (lock, _) => {
                let nothing = Error::new(
                    code::RECONCILE_NOTHING,
                    format!("the target is {}: nothing to reconcile", lock.as_str()),
                )
                .with_next(NextAction::verb(Verb::Status, &[]));
                Err(Stop::End(Outcome::Unchanged, nothing))
            }
        }
    }

    /// The suspect run and where its deploys stand.
    async fn look(&mut self) -> Result<(RunHistory, Vec<(StageId, Location)>), Stop> {
        let history = self.recall().await?;
        self.take_up(&history).await?;
        let found = self.located().await?;
        Ok((history, found))
    }

    async fn decide(
        mut self,
        decision: Decision,
        history: &RunHistory,
        found: &[(StageId, Location)],
    ) -> RunReport {
        let returning_to = match &history.mode {
            Mode::RollBack { to, .. } => Some(*to),
            Mode::Ship => None,
        };
        let rolling_back = returning_to.is_some();
        let (new, old) = (self.not_live(found).is_none(), undone(found));
        // Another pipeline may look at another place, where the old release seems to be untouched.
        let same = self.is_its_own(history);
        let cause = history.unwinding.clone().unwrap_or_else(|| decided(decision).to_failure());
        match decision {
            Decision::Override => {
                let cause = decided(decision).to_failure();
                self.close(Outcome::Overridden, Some(cause)).await
            }
            // Nothing would be undone, and the old release confirmed.
            Decision::RollBack if !rolling_back && !same && old => {
                self.refuse(decision, found, Some(another_pipeline())).await
            }
            // A rollback is finished, whichever word is used for it.
            Decision::RollBack => match returning_to {
                Some(to) => self.go_back(to).await,
                None => self.unwind(cause).await,
            },
            Decision::ConfirmOld if rolling_back && same && new => {
                self.close(Outcome::RolledBack, Some(cause)).await
            }
            Decision::ConfirmOld if !rolling_back && same && old => {
                self.close(Outcome::RolledBack, Some(cause)).await
            }
            // Whether the older release itself is live is asked there too.
            Decision::Adopt if rolling_back && same && old => match returning_to {
                Some(to) => self.go_back(to).await,
                None => self.close(Outcome::Released, None).await,
            },
            Decision::Adopt if !rolling_back && new => match self.adoptable(history).await {
                Ok(()) => self.close(Outcome::Released, None).await,
                Err(Stop::Broken(error)) => self.refuse(decision, found, Some(error)).await,
                Err(stop) => self.keep_suspect(stop).await,
            },
            Decision::ConfirmOld | Decision::Adopt => self.refuse(decision, found, None).await,
        }
    }

    /// Whether the pipeline is the one that the run began with.
    fn is_its_own(&self, history: &RunHistory) -> bool {
        history.fingerprint == *self.pipeline.fingerprint()
    }

    /// Adopting is a release: the pipeline must be the same, every deploy live, and every enforced
    /// verify gate must pass.
    async fn adoptable(&mut self, history: &RunHistory) -> Result<(), Stop> {
        if !self.is_its_own(history) {
            return Err(Stop::Broken(another_pipeline()));
        }
        if let Some(stage) = self.never_begun(history) {
            let missing = format!("deploy `{stage}` was never begun");
            return Err(Stop::Broken(Error::new(code::RECONCILE_REFUSED, missing)));
        }
        for step in &self.pipeline.steps {
            if let Step::Verify(set) = step
                && let Err(error) = self.judge(set, GatePhase::Verify).await?
            {
                return Err(Stop::Broken(error));
            }
        }
        if let Some(gone) = self.gone_from_place(history).await? {
            return Err(Stop::Broken(gone));
        }
        let found = self.located().await?;
        self.not_live(&found).map_or(Ok(()), |error| Err(Stop::Broken(error)))
    }

    /// Why what was begun is no release, as far as `locate` can tell.
    fn not_live(&self, found: &[(StageId, Location)]) -> Option<Error> {
        let counts = || self.begun.iter().zip(found).filter(|(begun, _)| begun.counts());
        if counts().next().is_none() {
            let nothing = "no deploy of the run is begun that would have to be live";
            return Some(Error::new(code::RECONCILE_REFUSED, nothing));
        }
        // What the pipeline's own gates rejected is no release, however live it is.
        if let Some((stage, hook)) =
            counts().find_map(|(begun, _)| Some((&begun.stage, begun.rejected.as_ref()?)))
        {
            return Some(pause_rejected(stage, hook));
        }
        let (_, (stage, location)) =
            counts().find(|(_, (_, location))| *location != Location::After)?;
        Some(not_live(stage, location))
    }

    /// The findings, with the decisions they allow first. `in_place`: what the run found in place is
    /// still there.
    fn undecided(
        &self,
        history: &RunHistory,
        found: &[(StageId, Location)],
        in_place: bool,
    ) -> Error {
        let (live, undone) = (self.not_live(found).is_none(), undone(found));
        let (new, old) = match history.mode {
            // What is not whole cannot be adopted.
            Mode::Ship => (live && in_place && self.never_begun(history).is_none(), undone),
            Mode::RollBack { .. } => (undone, live),
        };
        let same = self.is_its_own(history);
        let mut error =
            Error::new(code::RECONCILE_UNDECIDED, "the target is suspect: decide what is true")
                .with_context("found", listed(found));
        if same {
            error = error.with_next(NextAction::verb(Verb::Resume, &[]));
            if new {
                error = error.with_next(decision_action("--adopt"));
            } else if old {
                error = error.with_next(decision_action("--confirm-old"));
            }
        } else {
            error = error.with_context("but", another_pipeline());
        }
        let has_nothing_to_undo = undone && matches!(history.mode, Mode::Ship);
        if same || !has_nothing_to_undo {
            error = error.with_next(decision_action("--roll-back"));
        }
        error.with_next(decision_action("--override"))
    }

    /// A deploy that the run neither began nor found in place.
    fn never_begun(&self, history: &RunHistory) -> Option<StageId> {
        let known =
            |stage: &StageId| history.already.contains(stage) || self.current(stage).is_some();
        self.pipeline.deploys().map(|deploy| deploy.id.clone()).find(|stage| !known(stage))
    }

    /// Why one of the deploys is not live that the run found in place.
    async fn gone_from_place(&self, history: &RunHistory) -> Result<Option<Error>, Stop> {
        for deploy in self.pipeline.deploys().filter(|it| history.already.contains(&it.id)) {
            let location = self.still_in_place(deploy).await?;
            if location != Location::After {
                return Ok(Some(not_live(&deploy.id, &location)));
            }
        }
        Ok(None)
    }

    /// Where a deploy stands that the run found in place: by a plan made now, because it journalled
    /// none.
    async fn still_in_place(&self, deploy: &Deploy) -> Result<Location, Stop> {
        let stage = deploy.id.clone();
        let cx = self.context(&stage, self.deadline);
        match self.ask(&stage, self.deadline, deploy.deploy.plan(&cx)).await? {
            Ok(planned) => self.locate(deploy, &Begun::new(stage, self.id(), planned.change)).await,
            Err(error) => Ok(Location::Unknown(described(&error.to_failure()))),
        }
    }

    /// The decision does not fit what was found: the target stays suspect.
    async fn refuse(
        self,
        decision: Decision,
        found: &[(StageId, Location)],
        because: Option<Error>,
    ) -> RunReport {
        let mut error = Error::new(
            code::RECONCILE_REFUSED,
            format!("what was found does not allow to {}", verb_of(decision)),
        )
        .with_context("found", listed(found));
        if let Some(because) = because {
            error = error.with_context("because", described(&because.to_failure()));
        }
        if decision != Decision::RollBack {
            error = error.with_next(decision_action("--roll-back"));
        }
        let error = error.with_next(decision_action("--override"));
        self.stuck(error.to_failure()).await
    }

    /// Interrupted in the middle of a decision: the target stays suspect.
    async fn keep_suspect(self, stop: Stop) -> RunReport {
        match stop {
            Stop::End(_, error) | Stop::Park(_, error) | Stop::Broken(error) => {
                self.stuck(error.to_failure()).await
            }
            Stop::Interrupted => {
                let interrupted = Error::new(code::RUN_INTERRUPTED, "interrupted while verifying");
                self.stuck(interrupted.to_failure()).await
            }
            stop => self.halt(stop).await,
        }
    }
}

fn another_pipeline() -> Error {
    Error::new(code::RESUME_FINGERPRINT, "the pipeline is not the run's own")
}

fn decided(decision: Decision) -> Error {
    let (code, what) = match decision {
        Decision::Override => {
            (code::RECONCILE_OVERRIDDEN, "a person freed the target, whatever is live")
        }
        _ => (code::RUN_INTERRUPTED, "the run was cut off, and a person settled it"),
    };
    Error::new(code, what).with_next(NextAction::verb(Verb::Status, &[]))
}

fn verb_of(decision: Decision) -> &'static str {
    match decision {
        Decision::Adopt => "adopt the new release",
        Decision::ConfirmOld => "confirm the old release",
        Decision::RollBack => "roll back",
        Decision::Override => "override",
    }
}

fn listed(found: &[(StageId, Location)]) -> String {
    let list: Vec<_> = found.iter().map(|(stage, at)| format!("`{stage}` {at}")).collect();
    list.join("; ")
}

fn decision_action(flag: &str) -> NextAction {
    NextAction::verb(Verb::Reconcile, &[flag, "--reason", "TEXT"]).by("operator")
}

fn undone(found: &[(StageId, Location)]) -> bool {
    found.iter().all(|(_, location)| *location == Location::Before)
}
