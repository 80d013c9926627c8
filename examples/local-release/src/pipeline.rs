//! The pipeline, built from arguments that a later process finds in the journal.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatekit_core::{
    Candidate, Code, Effect, Error, NextAction, Pipeline, Result, TargetName, enforced,
};
use gatekit_http::{Answerer, Judgement, Smoke, VersionFrom};
use gatekit_local::{Answer, PreviousRelease, ReleaseDir, ServiceProbe};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use local_release::args::Ship;

/// A path on the command line cannot be used.
pub(crate) const USAGE_PATH: Code = Code::new("usage.path");
/// A URL has a query, which may be a secret.
pub(crate) const USAGE_QUERY: Code = Code::new("usage.query");
/// The target is released under another root.
pub(crate) const USAGE_ROOT: Code = Code::new("usage.root");
/// The journalled arguments of a run cannot be read by this build.
pub(crate) const CONFIG_ARGUMENTS: Code = Code::new("config.arguments");

/// What a run was opened with. Journalled: it holds no secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub(crate) enum Arguments {
    Ship(ShipArguments),
    Stop,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShipArguments {
    pub(crate) app: PathBuf,
    pub(crate) start: String,
    pub(crate) checks: Vec<String>,
    pub(crate) expect_version: Option<String>,
    pub(crate) version_from: String,
    pub(crate) behind_proxy: bool,
    pub(crate) check_retries: u32,
    pub(crate) check_delay: Duration,
    pub(crate) grace: Duration,
}

impl ShipArguments {
    /// # Errors
    /// `usage.query` when a check has a query; `usage.path` when the directory does not exist, or its path cannot be journalled.
    pub(crate) fn new(ship: &Ship) -> Result<Self> {
        // The arguments are journalled whole, and a query often carries a token.
        if ship.checks.iter().any(|url| url.contains('?')) {
            return Err(Error::new(
                USAGE_QUERY,
                "a `--check` URL has a query, which is not journalled",
            )
            .with_effect(Effect::None)
            .with_next(NextAction::outside("give the check a path without a query")));
        }
        let app = ship.app.canonicalize().map_err(|source| {
            Error::new(USAGE_PATH, format!("`--app {}` cannot be used", ship.app.display()))
                .with_source(source)
        })?;
        if app.to_str().is_none() {
            return Err(Error::new(USAGE_PATH, "the path of `--app` is not UTF-8")
                .with_context("path", app.display()));
        }
        Ok(Self {
            app,
            start: ship.start.clone(),
            checks: ship.checks.clone(),
            expect_version: ship.expect_version.clone(),
            version_from: ship.version_from.to_string(),
            behind_proxy: ship.behind_proxy,
            check_retries: ship.check_retries,
            check_delay: ship.check_delay,
            grace: ship.grace,
        })
    }

    /// What is shipped: the directory as it is now.
    ///
    /// # Errors
    /// Those of [`ReleaseDir::artifact`].
    pub(crate) fn candidate(&self) -> Result<Candidate> {
        let candidate = Candidate::new()
            .with_artifact("app", ReleaseDir::artifact(&self.app)?)
            .with_input("start", &self.start);
        Ok(match &self.expect_version {
            Some(version) => candidate.with_version(version),
            None => candidate,
        })
    }
}

impl Arguments {
    /// As they are journalled, with the root they are about.
    pub(crate) fn to_json(&self, root: &Path) -> Value {
        json!({"v": 1, "root": root.to_string_lossy(), "local-release": self})
    }

    /// Refuses to look for a target's release under another root than where it was made: there it
    /// would seem that nothing was ever released.
    ///
    /// # Errors
    /// `usage.root` when the journalled root is another one.
    pub(crate) fn check_root(arguments: &Value, root: &Path, target: &TargetName) -> Result<()> {
        let journalled = arguments["root"].as_str().unwrap_or_default();
        if journalled == root.to_string_lossy() {
            return Ok(());
        }
        let elsewhere = format!("target `{target}` is released under another root");
        let here = format!("pass `--root {journalled}`, or name another target with `--target`");
        Err(Error::new(USAGE_ROOT, elsewhere)
            .with_context("journalled", journalled)
            .with_context("given", root.display())
            .with_effect(Effect::None)
            .with_next(NextAction::outside(here)))
    }

    /// # Errors
    /// `config.arguments` when another program, or a newer build, wrote them.
    pub(crate) fn from_json(arguments: &Value) -> Result<Self> {
        let known = (arguments["v"] == 1).then(|| arguments["local-release"].clone());
        serde_json::from_value(known.unwrap_or_default()).map_err(|source| {
            Error::new(CONFIG_ARGUMENTS, "the run was not opened by this version of local-release")
                .with_source(source)
        })
    }

    /// The pipeline to `target` that these arguments stand for.
    ///
    /// # Errors
    /// Those of the deployer's, the gate's and the pipeline's builders.
    pub(crate) fn pipeline(&self, target: &TargetName, root: &Path) -> Result<Pipeline> {
        match self {
            Self::Stop => {
                let stopped = ReleaseDir::stopped(root)?;
                let back = PreviousRelease::of(&stopped);
                Pipeline::to(target.as_str()).deploy(stopped).rollback_with(back).build()
            }
            Self::Ship(ship) => ship.pipeline(target, root),
        }
    }
}

impl ShipArguments {
    fn pipeline(&self, target: &TargetName, root: &Path) -> Result<Pipeline> {
        let release = ReleaseDir::new(root, &self.app, &self.start)?
            .with_version(self.expect_version.clone())
            .with_grace(self.grace);
        let mut smoke =
            Smoke::urls(&self.checks).with_retries(self.check_retries).with_delay(self.check_delay);
        if let Some(version) = &self.expect_version {
            smoke = smoke.expect_version(version, self.version_from.parse::<VersionFrom>()?);
        }
        if !self.behind_proxy {
            smoke = smoke.answered_by(OurService(release.service()));
        }
        let back = PreviousRelease::of(&release);
        Pipeline::to(target.as_str())
            .deploy(release)
            .rollback_with(back)
            .verify(enforced(smoke.build()?))
            .build()
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
