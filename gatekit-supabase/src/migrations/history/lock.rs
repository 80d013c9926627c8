//! The lock on the history.

use std::time::Duration;

use gatekit_core::{Effect, Error, Result};
use tokio::time::{Instant, sleep};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, SimpleQueryRow};

use super::table::{Answer, READING, SHAPE, SUM, Shape, Sum, unread};
use crate::code;
use crate::database::Database;
use crate::session::{Said, Session};

/// The key of the lock on the migrations of a database: `gatekit` and a 1. Held by a transaction, it is
/// over when that is, whatever became of whoever began it.
const LOCK: i64 = 0x6761_7465_6b69_7401;

const LOCKING: &str = "lock the history of the migrations";

/// The pauses between two tries to get the lock.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long what was cancelled may hold the lock, before its process is ended: a busy server is slow, and
/// poolers do not like it. What was cancelled between two statements that were sent goes on with the next.
const GRACE: Duration = Duration::from_secs(10);

/// Which locks of the server are that on the migrations of this database.
const HELD: &str = "locktype = 'advisory' AND granted AND objsubid = 1
        AND (classid::bigint << 32 | objid::bigint) = $1
        AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

/// How a process of the server is ended that holds the lock.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Its statement alone.
    Cancel,
    /// Itself, and with it a transaction whose client nobody hears of any more: it may wait for that one
    /// for hours. A commit that has begun comes to its end.
    Terminate,
}

/// The lock is had.
#[derive(Debug)]
pub(in crate::migrations) struct Turn {
    /// By which process of the server.
    pub(in crate::migrations) process: i32,
    /// What there is of the tables since.
    pub(in crate::migrations) shape: Shape,
    /// Which transaction has begun with it, when the limits of statements are set in it already.
    pub(in crate::migrations) began: Option<String>,
    /// Whether the server can look for its client while it works.
    pub(in crate::migrations) watches: bool,
}

impl Turn {
    /// By what was said when it came.
    fn of((process, said): (i32, Vec<SimpleQueryRow>)) -> Answer<Self> {
        let locked = said.iter().nth_back(1);
        let watches = locked.map_or(Ok(None), |row| row.try_get(2))?.is_some();
        Ok(Self { process, shape: Shape::of(&said)?, began: None, watches })
    }
}

/// Begins a transaction that holds the lock. `how` is `READ ONLY` for who only reads, and nothing for who
/// writes.
///
/// Whoever has it may be sure that no other push is under way: also none of a process that is gone.
///
/// # Errors
/// `migration.locked` when somebody else still has it after a `turn`, or at `deadline`.
pub(in crate::migrations) async fn begin(
    database: &Database,
    how: &str,
    (deadline, turn): (Instant, Duration),
) -> Result<(Session, Turn)> {
    let take = Take::transaction(how);
    let (session, said) = database.session(&take.sql, LOCKING, deadline).await?;
    let until = deadline.min(Instant::now() + turn);
    let turn = Turn::of(take.turn(database, &session, said, until).await?);
    Ok((session, turn.map_err(|error| unread(database, error))?))
}

/// The same on a session that is there.
pub(in crate::migrations) async fn begin_on(
    database: &Database,
    session: &Session,
    how: &str,
    deadline: Instant,
) -> Result<Turn> {
    let take = Take::transaction(how);
    let said = take.ask(database, session).await?;
    let turn = Turn::of(take.turn(database, session, said, deadline).await?);
    turn.map_err(|error| unread(database, error))
}

/// Makes the end of a transaction as new, where the server `watches` or not. `lock` is how long what is left may wait
/// for a lock: nobody may be there any more to give it up.
pub(in crate::migrations) fn at_the_end(lock: Duration, watches: bool) -> String {
    format!("{AS_NEW}{}; SET LOCAL lock_timeout = {}", watch(watches), lock.as_millis())
}

/// What commits, and asks by the same message for what [`begin_again`] begins with.
pub(in crate::migrations) fn commit_and_begin(limits: &str, watches: bool) -> String {
    format!("COMMIT; {}", Take::again(limits, watches).sql)
}

/// The same for who writes, on a session that is there, in the end with those `limits`, which are statements; it may
/// have been `asked` already. Gives the process, and the transaction where the history has the versions of this
/// `sum` still, and nothing is half applied.
///
/// # Errors
/// Also those of a history that is gone.
pub(in crate::migrations) async fn begin_again(
    database: &Database,
    session: &Session,
    asked: Option<Said>,
    (limits, watches, sum): (&str, bool, Sum),
    deadline: Instant,
) -> Result<(i32, Option<String>)> {
    let take = Take::again(limits, watches);
    let said = match asked {
        Some(asked) => asked.rows().await.map_err(|error| database.failed(LOCKING, error))?,
        None => take.ask(database, session).await?,
    };
    let (process, said) = take.turn(database, session, said, deadline).await?;
    let row = said.last().ok_or_else(|| database.silent(READING))?;
    let tell = |at| row.try_get(at).map_err(|error| database.failed(READING, error));
    let is_same = sum.is_told_by(tell(0)?) && tell(1)? == Some("f");
    Ok((process, tell(2)?.filter(|_| is_same).map(str::to_owned)))
}

/// The same for a session: the lock is held until [`unlock_session`], or its end. No pooler may be between.
pub(in crate::migrations) async fn lock_session(
    database: &Database,
    session: &Session,
    deadline: Instant,
) -> Result<Turn> {
    let take = Take::session();
    let said = take.ask(database, session).await?;
    let (process, _) = take.turn(database, session, said, deadline).await?;
    // By a message of its own: in that of the lock it could be older than the lock, where the database reads
    // so by default.
    let shape = Shape::ask(session).await.map_err(|error| unread(database, error))?;
    Ok(Turn { process, shape, began: None, watches: false })
}

/// The statement that lets the lock of a session go.
pub(in crate::migrations) fn unlock_session() -> String {
    format!("SELECT pg_catalog.pg_advisory_unlock({LOCK})")
}

/// Whether the session has the lock.
pub(in crate::migrations) async fn has_lock(client: &Client) -> Answer<bool> {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE {HELD} AND pid = pg_catalog.pg_backend_pid())"
    );
    client.query_typed_one(&sql, &[(&LOCK, Type::INT8)]).await?.try_get(0)
}

macro_rules! reset {
    () => {
        "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL"
    };
}

/// Takes back what a file has set, or another client of a pooler: who acts, and settings.
const RESET: &str = reset!();

/// The same in a transaction. And one whose client has vanished without a word does not keep its locks.
pub(in crate::migrations) const AS_NEW: &str =
    concat!(reset!(), "; SET LOCAL idle_in_transaction_session_timeout = '60s'");

/// Has the server look every few seconds whether its client is there, while it works: statements that were sent ahead
/// by a process that is gone would keep the lock until all of them are done. Gives nothing where it cannot: servers
/// before 14, and those that are not on Linux.
const TRY_TO_WATCH: &str = "
    CASE WHEN pg_catalog.version() LIKE '%linux%'
            AND pg_catalog.current_setting('client_connection_check_interval', true) IS NOT NULL
        THEN pg_catalog.set_config('client_connection_check_interval', '5s', true) END";

/// The same of a server that is known to watch, or not to. Settings by `SET` are much cheaper than by functions.
fn watch(watches: bool) -> &'static str {
    if watches { "; SET LOCAL client_connection_check_interval = '5s'" } else { "" }
}

/// How long who writes waits for the table that is read under the lock: who has locked that, keeps the lock from others,
/// and the answer to the commit before from us.
const LIMIT: &str = "; SET LOCAL lock_timeout = '4s'";

/// How the lock is taken.
struct Take {
    /// Tries it, and tells whether it is had, and by which process of the server.
    sql: String,
    /// How many rows come after that one. They are of another statement, and so younger than the lock.
    after: usize,
    /// What undoes that when somebody else has it.
    give_up: &'static str,
}

impl Take {
    fn transaction(how: &str) -> Self {
        // Who only reads may wait for as long as there is.
        let limit = if how.is_empty() { LIMIT } else { "" };
        Self::within(how, limit, &format!(", {TRY_TO_WATCH}"), SHAPE)
    }

    fn again(limits: &str, watches: bool) -> Self {
        let then = format!("SELECT {SUM} FROM supabase_migrations.schema_migrations; {limits}");
        Self::within("", &format!("{}{LIMIT}", watch(watches)), "", &then)
    }

    fn within(how: &str, set: &str, also: &str, then: &str) -> Self {
        // Whatever the database has by default, what is read under the lock is younger than the lock. Reset is what
        // an earlier file has set, or another client of a pooler.
        let sql = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED {how}; {AS_NEW}{set};
             SELECT pg_catalog.pg_try_advisory_xact_lock({LOCK}), pg_catalog.pg_backend_pid(){also}; {then}"
        );
        Self { sql, after: 1, give_up: "ROLLBACK" }
    }

    fn session() -> Self {
        // Older servers do not know that limit.
        let sql = format!(
            "{RESET};
             SELECT pg_catalog.set_config(name, '60s', false) FROM pg_catalog.pg_settings
             WHERE name = 'idle_session_timeout';
             SELECT pg_catalog.pg_try_advisory_lock({LOCK}), pg_catalog.pg_backend_pid()"
        );
        Self { sql, after: 0, give_up: "" }
    }

    async fn ask(&self, database: &Database, session: &Session) -> Result<Vec<SimpleQueryRow>> {
        session.ask(&self.sql).await.map_err(|error| database.failed(LOCKING, error))
    }

    /// Tries until it is had, and gives the process and all that was said then. `said` is the answer to the first
    /// try.
    async fn turn(
        &self,
        database: &Database,
        session: &Session,
        mut said: Vec<SimpleQueryRow>,
        deadline: Instant,
    ) -> Result<(i32, Vec<SimpleQueryRow>)> {
        let (client, failed) = (&session.client, |error| database.failed(LOCKING, error));
        let mut pause = PAUSES.0;
        loop {
            let row = said.iter().nth_back(self.after).ok_or_else(|| database.silent(LOCKING))?;
            if row.try_get(0).map_err(failed)? == Some("t") {
                let process = row.try_get(1).map_err(failed)?.and_then(|it| it.parse().ok());
                return Ok((process.ok_or_else(|| database.silent(LOCKING))?, said));
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
            said = self.ask(database, session).await?;
        }
    }
}

/// Ends what that process of the server does, whose answer was lost, and gives a session that has the lock
/// after it, in a transaction that only reads: what it finds is how that one has ended.
///
/// # Errors
/// `migration.locked` when the lock is not to be had until then, and `database.*`.
pub(in crate::migrations) async fn regain(
    database: &Database,
    process: i32,
    until: Instant,
) -> Result<(Session, Turn)> {
    let session = database.connect(until).await?;
    let end = async |how| {
        let ended = end(&session.client, process, how).await;
        ended.map_err(|error| database.failed("end a transaction whose answer was lost", error))
    };
    end(End::Cancel).await?;
    let turn = match begin_on(database, &session, "READ ONLY", Instant::now() + GRACE).await {
        Err(error) if *error.code() == code::LOCKED => {
            end(End::Terminate).await?;
            begin_on(database, &session, "READ ONLY", until).await?
        }
        begun => begun?,
    };
    Ok((session, turn))
}

/// Ends what that process of the server does, by another connection, if it is still the one that has the
/// lock.
async fn end(client: &Client, process: i32, how: End) -> Answer<()> {
    let call = match how {
        End::Cancel => "pg_cancel_backend",
        End::Terminate => "pg_terminate_backend",
    };
    let sql =
        format!("SELECT pg_catalog.{call}(pid) FROM pg_catalog.pg_locks WHERE {HELD} AND pid = $2");
    let values: [(&(dyn ToSql + Sync), Type); 2] = [(&LOCK, Type::INT8), (&process, Type::INT4)];
    client.query_typed(&sql, &values).await.map(drop)
}

/// Who has the lock, for people.
async fn holder(client: &Client) -> Answer<Option<String>> {
    let sql = format!(
        "SELECT pid, coalesce(application_name, ''), coalesce(usename::pg_catalog.text, ''),
            extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(xact_start, state_change))::pg_catalog.int8
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
