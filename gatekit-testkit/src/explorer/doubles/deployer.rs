//! A deployer and its rollback that keep their contracts.

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Code, Deployer, Digest, Effect, Error, Go, Live, Location, Pause, PlanContext,
    Planned, Result, Reversibility, Rollback, Rollout, RunId, StageId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

use super::place::{Part, Place, Progress, State};

const MOVED: Code = Code::new("fake.moved");
/// The failure of a [`Fake`] that needs something else first.
pub const NEEDS: Code = Code::new("fake.needs");
const CANNOT_TELL: Code = Code::new("fake.cannot_tell");

/// A deployer to a [`Place`].
///
/// # Default
/// One part, settled at the first poll, which never pauses; recognises its own effect by the run's
/// tag; can be undone.
#[derive(Debug, Clone)]
pub struct Fake {
    /// What it is called in its group.
    own: StageId,
    id: StageId,
    place: Place,
    polls: usize,
    hook: Option<&'static str>,
    stays: bool,
    forgets: bool,
    one_way: Option<(&'static str, &'static str)>,
    wish: Option<&'static str>,
    needs: Option<(StageId, &'static str)>,
}

/// What was live, part by part, and what is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FakeChange {
    before: Vec<String>,
    wish: String,
}

/// Whose write it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FakeReceipt {
    run: RunId,
}

impl Fake {
    /// A deployer of that stage.
    #[must_use]
    pub fn new(id: StageId, place: &Place) -> Self {
        Self::at(id.clone(), id, place)
    }

    /// A deployer of that stage, which is called `own` in its group.
    #[must_use]
    pub fn at(id: StageId, own: StageId, place: &Place) -> Self {
        Self {
            own,
            id,
            place: place.clone(),
            polls: 0,
            hook: None,
            stays: false,
            forgets: false,
            one_way: None,
            wish: None,
            needs: None,
        }
    }

    /// Is under way for that many polls.
    #[must_use]
    pub const fn slow(mut self, polls: usize) -> Self {
        self.polls = polls;
        self
    }

    /// Pauses at `hook` until it is answered.
    #[must_use]
    pub const fn pausing(mut self, hook: &'static str) -> Self {
        self.hook = Some(hook);
        self
    }

    /// Leaves the release live when a pause is not to go on.
    #[must_use]
    pub const fn staying(mut self) -> Self {
        self.stays = true;
        self
    }

    /// Writes to a backend that keeps no tag of the run: without a receipt it cannot tell its own
    /// effect from another's.
    #[must_use]
    pub const fn forgetful(mut self) -> Self {
        self.forgets = true;
        self
    }

    /// Makes a change to that version which its rollback calls one-way.
    #[must_use]
    pub const fn one_way(mut self, version: &'static str, why: &'static str) -> Self {
        self.one_way = Some((version, why));
        self
    }

    /// Makes `wish` live, whatever the candidate: a repair.
    #[must_use]
    pub const fn wishing(mut self, wish: &'static str) -> Self {
        self.wish = Some(wish);
        self
    }

    /// Fails with [`NEEDS`] unless `wish` is live at another stage.
    #[must_use]
    pub fn needing(mut self, stage: StageId, wish: &'static str) -> Self {
        self.needs = Some((stage, wish));
        self
    }

    /// How it is undone.
    #[must_use]
    pub fn back(&self) -> FakeBack {
        FakeBack(self.clone())
    }

    fn tag(&self, run: RunId) -> Option<RunId> {
        (!self.forgets).then_some(run)
    }

    fn moved(&self) -> Error {
        Error::new(MOVED, format!("`{}` is not as it was planned", self.id))
            .with_effect(Effect::None)
    }

    fn standing(
        &self,
        state: &State,
        change: &FakeChange,
        receipt: Option<&FakeReceipt>,
    ) -> Location {
        let parts = state.parts(&self.id);
        let new = |part: &Part| part.value == change.wish;
        let old = |(part, before): (&Part, &String)| part.value == *before;
        if parts.iter().all(new) {
            return match receipt {
                _ if self.is_paused(state) => Location::Between("it pauses".to_owned()),
                None if self.forgets => Location::Unknown("it may be another's".to_owned()),
                Some(receipt)
                    if !self.forgets && parts.iter().any(|p| p.by != Some(receipt.run)) =>
                {
                    Location::Elsewhere(Live::new(change.wish.clone(), None))
                }
                _ => Location::After,
            };
        }
        if parts.iter().zip(&change.before).all(old) {
            return Location::Before;
        }
        let strange = |pair: &(&Part, &String)| !new(pair.0) && !old(*pair);
        match parts.iter().zip(&change.before).find(strange) {
            Some((part, _)) => Location::Elsewhere(Live::new(part.value.clone(), None)),
            None => Location::Between("some parts are new".to_owned()),
        }
    }

    fn is_paused(&self, state: &State) -> bool {
        // What nobody has rolled out, or was there before, does not pause.
        self.hook.is_some()
            && state.rollouts.get(&self.id).is_some_and(|progress| !progress.answered)
    }
}

#[async_trait]
impl Deployer for Fake {
    type Change = FakeChange;
    type Receipt = FakeReceipt;

    fn id(&self) -> StageId {
        self.own.clone()
    }

    fn describe(&self) -> Value {
        json!({"is": "fake"})
    }

    async fn plan(&self, cx: &PlanContext) -> Result<Planned<FakeChange>> {
        let version = || cx.candidate().version.clone().unwrap_or_default();
        let wish = self.wish.map_or_else(version, str::to_owned);
        let state = self.place.lock();
        let before: Vec<_> = state.parts(&self.id).iter().map(|part| part.value.clone()).collect();
        Ok(Planned {
            scope: Digest::of(&wish),
            summary: format!("{} becomes {wish}", before.join("+")),
            change: FakeChange { before, wish },
        })
    }

    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &FakeChange,
        _: Option<&FakeReceipt>,
    ) -> Result<FakeReceipt> {
        if let Some((stage, wish)) = &self.needs
            && self.place.lock().parts(stage).iter().any(|part| part.value != *wish)
        {
            let error = format!("`{}` needs `{stage}` to be {wish}", self.id);
            return Err(Error::new(NEEDS, error).with_effect(Effect::None));
        }
        let receipt = FakeReceipt { run: cx.run() };
        let own = Part { value: change.wish.clone(), by: self.tag(cx.run()) };
        for (index, before) in change.before.iter().enumerate() {
            let live = self.place.lock().parts(&self.id).get(index).cloned();
            let Some(live) = live else { return Err(self.moved()) };
            if live == own && !self.forgets {
                continue;
            }
            if live.value == change.wish {
                let error = format!("`{}` may be written already", self.id);
                return Err(Error::new(CANNOT_TELL, error));
            }
            if live.value != *before {
                return Err(self.moved());
            }
            let permit = cx.permit("write").await?;
            // A backend takes its time: others get their turn between the permit and the write.
            tokio::task::yield_now().await;
            {
                let mut state = self.place.lock();
                let fence = permit.fence();
                if !state.write(&self.id, index, before, own.clone(), fence) {
                    return Err(self.moved());
                }
                state.rollouts.insert(self.id.clone(), Progress::default());
            }
            if index + 1 < change.before.len() {
                cx.checkpoint(&receipt).await?;
            }
        }
        Ok(receipt)
    }

    async fn observe(&self, _: &PlanContext, _: &FakeChange, _: &FakeReceipt) -> Result<Rollout> {
        let mut state = self.place.lock();
        if let Some(hook) = self.hook
            && self.is_paused(&state)
        {
            return Ok(Rollout::Paused(Pause::at(hook)));
        }
        let progress = state.rollouts.entry(self.id.clone()).or_default();
        progress.polls += 1;
        Ok(if progress.polls <= self.polls {
            Rollout::InProgress { poll_after: Duration::from_secs(5) }
        } else {
            Rollout::Settled
        })
    }

    async fn proceed(
        &self,
        cx: &ApplyContext,
        change: &FakeChange,
        _: &FakeReceipt,
        _: &Pause,
        go: Go,
    ) -> Result<()> {
        if !self.is_paused(&self.place.lock()) {
            return Ok(());
        }
        if go == Go::Continue || self.stays {
            let permit = cx.permit("answer").await?;
            let mut state = self.place.lock();
            if !state.admits(&self.id, permit.fence()) {
                return Err(self.moved());
            }
            state.rollouts.entry(self.id.clone()).or_default().answered = true;
            state.log(&self.id, format!("answered {go:?}"), permit.fence());
            return Ok(());
        }
        self.back().write(cx, change).await
    }

    async fn fence_off(&self, cx: &ApplyContext) -> Result<()> {
        self.place.lock().fence_off(&self.id, cx.fence()?);
        Ok(())
    }

    async fn locate(
        &self,
        _: &PlanContext,
        change: &FakeChange,
        receipt: Option<&FakeReceipt>,
    ) -> Result<Location> {
        Ok(self.standing(&self.place.lock(), change, receipt))
    }

    async fn live(&self, _: &PlanContext) -> Result<Option<Live>> {
        let state = self.place.lock();
        let parts: Vec<_> = state.parts(&self.id).iter().map(|part| &*part.value).collect();
        let version = parts.first().map(|version| (*version).to_owned());
        let whole = parts.iter().all(|part| Some(*part) == version.as_deref());
        Ok(Some(Live::new(parts.join("+"), version.filter(|_| whole))))
    }
}

/// Undoes what a [`Fake`] did.
#[derive(Debug, Clone)]
pub struct FakeBack(Fake);

impl FakeBack {
    async fn write(&self, cx: &ApplyContext, change: &FakeChange) -> Result<()> {
        let Self(fake) = self;
        let standing = fake.standing(&fake.place.lock(), change, None);
        if matches!(standing, Location::Elsewhere(_)) {
            return Ok(());
        }
        for (index, before) in change.before.iter().enumerate() {
            let live = fake.place.lock().parts(&fake.id).get(index).cloned();
            if live.is_none_or(|part| part.value != change.wish) {
                continue;
            }
            let permit = cx.permit("write back").await?;
            tokio::task::yield_now().await;
            let old = Part { value: before.clone(), by: None };
            let mut state = fake.place.lock();
            if !state.write(&fake.id, index, &change.wish, old, permit.fence()) {
                return Err(fake.moved());
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Rollback<Fake> for FakeBack {
    fn reversibility(&self, change: &FakeChange) -> Reversibility {
        match self.0.one_way {
            Some((version, why)) if version == change.wish => Reversibility::OneWay(why.to_owned()),
            _ => Reversibility::Free,
        }
    }

    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &FakeChange,
        _: Option<&FakeReceipt>,
    ) -> Result<()> {
        self.write(cx, change).await
    }

    async fn observe_back(
        &self,
        _: &PlanContext,
        _: &FakeChange,
        _: Option<&FakeReceipt>,
    ) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }
}
