//! Doubles: a world that one deployer changes, gates that say what they are told. They stand in for
//! vendors' APIs; the ledger behind them is the real one.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::{Body, Ledger, TargetState};
use gatekit_core::{
    ApplyContext, Candidate, Code, Deployer, Digest, Effect, Engine, Error, Event, EventBody,
    Evidence, Fence, Finding, Freshness, Gate, GateSlot, Go, Live, Location, Pause, Pipeline,
    PlanContext, Planned, Reporter, Result, Reversibility, Rollback, Rollout, RunId, RunReport,
    StageId, TargetName, Verdict,
};
use gatekit_store::SqliteLedger;
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(crate) const BOOM: Code = Code::new("test.boom");

pub(crate) fn boom(effect: Effect) -> Error {
    Error::new(BOOM, "boom").with_effect(effect)
}

/// What happens inside `apply`.
#[derive(Debug, Clone, Default)]
pub(crate) enum Apply {
    #[default]
    Lands,
    /// Errs before the write.
    Refuses,
    /// Writes, and then loses the answer.
    LosesAnswer,
    /// Writes, and then panics.
    Panics,
    /// Errs before the write until what is live in that world has so many `+`.
    Needs(World, usize),
    /// Waits after the permit and before the write until told to go on.
    WaitsBeforePermit(Arc<Notify>, Arc<Notify>),
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) live: String,
    pub(crate) writes: Vec<(String, Fence)>,
    pub(crate) apply: Apply,
    pub(crate) rollouts: VecDeque<Rollout>,
    pub(crate) located: Option<Location>,
    pub(crate) one_way: Option<String>,
    pub(crate) rollback_fails: bool,
    pub(crate) answer_fails: bool,
    /// An earlier holder may still write.
    pub(crate) intruded: bool,
    pub(crate) fenced_off: Vec<Fence>,
    pub(crate) scope_salt: u32,
    pub(crate) answers: Vec<Go>,
    pub(crate) plan_fails: bool,
    /// The earlier receipts that `apply` was given.
    pub(crate) earlier: Vec<Option<String>>,
    /// The receipts that `roll_back` was given.
    pub(crate) undone_by: Vec<Option<String>>,
    /// The fences of the target that is [locked along](ALONG), where it was.
    pub(crate) along: Vec<Fence>,
    /// The stages that deployers and rollbacks were told they are.
    pub(crate) stages: BTreeSet<String>,
    /// The times that deployers were given to find out where they stand.
    pub(crate) left_to_locate: Vec<Duration>,
}

/// A place where one release is live. Its effect is recognised by the run that made it.
#[derive(Debug, Clone, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

impl World {
    pub(crate) fn with_live(live: &str) -> Self {
        let world = Self::default();
        world.lock().live = live.to_owned();
        world
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn live(&self) -> String {
        self.lock().live.clone()
    }

    pub(crate) fn told(&self, cx: &PlanContext) {
        self.lock().stages.insert(cx.stage().to_string());
    }

    pub(crate) fn writes(&self) -> Vec<String> {
        self.lock().writes.iter().map(|(what, _)| what.clone()).collect()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Fake {
    pub(crate) id: &'static str,
    pub(crate) world: World,
}

pub(crate) fn fake(world: &World) -> Fake {
    Fake { id: "fake", world: world.clone() }
}

fn locate(state: &State, change: &(String, String)) -> Location {
    if let Some(located) = &state.located {
        return located.clone();
    }
    match &state.live {
        live if *live == change.1 => Location::After,
        live if *live == change.0 => Location::Before,
        live => Location::Elsewhere(Live::new(live.clone(), None)),
    }
}

#[async_trait]
impl Deployer for Fake {
    type Change = (String, String);
    type Receipt = String;

    fn id(&self) -> StageId {
        StageId::new(self.id).unwrap()
    }

    fn describe(&self) -> Value {
        json!({"is": "fake"})
    }

    async fn plan(&self, cx: &PlanContext) -> Result<Planned<Self::Change>> {
        self.world.told(cx);
        let state = self.world.lock();
        let wish = cx.candidate().version.clone().unwrap_or_default();
        Ok(Planned {
            scope: Digest::of(format!("{wish} {}", state.scope_salt)),
            summary: format!("{} becomes {wish}", state.live),
            change: (state.live.clone(), wish),
        })
    }

    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &Self::Change,
        earlier: Option<&String>,
    ) -> Result<String> {
        self.world.told(cx);
        let how = self.world.lock().apply.clone();
        self.world.lock().earlier.push(earlier.cloned());
        let refuses = match &how {
            Apply::Refuses => true,
            Apply::Needs(world, pluses) => world.live().matches('+').count() < *pluses,
            _ => false,
        };
        if refuses {
            return Err(boom(Effect::None));
        }
        if locate(&self.world.lock(), change) == Location::After {
            return Ok(change.1.clone());
        }
        if let Apply::WaitsBeforePermit(waiting, go_on) = &how {
            waiting.notify_one();
            go_on.notified().await;
        }
        let permit = cx.permit("write").await?;
        {
            let mut state = self.world.lock();
            state.along.extend(cx.fence_of(&TargetName::new(ALONG).unwrap()).ok());
            state.live = change.1.clone();
            state.writes.push((format!("{}:{}", self.id, change.1), permit.fence()));
        }
        match how {
            Apply::LosesAnswer => Err(boom(Effect::Unknown)),
            Apply::Panics => panic!("on purpose"),
            _ => Ok(change.1.clone()),
        }
    }

    async fn observe(&self, cx: &PlanContext, _: &Self::Change, _: &String) -> Result<Rollout> {
        self.world.told(cx);
        let mut state = self.world.lock();
        Ok(if state.rollouts.len() > 1 {
            state.rollouts.pop_front().unwrap_or(Rollout::Settled)
        } else {
            state.rollouts.front().cloned().unwrap_or(Rollout::Settled)
        })
    }

    async fn proceed(
        &self,
        cx: &ApplyContext,
        _: &Self::Change,
        _: &String,
        _: &Pause,
        go: Go,
    ) -> Result<()> {
        self.world.told(cx);
        let _permit = cx.permit("answer").await?;
        if self.world.lock().answer_fails {
            return Err(boom(Effect::Unknown));
        }
        self.world.lock().answers.push(go);
        Ok(())
    }

    async fn fence_off(&self, cx: &ApplyContext) -> Result<()> {
        let mut state = self.world.lock();
        state.fenced_off.push(cx.fence()?);
        if state.intruded { Err(boom(Effect::None)) } else { Ok(()) }
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &Self::Change,
        _: Option<&String>,
    ) -> Result<Location> {
        self.world.told(cx);
        let mut state = self.world.lock();
        state.left_to_locate.push(cx.remaining());
        Ok(locate(&state, change))
    }

    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>> {
        self.world.told(cx);
        let live = self.world.live();
        Ok((!live.is_empty()).then(|| Live::new(live.clone(), Some(live))))
    }
}

/// Sets the world back.
#[derive(Debug, Clone)]
pub(crate) struct Back(pub(crate) World);

#[async_trait]
impl Rollback<Fake> for Back {
    fn reversibility(&self, _: &(String, String)) -> Reversibility {
        match &self.0.lock().one_way {
            Some(why) => Reversibility::OneWay(why.clone()),
            None => Reversibility::Free,
        }
    }

    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &(String, String),
        receipt: Option<&String>,
    ) -> Result<()> {
        self.0.told(cx);
        self.0.lock().undone_by.push(receipt.cloned());
        if matches!(locate(&self.0.lock(), change), Location::Elsewhere(_)) {
            return Ok(());
        }
        let permit = cx.permit("write back").await?;
        let mut state = self.0.lock();
        if state.rollback_fails {
            return Err(boom(Effect::None));
        }
        state.live = change.0.clone();
        state.writes.push((format!("back:{}", change.0), permit.fence()));
        Ok(())
    }

    async fn observe_back(
        &self,
        cx: &PlanContext,
        _: &(String, String),
        _: Option<&String>,
    ) -> Result<Rollout> {
        self.0.told(cx);
        Ok(Rollout::Settled)
    }
}

/// What a scripted gate says.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    Pass,
    Fail,
    Inconclusive,
    Wait,
    Errs,
    Panics,
    Hangs,
}

/// A gate that says what it is told, the last thing again and again.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    id: &'static str,
    says: Arc<Mutex<VecDeque<Says>>>,
    freshness: Freshness,
    pub(crate) asked: Arc<AtomicUsize>,
    pub(crate) stages: Arc<Mutex<BTreeSet<String>>>,
}

pub(crate) fn gate(id: &'static str, says: impl IntoIterator<Item = Says>) -> Scripted {
    Scripted {
        id,
        says: Arc::new(Mutex::new(says.into_iter().collect())),
        freshness: Freshness::BoundToCandidate,
        asked: Arc::default(),
        stages: Arc::default(),
    }
}

impl Scripted {
    pub(crate) fn ageing(mut self) -> Self {
        self.freshness = Freshness::Immediate;
        self
    }

    pub(crate) fn times(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Gate for Scripted {
    fn id(&self) -> StageId {
        StageId::new(self.id).unwrap()
    }

    fn describe(&self) -> Value {
        json!({})
    }

    fn fresh_for(&self) -> Freshness {
        self.freshness
    }

    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        self.stages.lock().unwrap().insert(cx.stage().to_string());
        self.asked.fetch_add(1, Ordering::SeqCst);
        let says = {
            let mut says = self.says.lock().unwrap();
            if says.len() > 1 { says.pop_front() } else { says.front().cloned() }
        };
        let finding = || Finding::new(Code::new("test.finding"), "because");
        match says.unwrap_or(Says::Pass) {
            Says::Pass => Ok(Verdict::pass([Evidence::read("test", b"seen", json!({"ok": 1}))])),
            Says::Fail => Ok(Verdict::Fail(finding())),
            Says::Inconclusive => Ok(Verdict::Inconclusive(finding())),
            Says::Wait => Ok(Verdict::Wait(finding())),
            Says::Errs => Err(boom(Effect::None)),
            Says::Panics => panic!("on purpose"),
            Says::Hangs => std::future::pending().await,
        }
    }
}

/// A ledger in a directory of its own.
pub(crate) struct Bench {
    _dir: Arc<tempfile::TempDir>,
    pub(crate) ledger: Arc<dyn Ledger>,
    clock: Arc<AtomicU64>,
}

pub(crate) const TARGET: &str = "test/app";

/// A target that some pipelines lock along with it.
pub(crate) const ALONG: &str = "test/db";

pub(crate) fn target() -> TargetName {
    TargetName::new(TARGET).unwrap()
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicU64::new(0));
        let ledger = SqliteLedger::builder(dir.path().join("ledger.db"));
        let ledger =
            Arc::new(ledger.durable(true).clock_offset(Arc::clone(&clock)).build().unwrap());
        Self { _dir: Arc::new(dir), ledger, clock }
    }

    /// Lets every lease lapse: the holders of these tests live in this very process, so nothing else
    /// proves them dead.
    pub(crate) fn leases_lapse(&self) {
        self.clock.fetch_add(3_600_000, Ordering::SeqCst);
    }

    pub(crate) fn engine(&self) -> Engine {
        engine(Arc::clone(&self.ledger))
    }

    pub(crate) async fn state(&self) -> TargetState {
        self.ledger.state(&target()).await.unwrap()
    }

    /// The run that was opened last. `pending` would not name one whose process lives, and the
    /// processes that "die" in these tests are all this one.
    pub(crate) async fn last_opened(&self) -> Option<RunId> {
        let opened = self.ledger.read_kind(&target(), "opened", None, 1).await.unwrap();
        opened.first().map(|record| record.decode().unwrap().run)
    }

    pub(crate) async fn bodies(&self) -> Vec<Body> {
        let records = self.ledger.read(&target(), 0, 10_000).await.unwrap();
        records.iter().map(|record| record.decode().unwrap().body).collect()
    }

    pub(crate) async fn kinds(&self) -> Vec<&'static str> {
        self.bodies().await.iter().map(Body::kind).collect()
    }
}

pub(crate) fn engine(ledger: Arc<dyn Ledger>) -> Engine {
    // Short enough that a test of a time-out is over soon, long enough for a busy machine.
    Engine::new(ledger).with_actor("tester").with_deadline(Duration::from_secs(3))
}

pub(crate) fn candidate(version: &str) -> Candidate {
    Candidate::new().with_version(version)
}

/// The plainest pipeline: one deploy that can be undone.
pub(crate) fn plain(world: &World) -> Pipeline {
    Pipeline::to(TARGET).deploy(fake(world)).rollback_with(Back(world.clone())).build().unwrap()
}

/// Tells what is told on the way, and what is journalled.
#[derive(Debug)]
pub(crate) struct Tells(pub(crate) mpsc::Sender<String>);

impl Reporter for Tells {
    fn event(&mut self, event: &Event) {
        let told = match &event.event {
            EventBody::Progress { message, .. } => message.clone(),
            EventBody::Step { entry, .. } => entry.body.kind().to_owned(),
            _ => return,
        };
        let _ = self.0.send(told);
    }
}

/// A deploy behind one gate.
pub(crate) fn gated(world: &World, gate: GateSlot) -> Pipeline {
    let builder = Pipeline::to(TARGET).gate(gate).deploy(fake(world));
    builder.rollback_with(Back(world.clone())).build().unwrap()
}

pub(crate) fn code_of(report: &RunReport) -> Option<&str> {
    report.failure.as_ref().map(|failure| failure.code.as_str())
}

/// Whether the report names `code` as what happened, or why.
pub(crate) fn names(report: &RunReport, code: &Code) -> bool {
    report.failure.as_ref().is_some_and(|failure| failure.to_string().contains(code.as_str()))
}
