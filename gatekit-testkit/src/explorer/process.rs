//! One process of a path: a runtime of its own, which ends as a process does.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::{Decision, Ledger};
use gatekit_core::testing::{Interceptor, intercepted};
use gatekit_core::{Candidate, Engine, Error, Result, RunId, RunReport, Running};
use tokio::runtime::Runtime;

use super::calls::FaultyCalls;
use super::control::{Actor, Control};
use super::ledger::FaultyLedger;
use super::scene::{Scene, World};

/// When a process counts as hanging, by tokio's clock.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How long a process goes on that nobody waits for, by tokio's clock.
fn grace(scene: &dyn Scene) -> Duration {
    Duration::from_secs(if scene.in_real_time() { 2 } else { 60 })
}

/// What a process is started for.
#[derive(Debug, Clone)]
pub(super) enum Verb {
    Ship(Candidate),
    RollBack(Option<String>),
    Resume(RunId),
    Reconcile(RunId, Option<Decision>),
}

/// What came of a process.
pub(super) struct Ended {
    pub(super) run: RunId,
    pub(super) how: How,
}

pub(super) enum How {
    Reported(RunReport),
    /// It is stopped in the middle of a write.
    Frozen(Frozen),
}

/// The report of a process that has not ended.
type Report = <Running as IntoFuture>::IntoFuture;

/// A process that is stopped.
pub(super) struct Frozen {
    runtime: Runtime,
    actor: Actor,
    report: Report,
    grace: Duration,
}

impl Frozen {
    /// Lets it go on, to its end. Gives its report, if it comes to one.
    pub(super) fn thaw(self) -> Option<RunReport> {
        let Self { runtime, actor, report, grace } = self;
        actor.thaw();
        let report = runtime.block_on(async {
            let report = tokio::time::timeout(grace, report).await.ok();
            if actor.has_let_go() {
                tokio::time::sleep(grace).await;
            }
            report
        });
        actor.look();
        report
    }
}

pub(super) fn runtime(scene: &dyn Scene) -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(!scene.in_real_time());
    builder.build().map_err(|source| {
        let code = gatekit_core::Code::new("explorer.runtime");
        Error::new(code, "no runtime for a process").with_source(source)
    })
}

pub(super) fn engine(scene: &dyn Scene, ledger: Arc<dyn Ledger>) -> Engine {
    scene.engine(Engine::new(ledger).with_actor("explorer"))
}

/// Looks into a world from outside, with a ledger that does not fail.
pub(super) fn look<T, F>(
    scene: &dyn Scene,
    world: &Arc<dyn World>,
    work: impl FnOnce(Arc<dyn Ledger>) -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    runtime(scene)?.block_on(async { work(world.ledger().await?).await })
}

/// Runs a process to its end.
pub(super) fn play(
    scene: &dyn Scene,
    control: &Arc<Control>,
    verb: Verb,
    candidate: &Candidate,
) -> Result<Ended> {
    let (world, actor) = (control.world(), control.begin());
    let interceptor: Arc<dyn Interceptor> = Arc::new(FaultyCalls(actor.clone()));
    let pipeline = intercepted(&world.pipeline(candidate), &interceptor);
    let runtime = runtime(scene)?;
    let (run, report) = runtime.block_on(async {
        let ledger = Arc::new(FaultyLedger::new(world.ledger().await?, actor.clone()));
        let engine = engine(scene, ledger);
        let running = match verb {
            Verb::Ship(candidate) => engine.ship(&pipeline, candidate),
            Verb::RollBack(to) => engine.roll_back(&pipeline, to, "explored"),
            Verb::Resume(run) => engine.resume(&pipeline, run),
            Verb::Reconcile(run, decision) => {
                engine.reconcile(&pipeline, run, decision, "explored")
            }
        };
        // Nothing of the run has happened yet: there is one thread, and it is here.
        actor.runs(running.interrupter());
        let (run, mut report) = (running.run(), running.into_future());
        let reported = wait(&mut report, &actor, grace(scene)).await?;
        Ok::<_, Error>((run, reported.ok_or(report)))
    })?;
    actor.look();
    let how = match report {
        Ok(report) => How::Reported(report),
        Err(report) => How::Frozen(Frozen { runtime, actor, report, grace: grace(scene) }),
    };
    Ok(Ended { run, how })
}

/// The report; `None` when the process is stopped.
async fn wait(report: &mut Report, actor: &Actor, grace: Duration) -> Result<Option<RunReport>> {
    let report = tokio::select! {
        biased;
        () = actor.frozen() => return Ok(None),
        report = report => report,
        () = tokio::time::sleep(PATIENCE) => {
            let hangs = gatekit_core::Code::new("explorer.hangs");
            return Err(Error::new(hangs, "a process comes to no end"));
        }
    };
    if actor.has_let_go() {
        // The handle has answered, and the program is about to exit: what the run still does in
        // that moment must be harmless too.
        tokio::time::sleep(grace).await;
    }
    Ok(Some(report))
}
