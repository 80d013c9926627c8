//! `list`: what is in the project beside what is applied.

use std::time::Duration;

use clap::Args;
use gatekit_cli::Env;
use gatekit_core::Result;
use gatekit_supabase::migrations::{Detail, FolderReader, MigrationList, list as migrations};

use crate::site::Site;

/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    site: Site,

    /// Read what files and history say, too: tells which files were edited since
    #[arg(long)]
    texts: bool,
}

pub(crate) async fn list(list: List, env: Env) -> Result<MigrationList> {
    let site = list.site.at_home()?;
    let database = site.database(&env)?;
    let detail = if list.texts { Detail::Texts } else { Detail::Versions };
    migrations(&database, &FolderReader::of(site.migrations()), detail, PATIENCE).await
}
