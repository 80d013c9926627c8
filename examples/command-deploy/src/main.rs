//! A shell script as a deployer: a sign that shows one text. The script answers what is there and
//! writes when it is told to; queue, lock, journal, verification and the way back are gatekit's.

use std::path::PathBuf;
use std::process::ExitCode;

use gatekit::cli::{App, Env, Shipment};
use gatekit::local::{Command, CommandDeploy, Program};
use gatekit::{Candidate, Code, Effect, Error, NextAction, Pipeline, Result, enforced};
use serde::{Deserialize, Serialize};

/// What is released.
#[derive(clap::Args, Serialize, Deserialize)]
struct Sign {
    /// What the sign is to show
    #[arg(long)]
    text: String,
    /// The file that the sign is in
    #[arg(long, default_value = "sign.json")]
    sign: PathBuf,
    /// The script that deploys it
    #[arg(long, default_value = "sign.sh")]
    script: PathBuf,
}

fn main() -> ExitCode {
    App::new("command-deploy")
        .about("Shows a text on a sign, by a shell script.")
        .version(env!("CARGO_PKG_VERSION"))
        .pipeline("local/sign", async |sign: Sign, env: Env| build(sign, &env).await)
        .run()
}

/// The note that tells which sign a target is.
const SIGN: &str = "sign";

async fn build(mut sign: Sign, env: &Env) -> Result<Shipment> {
    if env.plans_anew() {
        // Whoever resumes it may stand elsewhere.
        sign.sign = absolute(sign.sign)?;
        sign.script = absolute(sign.script)?;
        same_sign(&sign.sign.to_string_lossy(), env).await?;
    }
    let (file, text) = (sign.sign.to_string_lossy().into_owned(), sign.text.clone());
    let deploy = CommandDeploy::new("sign", Program::new(&sign.script).env("SIGN", &file))?;
    let undo = deploy.undo();
    let shown = Command::new(
        "shown",
        Program::new("jq").args(["-e", "--arg", "text", &text, ".text == $text", &file]),
    )?;
    let pipeline = Pipeline::to(env.target().as_str())
        .deploy(deploy)
        .rollback_with(undo)
        .verify(enforced(shown))
        .build()?;
    Shipment::new(pipeline)
        .with_candidate(move || Ok(Candidate::new().with_version(text)))
        .with_note(SIGN, file)
        .with_arguments(&sign)
}

/// Whether the target is that sign, by the ledger, which is one for all directories of a user: its
/// releases are of one sign.
async fn same_sign(file: &str, env: &Env) -> Result<()> {
    let known = env.noted(SIGN).await?;
    let Some(known) = known.as_ref().and_then(|known| known.as_str()).filter(|it| *it != file)
    else {
        return Ok(());
    };
    let other = format!("target `{}` is another sign", env.target());
    let next = format!("pass `--sign {known}`, or name another target with `--target`");
    Err(Error::new(Code::new("usage.sign"), other)
        .with_context("journalled", known)
        .with_context("given", file)
        .with_effect(Effect::None)
        .with_next(NextAction::outside(next)))
}

fn absolute(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|source| {
        Error::new(Code::new("usage.path"), "a path cannot be used").with_source(source)
    })
}
