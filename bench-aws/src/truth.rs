//! What each tool says of each ending, beside what truly serves.

use std::path::Path;
use std::time::{Duration, Instant};

use gatekit_emulators::{Injection, Scenario, Trouble};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Result;
use crate::line::say;
use crate::tool::{TAGGED, Tool};
use crate::world::{Wish, World, definition, image};

/// Between the starts of two programs: together they would be too slow to see what passes in seconds.
const STAGGER: Duration = Duration::from_millis(1500);

/// How often a call is met by a passing trouble, at each of the two places.
const TIMES: u32 = 3;

#[derive(Debug, Clone, Copy)]
struct Case {
    scenario: Scenario,
    trouble: Option<Trouble>,
    wish: Wish,
    speed: f64,
}

impl Case {
    fn of(scenario: Scenario) -> Self {
        let wish = if scenario == Scenario::ForcedRollback { Wish::Again } else { Wish::Image };
        let speed = match scenario {
            Scenario::Slow => 10.0,
            // A program that takes a second to start must see the three seconds of it, too.
            Scenario::StaleThenOk | Scenario::StaleThenRollback | Scenario::MissingThenOk => 0.5,
            _ => 1.0,
        };
        Self { scenario, trouble: None, wish, speed }
    }

    fn with(trouble: Trouble) -> Self {
        Self { trouble: Some(trouble), ..Self::of(Scenario::Ok) }
    }

    /// All of them. An external controller tells nothing of a rollout: nobody can judge it.
    fn all() -> Vec<Self> {
        let scenarios = Scenario::ALL.into_iter().filter(|it| *it != Scenario::ExternalController);
        let troubles =
            [Trouble::Throttled, Trouble::ServerError, Trouble::CutBefore, Trouble::CutAfter];
        scenarios.map(Self::of).chain(troubles.map(Self::with)).collect()
    }

    fn name(self) -> String {
        self.trouble.map_or_else(|| self.scenario.to_string(), |it| it.to_string())
    }

    /// An account in which that comes, and what serves in it before.
    fn begin(self) -> Result<(World, Vec<String>)> {
        let world = World::new(self.scenario, self.speed);
        let web = match self.wish {
            Wish::Image => image()?.to_string(),
            Wish::Again => TAGGED.to_owned(),
        };
        world.call("RegisterTaskDefinition", &definition(&web))?;
        if self.wish == Wish::Again {
            let update = json!({ "cluster": "demo", "service": "web", "taskDefinition": "web:2" });
            world.call("UpdateService", &update)?;
            world.account.with_account(|it| {
                it.hasten();
                it.push();
            });
        }
        let before = world.serving().unwrap_or_default();
        if let Some(trouble) = self.trouble {
            for operation in ["UpdateService", "DescribeServices"] {
                world.account.inject(Injection::of(trouble, operation, TIMES));
            }
        }
        Ok((world, before))
    }
}

/// Lets all tools deploy in all cases, and prints what each made of it.
pub(crate) async fn measure(tools: &[Tool], patience: Duration, folder: &Path) -> Result<()> {
    let mut running = JoinSet::new();
    let mut programs = 0;
    for tool in tools {
        for (at, case) in Case::all().into_iter().enumerate() {
            let folder = folder.join(format!("{}-{at}", tool.name()));
            std::fs::create_dir_all(&folder)?;
            let starts = match tool {
                Tool::Gatekit => Duration::ZERO,
                Tool::Cli(_) | Tool::Action(_) => {
                    programs += 1;
                    STAGGER * programs
                }
            };
            let tool = tool.clone();
            running.spawn(async move {
                sleep(starts).await;
                judged(&tool, case, patience, &folder).await
            });
        }
    }
    while let Some(judged) = running.join_next().await {
        judged??;
    }
    Ok(())
}

async fn judged(tool: &Tool, case: Case, patience: Duration, folder: &Path) -> Result<()> {
    let (world, before) = case.begin()?;
    let listening = world.account.listen(0).await?;
    let mut bystander = JoinSet::new();
    if !matches!(tool, Tool::Gatekit) {
        bystander.spawn(let_go_on(world.clone()));
    }
    let begun = Instant::now();
    let said = tool.deploy(&listening.url(), case.wish, patience, folder).await?;
    let took = begun.elapsed().as_secs_f64();
    drop(bystander);
    // A tool that could not even start is no peer.
    if world.account.calls().is_empty() {
        return Err(format!("{} has called nothing: {}", tool.name(), said.why).into());
    }
    let served = serves(&world, case, &before)?;
    world.account.with_account(gatekit_emulators::Account::hasten);
    let serves = serves(&world, case, &before)?;
    let ends_well = case.scenario.ends_well();
    if !ends_well && serves {
        return Err(format!("{}: what should end badly ended well", case.name()).into());
    }
    let verdict = match (said.success, ends_well) {
        (None, _) => "none",
        // Of a release that was undone because it was taken for bad, nothing serves.
        (Some(false), true) => "false_failure",
        (Some(true), _) if !serves => "false_success",
        (Some(true), _) if !served => "early_success",
        _ => "right",
    };
    let (tool, case) = (tool.name(), case.name());
    eprintln!("{tool} {case}: {verdict} after {took:.1} s; {:.150}", said.why.replace('\n', " "));
    say(&format!("{tool}_{verdict}/{case}"), 1)?;
    say(&format!("{tool}_s/{case}"), took)
}

/// Whether the candidate serves, and nothing else does.
fn serves(world: &World, case: Case, before: &[String]) -> Result<bool> {
    let Ok(now) = world.serving() else { return Ok(false) };
    Ok(match case.wish {
        Wish::Image => now == [image()?.to_string()],
        // The tag names something new, and nobody else deploys in such a case.
        Wish::Again => now != before,
    })
}

/// Answers the hook of a blue/green rollout, for tools that do not.
async fn let_go_on(world: World) {
    let service = json!({ "cluster": "demo", "service": "web" });
    loop {
        sleep(Duration::from_secs(1)).await;
        let listed = world.call("ListServiceDeployments", &service).unwrap_or_default();
        let arn = &listed["serviceDeployments"][0]["serviceDeploymentArn"];
        let answer =
            json!({ "serviceDeploymentArn": arn, "hookId": "smoke", "action": "CONTINUE" });
        // There is none, or it does not wait yet.
        let _ = world.call("ContinueServiceDeployment", &answer);
    }
}
