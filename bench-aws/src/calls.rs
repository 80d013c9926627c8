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

/// Prints `calls`, of each of so many rollouts of five minutes; and of as many rollouts at once as
/// `services`, by one account, `together_s` for all of them and the `together_each_s` calls of DescribeServices in each second.
pub(crate) fn in_virtual_time(rollouts: usize, services: usize) -> Result<()> {
    let paused = || Builder::new_current_thread().enable_all().start_paused(true).build();
    for _ in 0..rollouts {
        say("calls", paused()?.block_on(alone())?)?;
    }
    paused()?.block_on(together(services))
}

async fn alone() -> Result<usize> {
    let world = World::new(Scenario::Slow, 1.0);
    let report = ship(service(&world.in_process(), Wish::Image)?).await?;
    if report.outcome != Outcome::Released {
        return Err(format!("{:?}: {:?}", report.outcome, report.failure).into());
    }
    Ok(world.account.calls().len())
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
