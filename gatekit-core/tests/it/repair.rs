//! A deployer that repairs, and a pipeline that needs it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gatekit_core::ledger::Body;
use gatekit_core::{
    ApplyContext, Code, Deployer, Digest, Effect, Interrupter, Live, Location, OnInterrupt,
    Outcome, Pipeline, PipelineBuilder, PlanContext, Planned, Recovery, Result, Reversibility,
    Rollback, Rollout, RunReport, StageId, Then, enforced, on,
};
use serde_json::Value;

use crate::ledgers::{Hook, watched};
use crate::world::*;

/// Adds a `+` to what is live in its world.
#[derive(Debug, Clone)]
pub(crate) struct Repair {
    fake: Fake,
    /// Is called after each of its writes.
    pub(crate) wrote: Hook<()>,
}

pub(crate) fn repair(id: &'static str, world: &World) -> Repair {
    Repair { fake: Fake { id, world: world.clone() }, wrote: Hook::new(|()| ()) }
}

#[async_trait]
impl Deployer for Repair {
    type Change = (String, String);
    type Receipt = String;

    fn id(&self) -> StageId {
        self.fake.id()
    }

    fn describe(&self) -> Value {
        Value::Null
    }

    async fn plan(&self, cx: &PlanContext) -> Result<Planned<Self::Change>> {
        self.fake.world.told(cx);
        let state = self.fake.world.lock();
        if state.plan_fails {
            return Err(boom(Effect::None));
        }
        Ok(Planned {
            change: (state.live.clone(), format!("{}+", state.live)),
            scope: Digest::of(format!("repair {}", state.scope_salt)),
            summary: format!("{} is repaired", state.live),
        })
    }

    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &Self::Change,
        earlier: Option<&String>,
    ) -> Result<String> {
        let before = self.fake.world.writes().len();
        let applied = self.fake.apply(cx, change, earlier).await;
        if self.fake.world.writes().len() > before {
            (self.wrote.0)(&());
        }
        applied
    }

    async fn observe(&self, cx: &PlanContext, it: &Self::Change, by: &String) -> Result<Rollout> {
        self.fake.observe(cx, it, by).await
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &Self::Change,
        receipt: Option<&String>,
    ) -> Result<Location> {
        self.fake.locate(cx, change, receipt).await
    }

    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>> {
        self.fake.live(cx).await
    }
}

#[async_trait]
impl Rollback<Repair> for Back {
    fn reversibility(&self, change: &(String, String)) -> Reversibility {
        Rollback::<Fake>::reversibility(self, change)
    }

    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &(String, String),
        receipt: Option<&String>,
    ) -> Result<()> {
        Rollback::<Fake>::roll_back(self, cx, change, receipt).await
    }

    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &(String, String),
        receipt: Option<&String>,
    ) -> Result<Rollout> {
        Rollback::<Fake>::observe_back(self, cx, change, receipt).await
    }
}

/// An app at `v1` whose deploy fails with [`BOOM`] until its database was repaired so often.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) app: World,
    pub(crate) db: World,
    /// What happens after each write of the repair.
    pub(crate) wrote: Hook<()>,
    pub(crate) on: Code,
    pub(crate) then: Then,
    pub(crate) at_most: u32,
    pub(crate) after: Says,
}

impl Shop {
    pub(crate) fn needing(repairs: usize, then: Then) -> Self {
        let (app, db) = (World::with_live("v1"), World::with_live("db"));
        app.lock().apply = Apply::Needs(db.clone(), repairs);
        let wrote = Hook::new(|()| ());
        Self { app, db, wrote, on: BOOM, then, at_most: 1, after: Says::Pass }
    }

    pub(crate) fn at_most(self, at_most: u32) -> Self {
        Self { at_most, ..self }
    }

    pub(crate) fn verified(self, after: Says) -> Self {
        Self { after, ..self }
    }

    /// What happens to the app after each write of the repair.
    pub(crate) fn when_repaired(self, then: impl Fn(&World) + Send + Sync + 'static) -> Self {
        let app = self.app.clone();
        Self { wrote: Hook::new(move |()| then(&app)), ..self }
    }

    pub(crate) fn repair(&self) -> Repair {
        Repair { wrote: self.wrote.clone(), ..repair("repair", &self.db) }
    }

    pub(crate) fn recovery(&self) -> Recovery {
        let back = Back(self.db.clone());
        let recovery = on(self.on.clone()).deploy(self.repair()).rollback_with(back);
        recovery.then(self.then).at_most(self.at_most)
    }

    pub(crate) fn deployed(&self) -> PipelineBuilder<gatekit_core::Deploying> {
        Pipeline::to(TARGET).deploy(fake(&self.app)).rollback_with(Back(self.app.clone()))
    }

    pub(crate) fn pipeline(&self) -> Pipeline {
        self.interruptible(OnInterrupt::Unwind)
    }

    pub(crate) fn interruptible(&self, choice: OnInterrupt) -> Pipeline {
        let after = enforced(gate("after", [self.after.clone()]));
        let builder = self.deployed().recover(self.recovery()).verify(after);
        builder.on_interrupt(choice).build().unwrap()
    }

    pub(crate) fn live(&self) -> (String, String) {
        (self.app.live(), self.db.live())
    }

    /// Whether the worlds are what a run that ended so must have left.
    pub(crate) async fn is_left_as(&self, bench: &Bench, outcome: Outcome, repairs: usize) {
        let db = |pluses: usize| format!("db{}", "+".repeat(pluses));
        let expected = match outcome {
            Outcome::Released => ("v2".to_owned(), db(repairs)),
            Outcome::RolledBack => ("v1".to_owned(), db(0)),
            outcome => panic!("{outcome:?}: {:#?}", bench.bodies().await),
        };
        assert_eq!(self.live(), expected, "{outcome:?}: {:#?}", bench.bodies().await);
    }
}

/// The stages of the entries that are of interest, in order.
pub(crate) async fn stages(bench: &Bench, of: fn(&Body) -> Option<&StageId>) -> Vec<String> {
    bench.bodies().await.iter().filter_map(of).map(ToString::to_string).collect()
}

pub(crate) fn applying(body: &Body) -> Option<&StageId> {
    match body {
        Body::Applying { stage, .. } => Some(stage),
        _ => None,
    }
}

pub(crate) fn rolled_back(body: &Body) -> Option<&StageId> {
    match body {
        Body::RolledBack { stage, .. } => Some(stage),
        _ => None,
    }
}

pub(crate) fn recovering(body: &Body) -> Option<&StageId> {
    match body {
        Body::Recovering { recovery, .. } => Some(recovery),
        _ => None,
    }
}

pub(crate) async fn ship(shop: &Shop) -> (Bench, RunReport) {
    let bench = Bench::new();
    let report = bench.engine().ship(&shop.pipeline(), candidate("v2")).await;
    (bench, report)
}

/// Ships, and interrupts the run at the entry that `when` says yes to. For a runtime of one thread:
/// the run begins when it is awaited.
pub(crate) async fn interrupted(
    shop: &Shop,
    choice: OnInterrupt,
    when: impl Fn(&Body) -> bool + Send + Sync + 'static,
) -> (Bench, RunReport) {
    let bench = Bench::new();
    let interrupter = Arc::new(Mutex::new(None::<Interrupter>));
    let armed = Arc::clone(&interrupter);
    let engine = watched(&bench, move |body| {
        if when(body)
            && let Some(interrupter) = armed.lock().unwrap().take()
        {
            interrupter.interrupt();
        }
    });
    let running = engine.ship(&shop.interruptible(choice), candidate("v2"));
    *interrupter.lock().unwrap() = Some(running.interrupter());
    let report = running.await;
    (bench, report)
}

/// Says yes to the entry of that number, of those that `of` says yes to.
pub(crate) fn nth(
    number: usize,
    of: impl Fn(&Body) -> bool + Send + Sync + 'static,
) -> impl Fn(&Body) -> bool + Send + Sync + 'static {
    let seen = AtomicUsize::new(0);
    move |body| of(body) && seen.fetch_add(1, Ordering::SeqCst) + 1 == number
}
