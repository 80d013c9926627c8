//! Rows of the history, whole: each column as the text of the server, and the place where they are kept.

use std::collections::{BTreeMap, BTreeSet};

use gatekit_core::{Digest, Effect, Error, Live, Result};
use serde_json::json;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row as Read};

use super::change::RowBefore;
use crate::code;
use crate::database::Database;
use crate::migrations::files::content::content;
use crate::migrations::files::file::File;
use crate::migrations::files::head::head;
use crate::migrations::history;

type Answer<T> = std::result::Result<T, tokio_postgres::Error>;
type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// Every value as one text, whatever the session, the role or the database has set.
pub(super) const PLAIN: &str = "
    SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL TimeZone = 'UTC';
    SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL lock_timeout = '10s';
    SET LOCAL statement_timeout = '60s'";

/// What a row has: no generated column, which makes itself.
const COLUMNS: &str = "
    SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass('supabase_migrations.schema_migrations')
        AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum";

/// Where rows are kept that a repair has taken the place of.
const KEEP: &str = "
    CREATE TABLE IF NOT EXISTS supabase_migrations.gatekit_repairs (
        number bigint GENERATED ALWAYS AS IDENTITY, repair text NOT NULL, status text NOT NULL,
        version text NOT NULL, row_before text, at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (repair, version))";

const KEPT: &str = "SELECT to_regclass('supabase_migrations.gatekit_repairs') IS NOT NULL";

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: Option<String>,
    pub(super) statements: Option<Vec<Option<String>>>,
    /// Every column, as the server writes it.
    values: BTreeMap<String, Option<String>>,
}

/// What there is of some versions.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) rows: BTreeMap<String, Row>,
    /// The newest repair of each.
    pub(super) repairs: BTreeMap<String, String>,
    /// Which of them the newest repair has removed.
    pub(super) removed: BTreeSet<String>,
    pub(super) newest: Option<Live>,
}

impl Row {
    pub(super) fn content(&self) -> Digest {
        let texts = self.statements.iter().flatten().flatten();
        content(&texts.collect::<Vec<_>>())
    }

    fn kept(&self, columns: &BTreeSet<String>) -> Option<String> {
        let values = columns.iter().map(|it| Some((it, self.values.get(it)?)));
        let values: BTreeMap<_, _> = values.collect::<Option<_>>()?;
        Some(json!(values).to_string())
    }

    /// The digest of these columns; `None` where one is not there.
    pub(super) fn digest_of(&self, columns: &BTreeSet<String>) -> Option<Digest> {
        self.kept(columns).map(Digest::of)
    }

    pub(super) fn before(&self) -> RowBefore {
        let columns = self.values.keys().cloned().collect();
        let heads = |all: &Vec<Option<String>>| all.iter().flatten().map(|it| head(it)).collect();
        RowBefore {
            name: self.name.clone(),
            statements: self.statements.as_ref().map(heads),
            digest: Digest::of(self.kept(&columns).unwrap_or_default()),
            columns,
        }
    }
}

/// The columns of the table, and their types.
async fn columns(client: &Client) -> Answer<Vec<(String, String)>> {
    let rows = client.query_typed(COLUMNS, &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What there is of these versions, in a transaction that has [`PLAIN`] set.
///
/// # Errors
/// `migration.history` when one of them has several rows; `database.*`.
pub(super) async fn see(client: &Client, database: &Database, versions: &[String]) -> Result<Seen> {
    let seen = read(client, versions).await.map_err(|error| history::unread(database, error))?;
    seen.ok_or_else(|| {
        Error::new(code::HISTORY, "a version has several rows in the history")
            .with_effect(Effect::None)
            .with_context("database", database.name())
    })
}

/// `None` when a version has several rows.
async fn read(client: &Client, versions: &[String]) -> Answer<Option<Seen>> {
    let mut seen = Seen::default();
    let columns = columns(client).await?;
    let of_versions: [Value<'_>; 1] = [(&versions, Type::TEXT_ARRAY)];
    if columns.iter().any(|(name, _)| name == "version") {
        let named = |name: &str, none: &str| {
            let has = columns.iter().any(|(it, _)| it == name);
            if has { name.to_owned() } else { format!("NULL::{none}") }
        };
        let (name, statements) = (named("name", "text"), named("statements", "text[]"));
        let texts: Vec<_> = columns.iter().map(|(it, _)| format!("{}::text", quoted(it))).collect();
        let table = "supabase_migrations.schema_migrations";
        let sql = format!(
            "SELECT version, {name}, {statements}, {} FROM {table} WHERE version = ANY($1)",
            texts.join(", ")
        );
        for row in client.query_typed(&sql, &of_versions).await? {
            let (version, row) = (row.try_get(0)?, taken(&row, &columns)?);
            if seen.rows.insert(version, row).is_some() {
                return Ok(None);
            }
        }
        let sql = format!(
            "SELECT version, {name} FROM {table} ORDER BY version COLLATE \"C\" DESC LIMIT 1"
        );
        if let Some(row) = client.query_typed_opt(&sql, &[]).await? {
            let name: Option<String> = row.try_get(1)?;
            let version: String = row.try_get(0)?;
            seen.newest = Some(Live::new(version, name.filter(|it| !it.is_empty())));
        }
    }
    if client.query_typed_one(KEPT, &[]).await?.try_get(0)? {
        let sql = "
            SELECT DISTINCT ON (version) version, repair, status = 'reverted'
            FROM supabase_migrations.gatekit_repairs WHERE version = ANY($1)
            ORDER BY version, number DESC";
        for row in client.query_typed(sql, &of_versions).await? {
            let version: String = row.try_get(0)?;
            if row.try_get(2)? {
                seen.removed.insert(version.clone());
            }
            seen.repairs.insert(version, row.try_get(1)?);
        }
    }
    Ok(Some(seen))
}

fn taken(row: &Read, columns: &[(String, String)]) -> Answer<Row> {
    let values = columns.iter().enumerate().map(|(number, (name, _))| {
        let value: Option<String> = row.try_get(number + 3)?;
        Ok((name.clone(), value))
    });
    Ok(Row {
        name: row.try_get(1)?,
        statements: row.try_get(2)?,
        values: values.collect::<Answer<_>>()?,
    })
}

/// Keeps what there is of a version, and whose repair takes its place.
pub(super) async fn keep(
    client: &Client,
    (repair, status): (&str, &str),
    version: &str,
    row: Option<&Row>,
) -> Answer<()> {
    let has: bool = client.query_typed_one(KEPT, &[]).await?.try_get(0)?;
    if !has {
        client.batch_execute(KEEP).await?;
    }
    let kept = row.and_then(|row| row.kept(&row.values.keys().cloned().collect()));
    let values: [Value<'_>; 4] =
        [(&repair, Type::TEXT), (&status, Type::TEXT), (&version, Type::TEXT), (&kept, Type::TEXT)];
    let sql = "
        INSERT INTO supabase_migrations.gatekit_repairs (repair, status, version, row_before)
        VALUES ($1, $2, $3, $4)";
    client.execute_typed(sql, &values).await.map(drop)
}

/// Whether anything is kept of that repair: it has landed, and was not undone.
pub(super) async fn is_kept(client: &Client, repair: &str) -> Answer<bool> {
    if !client.query_typed_one(KEPT, &[]).await?.try_get(0)? {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT FROM supabase_migrations.gatekit_repairs WHERE repair = $1)";
    client.query_typed_one(sql, &[(&repair, Type::TEXT)]).await?.try_get(0)
}

/// What is kept of a version; the inner `None` when it had no row.
pub(super) async fn kept(
    client: &Client,
    repair: &str,
    version: &str,
) -> Answer<Option<Option<String>>> {
    let sql = "
        SELECT row_before FROM supabase_migrations.gatekit_repairs
        WHERE repair = $1 AND version = $2";
    let values: [Value<'_>; 2] = [(&repair, Type::TEXT), (&version, Type::TEXT)];
    let row = client.query_typed_opt(sql, &values).await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Lets go what is kept of a repair that is undone.
pub(super) async fn forget(client: &Client, repair: &str) -> Answer<()> {
    let sql = "DELETE FROM supabase_migrations.gatekit_repairs WHERE repair = $1";
    client.execute_typed(sql, &[(&repair, Type::TEXT)]).await.map(drop)
}

/// Writes a row as it was kept. A column that has been added since has its default, and one that is gone is
/// for who verifies it to find.
pub(super) async fn restore(client: &Client, kept: &str) -> Answer<()> {
    let values: BTreeMap<String, Option<String>> = serde_json::from_str(kept).unwrap_or_default();
    let columns = columns(client).await?;
    let columns: Vec<_> = columns.iter().filter(|(name, _)| values.contains_key(name)).collect();
    let names: Vec<_> = columns.iter().map(|(name, _)| quoted(name)).collect();
    let casts: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(number, (_, kind))| format!("CAST(${} AS {kind})", number + 1))
        .collect();
    let sql = format!(
        "INSERT INTO supabase_migrations.schema_migrations ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
        names.join(", "),
        casts.join(", ")
    );
    let values: Vec<Value<'_>> = columns
        .iter()
        .filter_map(|(name, _)| Some((values.get(name)? as &(dyn ToSql + Sync), Type::TEXT)))
        .collect();
    client.execute_typed(&sql, &values).await.map(drop)
}

/// Makes the row of a file say what the file does; further columns stay.
pub(super) async fn set(client: &Client, file: &File) -> Answer<()> {
    let statements: Vec<&str> = file.statements.iter().map(|it| it.text.as_str()).collect();
    let values: [Value<'_>; 3] =
        [(&file.version, Type::TEXT), (&file.name, Type::TEXT), (&statements, Type::TEXT_ARRAY)];
    let sql = "
        UPDATE supabase_migrations.schema_migrations SET name = $2, statements = $3 WHERE version = $1";
    match client.execute_typed(sql, &values).await? {
        0 => client.batch_execute(&history::adding(file)).await,
        _ => Ok(()),
    }
}
