//! One process of a path: a runtime of its own, which ends as a process does.

use std::sync::Arc;
use std::time::Duration;

use gatekit_core::ledger::{Decision, Ledger};
use gatekit_core::testing::{Interceptor, intercepted};
use gatekit_core::{Candidate, Engine, Error, Result, RunId, RunReport, Running};
use tokio::runtime::Runtime;

use super::calls::FaultyCalls;
use super::control::Control;
use super::ledger::FaultyLedger;
use super::scene::{Scene, World};

/// When a process counts as hanging, by tokio's clock.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// What a process is started for.
#[derive(Debug, Clone)]
pub(super) enum Verb {
    Ship(Candidate),
    RollBack(Option<String>),
    Resume(RunId),
    Reconcile(RunId, Option<Decision>),
}

/// What came of a process.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) run: RunId,
    pub(super) report: RunReport,
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
pub(super) fn play(scene: &dyn Scene, control: &Arc<Control>, verb: Verb) -> Result<Ended> {
    let world = control.world();
    let interceptor: Arc<dyn Interceptor> = Arc::new(FaultyCalls(Arc::clone(control)));
    let pipeline = intercepted(&world.pipeline(), &interceptor);
    let runtime = runtime(scene)?;
    let ended = runtime.block_on(async {
        let ledger = Arc::new(FaultyLedger::new(world.ledger().await?, Arc::clone(control)));
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
        control.begin(running.interrupter());
        wait(running, control).await
    });
    control.look();
    ended
}

async fn wait(running: Running, control: &Control) -> Result<Ended> {
    let run = running.run();
    let report = tokio::time::timeout(PATIENCE, running.wait()).await.map_err(|_| {
        Error::new(gatekit_core::Code::new("explorer.hangs"), "a process comes to no end")
    })?;
    if control.has_let_go() {
        // The handle has answered, and the program is about to exit: what the run still does in
        // that moment must be harmless too.
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    Ok(Ended { run, report })
}
