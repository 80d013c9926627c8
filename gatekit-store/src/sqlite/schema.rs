//! The tables, and how to tell whose database a file is.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::error::{self, Fault};

/// "gtkt".
const APPLICATION_ID: i64 = 0x6774_6b74;
/// The version of the tables that this build writes.
pub(super) const VERSION: i64 = 1;

/// What the version says of a ledger whose history was moved to another one: newer than any build
/// writes, also one that knows nothing of moves.
pub(super) const MOVED: i64 = (1 << 30) | VERSION;

/// The tables of [`VERSION`]. A time is a boot and the milliseconds since. Where one of more than two
/// values is meant, they are compared one by one: for the list of an `IN` SQLite makes a table of its
/// own with every row that is written.
const TABLES: &str = "
CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE target (
    no INTEGER PRIMARY KEY CHECK (no BETWEEN 1 AND 0x7fffff),
    name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL
        CHECK (state = 'free' OR state = 'held' OR state = 'mutating' OR state = 'suspect'),
    fence INTEGER NOT NULL,
    run TEXT,
    ticket INTEGER,
    claim TEXT,
    actor TEXT,
    process TEXT,
    lease INTEGER,
    end_boot TEXT,
    end_millis INTEGER,
    head_seq INTEGER NOT NULL,
    head_hash TEXT NOT NULL,
    -- The number of the target along with which it is locked, while that has this fence.
    along INTEGER REFERENCES target (no),
    along_fence INTEGER,
    CHECK ((state = 'free') = (run IS NULL)),
    CHECK ((state IN ('held', 'mutating')) = (process IS NOT NULL)),
    CHECK ((along IS NULL) = (along_fence IS NULL)),
    CHECK (along IS NULL OR state = 'free')
);
CREATE INDEX target_along ON target (along, along_fence) WHERE along IS NOT NULL;

-- A fence that goes back would let an overtaken holder write.
CREATE TRIGGER target_fence BEFORE UPDATE OF fence ON target WHEN new.fence < old.fence
BEGIN SELECT RAISE(ABORT, 'a fence never goes back'); END;

-- AUTOINCREMENT: a ticket is never given out twice.
CREATE TABLE waiter (
    ticket INTEGER PRIMARY KEY AUTOINCREMENT,
    target TEXT NOT NULL,
    -- The target of the claim, which has a place in each queue that it names.
    leading TEXT NOT NULL,
    run TEXT NOT NULL,
    actor TEXT NOT NULL,
    process TEXT NOT NULL,
    heard_boot TEXT NOT NULL,
    heard_millis INTEGER NOT NULL,
    claim TEXT NOT NULL,
    port INTEGER,
    UNIQUE (leading, run, target)
);
CREATE INDEX waiter_turn ON waiter (target, ticket);

-- The place is the target's `no`, then the entry's number in its chain, in the lower 40 bits. One
-- number, because each further index is a page more to write and to sync with every entry.
CREATE TABLE journal (
    place INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    -- Whether the entry before it is of another run, or there is none.
    starts INTEGER NOT NULL,
    kind TEXT NOT NULL,
    prev TEXT NOT NULL,
    hash TEXT NOT NULL,
    entry TEXT NOT NULL
);
-- The stretches of a run: few, for most of what a run writes it writes while others wait.
CREATE INDEX journal_run ON journal (run) WHERE starts;
-- What is asked for by kind, of every run that there ever was: few entries of each.
CREATE INDEX journal_kind ON journal (kind)
    WHERE kind = 'opened' OR kind = 'closed' OR kind = 'resumed' OR kind = 'waiver';

CREATE TRIGGER journal_update BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_delete BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

INSERT INTO meta (key, value) VALUES ('ledger_id', lower(hex(randomblob(16))));
";

/// The names of [`TABLES`]' tables, indexes and triggers.
const NAMES: [&str; 11] = [
    "journal",
    "journal_delete",
    "journal_kind",
    "journal_run",
    "journal_update",
    "meta",
    "target",
    "target_along",
    "target_fence",
    "waiter",
    "waiter_turn",
];

/// What a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing is in it.
    Empty,
    /// A ledger of [`VERSION`].
    Ours,
    /// A ledger of [`VERSION`] that is closed, because its history goes on elsewhere.
    Moved,
    /// A ledger of a newer build.
    Newer(i64),
    /// Something else.
    Foreign,
}

/// Tells what the database is.
pub(super) fn kind(conn: &Connection) -> Result<Kind, Fault> {
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = version(conn)?;
    if application == APPLICATION_ID {
        return match version {
            VERSION => whole(conn).map(|()| Kind::Ours),
            MOVED => whole(conn).map(|()| Kind::Moved),
            newer if newer > VERSION => Ok(Kind::Newer(newer)),
            other => Err(Fault::Damaged(format!("the version {other}"))),
        };
    }
    let empty =
        conn.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |_| Ok(())).optional()?.is_none();
    Ok(if empty && application == 0 && version == 0 { Kind::Empty } else { Kind::Foreign })
}

/// The version of the tables.
pub(super) fn version(conn: &Connection) -> Result<i64, Fault> {
    Ok(conn.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?)
}

/// Checks that nothing was dropped from the schema.
fn whole(conn: &Connection) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = ?1")?;
    for name in NAMES {
        if !statement.exists([name])? {
            return Err(Fault::Damaged(format!("no `{name}` in the schema")));
        }
    }
    Ok(())
}

/// Refuses a ledger that was moved, or that a newer build has migrated, since it was opened.
pub(super) fn still_ours(conn: &Connection, path: &Path) -> Result<(), Fault> {
    match version(conn)? {
        VERSION => Ok(()),
        MOVED => Err(moved(conn, path)),
        newer if newer > VERSION => Err(Fault::Refused(error::newer(path, newer))),
        other => Err(Fault::Damaged(format!("the version {other}"))),
    }
}

/// The refusal of a ledger that was moved.
pub(super) fn moved(conn: &Connection, path: &Path) -> Fault {
    match meta(conn, MOVED_TO) {
        Ok(Some(to)) => error::moved(path, &to).into(),
        Ok(None) => Fault::Damaged("a ledger that was moved, and no place".to_owned()),
        Err(fault) => fault,
    }
}

/// Where the history of a ledger goes on that was moved.
pub(super) const MOVED_TO: &str = "moved_to";

/// A value of the ledger as a whole.
pub(super) fn meta(conn: &Connection, key: &str) -> Result<Option<String>, Fault> {
    let mut statement = conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

/// Fills an empty database, inside the caller's transaction.
pub(super) fn create(conn: &Connection) -> Result<(), Fault> {
    conn.execute_batch(TABLES)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}
