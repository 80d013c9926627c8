//! Opens the file for writing.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use gatekit_core::Result;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::builder::SqliteLedgerBuilder;
use super::error::{self, Fault};
use super::place::{self, Found};
use super::schema::{self, Kind};

/// More than the ledger has of them.
const STATEMENTS: usize = 48;

/// Opens or creates the ledger at the builder's absolute path.
pub(super) fn open(options: &SqliteLedgerBuilder) -> Result<Connection> {
    let path = options.path.as_path();
    place::check_local(path)?;
    let found = place::look(path)?;
    if found == Found::Nothing {
        if !options.create {
            return Err(error::missing(path));
        }
        place::create_parents(path)?;
    }
    place::check_writable(path, found)?;
    connect(options).map_err(|fault| fault.at(path, "open its file"))
}

fn connect(options: &SqliteLedgerBuilder) -> Result<Connection, Fault> {
    let path = options.path.as_path();
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, options.create);
    let mut conn = Connection::open_with_flags(path, flags)?;
    // SQLite falls back to reading by itself where it may not write.
    if conn.is_readonly("main")? {
        return Err(error::read_only(path, "the file cannot be written").into());
    }
    conn.busy_timeout(options.busy_timeout)?;
    // All that there are: a call of each after the other must not parse them anew.
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    harden(&conn)?;
    // A commit that was answered survives a loss of power; macOS needs to be told twice.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "fullfsync", true)?;
    if let Some(pages) = options.max_pages {
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    // Of a new file: it keeps the size that it has.
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    claim(&mut conn, path)?;
    use_wal(&conn, path, options.busy_timeout)?;
    Ok(conn)
}

/// A commit writes whole pages: an entry and the row of its target fit into small ones.
const PAGE_BYTES: u32 = 2048;

/// Settings for a file that others may have altered, and plans that hold for every value: SQLite
/// would plan a statement anew each time a value is bound.
pub(super) fn harden(conn: &Connection) -> Result<(), Fault> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}

/// Makes sure that the database is a ledger of this version, and makes an empty one such.
fn claim(conn: &mut Connection, path: &Path) -> Result<(), Fault> {
    // In one transaction, because it asks several questions while others may be creating.
    let tx = conn.transaction()?;
    let mut kind = schema::kind(&tx)?;
    drop(tx);
    if kind == Kind::Empty {
        // Asked again under the write lock: another process may have been faster.
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        kind = schema::kind(&tx)?;
        if kind == Kind::Empty {
            schema::create(&tx)?;
            kind = Kind::Ours;
        }
        tx.commit()?;
    }
    match kind {
        Kind::Ours | Kind::Empty => Ok(()),
        Kind::Moved => Err(schema::moved(conn, path)),
        Kind::Newer(version) => Err(error::newer(path, version).into()),
        Kind::Foreign => Err(error::foreign(path).into()),
    }
}

/// Switches to write-ahead logging, which the file then keeps. The switch needs the file for itself
/// and SQLite does not wait for that, so this does.
fn use_wal(conn: &Connection, path: &Path, patience: Duration) -> Result<(), Fault> {
    let began = Instant::now();
    loop {
        let mode = conn
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                let error = error::plain(path, "use a write-ahead log");
                return Err(error.with_context("journal mode", mode).into());
            }
            Err(error) => {
                let busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
                if !busy || began.elapsed() >= patience {
                    return Err(error.into());
                }
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_may_have_altered_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteLedgerBuilder::new(&dir.path().join("ledger.db")).durable(true);
        let conn = open(&options).unwrap();
        let setting =
            |name| -> i64 { conn.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
        assert_eq!((setting("trusted_schema"), setting("cell_size_check")), (0, 1));
        assert!(conn.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG).unwrap());
    }

    #[test]
    fn a_file_system_without_a_write_ahead_log_is_refused() {
        let conn = Connection::open_in_memory().unwrap();
        let fault = use_wal(&conn, Path::new("/x"), Duration::ZERO).unwrap_err();
        assert!(fault.at(Path::new("/x"), "open").to_string().contains("journal mode: memory"));
    }

    #[test]
    fn a_file_that_is_in_use_for_a_while_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let (first, second) = (Connection::open(&path).unwrap(), Connection::open(&path).unwrap());
        first.execute_batch("BEGIN EXCLUSIVE; CREATE TABLE t (x)").unwrap();
        second.busy_timeout(Duration::ZERO).unwrap();
        let fault = use_wal(&second, &path, Duration::ZERO).unwrap_err();
        assert!(fault.at(&path, "open").is_temporary());
        let freed = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            first.execute_batch("COMMIT").unwrap();
        });
        use_wal(&second, &path, Duration::from_secs(60)).unwrap();
        freed.join().unwrap();
    }
}
