//! What the command line of AWS makes of each scenario: `update-service`, and then the wait that most
//! pipelines have.
//!
//! The clocks run so fast that all is over when it first looks, or so slowly that nothing has begun.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use gatekit_emulators::{Aws, Clock, Scenario};
use gatekit_peers::Shared;
use serde_json::{Value, json};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::ecs_shapes::definition;

/// All that is to come has happened by the time of the next call.
const FAST: f64 = 10_000.0;
/// Nothing of it has.
const SLOW: f64 = 0.001;

/// The command line, which heeds nothing that the user of this machine has set.
pub(crate) fn aws(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(Shared::AwsCli.place().unwrap());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    for (name, value) in [
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ] {
        command.env(name, value);
    }
    command.args(args).stdin(Stdio::null());
    command
}

const UPDATE: [&str; 8] = [
    "ecs",
    "update-service",
    "--cluster",
    "demo",
    "--service",
    "web",
    "--task-definition",
    "web:2",
];
const WAIT: [&str; 7] =
    ["ecs", "wait", "services-stable", "--cluster", "demo", "--services", "web"];

/// What the command line said, and how it really was.
#[derive(Debug, PartialEq)]
struct Seen {
    updates: bool,
    waits: bool,
    /// Of the deployment that the update began.
    status: String,
    /// Whether tasks of the new revision run.
    serves: bool,
}

/// An account with the revision to deploy.
fn account(scenario: Scenario, speed: f64) -> Aws {
    let account = Aws::new(scenario, Clock::at_speed(speed));
    account.call("RegisterTaskDefinition", &definition()).unwrap();
    account
}

fn seen(account: &Aws, update: &Output, wait: &Output) -> Seen {
    let answer: Value = serde_json::from_slice(&update.stdout).unwrap_or_default();
    let mine = &answer["service"]["deployments"][0]["id"];
    let number = mine.as_str().unwrap_or("-").rsplit('/').next().unwrap().to_owned();
    let listed = json!({ "cluster": "demo", "service": "web" });
    let listed = account.call("ListServiceDeployments", &listed).unwrap();
    let listed = listed["serviceDeployments"].as_array().unwrap();
    let is_mine = |it: &&Value| it["targetServiceRevisionArn"].as_str().unwrap().ends_with(&number);
    let status = listed.iter().find(is_mine).map_or("", |it| it["status"].as_str().unwrap());
    let running = account.call("ListTasks", &json!({ "cluster": "demo" })).unwrap();
    let tasks = &running["taskArns"];
    let mut serves = false;
    if tasks != &json!([]) {
        let told = account.call("DescribeTasks", &json!({ "cluster": "demo", "tasks": tasks }));
        let told = told.unwrap();
        let new = |it: &Value| it["taskDefinitionArn"].as_str().unwrap().ends_with("/web:2");
        serves = told["tasks"].as_array().unwrap().iter().any(new);
    }
    Seen {
        updates: update.status.success(),
        waits: wait.status.success(),
        status: status.to_owned(),
        serves,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_of_the_command_line_succeeds_for_whatever_is_stable() {
    let mut cases = JoinSet::new();
    for (scenario, speed, waits, status, serves) in [
        (Scenario::Ok, FAST, true, "SUCCESSFUL", true),
        // Seven successes that did not happen.
        (Scenario::BreakerRollback, FAST, true, "ROLLBACK_SUCCESSFUL", false),
        (Scenario::AlarmRollback, FAST, true, "ROLLBACK_SUCCESSFUL", false),
        (Scenario::Superseded, FAST, true, "STOPPED", false),
        (Scenario::StaleThenOk, SLOW, true, "IN_PROGRESS", false),
        (Scenario::StaleThenRollback, SLOW, true, "IN_PROGRESS", false),
        (Scenario::DesiredZero, FAST, true, "SUCCESSFUL", false),
        // The deployment that its answer names first is the earlier one.
        (Scenario::NoNewDeployment, FAST, true, "SUCCESSFUL", false),
        // A failure that is none: it would have been there a moment later.
        (Scenario::MissingThenOk, SLOW, false, "IN_PROGRESS", false),
        (Scenario::Deleted, FAST, false, "IN_PROGRESS", false),
    ] {
        cases.spawn(async move {
            let account = account(scenario, speed);
            let listening = account.listen(0).await.unwrap();
            let url = listening.url();
            let (update, wait) = spawn_blocking(move || {
                let update = aws(&url, &UPDATE).output().unwrap();
                (update, aws(&url, &WAIT).output().unwrap())
            })
            .await
            .unwrap();
            let expected = Seen { updates: true, waits, status: status.to_owned(), serves };
            assert_eq!(seen(&account, &update, &wait), expected, "{scenario}: {update:?} {wait:?}");
        });
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_of_the_command_line_goes_on_when_a_deployment_has_failed_for_good() {
    let account = account(Scenario::BreakerStop, FAST);
    let listening = account.listen(0).await.unwrap();
    let ask = json!({ "cluster": "demo", "service": "web", "taskDefinition": "web:2" });
    account.call("UpdateService", &ask).unwrap();
    let mut wait = aws(&listening.url(), &WAIT).spawn().unwrap();
    while account.calls().is_empty() {
        assert_eq!(wait.try_wait().unwrap(), None, "it has not even looked");
        sleep(Duration::from_millis(50)).await;
    }
    sleep(Duration::from_secs(1)).await;
    let ended = wait.try_wait().unwrap();
    wait.kill().unwrap();
    wait.wait().unwrap();
    assert_eq!(ended, None, "it looks again for ten minutes");
    let listed = json!({ "cluster": "demo", "service": "web" });
    let listed = account.call("ListServiceDeployments", &listed).unwrap();
    assert_eq!(listed["serviceDeployments"][0]["status"], "STOPPED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_tells_an_error_by_its_name() {
    let account = Aws::new(Scenario::Ok, Clock::at_speed(1.0));
    let listening = account.listen(0).await.unwrap();
    let url = listening.url();
    let output = spawn_blocking(move || aws(&url, &UPDATE).output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "(ClientException) when calling the UpdateService operation: \
                    The specified task definition does not exist.";
    assert!(said.contains(expected) && !output.status.success(), "{said}");
}
