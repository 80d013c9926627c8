//! The program: a directory is shipped, or what runs is stopped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gatekit_cli::{App, Env, Shipment};
use gatekit_core::{Candidate, Code, Effect, Error, NextAction, Pipeline, Result, enforced};
use gatekit_http::{Answerer, Judgement, Smoke};
use gatekit_local::{Answer, PreviousRelease, ReleaseDir, ServiceProbe};
use serde_json::json;

use crate::args::{Place, Ship, Stop};

/// A path on the command line cannot be used.
const USAGE_PATH: Code = Code::new("usage.path");
/// A URL has a query, which may be a secret.
const USAGE_QUERY: Code = Code::new("usage.query");
/// The target is released under another root.
const USAGE_ROOT: Code = Code::new("usage.root");

const EXAMPLES: &str = "\
Examples:
  local-release
      the demonstration, in a temporary root
  local-release ship --app ./build --start './server --port 8080' \\
      --check http://127.0.0.1:8080/ready --expect-version 1.4.0 --version-from header:X-Version
      release a directory, and believe it only when it answers
  local-release status --output json
      what is live, who holds the target, who waits
  local-release rollback --reason 'checkout is broken'
      back to the release before
  local-release resume
      go on where a killed or interrupted run stopped
  local-release log --verify
      check the hash chain of the journal";

/// The program.
pub fn app() -> App {
    App::new("local-release")
        .about(
            "Releases a directory and its process on this machine: queued, verified, rolled back \
             when the truth is bad, and resumable when the holder is killed.\n\nWithout a command \
             it shows what that means: in a fresh temporary root it ships four versions of a small \
             web service, two of them bad.",
        )
        .version(env!("CARGO_PKG_VERSION"))
        .examples(EXAMPLES)
        .args::<Place>()
        .ledger(|env| Ok(root(env)?.join("ledger.db")))
        .pipeline("local/app", async |args: Ship, env: Env| {
            let root = known_root(&env).await?;
            let args = args.complete(env.plans_anew())?;
            args.shipment(&env, &root)?
                .with_arguments(&args)
                .map(|it| it.with_note(ROOT, noted(&root)))
        })
        .variant(
            "stop",
            "Stop the service, through lock and journal like every other change",
            async |_: Stop, env: Env| {
                let root = known_root(&env).await?;
                let stopped = ReleaseDir::stopped(&root)?;
                let back = PreviousRelease::of(&stopped);
                let target = env.target().as_str();
                let pipeline = Pipeline::to(target).deploy(stopped).rollback_with(back).build()?;
                Ok(Shipment::new(pipeline)
                    .with_candidate(|| Ok(Candidate::new().with_input("verb", "stop")))
                    .with_note(ROOT, noted(&root)))
            },
        )
}

/// The note that tells under which root a target is released.
const ROOT: &str = "root";

fn noted(root: &Path) -> String {
    root.to_string_lossy().into_owned()
}

/// The root as an absolute path: the service's processes are found by what lies there.
fn root(env: &Env) -> Result<PathBuf> {
    let Place { root } = env.args()?;
    std::path::absolute(&root).map_err(|source| {
        Error::new(USAGE_PATH, format!("`--root {}` cannot be used", root.display()))
            .with_source(source)
    })
}

/// The root, when it is the one that the target is released under: a ledger that lies elsewhere may
/// know the target from another root, under which it would seem that nothing was ever released.
async fn known_root(env: &Env) -> Result<PathBuf> {
    let root = root(env)?;
    let journalled = if env.names_ledger() { env.noted(ROOT).await? } else { None };
    let Some(journalled) = journalled.filter(|journalled| *journalled != noted(&root)) else {
        return Ok(root);
    };
    let journalled = journalled.as_str().unwrap_or_default();
    let elsewhere = format!("target `{}` is released under another root", env.target());
    let here = format!("pass `--root {journalled}`, or name another target with `--target`");
    Err(Error::new(USAGE_ROOT, elsewhere)
        .with_context("journalled", journalled)
        .with_context("given", root.display())
        .with_effect(Effect::None)
        .with_next(NextAction::outside(here)))
}

impl Ship {
    /// Checks and completes what was given; what was journalled is complete.
    ///
    /// # Errors
    /// `usage.query` when a check has a query; `usage.path` when the directory does not exist, or its
    /// path cannot be journalled.
    fn complete(mut self, given: bool) -> Result<Self> {
        if !given {
            return Ok(self);
        }
        // The arguments are journalled whole, and a query often carries a token.
        if self.checks.iter().any(|url| url.contains('?')) {
            return Err(Error::new(
                USAGE_QUERY,
                "a `--check` URL has a query, which is not journalled",
            )
            .with_effect(Effect::None)
            .with_next(NextAction::outside("give the check a path without a query")));
        }
        self.app = self.app.canonicalize().map_err(|source| {
            Error::new(USAGE_PATH, format!("`--app {}` cannot be used", self.app.display()))
                .with_source(source)
        })?;
        if self.app.to_str().is_none() {
            return Err(Error::new(USAGE_PATH, "the path of `--app` is not UTF-8")
                .with_context("path", self.app.display()));
        }
        Ok(self)
    }

    fn shipment(&self, env: &Env, root: &Path) -> Result<Shipment> {
        let release = ReleaseDir::new(root, &self.app, &self.start)?
            .with_version(self.expect_version.clone())
            .with_grace(self.grace);
        let mut smoke =
            Smoke::urls(&self.checks).with_retries(self.check_retries).with_delay(self.check_delay);
        if let Some(version) = &self.expect_version {
            smoke = smoke.expect_version(version, self.version_from.clone());
        }
        if !self.behind_proxy {
            smoke = smoke.answered_by(OurService(release.service()));
        }
        let back = PreviousRelease::of(&release);
        let pipeline = Pipeline::to(env.target().as_str())
            .deploy(release)
            .rollback_with(back)
            .verify(enforced(smoke.build()?))
            .build()?;
        // What is shipped: the directory as it is when it ships.
        let (app, start, version) =
            (self.app.clone(), self.start.clone(), self.expect_version.clone());
        Ok(Shipment::new(pipeline).with_candidate(move || {
            let candidate = Candidate::new()
                .with_artifact("app", ReleaseDir::artifact(&app)?)
                .with_input("start", start);
            Ok(match version {
                Some(version) => candidate.with_version(version),
                None => candidate,
            })
        }))
    }
}

/// Only the released service's own process may answer a check: a stranger on its port proves
/// nothing.
#[derive(Debug)]
struct OurService(ServiceProbe);

impl Answerer for OurService {
    fn judge(&self, peer: SocketAddr) -> Judgement {
        match self.0.answers(peer) {
            Answer::Ours { pid, release } => {
                Judgement::Ours(json!({"pid": pid, "release": release.as_str()}))
            }
            Answer::Stranger { pid } => {
                let who = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
                Judgement::Stranger(format!(
                    "the port belongs to another process{who}: free it, or pass --behind-proxy if \
                     a proxy answers there on purpose"
                ))
            }
            Answer::Nobody => {
                Judgement::Unknown("the service runs, and does not listen there".to_owned())
            }
            Answer::Dead(why) => Judgement::NotRunning(why),
            Answer::Unknown(why) => Judgement::Unknown(why),
            _ => Judgement::Unknown("this build does not know the answer".to_owned()),
        }
    }

    fn not_running(&self) -> Option<String> {
        // Whichever address is asked about: a dead service listens on none.
        match self.0.answers(SocketAddr::from(([127, 0, 0, 1], 1))) {
            Answer::Dead(why) => Some(why),
            _ => None,
        }
    }
}
