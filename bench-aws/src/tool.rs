//! What deploys: gatekit, and what people have without it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use gatekit_core::Outcome;
use tokio::process::Command;
use tokio::time::timeout;

use crate::Result;
use crate::world::{Wish, config, definition, image, service, ship};

/// Something that deploys a service, waits, and says whether that went well.
#[derive(Debug, Clone)]
pub(crate) enum Tool {
    /// gatekit's engine with the deployer of this repository, in this process, by HTTP.
    Gatekit,
    /// `aws ecs update-service`, then `aws ecs wait services-stable`.
    Cli(PathBuf),
    /// The official action for GitHub's workflows, in a folder, run by Node.
    Action(PathBuf),
}

/// What a tool said in the end.
#[derive(Debug)]
pub(crate) struct Said {
    /// Whether it tells of a success; `None` when it said nothing in time.
    pub(crate) success: Option<bool>,
    /// What a person reads.
    pub(crate) why: String,
}

impl Tool {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gatekit => "gatekit",
            Self::Cli(_) => "cli",
            Self::Action(_) => "action",
        }
    }

    /// Deploys to the service `web` behind the endpoint. `web:2` is the revision with the new image, or
    /// that whose tag names it now.
    pub(crate) async fn deploy(
        &self,
        endpoint: &str,
        wish: Wish,
        patience: Duration,
        folder: &Path,
    ) -> Result<Said> {
        let said = match self {
            Self::Gatekit => return released(endpoint, wish).await,
            Self::Cli(program) => timeout(patience, by_command_line(program, endpoint, wish)).await,
            Self::Action(root) => timeout(patience, by_action(root, endpoint, wish, folder)).await,
        };
        said.unwrap_or_else(|_| Ok(Said { success: None, why: "it still waits".to_owned() }))
    }
}

async fn released(endpoint: &str, wish: Wish) -> Result<Said> {
    let report = ship(service(&config(endpoint), wish)?).await?;
    let why = report.failure.as_ref().map(ToString::to_string).unwrap_or_default();
    Ok(Said { success: Some(report.outcome == Outcome::Released), why })
}

async fn by_command_line(program: &Path, endpoint: &str, wish: Wish) -> Result<Said> {
    let what = match wish {
        Wish::Image => ["--task-definition", "web:2"].as_slice(),
        Wish::Again => &["--force-new-deployment"],
    };
    let of = ["ecs", "update-service", "--cluster", "demo", "--service", "web"];
    let updated = ended(aws(program, endpoint).args(of).args(what)).await?;
    if updated.success != Some(true) {
        return Ok(updated);
    }
    ended(aws(program, endpoint).args(WAIT)).await
}

const WAIT: [&str; 7] =
    ["ecs", "wait", "services-stable", "--cluster", "demo", "--services", "web"];

/// With the inputs that a workflow gives it as a matter of course.
async fn by_action(root: &Path, endpoint: &str, wish: Wish, folder: &Path) -> Result<Said> {
    let image = match wish {
        Wish::Image => image()?.to_string(),
        Wish::Again => TAGGED.to_owned(),
    };
    let file = folder.join("task-definition.json");
    tokio::fs::write(&file, definition(&image).to_string()).await?;
    let mut node = clean(Path::new("node"), endpoint);
    node.arg(root.join("dist/index.js")).current_dir(folder).env("RUNNER_TEMP", folder);
    node.env("GITHUB_WORKSPACE", folder).env("INPUT_TASK-DEFINITION", &file);
    for (name, value) in [("CLUSTER", "demo"), ("SERVICE", "web")] {
        node.env(format!("INPUT_{name}"), value);
    }
    node.env("INPUT_WAIT-FOR-SERVICE-STABILITY", "true");
    if wish == Wish::Again {
        node.env("INPUT_FORCE-NEW-DEPLOYMENT", "true");
    }
    ended(&mut node).await
}

/// The image of the service that is deployed anew.
pub(crate) const TAGGED: &str = "registry.example.com/web:latest";

/// The command line, at the endpoint.
pub(crate) fn aws(program: &Path, endpoint: &str) -> Command {
    clean(program, endpoint)
}

/// A program that heeds nothing that the user of this machine has set for AWS.
fn clean(program: &Path, endpoint: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    for (name, value) in [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ] {
        command.env(name, value);
    }
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

async fn ended(command: &mut Command) -> Result<Said> {
    let output = command.output().await?;
    let [out, err] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    let why = format!("{} {}", err.trim(), out.trim());
    Ok(Said { success: Some(output.status.success()), why })
}
