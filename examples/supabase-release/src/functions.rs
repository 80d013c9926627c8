//! The edge functions of a release.

use std::path::PathBuf;

use clap::Args;
use gatekit_cli::Env;
use gatekit_core::Result;
use gatekit_supabase::functions::{Deploy, Function};
use gatekit_supabase::secrets::Present;
use gatekit_supabase::{Management, Project};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::site::Site;

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

    /// The deploy of the functions, and the gate on secrets, where any are named.
    ///
    /// # Errors
    /// `usage.secret`, `api.*`, `functions.config`.
    pub(crate) fn parts(
        &self,
        site: &Site,
        env: &Env,
    ) -> Result<(Option<Present>, Option<Deploy>)> {
        let Some(reference) = &self.project_ref else { return Ok((None, None)) };
        if self.functions.is_empty() && self.secrets.is_empty() {
            return Ok((None, None));
        }
        let project = self.project(reference, env, site.allow_plaintext)?;
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

    fn project(&self, reference: &str, env: &Env, allow_plaintext: bool) -> Result<Project> {
        let token = env.secret(self.access_token.as_ref(), "--access-token")?;
        let management = if allow_plaintext {
            Management::over_plaintext(&self.api_url, token)?
        } else {
            Management::at(&self.api_url, token)?
        };
        management.project(reference)
    }
}
