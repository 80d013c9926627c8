//! What orphans are, by what is in the database.

use gatekit_core::Result;
use serde::Serialize;
use tokio::time::Instant;

use crate::database::Database;
use crate::migrations::catalog::{Found, look_up};
use crate::migrations::files::folder::FolderReader;
use crate::migrations::files::head::head;
use crate::migrations::files::merge::{Applied, merge};
use crate::migrations::history::{self, AS_NEW, Shape, Texts};

/// What is in the database of an orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Remains {
    /// Nothing that its statements create.
    Nothing,
    /// All that its statements create, and they do nothing else.
    Everything,
    /// It cannot be told: it has no statements, or ones that cannot be looked up, or only a part is there.
    Unclear,
}

/// A version that was applied, and that no file has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Orphan {
    /// The version.
    pub version: String,
    /// The name of its file.
    pub name: Option<String>,
    /// The first words of its statements, without what strings say.
    pub statements: Vec<String>,
    /// What was looked up, and what was found.
    pub looked_up: Vec<String>,
    /// What that says.
    pub remains: Remains,
    /// The row, with what strings say.
    #[serde(skip)]
    pub(super) row: Applied,
}

/// The orphans of a database, by version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// All of them.
    pub orphans: Vec<Orphan>,
}

impl Diagnosis {
    /// What that is together: `None` when there are no orphans.
    #[must_use]
    pub fn remains(&self) -> Option<Remains> {
        let mut all = self.orphans.iter().map(|it| it.remains);
        let first = all.next()?;
        Some(if all.all(|it| it == first) { first } else { Remains::Unclear })
    }

    /// The versions.
    #[must_use]
    pub fn versions(&self) -> Vec<&str> {
        self.orphans.iter().map(|it| it.version.as_str()).collect()
    }
}

/// Reads folder and history, and looks up what the orphans have created.
pub(super) async fn diagnose(
    database: &Database,
    folder: &FolderReader,
    deadline: Instant,
) -> Result<Diagnosis> {
    let files = folder.read()?.files;
    let doing = "look up what a migration has created";
    let failed = |error| database.failed(doing, error);
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {AS_NEW}; \
         SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '60s'"
    );
    let (session, _) = database.session(&begin, doing, deadline).await?;
    let client = &session.client;
    let read = async { history::rows(client, Shape::ask(&session).await?, Texts::All).await };
    let (rows, _) = read.await.map_err(|error| history::unread(database, error))?;
    let mut diagnosis = Diagnosis::default();
    for row in merge(&rows, &files).orphans {
        let statements = row.statements.as_deref().unwrap_or_default();
        let found = look_up(client, statements).await.map_err(failed)?;
        diagnosis.orphans.push(Orphan {
            version: row.version.clone(),
            name: row.name.clone(),
            statements: statements.iter().map(|it| head(it)).collect(),
            looked_up: found.lines(),
            remains: remains(&found),
            row: row.clone(),
        });
    }
    client.batch_execute("ROLLBACK").await.map_err(failed)?;
    database.keep(session);
    Ok(diagnosis)
}

fn remains(found: &Found) -> Remains {
    match () {
        () if found.is_absent() => Remains::Nothing,
        () if found.is_proven() => Remains::Everything,
        () => Remains::Unclear,
    }
}
