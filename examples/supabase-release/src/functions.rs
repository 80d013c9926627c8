//! The edge functions of a release.

use std::path::{PathBuf, absolute};

use clap::Args;
use gatekit_cli::Env;
use gatekit_core::{Code, Effect, Error, NextAction, Result};
use gatekit_supabase::functions::{Deploy, Function};
use gatekit_supabase::secrets::Present;
use gatekit_supabase::{Management, Project};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::site::Site;

/// The target is that of another project.
const USAGE_PROJECT_REF: Code = Code::new("usage.project_ref");
/// The folder of artefacts has no path of its own.
const USAGE_KEEP: Code = Code::new("usage.keep");

/// The note that tells which project's functions a target stands for.
pub(crate) const PROJECT: &str = "project";

/// Which functions are deployed, and where.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct Functions {
    /// The functions to deploy, together, after the migrations
    #[arg(long, value_name = "NAME,..", value_delimiter = ',', requires = "project_ref")]
    functions: Vec<String>,

    /// The project's reference, of 20 letters
    #[arg(long, value_name = "REF")]
    project_ref: Option<String>,

    /// The management API
    #[arg(long, value_name = "URL", default_value = "https://api.supabase.com")]
    api_url: String,

    /// The access token of the management API
    // Never journalled.
    #[arg(long, value_name = "TOKEN", env = "SUPABASE_ACCESS_TOKEN")]
    #[serde(skip)]
    access_token: Option<SecretString>,

    /// A secret that must be set in the project; may be given several times
    #[arg(long = "require-secret", value_name = "NAME", requires = "project_ref")]
    secrets: Vec<String>,

    /// Where what is replaced is kept, for the way back [default: supabase/.temp/functions in the project]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl Functions {
    /// What they are called.
    pub(crate) fn names(&self) -> &[String] {
        &self.functions
    }

    /// They with the path of their artefacts' own folder: a run may be resumed from another one.
    ///
    /// # Errors
    /// `usage.keep`.
    pub(crate) fn at_home(mut self) -> Result<Self> {
        let Some(keep) = &self.keep else { return Ok(self) };
        let own = absolute(keep).map_err(|source| {
            Error::new(USAGE_KEEP, "the folder of artefacts has no path of its own")
                .with_effect(Effect::None)
                .with_context("folder", keep.display())
                .with_source(source)
        })?;
        self.keep = Some(own);
        Ok(self)
    }

    /// The project whose functions the target stands for, also where none are named this time. Refuses another
    /// one than it was released to: its lock, its journal and its way back are that one's.
    ///
    /// # Errors
    /// `usage.project_ref`; those of the ledger.
    pub(crate) async fn of_target(&self, env: &Env) -> Result<Option<String>> {
        let journalled = env.noted(PROJECT).await?;
        let journalled = journalled.and_then(|it| it.as_str().map(str::to_owned));
        let Some(reference) = self.project_ref.as_ref().filter(|_| self.is_used()) else {
            return Ok(journalled);
        };
        let name = format!("{reference} of {}", self.api_url.trim_end_matches('/'));
        let Some(journalled) = journalled.filter(|it| *it != name && env.plans_anew()) else {
            return Ok(Some(name));
        };
        let what = format!("target `{}` has the functions of another project", env.target());
        Err(Error::new(USAGE_PROJECT_REF, what)
            .with_effect(Effect::None)
            .with_context("journalled", journalled)
            .with_context("given", name)
            .with_next(NextAction::outside("name this project's own target by `--target`")))
    }

    /// Whether anything is asked of the project.
    fn is_used(&self) -> bool {
        !(self.functions.is_empty() && self.secrets.is_empty())
    }

    /// The deploy of the functions, and the gate on secrets, where any are named.
    ///
    /// # Errors
    /// `usage.secret`, `api.*`, `functions.config`.
    pub(crate) fn parts(
        &self,
        site: &Site,
        env: &Env,
    ) -> Result<(Option<Present>, Option<Deploy>)> {
        let Some(reference) = self.project_ref.as_ref().filter(|_| self.is_used()) else {
            return Ok((None, None));
        };
        let project = self.project(reference, env)?;
        let present = match self.secrets.as_slice() {
            [] => None,
            names => Some(Present::of(&project, "secrets", names)?),
        };
        let deploy = match self.functions.as_slice() {
            [] => None,
            names => {
                let keep = self.keep.clone();
                let keep = keep.unwrap_or_else(|| site.dir.join("supabase/.temp/functions"));
                let functions = names.iter().map(Function::new).collect::<Result<Vec<_>>>()?;
                Some(Deploy::new(&project, &site.dir, keep, functions)?)
            }
        };
        Ok((present, deploy))
    }

    /// By https, or on this machine: `--allow-plaintext` is about the database.
    fn project(&self, reference: &str, env: &Env) -> Result<Project> {
        let token = env.secret(self.access_token.as_ref(), "--access-token")?;
        Management::at(&self.api_url, token)?.project(reference)
    }
}
