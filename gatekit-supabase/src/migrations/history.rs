//! The history of a database: the table that the Supabase CLI keeps, and the lock on it.

use std::time::Duration;

use gatekit_core::{Digest, Effect, Error, Result};
use gatekit_postgres::Trouble;
use tokio::time::{Instant, sleep};
use tokio::try_join;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::file::File;
use super::merge::Applied;
use super::progress::{self, Progress};
use crate::code;
use crate::database::{Database, Session};

/// The key of the lock on the migrations of a database: `gatekit` and a 1. Held by a transaction, it is
/// over when that is, whatever became of whoever began it.
const LOCK: i64 = 0x6761_7465_6b69_7401;

/// The pauses between two tries to get the lock.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long what was cancelled may hold the lock, before its process is ended: a busy server is slow, and
/// poolers do not like it.
const GRACE: Duration = Duration::from_secs(10);

/// Which locks of the server are that on the migrations of this database.
const HELD: &str = "locktype = 'advisory' AND granted AND objsubid = 1
        AND (classid::bigint << 32 | objid::bigint) = $1
        AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())";

/// How a process of the server is ended that holds the lock.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Its statement alone. Poolers may lose the request of the protocol that does the same.
    Cancel,
    /// Itself, and with it a transaction whose client nobody hears of any more: it may wait for that one
    /// for hours. A commit that has begun comes to its end.
    Terminate,
}

const COLUMNS: &str = "
    SELECT array_agg(attname::text) FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass('supabase_migrations.schema_migrations')
        AND attnum > 0 AND NOT attisdropped";

/// Makes the table, or what it lacks, as the CLI does.
const PROVISION: &str = "
    CREATE SCHEMA IF NOT EXISTS supabase_migrations;
    CREATE TABLE IF NOT EXISTS supabase_migrations.schema_migrations (version text NOT NULL PRIMARY KEY);
    ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN IF NOT EXISTS statements text[];
    ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN IF NOT EXISTS name text";

const INSERT: &str = "
    INSERT INTO supabase_migrations.schema_migrations (version, name, statements) VALUES ($1, $2, $3)";

/// The error of a history that could not be read: where the server was there and knows no other reason, its
/// table is none of the CLI's.
pub(super) fn unread(database: &Database, source: tokio_postgres::Error) -> Error {
    let is_table = Trouble::of(&source) == Trouble::Other;
    let error = database.failed("read the history of the migrations", source);
    if !is_table {
        return error;
    }
    let what = "`supabase_migrations.schema_migrations` is not the table that it should be";
    Error::new(code::HISTORY, what)
        .with_effect(Effect::None)
        .with_context("database", database.name())
        .with_source(error)
}

pub(super) type Answer<T> = std::result::Result<T, tokio_postgres::Error>;

/// What columns there are of the table; none where it is not there.
pub(super) async fn columns(client: &Client) -> Answer<Vec<String>> {
    let row = client.query_typed_one(COLUMNS, &[]).await?;
    Ok(row.try_get::<_, Option<Vec<String>>>(0)?.unwrap_or_default())
}

/// All rows, by version; none where there is no table.
pub(super) async fn rows(client: &Client) -> Answer<Vec<Applied>> {
    let columns = columns(client).await?;
    let has = |name: &str| columns.iter().any(|it| it == name);
    if !has("version") {
        return Ok(Vec::new());
    }
    // Old tables have fewer, and those of the hosted service may have more.
    let name = if has("name") { "name" } else { "NULL::text" };
    let statements = if has("statements") { "statements" } else { "NULL::text[]" };
    let sql = format!(
        "SELECT version, {name}, {statements} FROM supabase_migrations.schema_migrations \
         ORDER BY version COLLATE \"C\""
    );
    let rows = client.query_typed(&sql, &[]).await?;
    rows.iter()
        .map(|row| {
            let statements: Option<Vec<Option<String>>> = row.try_get(2)?;
            Ok(Applied {
                version: row.try_get(0)?,
                name: row.try_get(1)?,
                statements: statements
                    .map(|all| all.into_iter().map(Option::unwrap_or_default).collect()),
            })
        })
        .collect()
}

/// What a database says of its migrations.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) rows: Vec<Applied>,
    /// The files that are half applied, or half taken back.
    pub(super) underway: Vec<Progress>,
}

/// All of it.
pub(super) async fn read(client: &Client) -> Answer<History> {
    let (rows, underway) = try_join!(rows(client), progress::all(client))?;
    Ok(History { rows, underway })
}

/// Adds the row of a file, in the transaction that applies it.
pub(super) async fn add(client: &Client, file: &File) -> Answer<()> {
    let statements: Vec<&str> = file.statements.iter().map(|it| it.text.as_str()).collect();
    let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
        [(&file.version, Type::TEXT), (&file.name, Type::TEXT), (&statements, Type::TEXT_ARRAY)];
    client.execute_typed(INSERT, &values).await.map(drop)
}

/// Takes the row of a version away, in the transaction that takes back its file.
pub(super) async fn remove(client: &Client, version: &str) -> Answer<()> {
    let sql = "DELETE FROM supabase_migrations.schema_migrations WHERE version = $1";
    client.execute_typed(sql, &[(&version, Type::TEXT)]).await.map(drop)
}

/// Makes the table where there is none, in the transaction that applies the first file.
pub(super) async fn provision(client: &Client) -> Answer<()> {
    let columns = columns(client).await?;
    let is_whole =
        ["version", "name", "statements"].iter().all(|it| columns.iter().any(|c| c == it));
    if is_whole { Ok(()) } else { client.batch_execute(PROVISION).await }
}

/// Begins a transaction that holds the lock, and tells by which process of the server. `how` is `READ ONLY`
/// for who only reads, and nothing for who writes.
///
/// Whoever has it may be sure that no other push is under way: also none of a process that is gone.
///
/// # Errors
/// `migration.locked` when somebody else still has it at `deadline`.
pub(super) async fn begin(
    database: &Database,
    session: &Session,
    how: &str,
    deadline: Instant,
) -> Result<i32> {
    // Whatever the database has by default, what is read under the lock is younger than the lock.
    // `RESET ALL`: what an earlier file has set, or another client of a pooler. And the lock is not kept for
    // a client that has vanished without a word.
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED {how}; RESET ALL; SET LOCAL idle_in_transaction_session_timeout = '60s'"
    );
    let take = Take { begin: &begin, lock: "pg_try_advisory_xact_lock", give_up: "ROLLBACK" };
    take.turn(database, &session.client, deadline).await
}

/// The same for a session: the lock is held until [`unlock_session`], or its end. No pooler may be between.
pub(super) async fn lock_session(
    database: &Database,
    session: &Session,
    deadline: Instant,
) -> Result<i32> {
    // Older servers do not know that limit.
    let begin = "RESET ALL; SELECT set_config(name, '60s', false) FROM pg_catalog.pg_settings
                 WHERE name = 'idle_session_timeout'";
    let take = Take { begin, lock: "pg_try_advisory_lock", give_up: "" };
    take.turn(database, &session.client, deadline).await
}

/// Lets the lock of a session go.
pub(super) async fn unlock_session(client: &Client) -> Answer<()> {
    client.query_typed("SELECT pg_advisory_unlock($1)", &[(&LOCK, Type::INT8)]).await.map(drop)
}

/// Whether the session has the lock.
pub(super) async fn has_lock(client: &Client) -> Answer<bool> {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE {HELD} AND pid = pg_backend_pid())"
    );
    client.query_typed_one(&sql, &[(&LOCK, Type::INT8)]).await?.try_get(0)
}

/// How the lock is taken.
struct Take<'a> {
    begin: &'a str,
    lock: &'a str,
    /// What undoes `begin` when somebody else has it.
    give_up: &'a str,
}

impl Take<'_> {
    /// Tries until it is had, and tells by which process of the server.
    async fn turn(&self, database: &Database, client: &Client, deadline: Instant) -> Result<i32> {
        let failed = |error| database.failed("lock the history of the migrations", error);
        let sql = format!("SELECT {}($1), pg_backend_pid()", self.lock);
        let mut pause = PAUSES.0;
        loop {
            client.batch_execute(self.begin).await.map_err(failed)?;
            let row = client.query_typed_one(&sql, &[(&LOCK, Type::INT8)]).await.map_err(failed)?;
            if row.try_get(0).map_err(failed)? {
                return row.try_get(1).map_err(failed);
            }
            let is_late = Instant::now() + pause >= deadline;
            let holder = if is_late { holder(client).await.map_err(failed)? } else { None };
            client.batch_execute(self.give_up).await.map_err(failed)?;
            if is_late {
                let what = "somebody else applies migrations to this database";
                let error = Error::new(code::LOCKED, what)
                    .with_effect(Effect::None)
                    .with_context("database", database.name())
                    .retry_later();
                return Err(match holder {
                    Some(holder) => error.with_context("held by", holder),
                    None => error,
                });
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

/// Ends what that process of the server does, whose answer was lost, and gives a session that has the lock
/// after it, in a transaction that only reads: what it finds is how that one has ended.
///
/// # Errors
/// `migration.locked` when the lock is not to be had until then, and `database.*`.
pub(super) async fn regain(database: &Database, process: i32, until: Instant) -> Result<Session> {
    let session = database.connect(until).await?;
    let end = async |how| {
        let ended = end(&session.client, process, how).await;
        ended.map_err(|error| database.failed("end a transaction whose answer was lost", error))
    };
    end(End::Cancel).await?;
    match begin(database, &session, "READ ONLY", Instant::now() + GRACE).await {
        Err(error) if *error.code() == code::LOCKED => {
            end(End::Terminate).await?;
            begin(database, &session, "READ ONLY", until).await?;
        }
        begun => drop(begun?),
    }
    Ok(session)
}

/// Ends what that process of the server does, by another connection, if it is still the one that has the
/// lock.
async fn end(client: &Client, process: i32, how: End) -> Answer<()> {
    let call = match how {
        End::Cancel => "pg_cancel_backend",
        End::Terminate => "pg_terminate_backend",
    };
    let sql = format!("SELECT {call}(pid) FROM pg_catalog.pg_locks WHERE {HELD} AND pid = $2");
    let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&LOCK, Type::INT8), (&process, Type::INT4)];
    client.query_typed(&sql, &values).await.map(drop)
}

/// Who has the lock, for people.
async fn holder(client: &Client) -> Answer<Option<String>> {
    let sql = format!(
        "SELECT pid, coalesce(application_name, ''), coalesce(usename::text, ''),
            extract(epoch FROM clock_timestamp() - coalesce(xact_start, state_change))::bigint
        FROM pg_catalog.pg_stat_activity
        WHERE pid = (SELECT pid FROM pg_catalog.pg_locks WHERE {HELD})"
    );
    let Some(row) = client.query_typed_opt(&sql, &[(&LOCK, Type::INT8)]).await? else {
        return Ok(None);
    };
    let (pid, program, user): (i32, String, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let since: Option<i64> = row.try_get(3)?;
    let since = since.map(|it| format!(", for {it} s")).unwrap_or_default();
    Ok(Some(format!("process {pid} of the server, `{program}` of user `{user}`{since}")))
}

/// What a history says, without where it was split: two of one text have one digest.
pub(super) fn content<S: AsRef<str>>(statements: &[S]) -> Digest {
    let said = |it: &char| !(it.is_whitespace() || matches!(it, ';' | '\u{feff}'));
    let all: String = statements.iter().flat_map(|it| it.as_ref().chars()).filter(said).collect();
    Digest::of(all)
}
