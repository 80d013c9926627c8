//! How soon a rollout that fails is given up, and whether the reason is told.

use std::path::Path;
use std::time::{Duration, Instant};

use gatekit_emulators::{Call, Scenario};
use tokio::runtime::Builder;

use crate::Result;
use crate::line::say;
use crate::tool::Tool;
use crate::world::{Wish, World, definition, image, service, ship};

/// When the third task stops for one reason, and what a person must be told.
const CASES: [(Scenario, f64, &str); 2] = [
    (Scenario::Unpullable, 9.0, "3× CannotPullContainerError"),
    (Scenario::CrashLoop, 18.0, "container `web` exited with 137"),
];

/// Prints, for each of so many rollouts, `polls` and `after_s` after the third stop for one reason, and
/// whether it was `told`.
pub(crate) fn in_virtual_time(rollouts: usize) -> Result<()> {
    for _ in 0..rollouts {
        for (scenario, third, reason) in CASES {
            let runtime = Builder::new_current_thread().enable_all().start_paused(true).build()?;
            runtime.block_on(given_up(scenario, Duration::from_secs_f64(third), reason))?;
        }
    }
    Ok(())
}

async fn given_up(scenario: Scenario, third: Duration, reason: &str) -> Result<()> {
    let world = World::new(scenario, 1.0);
    let report = ship(service(&world.in_process(), Wish::Image)?).await?;
    let calls = world.account.calls();
    let first = |name| {
        let of = |it: &&Call| it.operation == name;
        calls.iter().find(of).map(|it| it.at).ok_or(format!("{scenario}: no {name}"))
    };
    let third = first("UpdateService")? + third;
    // The first thing that is done about it.
    let given_up = first("StopServiceDeployment")?;
    let reads = calls.iter().filter(|it| it.operation == "DescribeServices").map(|it| it.at);
    let reads: Vec<_> = reads.filter(|at| (third..given_up).contains(at)).collect();
    // Between two polls is more than a second; those that follow at once are of the same one, or of the way
    // back.
    let pauses = reads.windows(2).filter(|it| it[1] - it[0] >= Duration::from_secs(1));
    say("polls", 1 + pauses.count())?;
    say("after_s", given_up.saturating_sub(third).as_secs_f64())?;
    let why = report.failure.as_ref().map(ToString::to_string).unwrap_or_default();
    say("told", u8::from(why.contains(reason)))
}

/// Prints how many seconds after the third stop the command line gives up, and whether it says why.
pub(crate) async fn by_command_line(cli: &Path) -> Result<()> {
    let (scenario, third, _) = CASES[0];
    let world = World::new(scenario, 1.0);
    world.call("RegisterTaskDefinition", &definition(&image()?.to_string()))?;
    let listening = world.account.listen(0).await?;
    let begun = Instant::now();
    let (cli, patience) = (Tool::Cli(cli.to_owned()), Duration::from_secs(900));
    let said = cli.deploy(&listening.url(), Wish::Image, patience, Path::new(".")).await?;
    if said.success != Some(false) {
        return Err(format!("the command line says {said:?}").into());
    }
    say("cli_s", begun.elapsed().as_secs_f64() - third)?;
    say("cli_told", u8::from(said.why.contains("CannotPull")))
}
