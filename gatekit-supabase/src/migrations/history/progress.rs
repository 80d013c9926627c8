//! How far files are that allow no transaction: a table of gatekit's own, beside the history and only there
//! while such a file is under way.

use gatekit_core::Digest;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::table::{Answer, Shape};
use crate::migrations::files::content::content;
use crate::migrations::files::file::File;

/// Where a file is on its way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::migrations) enum Way {
    /// It is applied.
    Up,
    /// It is taken back.
    Down,
}

impl Way {
    pub(in crate::migrations) const BOTH: [Self; 2] = [Self::Up, Self::Down];

    /// As it is kept.
    pub(in crate::migrations) fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    pub(in crate::migrations) fn of(word: &str) -> Self {
        if word == Self::Up.word() { Self::Up } else { Self::Down }
    }
}

/// How far a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migrations) struct Progress {
    pub(in crate::migrations) version: String,
    pub(in crate::migrations) way: Way,
    /// How many statements are done.
    pub(in crate::migrations) done: usize,
    /// What these say.
    said: Digest,
    /// What they and the next say, which was begun, and of whose end nobody knows.
    begun: Option<Digest>,
}

const IS_THERE: &str = "SELECT to_regclass('supabase_migrations.gatekit_progress') IS NOT NULL";

const PROVISION: &str = "
    CREATE SCHEMA IF NOT EXISTS supabase_migrations;
    CREATE TABLE IF NOT EXISTS supabase_migrations.gatekit_progress (
        version text NOT NULL,
        way text NOT NULL,
        done integer NOT NULL,
        said text NOT NULL,
        begun text,
        PRIMARY KEY (version, way)
    )";

/// Begins a transaction that writes, whatever the file has set.
pub(in crate::migrations) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// As who has opened the session, whatever the file has set since.
pub(in crate::migrations) const AS_OURSELVES: &str = "
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
    SET LOCAL ROLE NONE;
    SET LOCAL lock_timeout = '4s';
    SET LOCAL statement_timeout = '60s'";

impl Progress {
    /// That of a file of which nothing is done.
    pub(in crate::migrations) fn none(version: &str, way: Way) -> Self {
        let said = content::<&str>(&[]);
        Self { version: version.to_owned(), way, done: 0, said, begun: None }
    }

    /// Whether nothing of it is done or begun.
    pub(in crate::migrations) fn is_none(&self) -> bool {
        self.done == 0 && self.begun.is_none()
    }

    /// Whether what is done of it is the beginning of that file.
    pub(in crate::migrations) fn is_of(&self, run: &File) -> bool {
        self.done <= run.statements.len() && said(run, self.done) == self.said
    }

    /// Whether the next statement was begun; `None` when that was another one.
    pub(in crate::migrations) fn was_begun(&self, run: &File) -> Option<bool> {
        match &self.begun {
            None => Some(false),
            Some(begun) => (said(run, self.done + 1) == *begun).then_some(true),
        }
    }

    /// It with the next statement begun.
    pub(in crate::migrations) fn begins(&self, run: &File) -> Self {
        Self { begun: Some(said(run, self.done + 1)), ..self.clone() }
    }

    /// It with the next statement known not to be done.
    pub(in crate::migrations) fn without_next(&self) -> Self {
        Self { begun: None, ..self.clone() }
    }

    /// It with so many statements done.
    pub(in crate::migrations) fn with_done(&self, run: &File, done: usize) -> Self {
        Self { done, said: said(run, done), begun: None, ..self.clone() }
    }

    /// The statement that keeps it. Nothing of it needs quotes: they are digits, and words of ours.
    fn sql(&self) -> String {
        let Self { version, done, said, .. } = self;
        let way = self.way.word();
        let begun = self.begun.as_ref().map_or("NULL".to_owned(), |it| format!("'{it}'"));
        format!(
            "{PROVISION}; INSERT INTO supabase_migrations.gatekit_progress (version, way, done, said, begun)
                VALUES ('{version}', '{way}', {done}, '{said}', {begun})
                ON CONFLICT (version, way) DO UPDATE
                SET done = EXCLUDED.done, said = EXCLUDED.said, begun = EXCLUDED.begun"
        )
    }

    /// Keeps it, in a transaction of its own.
    pub(in crate::migrations) async fn keep(&self, client: &Client) -> Answer<()> {
        let keep = self.sql();
        client.batch_execute(&format!("{BEGIN}; {AS_OURSELVES}; {keep}; COMMIT")).await
    }

    /// Keeps it in the transaction of the statement that got there.
    pub(in crate::migrations) async fn keep_within(&self, client: &Client) -> Answer<()> {
        let keep = self.sql();
        client.batch_execute(&format!("{AS_OURSELVES}; {keep}")).await
    }
}

/// What the first statements of a file say.
fn said(run: &File, count: usize) -> Digest {
    let statements = run.statements.iter().take(count);
    content(&statements.map(|it| it.text.as_str()).collect::<Vec<_>>())
}

/// All that is under way.
pub(in crate::migrations) async fn all(client: &Client, shape: Shape) -> Answer<Vec<Progress>> {
    if !shape.has_progress {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, way, done, said, begun FROM supabase_migrations.gatekit_progress \
               ORDER BY version COLLATE \"C\"";
    let rows = match client.query_typed(sql, &[]).await {
        Ok(rows) => rows,
        // Without the lock: the last of them was done in between.
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    rows.iter()
        .map(|row| {
            let (way, said): (String, String) = (row.try_get(1)?, row.try_get(3)?);
            let begun: Option<String> = row.try_get(4)?;
            let done: i32 = row.try_get(2)?;
            Ok(Progress {
                version: row.try_get(0)?,
                way: Way::of(&way),
                done: usize::try_from(done).unwrap_or(usize::MAX),
                // What is no digest is that of no file.
                said: said.parse().unwrap_or_else(|_| Digest::of(said)),
                begun: begun.map(|it| it.parse().unwrap_or_else(|_| Digest::of(it))),
            })
        })
        .collect()
}

/// Forgets how far a file is, up, down, or both, and the table with the last.
pub(in crate::migrations) async fn forget(
    client: &Client,
    version: &str,
    ways: &[Way],
) -> Answer<()> {
    if !client.query_typed_one(IS_THERE, &[]).await?.try_get(0)? {
        return Ok(());
    }
    let table = "supabase_migrations.gatekit_progress";
    let ways: Vec<_> = ways.iter().map(|it| it.word()).collect();
    let sql = format!("DELETE FROM {table} WHERE version = $1 AND way = ANY($2)");
    client.execute_typed(&sql, &[(&version, Type::TEXT), (&ways, Type::TEXT_ARRAY)]).await?;
    let sql = format!("SELECT EXISTS (SELECT FROM {table})");
    if !client.query_typed_one(&sql, &[]).await?.try_get(0)? {
        client.batch_execute(&format!("DROP TABLE {table}")).await?;
    }
    Ok(())
}
