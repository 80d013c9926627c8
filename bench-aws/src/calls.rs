//! How often AWS is asked.

use std::time::Duration;

use gatekit_aws::Aws;
use gatekit_aws::ecs::Service;
use gatekit_core::Outcome;
use gatekit_emulators::Scenario;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Result;
use crate::fleet::Fleet;
use crate::line::say;
use crate::world::{Wish, World, config, service, ship};

/// How long a rollout takes whose calls are counted.
const LONG: Duration = Duration::from_secs(300);

/// Prints `calls` of each of so many rollouts of five minutes, and `blue_green_calls` and `failing_calls` of
/// ones that take as long; and of as many rollouts at once as `services`, by one account, `together_s` for all
/// of them and the `together_each_s` calls of DescribeServices in each second.
pub(crate) fn in_virtual_time(rollouts: usize, services: usize) -> Result<()> {
    let paused = || Builder::new_current_thread().enable_all().start_paused(true).build();
    for _ in 0..rollouts {
        for (name, scenario, ends) in [
            ("calls", Scenario::Slow, Outcome::Released),
            ("blue_green_calls", Scenario::BlueGreenPause, Outcome::Released),
            ("failing_calls", Scenario::BreakerRollback, Outcome::RolledBack),
        ] {
            let (_, took) = paused()?.block_on(alone(scenario, 1.0, ends))?;
            let speed = took.as_secs_f64() / LONG.as_secs_f64();
            let (calls, _) = paused()?.block_on(alone(scenario, speed, ends))?;
            say(name, calls)?;
        }
    }
    paused()?.block_on(together(services))
}

/// How many calls a release makes, and how long it takes.
async fn alone(scenario: Scenario, speed: f64, ends: Outcome) -> Result<(usize, Duration)> {
    let (world, begun) = (World::new(scenario, speed), Instant::now());
    let report = ship(service(&world.in_process(), Wish::Image)?).await?;
    if report.outcome != ends {
        return Err(format!("{scenario:?}: {:?}: {:?}", report.outcome, report.failure).into());
    }
    Ok((world.account.calls().len(), begun.elapsed()))
}

async fn together(services: usize) -> Result<()> {
    let fleet = Fleet::new(services)?;
    let config = config("http://account.invalid").into_builder();
    let aws = Aws::new(&config.http_client(fleet.http_client()).build());
    let (begun, mut running) = (Instant::now(), JoinSet::new());
    for number in 0..services {
        let service = Service::new(&aws, "demo", &format!("web-{number}"))?.revision("web:2");
        running.spawn(ship(service));
    }
    while let Some(ended) = running.join_next().await {
        let report = ended??;
        if report.outcome != Outcome::Released {
            return Err(format!("{:?}: {:?}", report.outcome, report.failure).into());
        }
    }
    say("together_s", begun.elapsed().as_secs_f64())?;
    let asked = fleet.called("DescribeServices");
    let within = |from: Instant| {
        let second = from..from + Duration::from_secs(1);
        asked.iter().filter(|at| second.contains(at)).count()
    };
    // Every second that begins with a call: none has more of them than the busiest of these.
    asked.iter().try_for_each(|at| say("together_each_s", within(*at)))
}
