//! What went wrong below, told in the words of the ledger.

use std::io;
use std::path::Path;

use gatekit_core::{Code, Effect, Error, NextAction};
use rusqlite::ErrorCode;

use crate::code;

/// What a step of a transaction fails with, before the path is known.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite says no.
    Sql(rusqlite::Error),
    /// A row holds what no ledger writes.
    Damaged(String),
    /// Ours, and complete.
    Refused(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// Whether the disk has no room, not even for a side file.
    pub(super) fn is_full_disk(&self) -> bool {
        matches!(self, Self::Sql(error) if is_full_disk(error))
    }

    /// Whether others were using the file.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Sql(error)
            if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
    }

    /// The error of a ledger at `path` that failed while `doing` something.
    pub(super) fn at(self, path: &Path, doing: &str) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Damaged(what) => corrupt(path).with_context("found", what),
            Self::Sql(error) => sqlite(path, doing, error),
        }
    }
}

fn is_full_disk(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|failure| failure.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

fn sqlite(path: &Path, doing: &str, error: rusqlite::Error) -> Error {
    let mapped = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => corrupt(path),
        _ if is_full_disk(&error) => full(path),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => busy(path),
        Some(ErrorCode::ReadOnly) => read_only(path, "the file cannot be written"),
        _ => match error {
            // A value of a type that no ledger writes.
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::QueryReturnedNoRows
            | rusqlite::Error::Utf8Error(..) => corrupt(path),
            _ => plain(path, doing),
        },
    };
    mapped.with_source(error)
}

/// The error of a call to the operating system.
pub(super) fn os(path: &Path, doing: &str, error: io::Error) -> Error {
    let mapped = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => read_only(path, "the file system is read-only"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(path),
        _ => plain(path, doing),
    };
    mapped.with_source(error)
}

fn error(code: Code, message: &str, path: &Path) -> Error {
    Error::new(code, message).with_context("path", path.display()).with_effect(Effect::None)
}

pub(super) fn corrupt(path: &Path) -> Error {
    error(code::LEDGER_CORRUPT, "the ledger is damaged", path).with_next(
        NextAction::outside(
            "keep a copy of the file and of those beside it, and restore the ledger from a backup",
        )
        .by("operator"),
    )
}

pub(super) fn foreign(path: &Path) -> Error {
    error(code::LEDGER_FOREIGN, "the file is a database of another application", path)
        .with_next(NextAction::outside("name another path for the ledger"))
}

pub(super) fn newer(path: &Path, version: i64) -> Error {
    error(
        code::LEDGER_NEWER,
        "the ledger was written by a newer build, so this one may only read it",
        path,
    )
    .with_context("version", version)
    .with_next(NextAction::outside("use a build that is at least as new as the ledger"))
}

pub(super) fn moved(path: &Path, to: &str) -> Error {
    let next = format!("use the ledger it was moved to, as a user of your own: `--ledger {to}`");
    let cut_off = "if that one says `ledger.arriving`, the move was cut off: make it again";
    error(code::LEDGER_MOVED, "the ledger was moved, so this one may only be read", path)
        .with_context("moved to", to)
        .with_next(NextAction::outside(next))
        .with_next(NextAction::outside(cut_off).by("operator"))
}

pub(super) fn read_only(path: &Path, why: &str) -> Error {
    error(code::LEDGER_READ_ONLY, "the ledger may not be written", path)
        .with_context("why", why)
        .with_next(NextAction::outside("make the file and its directory writable for this user"))
}

fn full(path: &Path) -> Error {
    error(code::LEDGER_FULL, "the disk of the ledger is full", path)
        .with_next(NextAction::outside("free space on the disk of the ledger, then try again"))
}

pub(super) fn busy(path: &Path) -> Error {
    error(code::LEDGER_BUSY, "other processes keep the ledger busy", path)
        .retry_later()
        .with_next(NextAction::outside("try again a little later"))
}

/// An error that needs no further explanation than its source.
pub(super) fn plain(path: &Path, doing: &str) -> Error {
    error(code::LEDGER_IO, &format!("the ledger failed to {doing}"), path).with_next(
        NextAction::outside(
            "check that this user may use the file and its directory, then try again",
        ),
    )
}

pub(super) fn missing(path: &Path) -> Error {
    error(code::LEDGER_MISSING, "there is no ledger", path)
        .with_next(NextAction::outside("name the path of an existing ledger"))
}

pub(super) fn gone(path: &Path) -> Error {
    error(code::LEDGER_MISSING, "the ledger's file was removed or replaced while it was open", path)
        .with_next(NextAction::outside(
            "put the file back where it was moved away, with the `-wal` and `-shm` beside it, and let \
             no other ledger begin in its place",
        ))
}

pub(super) fn network(path: &Path, kind: &str) -> Error {
    error(
        code::LEDGER_NETWORK_FS,
        "the ledger is on a network file system, where its lock would not hold",
        path,
    )
    .with_context("file system", kind)
    .with_next(NextAction::outside("name a path on a local disk"))
}

pub(super) fn ephemeral(path: &Path) -> Error {
    error(
        code::LEDGER_EPHEMERAL,
        "a ledger on this runner would be lost with it, and the state of the targets too",
        path,
    )
    .with_next(NextAction::outside(
        "use a ledger that outlives the job, or, if the runner keeps the file, declare it durable: \
         `sqlite:PATH?durable=true`, `SqliteLedger::builder(PATH).durable(true)`",
    ))
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn failed(extended: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(extended), None)
    }

    #[test]
    fn what_sqlite_says_has_its_code() {
        for (extended, code, is_full) in [
            (ffi::SQLITE_NOTADB, code::LEDGER_CORRUPT, false),
            (ffi::SQLITE_CORRUPT, code::LEDGER_CORRUPT, false),
            (ffi::SQLITE_FULL, code::LEDGER_FULL, true),
            (ffi::SQLITE_IOERR_SHMSIZE, code::LEDGER_FULL, true),
            (ffi::SQLITE_BUSY, code::LEDGER_BUSY, false),
            (ffi::SQLITE_READONLY, code::LEDGER_READ_ONLY, false),
            (ffi::SQLITE_READONLY_DIRECTORY, code::LEDGER_READ_ONLY, false),
            (ffi::SQLITE_IOERR_READ, code::LEDGER_IO, false),
        ] {
            let error = sqlite(Path::new("/x"), "be read", failed(extended));
            assert_eq!(*error.code(), code, "{extended}");
            assert_eq!(Fault::Sql(failed(extended)).is_full_disk(), is_full, "{extended}");
        }
    }

    #[test]
    fn what_the_system_says_has_its_code() {
        for (kind, code) in [
            (io::ErrorKind::ReadOnlyFilesystem, code::LEDGER_READ_ONLY),
            (io::ErrorKind::StorageFull, code::LEDGER_FULL),
            (io::ErrorKind::QuotaExceeded, code::LEDGER_FULL),
            (io::ErrorKind::PermissionDenied, code::LEDGER_IO),
        ] {
            assert_eq!(*os(Path::new("/x"), "be made", kind.into()).code(), code, "{kind:?}");
        }
    }
}
