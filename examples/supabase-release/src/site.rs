//! What every verb needs: the project, and its database.

use std::path::{Path, PathBuf};

use clap::Args;
use gatekit_cli::Env;
use gatekit_core::{Code, Effect, Error, NextAction, Result};
use gatekit_supabase::Database;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// The folder is no project of Supabase.
const USAGE_PROJECT: Code = Code::new("usage.project");
/// The target is that of another database.
const USAGE_DATABASE: Code = Code::new("usage.database");

/// The note that tells which database a target stands for.
pub(crate) const DATABASE: &str = "database";

/// The project, and its database.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct Site {
    /// The project: the folder that has `supabase` in it
    #[arg(long, value_name = "PROJECT", default_value = ".")]
    pub(crate) dir: PathBuf,

    /// The database: postgres://USER@HOST:PORT/DATABASE; the password is better in PGPASSWORD
    // Never journalled: it may have a password in it.
    #[arg(long, value_name = "URL", env = "SUPABASE_DB_URL", required = true)]
    #[serde(skip)]
    db_url: Option<SecretString>,

    /// Allow connections to the database that others can listen to: on one machine
    #[arg(long)]
    pub(crate) allow_plaintext: bool,
}

impl Site {
    /// It with the folder's own path: a run may be resumed from another one.
    ///
    /// # Errors
    /// `usage.project`.
    pub(crate) fn at_home(mut self) -> Result<Self> {
        let found = self.dir.canonicalize();
        let dir = found.as_ref().is_ok_and(|it| it.join("supabase").is_dir());
        if !dir {
            let what = "the folder is no project: there is no `supabase` in it";
            return Err(Error::new(USAGE_PROJECT, what)
                .with_effect(Effect::None)
                .with_context("folder", self.dir.display())
                .with_next(NextAction::outside("name the project by `--dir`")));
        }
        self.dir = found.unwrap_or(self.dir);
        Ok(self)
    }

    pub(crate) fn migrations(&self) -> PathBuf {
        self.dir.join("supabase/migrations")
    }

    /// Whether the project keeps files that take migrations back.
    pub(crate) fn has_downs(&self) -> bool {
        Path::is_dir(&self.migrations().join("down"))
    }

    /// # Errors
    /// `usage.secret`, `database.*`.
    pub(crate) fn database(&self, env: &Env) -> Result<Database> {
        let url = env.secret(self.db_url.as_ref(), "--db-url")?.expose_secret();
        if self.allow_plaintext { Database::without_tls(url) } else { Database::at(url) }
    }

    /// Refuses a target that was released to another database: its lock, its journal and its way back are
    /// that one's.
    ///
    /// # Errors
    /// `usage.database`; those of the ledger.
    pub(crate) async fn is_of_target(&self, env: &Env, database: &Database) -> Result<()> {
        let name = database.name();
        let Some(journalled) = env.noted(DATABASE).await?.filter(|it| *it != name) else {
            return Ok(());
        };
        let what = format!("target `{}` is another database", env.target());
        Err(Error::new(USAGE_DATABASE, what)
            .with_effect(Effect::None)
            .with_context("journalled", journalled.as_str().unwrap_or_default())
            .with_context("given", name)
            .with_next(NextAction::outside("name this database's own target by `--target`")))
    }
}
