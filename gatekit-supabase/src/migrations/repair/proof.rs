//! What proves that a file is applied.

use std::collections::BTreeMap;
use std::time::Duration;

use gatekit_core::{Effect, Error, Result};
use serde::Serialize;
use tokio::time::{Instant, timeout};
use tokio_postgres::Client;

use crate::code;
use crate::database::{Database, unquoted};
use crate::migrations::catalog::look_up;
use crate::migrations::files::file::File;
use crate::migrations::files::head::head;
use crate::migrations::history::AS_NEW;

/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(30);

/// What proves that a file is applied, before a repair says so.
///
/// Without a probe, it is the objects that the file creates: each of its statements has to be one that creates
/// a table, view, index, function, type, schema, extension, policy, trigger or sequence, and each of these has to
/// exist. That is all that is seen: not what columns a table has, nor what a function does. `CREATE OR REPLACE`
/// proves nothing, because the one there is may be the older. A file with any other statement cannot be
/// proven so.
///
/// A probe is one query that gives one row of one column, `true`. It runs in a transaction that only reads, for at
/// most 30 s. It is part of the configuration, so MUST NOT contain secrets.
///
/// # Default
/// No probes.
///
/// # Example
/// ```
/// use gatekit_supabase::migrations::Proof;
///
/// let proof = Proof::objects()
///     .or_probe("20260101000000", "SELECT count(*) = 3 FROM public.plans");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[must_use = "give it to `Repair::applied`"]
pub struct Proof {
    probes: BTreeMap<String, String>,
}

impl Proof {
    /// The objects that each file creates.
    pub fn objects() -> Self {
        Self::default()
    }

    /// A query instead, for that version.
    pub fn or_probe(mut self, version: impl Into<String>, query: impl Into<String>) -> Self {
        self.probes.insert(version.into(), query.into());
        self
    }

    /// Proves that the file is applied, by a connection of its own, and tells what was seen.
    ///
    /// # Errors
    /// `migration.unproven`; `migration.probe` when the probe cannot be asked; `database.*`.
    pub(super) async fn of(
        &self,
        database: &Database,
        file: &File,
        deadline: Instant,
    ) -> Result<Vec<String>> {
        let doing = "look up what a migration has created";
        let failed = |error| database.failed(doing, error);
        let limit = PROBE.as_millis();
        let begin = format!(
            "BEGIN READ ONLY; {AS_NEW}; SET LOCAL lock_timeout = {limit}; \
             SET LOCAL statement_timeout = {limit}"
        );
        let (session, _) = database.session(&begin, doing, deadline).await?;
        let (client, probed) = (&session.client, self.probes.get(&file.version));
        let proven = match probed {
            Some(query) => {
                let asked = timeout(PROBE * 2, probe(client, query)).await;
                asked.map_err(|_| database.silent("ask a probe"))?.map_err(|error| of(error, file))
            }
            None => objects(client, file).await.map_err(failed)?,
        };
        // One that has ended the transaction by itself has ended the connection's, and no other.
        client.batch_execute("ROLLBACK").await.map_err(failed)?;
        if probed.is_none() {
            database.keep(session);
        }
        proven
    }
}

fn of(error: Error, file: &File) -> Error {
    error.with_effect(Effect::None).with_context("version", &file.version)
}

async fn objects(
    client: &Client,
    file: &File,
) -> std::result::Result<Result<Vec<String>>, tokio_postgres::Error> {
    let texts: Vec<_> = file.statements.iter().map(|it| it.text.as_str()).collect();
    let found = look_up(client, &texts).await?;
    if found.is_proven() {
        return Ok(Ok(found.lines()));
    }
    let what = "that the file is applied is not proven by what it creates";
    let error = of(Error::new(code::UNPROVEN, what), file);
    let seen = found.lines();
    let seen = if seen.is_empty() { "it creates nothing".to_owned() } else { seen.join("; ") };
    Ok(Err(error.with_context("seen", seen)))
}

async fn probe(client: &Client, query: &str) -> Result<Vec<String>> {
    let cannot = |what: String| Err(Error::new(code::PROBE, what));
    let rows = match client.query_typed(query, &[]).await {
        Ok(rows) => rows,
        Err(error) => {
            let Some(told) = error.as_db_error() else {
                return Err(Error::new(code::PROBE, "the probe has no answer").with_source(error));
            };
            let code = told.code().code();
            let says = unquoted(code, told.message());
            return Err(Error::new(code::PROBE, "the server refused the probe")
                .with_context("sqlstate", code)
                .with_context("says", says));
        }
    };
    let [row] = rows.as_slice() else {
        return cannot(format!("the probe gives {} rows, and not one", rows.len()));
    };
    if row.len() != 1 {
        return cannot(format!("the probe gives {} columns, and not one", row.len()));
    }
    match row.try_get::<_, Option<bool>>(0) {
        Ok(Some(true)) => Ok(vec![format!("the probe `{}` gives true", head(query))]),
        Ok(said) => {
            let said = said.map_or("nothing", |_| "false");
            let what = format!("that the file is applied is not proven: the probe gives {said}");
            Err(Error::new(code::UNPROVEN, what))
        }
        Err(_) => cannot("the probe gives what is neither true nor false".to_owned()),
    }
}
