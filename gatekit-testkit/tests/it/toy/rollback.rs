//! The rollback: stop, start what was there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Code, Effect, Error, Location, Permit, PlanContext, Result, Reversibility,
    Rollback, Rollout,
};
use tokio::task::yield_now;

use super::deployer::{Change, Receipt, ToyDeployer, locate};
use super::world::{Target, Wrong};

const OTHER: Code = Code::new("toy.other");
const ONE_WAY: Code = Code::new("toy.one_way");
const CODELESS: Code = Code::new("oneway");

#[derive(Debug)]
pub(crate) struct ToyRollback {
    wrong: Wrong,
    target: Target,
    made: u64,
    permits: AtomicU64,
    lent: Mutex<bool>,
}

impl ToyRollback {
    pub(crate) fn new(wrong: Wrong, target: Target, made: u64) -> Self {
        Self { wrong, target, made, permits: AtomicU64::new(0), lent: Mutex::new(false) }
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    async fn permit(&self, cx: &ApplyContext, call: &str) -> Result<Option<Permit>> {
        let asked = self.permits.fetch_add(1, Ordering::SeqCst);
        match self.wrong {
            Wrong::UndoesWithoutPermit => Ok(None),
            Wrong::OnePermitForUndoing if asked > 0 => Ok(None),
            Wrong::UndoIgnoresRefusal => Ok(cx.permit(call).await.ok()),
            Wrong::UndoRenamesRefusal => {
                cx.permit(call).await.map(Some).map_err(|_| Error::new(OTHER, "not allowed"))
            }
            _ => cx.permit(call).await.map(Some),
        }
    }

    async fn turn(&self, cx: &ApplyContext, change: &Change, stopped: &mut bool) -> Result<()> {
        let (runs, paused) = {
            let state = self.target.lock();
            (state.live.is_some(), state.paused.is_some())
        };
        if runs || paused {
            let permit = self.permit(cx, "stop").await?;
            self.target.write(permit.as_ref(), |state| {
                state.live = None;
                state.paused = None;
            })?;
            *stopped = true;
        } else if self.is(Wrong::UndoStuckHalfWay) {
            return Ok(());
        }
        let Some(before) = change.before.clone() else { return Ok(()) };
        if matches!(self.wrong, Wrong::UndoLeavesNothing | Wrong::UndoneUntrue) {
            return Ok(());
        }
        let permit = self.permit(cx, "start").await?;
        self.target.write(permit.as_ref(), |state| {
            let next = state.revision(&before, cx.run());
            state.live = Some(next);
            state.polls = 0;
        })
    }

    fn one_way(&self) -> Result<bool> {
        if !self.target.lock().one_way {
            return Ok(false);
        }
        let error =
            |code| Err(Error::new(code, "what was there is gone").with_effect(Effect::None));
        match self.wrong {
            Wrong::OneWayUndone => Ok(false),
            Wrong::OneWayToldUndone => Ok(true),
            Wrong::OneWayWithoutCode => error(CODELESS),
            _ => error(ONE_WAY),
        }
    }
}

#[async_trait]
impl Rollback<ToyDeployer> for ToyRollback {
    fn reversibility(&self, _: &Change) -> Reversibility {
        let mut state = self.target.lock();
        match self.wrong {
            Wrong::NeverFree => return Reversibility::Unknown("who knows".into()),
            Wrong::ReversibilityWrites => state.effects += 1,
            // At the time of planning it was an object of lower number.
            Wrong::ReversibilityVaries if self.made > 2 => {
                return Reversibility::Unknown(format!("object {}", self.made));
            }
            _ => {}
        }
        if state.one_way && !self.is(Wrong::OneWayIsFree) {
            return Reversibility::OneWay("what was there is gone".into());
        }
        Reversibility::Free
    }

    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &Change,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        if self.one_way()? {
            return Ok(());
        }
        let seen = receipt.filter(|_| !self.is(Wrong::UndoClobbersRuns));
        let located = locate(&self.target.lock(), change, seen);
        let (failing, own) = {
            let state = self.target.lock();
            let live = state.live.as_ref();
            (
                live.is_some_and(|live| live.release == "failing"),
                live.is_some_and(|live| live.run == cx.run()),
            )
        };
        match (self.wrong, located) {
            (Wrong::UndoesNothing, _) => return Ok(()),
            (Wrong::UndoErrs, _) => return Err(Error::new(OTHER, "not today")),
            (Wrong::UndoNeedsReceipt, _) if receipt.is_none() => return Ok(()),
            (Wrong::FailedNotUndone, _) if failing => return Ok(()),
            (Wrong::UndoesWholeOnly, Location::Between(why)) => return Err(Error::new(OTHER, why)),
            (Wrong::UndoesWhatNeverLanded, Location::Before) if !own => {}
            (Wrong::UndoesAgain, Location::Before) if own => {}
            (Wrong::UndoClobbers, Location::Elsewhere(_)) => {}
            (_, Location::Before | Location::Elsewhere(_)) => return Ok(()),
            _ => {}
        }
        let mut stopped = false;
        match self.turn(cx, change, &mut stopped).await {
            Err(_) if self.is(Wrong::UndoSwallowsRefusal) => Ok(()),
            Err(error) if self.is(Wrong::LostUndoIsNone) => Err(error.with_effect(Effect::None)),
            Err(error) if stopped && error.effect() == Effect::None => {
                let none = self.is(Wrong::HalfUndoneIsNone);
                Err(error.with_effect(if none { Effect::None } else { Effect::Done }))
            }
            other => other,
        }
    }

    async fn observe_back(
        &self,
        _: &PlanContext,
        change: &Change,
        _: Option<&Receipt>,
    ) -> Result<Rollout> {
        let lent = std::mem::replace(&mut *self.lent.lock().unwrap(), true);
        yield_now().await;
        if self.is(Wrong::ObserveBackForgets) && lent {
            return Ok(Rollout::NothingRan);
        }
        *self.lent.lock().unwrap() = false;
        let mut state = self.target.lock();
        if self.is(Wrong::ObserveBackWrites) {
            state.effects += 1;
        }
        if self.is(Wrong::UndoingForever) {
            return Ok(Rollout::InProgress { poll_after: Duration::from_millis(1) });
        }
        if self.is(Wrong::UndoneUntrue) && state.live.is_none() {
            return Ok(Rollout::Settled);
        }
        let asked = self.permits.fetch_add(1, Ordering::SeqCst);
        if self.is(Wrong::UnsettlesElsewhere) && asked == 0 {
            return Ok(Rollout::NothingRan);
        }
        let now = state.live.as_ref().map(|live| &live.release);
        Ok(if now == change.before.as_ref() {
            Rollout::Settled
        } else {
            Rollout::Failed(format!("{now:?} is live"))
        })
    }
}
