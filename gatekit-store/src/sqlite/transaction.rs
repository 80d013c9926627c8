//! Transactions whose own statements are prepared once: `rusqlite`'s are parsed each time.

use std::ops::Deref;

use rusqlite::Connection;

/// What a transaction begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A state to read from.
    Deferred,
    /// The right to write.
    Immediate,
}

/// A transaction that is rolled back unless it is committed.
#[derive(Debug)]
pub(super) struct Transaction<'c> {
    conn: &'c Connection,
}

impl<'c> Transaction<'c> {
    pub(super) fn begin(conn: &'c Connection, kind: Kind) -> rusqlite::Result<Self> {
        run(
            conn,
            match kind {
                Kind::Deferred => "BEGIN DEFERRED",
                Kind::Immediate => "BEGIN IMMEDIATE",
            },
        )?;
        Ok(Self { conn })
    }

    pub(super) fn commit(self) -> rusqlite::Result<()> {
        run(self.conn, "COMMIT")
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // Not so after a commit, nor after an error that made SQLite itself roll back.
        if !self.conn.is_autocommit() {
            // Nothing is left to be done about it: the next one to begin finds that it cannot.
            let _ = run(self.conn, "ROLLBACK");
        }
    }
}

fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(conn: &Connection) -> i64 {
        conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_is_not_committed_is_rolled_back() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (x UNIQUE)").unwrap();
        for (kind, commits, left) in
            [(Kind::Immediate, false, 0), (Kind::Deferred, false, 0), (Kind::Immediate, true, 1)]
        {
            let tx = Transaction::begin(&conn, kind).unwrap();
            tx.execute("INSERT INTO t VALUES (1)", []).unwrap();
            if commits {
                tx.commit().unwrap();
            } else {
                drop(tx);
            }
            assert!(conn.is_autocommit());
            assert_eq!(rows(&conn), left, "{kind:?}");
        }
    }

    #[test]
    fn one_that_sqlite_rolled_back_itself_leaves_room_for_the_next() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1)").unwrap();
        let tx = Transaction::begin(&conn, Kind::Immediate).unwrap();
        tx.execute("INSERT OR ROLLBACK INTO t VALUES (1)", []).unwrap_err();
        assert!(tx.commit().is_err(), "nothing is left to be committed");
        Transaction::begin(&conn, Kind::Immediate).unwrap().commit().unwrap();
    }
}
