//! The deployer: upload, stop, start.

use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Code, Deployer, Digest, Effect, Error, Go, Live, Location, Pause, Permit,
    PlanContext, Planned, Result, Rollout, RunId, StageId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::yield_now;

use super::world::{CANARY, Revision, State, Target, Toy, Wrong, live};

pub(crate) const ELSEWHERE: Code = Code::new("toy.elsewhere");
pub(crate) const CANNOT_TELL: Code = Code::new("toy.cannot_tell");
const OTHER: Code = Code::new("toy.other");

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) before: Option<String>,
    pub(crate) wish: String,
    note: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) run: RunId,
    note: String,
}

/// What an object keeps that it should not.
#[derive(Debug, Default)]
struct Memory {
    planned: bool,
    applied: bool,
    located: Option<Location>,
    live: Option<Option<Live>>,
    /// What a call takes, and puts back when it is not dropped.
    lent: bool,
}

#[derive(Debug)]
pub(crate) struct ToyDeployer {
    toy: Toy,
    target: Target,
    made: u64,
    calls: AtomicU64,
    memory: Mutex<Memory>,
}

/// A half-way state, and `Before` for nothing where nothing was.
pub(crate) fn locate(state: &State, change: &Change, receipt: Option<&Receipt>) -> Location {
    if state.paused.is_some() {
        return Location::Between("the rollout is paused".into());
    }
    match &state.live {
        Some(revision) if revision.release == change.wish => {
            if revision.release == "failing" {
                Location::Between("it does not come to life".into())
            } else if receipt.is_none_or(|receipt| receipt.run == revision.run) {
                Location::After
            } else {
                Location::Elsewhere(live(revision))
            }
        }
        now if now.as_ref().map(|now| &now.release) == change.before.as_ref() => Location::Before,
        Some(revision) => Location::Elsewhere(live(revision)),
        None => Location::Between("nothing runs".into()),
    }
}

impl ToyDeployer {
    pub(crate) fn new(toy: Toy, target: Target, made: u64) -> Self {
        Self { toy, target, made, calls: AtomicU64::new(0), memory: Mutex::default() }
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.toy.wrong == wrong
    }

    /// True at every second call, when that is what is wrong.
    fn varies(&self, wrong: Wrong) -> bool {
        self.is(wrong) && self.calls.fetch_add(1, Ordering::SeqCst) % 2 == 1
    }

    fn secret(&self, wrong: Wrong) -> String {
        if self.is(wrong) { CANARY.to_owned() } else { "none".to_owned() }
    }

    /// A point where a call waits, and whether the object still has what it needs.
    async fn waits(&self, forgets: Wrong, writes: Wrong) -> bool {
        let lent = std::mem::replace(&mut self.memory.lock().unwrap().lent, true);
        yield_now().await;
        if !self.is(forgets) || !lent {
            self.memory.lock().unwrap().lent = false;
        }
        if self.is(writes) {
            self.target.lock().effects += 1;
        }
        !(self.is(forgets) && lent)
    }

    async fn permit(&self, cx: &ApplyContext, call: &str) -> Result<Option<Permit>> {
        let call = if self.is(Wrong::SecretInJournal) { CANARY } else { call };
        match self.toy.wrong {
            Wrong::NoPermit => Ok(None),
            Wrong::OnePermitForAll if call != "upload" => Ok(None),
            Wrong::IgnoresRefusal => Ok(cx.permit(call).await.ok()),
            Wrong::RenamesRefusal => {
                cx.permit(call).await.map(Some).map_err(|_| Error::new(OTHER, "not allowed"))
            }
            Wrong::SecretInError => {
                cx.permit(call).await.map(Some).map_err(|error| error.with_context("token", CANARY))
            }
            Wrong::RefusedIsDone => {
                cx.permit(call).await.map(Some).map_err(|error| error.with_effect(Effect::Done))
            }
            _ => cx.permit(call).await.map(Some),
        }
    }

    fn receipt(&self, run: RunId) -> Receipt {
        self.memory.lock().unwrap().applied = true;
        Receipt { run, note: self.secret(Wrong::SecretInReceipt) }
    }

    /// Stops what runs and starts the wish.
    async fn turn(&self, cx: &ApplyContext, change: &Change, stopped: &mut bool) -> Result<()> {
        let runs = self.target.lock().live.is_some();
        if runs {
            let permit = self.permit(cx, "stop").await?;
            self.target.write(permit.as_ref(), |state| {
                let live = state.live.take();
                if self.toy.pauses {
                    let next = state.revision(&change.wish, cx.run());
                    state.paused = Some((next, live));
                }
            })?;
            *stopped = true;
        } else if self.is(Wrong::StuckHalfWay) && change.before.is_some() {
            return Err(Error::new(OTHER, "nothing runs that could be stopped"));
        }
        if self.target.lock().paused.is_some() {
            return Ok(());
        }
        let permit = self.permit(cx, "start").await?;
        let polls = if change.wish == "failing" && !self.is(Wrong::FailingForever) { 1 } else { 2 };
        self.target.write(permit.as_ref(), |state| {
            let next = state.revision(&change.wish, cx.run());
            if self.toy.pauses {
                state.paused = Some((next, None));
            } else {
                state.live = Some(next);
            }
            state.polls = polls;
        })
    }
}

#[async_trait]
impl Deployer for ToyDeployer {
    type Change = Change;
    type Receipt = Receipt;

    fn id(&self) -> StageId {
        let id = if self.is(Wrong::IdVaries) { format!("toy-{}", self.made) } else { "toy".into() };
        StageId::new(id).unwrap()
    }

    fn describe(&self) -> Value {
        let made = match self.toy.wrong {
            Wrong::DescribeVaries => self.made,
            Wrong::DescribeAges => self.calls.fetch_add(1, Ordering::SeqCst),
            Wrong::DescribeLearns => u64::from(self.memory.lock().unwrap().applied),
            _ => 0,
        };
        json!({"kind": "toy", "made": made, "token": self.secret(Wrong::SecretInDescribe)})
    }

    async fn plan(&self, cx: &PlanContext) -> Result<Planned<Change>> {
        let kept = self.waits(Wrong::PlanForgets, Wrong::PlanWrites).await;
        if self.is(Wrong::PlanErrs) {
            return Err(Error::new(OTHER, "it cannot be planned"));
        }
        self.memory.lock().unwrap().planned = true;
        let before = self.target.lock().live.clone().map(|revision| revision.release);
        let wish = cx.candidate().version.clone().unwrap_or_default();
        let scope = match self.toy.wrong {
            Wrong::ScopeConstant => "toy".to_owned(),
            Wrong::ScopeOfBefore => format!("{before:?} {wish}"),
            Wrong::ScopeVaries => {
                format!("{wish} {}", self.calls.fetch_add(1, Ordering::SeqCst))
            }
            Wrong::ScopeOfProcess => format!("{wish} {}", self.made),
            _ if !kept => "forgotten".to_owned(),
            _ => wish.clone(),
        };
        let summary = format!("{before:?} -> {wish} ({})", self.secret(Wrong::SecretInSummary));
        let note = self.secret(Wrong::SecretInChange);
        Ok(Planned { change: Change { before, wish, note }, scope: Digest::of(scope), summary })
    }

    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &Change,
        earlier: Option<&Receipt>,
    ) -> Result<Receipt> {
        cx.progress(format!("applying with {}", self.secret(Wrong::SecretInProgress)));
        if self.is(Wrong::ChangeInMemory) && !self.memory.lock().unwrap().planned {
            return Err(Error::new(OTHER, "nothing was planned"));
        }
        if self.is(Wrong::ApplyErrs) {
            return Err(Error::new(OTHER, "not today"));
        }
        if self.is(Wrong::AfterWithoutEffect) {
            return Ok(self.receipt(cx.run()));
        }
        if self.is(Wrong::CheckpointMisleads)
            && let Some(earlier) = earlier
        {
            return Ok(earlier.clone());
        }
        let again = match self.toy.wrong {
            Wrong::AppliesAgain => true,
            Wrong::AppliesAgainWithoutReceipt => earlier.is_none(),
            _ => false,
        };
        let paused = self.target.lock().paused.is_some();
        let location = locate(&self.target.lock(), change, earlier);
        match location {
            _ if again => {}
            Location::After if self.is(Wrong::RefusesToRepeat) => {
                return Err(Error::new(OTHER, "it is there already"));
            }
            Location::After => return Ok(self.receipt(cx.run())),
            Location::Between(_) if paused => return Ok(self.receipt(cx.run())),
            Location::Elsewhere(_) if self.is(Wrong::LateToldDone) => {
                return Ok(self.receipt(cx.run()));
            }
            Location::Elsewhere(_) if !self.is(Wrong::Clobbers) => {
                return Err(Error::new(ELSEWHERE, "somebody else").with_effect(Effect::None));
            }
            _ => {}
        }
        if self.is(Wrong::CannotTellAndWrites) && self.target.lock().uploaded.contains(&change.wish)
        {
            self.target.lock().effects += 1;
            return Err(Error::new(CANNOT_TELL, "it cannot be told"));
        }
        let uploaded = self.target.lock().uploaded.contains(&change.wish);
        if !uploaded {
            let permit = match self.permit(cx, "upload").await {
                Err(_) if self.is(Wrong::SwallowsRefusal) => return Ok(self.receipt(cx.run())),
                permit => permit?,
            };
            let wish = change.wish.clone();
            self.target.write(permit.as_ref(), |state| {
                state.uploaded.insert(wish);
            })?;
        }
        if self.is(Wrong::CheckpointUnreadable) {
            cx.checkpoint(&"uploaded").await?;
        } else if !self.is(Wrong::IgnoresRefusal) {
            let note = "uploaded".to_owned();
            cx.checkpoint(&Receipt { run: cx.run(), note }).await?;
        }
        let mut stopped = false;
        match self.turn(cx, change, &mut stopped).await {
            Ok(()) => Ok(self.receipt(cx.run())),
            Err(error) if stopped && error.effect() == Effect::None => {
                let effect =
                    if self.is(Wrong::HalfDoneIsNone) { Effect::None } else { Effect::Done };
                Err(error.with_effect(effect))
            }
            Err(error) if self.is(Wrong::LostIsNone) => Err(error.with_effect(Effect::None)),
            Err(error) => Err(error),
        }
    }

    async fn observe(&self, _: &PlanContext, _: &Change, _: &Receipt) -> Result<Rollout> {
        let kept = self.waits(Wrong::ObserveForgets, Wrong::ObserveWrites).await;
        if !kept {
            return Ok(Rollout::NothingRan);
        }
        if self.is(Wrong::ObserveErrs) {
            return Err(Error::new(OTHER, "it cannot be observed"));
        }
        let mut state = self.target.lock();
        let under_way = Rollout::InProgress { poll_after: Duration::from_millis(1) };
        if state.paused.is_some() {
            return Ok(match self.toy.wrong {
                Wrong::PauseUntold => Rollout::Settled,
                _ => Rollout::Paused(Pause::at("before traffic")),
            });
        }
        if state.polls > 0 || self.is(Wrong::UnderWayForever) {
            state.polls = state.polls.saturating_sub(1);
            return Ok(under_way);
        }
        let memory = self.memory.lock().unwrap();
        Ok(match &state.live {
            Some(Revision { release, .. }) if release == "failing" => {
                if self.is(Wrong::FailingForever) {
                    under_way
                } else {
                    Rollout::Failed("it does not come to life".into())
                }
            }
            _ if self.varies(Wrong::ObserveVaries) => Rollout::NothingRan,
            _ if self.is(Wrong::SettledForOneProcess) && !memory.applied => Rollout::NothingRan,
            _ => Rollout::Settled,
        })
    }

    async fn proceed(
        &self,
        cx: &ApplyContext,
        _: &Change,
        _: &Receipt,
        _: &Pause,
        go: Go,
    ) -> Result<()> {
        let answered = self.target.lock().paused.is_none();
        if self.is(Wrong::AnswerIgnored) || (answered && !self.is(Wrong::AnswerTwice)) {
            return Ok(());
        }
        if self.is(Wrong::AnswerErrs) {
            return Err(Error::new(OTHER, "no answer is taken"));
        }
        let permit = cx.permit("answer").await?;
        let goes_on = go == Go::Continue || self.is(Wrong::BackGoesOn);
        self.target.write(Some(&permit), |state| match state.paused.take() {
            Some((next, _)) if goes_on => state.live = Some(next),
            Some((_, before)) => state.live = before,
            None => {
                state.live = state.live.clone().map(|live| state.revision(&live.release, live.run));
            }
        })
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &Change,
        receipt: Option<&Receipt>,
    ) -> Result<Location> {
        let kept = self.waits(Wrong::LocateForgets, Wrong::LocateWrites).await;
        if !kept {
            return Ok(Location::Unknown("it was forgotten".into()));
        }
        if self.is(Wrong::LocateHangs) {
            pending::<()>().await;
        }
        let state = self.target.lock();
        let located = locate(&state, change, receipt);
        let half_way = state.live.is_none() && change.before.is_some() && state.paused.is_none();
        let mut memory = self.memory.lock().unwrap();
        Ok(match (self.toy.wrong, &located) {
            (Wrong::LocateRemembers, _) => memory.located.get_or_insert(located).clone(),
            (Wrong::LocateVaries, _) if self.varies(Wrong::LocateVaries) => {
                Location::Unknown("this time".into())
            }
            (Wrong::InPlaceUnseen, Location::After)
                if state.live.as_ref().is_some_and(|live| live.run != cx.run()) =>
            {
                Location::Between("it is not by this run".into())
            }
            (Wrong::ReceiptInMemory, Location::After) if receipt.is_some() && !memory.applied => {
                Location::Unknown("this receipt is not known".into())
            }
            (Wrong::BeforeInMemory, Location::Before) if !memory.planned => {
                Location::Unknown("this change is not known".into())
            }
            (Wrong::AfterWithoutEffect, _) if memory.applied => Location::After,
            (Wrong::BeforeUnseen, Location::Before) => Location::Unknown("who knows".into()),
            (Wrong::AfterNeedsReceipt, Location::After) if receipt.is_none() => {
                Location::Unknown("by whom?".into())
            }
            (Wrong::ElsewhereMisnamed, Location::Elsewhere(_)) => {
                Location::Elsewhere(Live::new("something", None))
            }
            (Wrong::UndoneUntrue, _) if half_way => Location::Before,
            (Wrong::BackAsBetween, Location::Before) if receipt.is_some() => {
                Location::Between("it is back".into())
            }
            (Wrong::AfterForAnyone, _) => locate(&state, change, None),
            (Wrong::ElsewhereAsBetween, Location::Elsewhere(live)) => {
                Location::Between(live.to_string())
            }
            (Wrong::ElsewhereAsBefore, Location::Elsewhere(_)) => Location::Before,
            (Wrong::HalfWayAsBefore, _) if half_way => Location::Before,
            (Wrong::HalfWayAsAfter, _) if half_way && receipt.is_some() => Location::After,
            (Wrong::HalfWayAsElsewhere, _) if half_way => {
                Location::Elsewhere(Live::new("something", None))
            }
            (Wrong::FailureAsAfter, Location::Between(_)) if change.wish == "failing" => {
                Location::After
            }
            _ => located,
        })
    }

    async fn live(&self, _: &PlanContext) -> Result<Option<Live>> {
        let kept = self.waits(Wrong::LiveForgets, Wrong::LiveWrites).await;
        if !kept || self.varies(Wrong::LiveVaries) {
            return Ok(None);
        }
        if self.is(Wrong::LiveErrs) {
            return Err(Error::new(OTHER, "it cannot be read"));
        }
        let found = self.target.lock().live.as_ref().map(live);
        Ok(match self.toy.wrong {
            Wrong::SecretInLive => Some(Live::new(CANARY, None)),
            Wrong::LiveForNothing => found.or_else(|| Some(Live::new("nothing", None))),
            Wrong::LiveRemembers => self.memory.lock().unwrap().live.get_or_insert(found).clone(),
            _ => found,
        })
    }
}
