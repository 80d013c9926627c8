//! How long after the end of a rollout its verdict comes.

use std::path::Path;
use std::time::Duration;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::client::Waiters as _;
use gatekit_core::Outcome;
use gatekit_emulators::Scenario;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::Result;
use crate::line::say;
use crate::tool::Tool;
use crate::world::{Wish, World, definition, image, service, ship};

/// How long the emulated rollout takes at speed 1; all tasks run after two thirds of it.
const FULL: f64 = 300.0;

/// Rollouts whose time passes by itself, of lengths spread evenly over these seconds.
const VIRTUAL: (f64, f64) = (10.0, 600.0);
/// Those that are waited for.
const REAL: (f64, f64) = (10.0, 55.0);

/// Prints `gatekit_virtual_s` and `waiter_s`, one for each of so many rollouts.
pub(crate) fn in_virtual_time(rollouts: usize) -> Result<()> {
    for seconds in lengths(VIRTUAL, rollouts) {
        let paused = || Builder::new_current_thread().enable_all().start_paused(true).build();
        say("gatekit_virtual_s", paused()?.block_on(gatekit(seconds))?)?;
        say("waiter_s", paused()?.block_on(waiter(seconds))?)?;
    }
    Ok(())
}

/// Prints `gatekit_real_s` and `cli_s`, of so many rollouts at once by HTTP.
pub(crate) async fn in_real_time(cli: &Path, rollouts: usize) -> Result<()> {
    let mut running = JoinSet::new();
    for (at, seconds) in (0_u32..).zip(lengths(REAL, rollouts)) {
        // Together they would be slower than each alone.
        let starts = Duration::from_millis(1000) * at;
        for tool in [Tool::Gatekit, Tool::Cli(cli.to_owned())] {
            running.spawn(async move {
                tokio::time::sleep(starts).await;
                let lag = real(&tool, seconds).await?;
                say(&format!("{}_real_s", tool.name()), lag)
            });
        }
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

fn lengths((least, most): (f64, f64), count: usize) -> Vec<f64> {
    let each = (most - least) / u32::try_from(count).map_or(f64::NAN, f64::from);
    let lengths = std::iter::successors(Some(least), |it| Some(it + each));
    // Nobody is in step with them.
    lengths.take(count).map(|it| it + each * fastrand::f64()).collect()
}

fn world(seconds: f64) -> World {
    World::new(Scenario::Slow, FULL / seconds)
}

/// How long ago the rollout that somebody updated the service for has completed.
fn lag(world: &World, seconds: f64) -> Result<f64> {
    let calls = world.account.calls();
    let updated = calls.iter().find(|it| it.operation == "UpdateService").ok_or("no update")?;
    let since = (world.clock.elapsed() - updated.at).as_secs_f64() * seconds / FULL;
    if since < seconds {
        return Err(format!("a verdict {} s before the end", seconds - since).into());
    }
    Ok(since - seconds)
}

async fn gatekit(seconds: f64) -> Result<f64> {
    let world = world(seconds);
    let report = ship(service(&world.in_process(), Wish::Image)?).await?;
    if report.outcome != Outcome::Released {
        return Err(format!("{:?}: {:?}", report.outcome, report.failure).into());
    }
    lag(&world, seconds)
}

/// The waiter of the SDK, after the same update.
async fn waiter(seconds: f64) -> Result<f64> {
    let world = world(seconds);
    let client = Client::new(&world.in_process());
    world.call("RegisterTaskDefinition", &definition(&image()?.to_string()))?;
    let update = client.update_service().cluster("demo").service("web").task_definition("web:2");
    update.send().await?;
    let waiter = client.wait_until_services_stable().cluster("demo").services("web");
    waiter.wait(Duration::from_secs(7200)).await?;
    lag(&world, seconds)
}

async fn real(tool: &Tool, seconds: f64) -> Result<f64> {
    let world = world(seconds);
    world.call("RegisterTaskDefinition", &definition(&image()?.to_string()))?;
    let listening = world.account.listen(0).await?;
    let patience = Duration::from_secs(600);
    let said = tool.deploy(&listening.url(), Wish::Image, patience, Path::new(".")).await?;
    if said.success != Some(true) {
        return Err(format!("{}: {}", tool.name(), said.why).into());
    }
    lag(&world, seconds)
}
