//! A world with somebody who runs releases in it, step by step, with JSON between the steps as the
//! journal would have it.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::{Body, Hold, Ledger};
use gatekit_core::testing::{apply_context, plan_context};
use gatekit_core::{
    ApplyContext, Deployer, Error, Live, Location, PlanContext, Planned, Result, Reversibility,
    Rollback as _, StageId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::subject::{Capability, DeployerSubject, DeployerWorld, Release, Start, Trace, Truth};
use crate::conformance::contract::{self, Sentence, broken, unfit};
use crate::conformance::ration::{Death, Ration};

/// Nobody renews it, so it outlasts every behaviour.
const LEASE: Duration = Duration::from_secs(3600);

pub(crate) struct Bench<W> {
    pub(crate) world: W,
    pub(crate) capability: Capability,
    pub(crate) start: Truth,
}

impl<W: DeployerWorld> Bench<W> {
    pub(crate) async fn new<S: DeployerSubject<World = W>>(subject: &S, live: Start) -> Self {
        let bench = Self {
            world: subject.world(live).await,
            capability: subject.capability(),
            start: live.truth(),
        };
        let truth = bench.world.truth().await;
        if truth != bench.start {
            unfit(format_args!("a world that begins with `{live:?}` has {truth:?} live"));
        }
        if bench.world.trace().await != bench.world.trace().await {
            unfit("the trace of its world changes by itself");
        }
        bench
    }

    /// A run with its own id that wants `release`, planned.
    pub(crate) async fn run(&self, release: Release) -> Run<'_, W> {
        let run = self.unplanned(release);
        let planned = run.planned().await;
        run.with(planned)
    }

    fn unplanned(&self, release: Release) -> Run<'_, W> {
        let deployer = self.world.deployer(release);
        let cx = self.context(release, &deployer.id());
        Run {
            bench: self,
            release,
            cx,
            rollback: self.world.rollback(release),
            deployer,
            change: Value::Null,
        }
    }

    pub(crate) fn context(&self, release: Release, stage: &StageId) -> PlanContext {
        let candidate = self.world.candidate(release);
        plan_context(&self.world.target(), candidate, stage, self.capability.patience)
    }

    /// A released run of `release`, by which the target got where it is.
    pub(crate) async fn ship(&self, release: Release) -> (Run<'_, W>, Value) {
        let run = self.run(release).await;
        let receipt = run.ship().await;
        (run, receipt)
    }
}

impl Start {
    fn truth(self) -> Truth {
        match self {
            Self::Nothing => Truth::Nothing,
            Self::Old => Truth::Old,
        }
    }
}

/// One run. It keeps its deployer, as a process does.
pub(crate) struct Run<'a, W: DeployerWorld> {
    pub(crate) bench: &'a Bench<W>,
    pub(crate) release: Release,
    pub(crate) cx: PlanContext,
    pub(crate) deployer: W::Deployer,
    pub(crate) rollback: W::Rollback,
    pub(crate) change: Value,
}

type Change<W> = <<W as DeployerWorld>::Deployer as Deployer>::Change;
type Receipt<W> = <<W as DeployerWorld>::Deployer as Deployer>::Receipt;

impl<'a, W: DeployerWorld> Run<'a, W> {
    fn with(mut self, planned: Planned<Value>) -> Self {
        self.change = planned.change;
        self
    }

    /// The same run in another process: objects made anew, and what the journal has.
    pub(crate) fn in_another_process(&self) -> Self {
        let mut run = self.bench.unplanned(self.release);
        run.cx = self.cx.clone();
        run.change = self.change.clone();
        run
    }

    /// The same run, told to `cx`.
    pub(crate) fn told_to(mut self, cx: PlanContext) -> Self {
        self.cx = cx;
        self
    }

    pub(crate) fn change(&self) -> Change<W> {
        decode(contract::CHANGE, "the change", &self.change)
    }

    pub(crate) fn receipt(receipt: Option<&Value>) -> Option<Receipt<W>> {
        receipt.map(|receipt| decode(contract::RECEIPT, "the receipt", receipt))
    }

    /// Waits for a call no longer than the patience allows.
    pub(crate) async fn patiently<T>(
        &self,
        what: &str,
        sentence: Sentence,
        call: impl Future<Output = T>,
    ) -> T {
        let patience = self.bench.capability.patience;
        match timeout(patience, call).await {
            Ok(answer) => answer,
            Err(_) => broken(sentence, format_args!("`{what}` gave no answer within {patience:?}")),
        }
    }

    pub(crate) async fn try_plan(&self) -> Result<Planned<Value>> {
        let planned = self.patiently("plan", contract::PLAN, self.deployer.plan(&self.cx)).await?;
        let Planned { change, scope, summary } = planned;
        Ok(Planned { change: encode(contract::CHANGE, "the change", &change), scope, summary })
    }

    pub(crate) async fn planned(&self) -> Planned<Value> {
        match self.try_plan().await {
            Ok(planned) => planned,
            Err(error) => broken(
                contract::PLAN,
                format_args!("{:?} cannot be planned: {}", self.release, told(&error)),
            ),
        }
    }

    pub(crate) async fn try_locate(&self, receipt: Option<&Value>) -> Result<Location> {
        let (change, receipt) = (self.change(), Self::receipt(receipt));
        let call = self.deployer.locate(&self.cx, &change, receipt.as_ref());
        self.patiently("locate", contract::LOCATE, call).await
    }

    pub(crate) async fn locate(&self, receipt: Option<&Value>) -> Location {
        match self.try_locate(receipt).await {
            Ok(location) => location,
            Err(error) => Location::Unknown(error.to_string()),
        }
    }

    pub(crate) async fn live(&self) -> Option<Live> {
        match self.patiently("live", contract::LIVE, self.deployer.live(&self.cx)).await {
            Ok(live) => live,
            Err(error) => broken(contract::LIVE, told(&error)),
        }
    }

    /// Takes the lock for this run.
    pub(crate) async fn hold(&self) -> ApplyContext {
        self.hold_through(self.bench.world.ledger()).await
    }

    pub(crate) async fn hold_through(&self, ledger: Arc<dyn Ledger>) -> ApplyContext {
        match apply_context(&self.cx, ledger, LEASE).await {
            Ok(cx) => cx,
            Err(error) => {
                unfit(format_args!("the lock of its world is not free: {}", told(&error)))
            }
        }
    }

    /// Gives the lock back; what the context may still do is refused from then on.
    pub(crate) async fn free(&self, cx: &ApplyContext) {
        let freed = async {
            let hold = Hold::new(self.bench.world.target(), cx.run(), cx.fence()?, LEASE);
            self.bench.world.ledger().release(&hold).await
        };
        match freed.await {
            Ok(true) => {}
            Ok(false) => unfit("its ledger does not know the run that holds the lock"),
            Err(error) => unfit(format_args!("its ledger: {}", told(&error))),
        }
    }

    pub(crate) async fn apply_with(
        &self,
        cx: &ApplyContext,
        earlier: Option<&Value>,
    ) -> Result<Value> {
        let (change, earlier) = (self.change(), Self::receipt(earlier));
        let call = self.deployer.apply(cx, &change, earlier.as_ref());
        let receipt = self.patiently("apply", contract::APPLY, call).await?;
        Ok(encode(contract::RECEIPT, "the receipt", &receipt))
    }

    pub(crate) async fn try_apply(&self, earlier: Option<&Value>) -> Result<Value> {
        let cx = self.hold().await;
        let applied = self.apply_with(&cx, earlier).await;
        self.free(&cx).await;
        applied
    }

    pub(crate) async fn apply(&self) -> Value {
        match self.try_apply(None).await {
            Ok(receipt) => receipt,
            Err(error) => broken(
                contract::APPLY,
                format_args!("{:?} cannot be applied: {}", self.release, told(&error)),
            ),
        }
    }

    pub(crate) async fn roll_back_with(
        &self,
        cx: &ApplyContext,
        receipt: Option<&Value>,
    ) -> Result<()> {
        let (change, receipt) = (self.change(), Self::receipt(receipt));
        let call = self.rollback.roll_back(cx, &change, receipt.as_ref());
        self.patiently("roll_back", contract::ROLL_BACK, call).await
    }

    pub(crate) async fn try_roll_back(&self, receipt: Option<&Value>) -> Result<()> {
        let cx = self.hold().await;
        let rolled_back = self.roll_back_with(&cx, receipt).await;
        self.free(&cx).await;
        rolled_back
    }

    pub(crate) fn reversibility(&self) -> Reversibility {
        self.rollback.reversibility(&self.change())
    }

    /// Begins `write` with so many permits and no more. `None` when its process ended before it did;
    /// and whether it wanted more.
    pub(crate) async fn begin(
        &self,
        write: Write,
        permits: usize,
        death: Death,
    ) -> (Option<Result<Value>>, bool) {
        let ration = Ration::new(self.bench.world.ledger(), permits, death);
        let cx = self.hold_through(Arc::clone(&ration) as _).await;
        let call = async {
            match write {
                Write::Apply => self.apply_with(&cx, None).await,
                Write::RollBack(receipt) => {
                    self.roll_back_with(&cx, receipt.as_ref()).await.map(|()| Value::Null)
                }
            }
        };
        let ended = tokio::select! {
            ended = call => Some(ended),
            () = ration.killed() => None,
        };
        self.free(&cx).await;
        (ended, ration.used_up())
    }

    /// The last receipt that `apply` left in the journal before it was killed.
    pub(crate) async fn checkpoint(&self) -> Option<Value> {
        self.journal().await.into_iter().rev().find_map(|body| match body {
            Body::Checkpoint { stage, receipt } if stage == self.deployer.id() => Some(receipt),
            _ => None,
        })
    }

    /// How many writes the journal has permits for.
    pub(crate) async fn permits(&self) -> u64 {
        let bodies = self.journal().await;
        bodies.iter().map(|body| u64::from(matches!(body, Body::Calling { .. }))).sum()
    }

    pub(crate) async fn journal(&self) -> Vec<Body> {
        let read = async {
            let target = self.bench.world.target();
            let records = self.bench.world.ledger().read_run(&target, self.cx.run()).await?;
            records.iter().map(|record| Ok(record.decode()?.body)).collect::<Result<_>>()
        };
        match read.await {
            Ok(bodies) => bodies,
            Err(error) => unfit(format_args!("its ledger: {}", told(&error))),
        }
    }

    pub(crate) async fn trace(&self) -> Trace {
        self.bench.world.trace().await
    }
}

/// Which write is made.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    Apply,
    RollBack(Option<Value>),
}

/// An error as a report shows it.
pub(crate) fn told(error: &Error) -> String {
    format!("{error} [{}, effect {:?}]", error.code(), error.effect())
}

fn encode(sentence: Sentence, what: &str, value: &impl Serialize) -> Value {
    match serde_json::to_value(value) {
        Ok(json) => json,
        Err(error) => broken(sentence, format_args!("{what} has no JSON form: {error}")),
    }
}

pub(crate) fn decode<T: DeserializeOwned>(sentence: Sentence, what: &str, json: &Value) -> T {
    match T::deserialize(json) {
        Ok(value) => value,
        Err(error) => broken(sentence, format_args!("{what} cannot be read back: {error}")),
    }
}
