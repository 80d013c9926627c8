//! Reads a ledger without ever writing to it.
//!
//! # Why is this so?
//! A reader of a write-ahead log takes part in the index file beside it, and creates both files when
//! they are absent, even if it may only read. So while nobody has the ledger open, it is read as an
//! immutable file instead, and the answer counts only if the file was the same before and after.
//! Where a log was left behind and the disk has no room for an index, the index is kept in memory,
//! which SQLite does for who has the file for itself.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use gatekit_core::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{self, Fault};
use super::open::harden;
use super::place;
use super::schema::{self, Kind};

/// How often a file that changes under an immutable reader is read anew.
const ATTEMPTS: u32 = 20;

/// Enough for the way down a tree and the pages beside it.
const CACHE_PAGES: u32 = 64;

/// What tells one content of a file from another.
type Print = (u64, u64, u64, i64, i64);

/// Runs `work` on a ledger at `path`; `None` when there is none, or it has no tables yet.
pub(super) fn read<T>(
    path: &Path,
    patience: Duration,
    work: impl Fn(&Connection) -> Result<T, Fault>,
) -> Result<Option<T>> {
    let at = |fault: Fault| fault.at(path, "be read");
    for _ in 0..ATTEMPTS {
        if place::look(path)? != place::Found::Content {
            return Ok(None);
        }
        let read = |access| connect(path, access, patience).and_then(|conn| run(conn, path, &work));
        let Some(before) = quiet(path) else {
            let answer = match read(Access::Shared) {
                Err(fault) if fault.is_full_disk() => read(Access::Alone).or(Err(fault)),
                answer => answer,
            };
            return answer.map_err(at);
        };
        let answer = read(Access::Immutable);
        if quiet(path) == Some(before) {
            return answer.map_err(at);
        }
    }
    Err(error::busy(path))
}

/// The print of a ledger that nobody writes to: the files beside it are absent or empty.
fn quiet(path: &Path) -> Option<Print> {
    if ["-wal", "-journal"].iter().any(|suffix| place::size(&place::beside(path, suffix)) > 0) {
        return None;
    }
    // What cannot be looked at is left to SQLite to explain.
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

/// How a ledger is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Beside others.
    Shared,
    /// As a file that nobody changes.
    Immutable,
    /// Nobody else may have it open.
    Alone,
}

fn connect(path: &Path, access: Access, patience: Duration) -> Result<Connection, Fault> {
    // Only who may write can lock a file for itself.
    let rights = match access {
        Access::Alone => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Shared | Access::Immutable => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let flags = rights | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(uri(path, access), flags)?;
    if access == Access::Alone {
        // First of all: whatever looks into the file makes the index.
        conn.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
        conn.pragma_update(None, "query_only", true)?;
    }
    conn.busy_timeout(patience)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    harden(&conn)?;
    // It answers one call: what it has read is not asked for again.
    conn.pragma_update(None, "cache_size", CACHE_PAGES)?;
    Ok(conn)
}

fn uri(path: &Path, access: Access) -> String {
    let encode = |&byte: &u8| {
        let plain = byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    let path: String = path.as_os_str().as_bytes().iter().map(encode).collect();
    let options = match access {
        Access::Shared => "mode=ro",
        Access::Immutable => "mode=ro&immutable=1",
        Access::Alone => "mode=rw",
    };
    format!("file:{path}?{options}")
}

fn run<T>(
    mut conn: Connection,
    path: &Path,
    work: impl Fn(&Connection) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let version = match schema::kind(&tx)? {
        Kind::Empty => return Ok(None),
        Kind::Foreign => return Err(error::foreign(path).into()),
        Kind::Newer(version) => Some(version),
        Kind::Ours | Kind::Moved => None,
    };
    work(&tx).map(Some).map_err(|fault| match version {
        // Its tables or rows are not those that this build knows: no damage.
        Some(version) => Fault::Refused(as_newer(path, version, fault)),
        None => fault,
    })
}

fn as_newer(path: &Path, version: i64, fault: Fault) -> Error {
    error::newer(path, version).with_source(fault.at(path, "be read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// To read alone, which shuts others out, is for the one fault that it mends.
    #[test]
    fn a_ledger_in_use_is_read_a_second_time_only_when_the_disk_is_full() {
        let full = || rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(13), None);
        for (fault, times) in [
            (&(|| Fault::Damaged("by hand".to_owned())) as &dyn Fn() -> Fault, 1),
            (&|| Fault::Sql(full()), 2),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("ledger.db");
            let writer = Connection::open(&path).unwrap();
            writer.pragma_update(None, "journal_mode", "WAL").unwrap();
            writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
            schema::create(&writer).unwrap();
            drop(writer);
            assert!(quiet(&path).is_none(), "its writer has vanished");
            let asked = Cell::new(0);
            let error = read(&path, Duration::ZERO, |_| -> Result<(), Fault> {
                asked.set(asked.get() + 1);
                Err(fault())
            })
            .unwrap_err();
            assert_eq!(asked.get(), times, "{error}");
        }
    }

    #[test]
    fn a_path_cannot_smuggle_options_into_the_uri() {
        let uri = uri(Path::new("/a b/c?mode=rw#x%20"), Access::Immutable);
        assert_eq!(uri, "file:/a%20b/c%3Fmode%3Drw%23x%2520?mode=ro&immutable=1");
    }
}
