//! A GitHub action of one's own: a release that somebody has to approve, told in the log, the summary
//! and the outputs of its step. The sign is that of `command-deploy`.

use std::path::PathBuf;
use std::process::ExitCode;

use gatekit::cli::{App, Env, Shipment};
use gatekit::github::Actions;
use gatekit::local::{Command, CommandDeploy, Program};
use gatekit::{Approval, Candidate, Pipeline, Result, enforced};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// What is released.
#[derive(clap::Args, Serialize, Deserialize)]
struct Sign {
    /// What the sign is to show
    #[arg(long)]
    text: String,
    /// The file that the sign is in
    #[arg(long, env = "SIGN_FILE")]
    sign: PathBuf,
    /// The script that deploys it
    #[arg(long, env = "SIGN_SCRIPT")]
    script: PathBuf,
    /// What the sign's control asks for: masked, and never journalled
    #[arg(long, env = "SIGN_TOKEN", hide_env_values = true)]
    #[serde(skip)]
    token: Option<SecretString>,
}

fn main() -> ExitCode {
    let actions = Actions::from_env();
    let step = actions.clone();
    let app = App::new("sign-action")
        .about("Shows a text on a sign, once somebody has approved it.")
        .version(env!("CARGO_PKG_VERSION"))
        .pipeline("production/sign", async move |sign: Sign, env: Env| build(sign, &env, &step));
    if !actions.in_workflow() {
        return app.run();
    }
    let step = actions.clone();
    app.progress_by(actions.reporter())
        .finish(move |report| actions.finish(report))
        .on_error(move |failure, exit| step.fail(failure, exit))
        .run()
}

fn build(sign: Sign, env: &Env, step: &Actions) -> Result<Shipment> {
    let file = sign.sign.to_string_lossy();
    let mut script = Program::new(&sign.script).env("SIGN", file.as_ref());
    if let Some(token) = sign.token {
        // Before anything can print it.
        step.mask(&token);
        script = script.secret("SIGN_TOKEN", token);
    }
    let deploy = CommandDeploy::new("sign", script)?;
    let undo = deploy.undo();
    let shown = Program::new("jq").args(["-e", "--arg", "text", &sign.text, ".text == $text"]);
    let pipeline = Pipeline::to(env.target().as_str())
        .gate(enforced(Approval::quorum(1)))
        .deploy(deploy)
        .rollback_with(undo)
        .verify(enforced(Command::new("shown", shown.arg(file.as_ref()))?))
        .build()?;
    Ok(Shipment::new(pipeline).with_candidate(move || Ok(Candidate::new().with_version(sign.text))))
}
