//! The table of the history, which the Supabase CLI keeps.

use gatekit_core::{Digest, Effect, Error};
use gatekit_postgres::Trouble;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, SimpleQueryRow};

use crate::code;
use crate::database::Database;
use crate::migrations::files::file::File;
use crate::migrations::files::merge::Applied;
use crate::migrations::history::literal::literal;
use crate::session::Session;

pub(in crate::migrations) const READING: &str = "read the history of the migrations";

/// Which columns the table has, and whether a file may be half applied.
pub(in crate::migrations) const SHAPE: &str = "
    SELECT count(*) FILTER (WHERE attname = 'version') > 0, count(*) FILTER (WHERE attname = 'name') > 0,
        count(*) FILTER (WHERE attname = 'statements') > 0,
        pg_catalog.to_regclass('supabase_migrations.gatekit_progress') IS NOT NULL
    FROM pg_catalog.pg_attribute
    WHERE attrelid = pg_catalog.to_regclass('supabase_migrations.schema_migrations')
        AND attnum > 0 AND NOT attisdropped";

/// To be asked of the table: the [`Sum`] of the versions, whether a file may be half applied, and which transaction it
/// is. Every function is that of the server: one that a user has made in another schema may fit better.
pub(in crate::migrations) const SUM: &str = "
    pg_catalog.sum(pg_catalog.hashtextextended(version::pg_catalog.text, 0::pg_catalog.int8)),
    pg_catalog.to_regclass('supabase_migrations.gatekit_progress') IS NOT NULL,
    pg_catalog.pg_current_xact_id()";

/// Makes the table, or what it lacks, as the CLI does.
const PROVISION: &str = "
    CREATE SCHEMA IF NOT EXISTS supabase_migrations;
    CREATE TABLE IF NOT EXISTS supabase_migrations.schema_migrations (version text NOT NULL PRIMARY KEY);
    ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN IF NOT EXISTS statements text[];
    ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN IF NOT EXISTS name text";

/// The error of a history that could not be read: where the server was there and knows no other reason, its
/// table is none of the CLI's.
pub(in crate::migrations) fn unread(database: &Database, source: tokio_postgres::Error) -> Error {
    let is_table = Trouble::of(&source) == Trouble::Other;
    let error = database.failed(READING, source);
    if !is_table {
        return error;
    }
    let what = "`supabase_migrations.schema_migrations` is not the table that it should be";
    Error::new(code::HISTORY, what)
        .with_effect(Effect::None)
        .with_context("database", database.name())
        .with_source(error)
}

pub(in crate::migrations) type Answer<T> = std::result::Result<T, tokio_postgres::Error>;

/// What there is of the tables.
#[derive(Debug, Clone, Copy)]
pub(in crate::migrations) struct Shape {
    pub(in crate::migrations) has_version: bool,
    pub(in crate::migrations) has_name: bool,
    has_statements: bool,
    pub(in crate::migrations) has_progress: bool,
}

impl Shape {
    pub(in crate::migrations) async fn ask(session: &Session) -> Answer<Self> {
        Self::of(&session.ask(SHAPE).await?)
    }

    /// By the answer to [`SHAPE`], as the last of what was asked.
    pub(in crate::migrations) fn of(said: &[SimpleQueryRow]) -> Answer<Self> {
        let is = |at| said.last().map_or(Ok(false), |row| Ok(row.try_get(at)? == Some("t")));
        Ok(Self {
            has_version: is(0)?,
            has_name: is(1)?,
            has_statements: is(2)?,
            has_progress: is(3)?,
        })
    }

    /// It with all that the CLI makes.
    pub(in crate::migrations) fn made_whole(self) -> Self {
        Self { has_version: true, has_name: true, has_statements: true, ..self }
    }

    pub(in crate::migrations) fn is_whole(self) -> bool {
        self.has_version && self.has_name && self.has_statements
    }
}

/// Stands for the versions of a history: what the server's hashes of them add up to. Who has it from the server and
/// adds those of the rows it writes, knows whether somebody else has written any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::migrations) struct Sum(i128);

impl Sum {
    pub(in crate::migrations) fn add(&mut self, hash: i64) {
        self.0 += i128::from(hash);
    }

    /// As [`SUM`] tells it: of no versions nothing.
    pub(in crate::migrations) fn is_told_by(self, said: Option<&str>) -> bool {
        said.map_or(Ok(0), str::parse) == Ok(self.0)
    }
}

/// Of which rows the statements are read: they may be megabytes. The others seem to have none.
#[derive(Debug, Clone, Copy)]
pub(in crate::migrations) enum Texts<'a> {
    All,
    Of(&'a [&'a str]),
}

/// All rows, by version, and their sum; none where there is no table.
pub(in crate::migrations) async fn rows(
    client: &Client,
    shape: Shape,
    texts: Texts<'_>,
) -> Answer<(Vec<Applied>, Sum)> {
    let mut sum = Sum::default();
    if !shape.has_version {
        return Ok((Vec::new(), sum));
    }
    // Old tables have fewer, and those of the hosted service may have more.
    let name = if shape.has_name { "name" } else { "NULL::text" };
    let statements = if shape.has_statements { "statements" } else { "NULL::text[]" };
    let (statements, versions) = match texts {
        Texts::All => (statements.to_owned(), None),
        Texts::Of(versions) => {
            (format!("CASE WHEN version = ANY($1) THEN {statements} END"), Some(versions))
        }
    };
    let sql = format!(
        "SELECT version, {name}, {statements}, \
            pg_catalog.hashtextextended(version::pg_catalog.text, 0::pg_catalog.int8) \
         FROM supabase_migrations.schema_migrations ORDER BY version COLLATE \"C\""
    );
    let values = versions.as_ref().map(|it| (it as &(dyn ToSql + Sync), Type::TEXT_ARRAY));
    let rows = client.query_typed(&sql, values.as_slice()).await?;
    let applied = rows
        .iter()
        .map(|row| {
            let statements: Option<Vec<Option<String>>> = row.try_get(2)?;
            sum.add(row.try_get(3)?);
            Ok(Applied {
                version: row.try_get(0)?,
                name: row.try_get(1)?,
                statements: statements
                    .map(|all| all.into_iter().map(Option::unwrap_or_default).collect()),
            })
        })
        .collect::<Answer<_>>()?;
    Ok((applied, sum))
}

/// The statement that adds the row of a file.
pub(in crate::migrations) fn adding(file: &File) -> String {
    let statements: Vec<_> = file.statements.iter().map(|it| literal(&it.text)).collect();
    format!(
        "INSERT INTO supabase_migrations.schema_migrations (version, name, statements)
        VALUES ({}, {}, ARRAY[{}]::pg_catalog.text[])",
        literal(&file.version),
        literal(&file.name),
        statements.join(", "),
    )
}

/// The statements that add the row of a file, give the transaction that they are in, and fail where that is not this
/// one, or no row of that version is there: what comes after them cannot be committed then. The last gives what the row
/// adds to the [`Sum`].
pub(in crate::migrations) fn recording(transaction: &str, file: &File) -> String {
    let version = literal(&file.version);
    // By a statement of its own: it sees what triggers have made of the row after it was added, too.
    format!(
        "{} RETURNING pg_catalog.pg_current_xact_id();
        SELECT pg_catalog.hashtextextended({version}, 0::pg_catalog.int8) OPERATOR(pg_catalog./)
            (pg_catalog.pg_current_xact_id() OPERATOR(pg_catalog.=) {}::pg_catalog.xid8
            AND EXISTS (SELECT FROM supabase_migrations.schema_migrations
                WHERE version OPERATOR(pg_catalog.=) {version}))::pg_catalog.int4",
        adding(file),
        literal(transaction),
    )
}

/// Why the server does not [record](recording) a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::migrations) enum Unrecorded {
    /// Triggers or rules keep the row away, or change it.
    Kept,
    /// Somebody else has recorded the version meanwhile, without the lock.
    Elsewhere,
    /// The transaction only reads.
    ReadOnly,
    /// Nothing that has to do with the row.
    Other,
}

impl Unrecorded {
    pub(in crate::migrations) fn of(error: &tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else { return Self::Other };
        let is = |code: SqlState| *db.code() == code;
        let is_of_history = db.table() == Some("schema_migrations");
        if is(SqlState::DIVISION_BY_ZERO) || is(SqlState::FEATURE_NOT_SUPPORTED) {
            Self::Kept
        } else if is(SqlState::UNIQUE_VIOLATION) && is_of_history {
            Self::Elsewhere
        } else if is(SqlState::READ_ONLY_SQL_TRANSACTION) {
            Self::ReadOnly
        } else {
            Self::Other
        }
    }
}

/// Takes the row of a version away, in the transaction that takes back its file.
pub(in crate::migrations) async fn remove(client: &Client, version: &str) -> Answer<()> {
    let sql = "DELETE FROM supabase_migrations.schema_migrations WHERE version = $1";
    client.execute_typed(sql, &[(&version, Type::TEXT)]).await.map(drop)
}

/// Whether a version has a row: triggers and rules may keep it away, and may keep it.
pub(in crate::migrations) async fn has(client: &Client, version: &str) -> Answer<bool> {
    let sql =
        "SELECT EXISTS (SELECT FROM supabase_migrations.schema_migrations WHERE version = $1)";
    client.query_typed_one(sql, &[(&version, Type::TEXT)]).await?.try_get(0)
}

/// Makes the table where there is none, in the transaction that applies the first file.
pub(in crate::migrations) async fn provision(client: &Client, shape: Shape) -> Answer<()> {
    if shape.is_whole() { Ok(()) } else { client.batch_execute(PROVISION).await }
}

/// The digest of versions, in their order.
pub(in crate::migrations) fn in_short(versions: &[&str]) -> Digest {
    Digest::of(versions.join("\n"))
}
