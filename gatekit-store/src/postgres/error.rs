//! What went wrong below, told in the words of the ledger.

use std::error::Error as StdError;
use std::io;

use gatekit_core::{Code, Effect, Error, NextAction, TargetName};
use tokio_postgres::error::{DbError, SqlState};

use super::schema::VERSION;
use super::stand::Stand;
use crate::code;

/// What a call fails with, before it is known whose ledger it was.
#[derive(Debug)]
pub(super) enum Fault {
    /// The ledger refuses: nothing has happened, and this is how the lock stands.
    Refused(Box<Stand>),
    /// The fence was another one than the caller expected.
    OtherFence,
    /// Ours, and complete.
    Told(Error),
    /// It may go better the next time.
    Passing(Passing),
    /// The server says no, and will say so again.
    Sql(tokio_postgres::Error),
    /// The server answers what no ledger does.
    Damaged(String),
}

/// What may go better the next time.
#[derive(Debug)]
pub(super) struct Passing {
    pub(super) why: Why,
    pub(super) source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Why a call is worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The server was not reached, or went away: whether it did what it was asked is not known if it
    /// had been asked.
    Unreachable,
    /// The server was reached, and has done nothing.
    Busy,
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            match db.code().code() {
                "GK001" => {
                    let stand = Stand::read(db.message(), db.detail().unwrap_or_default());
                    return stand.map_or_else(Self::Damaged, |stand| Self::Refused(stand.into()));
                }
                "GK003" => return Self::OtherFence,
                _ => {}
            }
            return match passing(db) {
                Some(why) => Self::Passing(Passing { why, source: Some(error.into()) }),
                None => Self::Sql(error),
            };
        }
        let is_late = is_of_kind(&error, "timeout waiting for server");
        if error.is_closed() || is_late || (io_error(&error).is_some() && !is_distrust(&error)) {
            let why = Why::Unreachable;
            return Self::Passing(Passing { why, source: Some(error.into()) });
        }
        Self::Sql(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Whether what the server says may be otherwise the next time.
fn passing(error: &DbError) -> Option<Why> {
    let code = error.code();
    // It is shutting down, starting up, or has lost a process.
    let away = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_SESSION_TIMEOUT,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN,
        // What poolers have no code for: also that they have lost the server in the middle of a call.
        SqlState::INTERNAL_ERROR,
    ];
    let busy = [
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::OUT_OF_MEMORY,
    ];
    if login_at_pooler(error).is_some() {
        None
    } else if away.contains(code) || code.code().starts_with("08") {
        Some(Why::Unreachable)
    } else if busy.contains(code) {
        Some(Why::Busy)
    } else {
        None
    }
}

fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

/// What PgBouncer says, in words alone, that the server would say by a code of its own.
fn login_at_pooler(error: &DbError) -> Option<SqlState> {
    if *error.code() != SqlState::PROTOCOL_VIOLATION {
        return None;
    }
    let says = |words: &str| error.message().contains(words);
    if says("no such database") {
        return Some(SqlState::INVALID_CATALOG_NAME);
    }
    let is_login = ["authentication failed", "no such user", "login failed", "SASL"];
    is_login.into_iter().any(says).then_some(SqlState::INVALID_PASSWORD)
}

/// Whether client and server do not trust each other: rustls puts its own errors into those of the
/// system.
fn is_distrust(error: &tokio_postgres::Error) -> bool {
    io_error(error)
        .and_then(io::Error::get_ref)
        .is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some())
}

/// Whether no protected connection can come about.
fn is_tls(error: &tokio_postgres::Error) -> bool {
    let has_none = is_of_kind(error, "error performing TLS handshake") && io_error(error).is_none();
    is_distrust(error) || has_none
}

/// Whether an error of no server and of no system is of that kind, which is told in no other way.
fn is_of_kind(error: &tokio_postgres::Error, kind: &str) -> bool {
    error.to_string().starts_with(kind)
}

impl Fault {
    /// A call that took too long.
    pub(super) fn too_late() -> Self {
        Self::Passing(Passing { why: Why::Unreachable, source: None })
    }

    /// The error of the ledger at `place` that failed to do something; `effect` is what became of the
    /// call.
    pub(super) fn at(self, place: &str, doing: &str, effect: Effect) -> Error {
        let error = match self {
            Self::Told(error) => return error,
            Self::Refused(stand) => corrupt(place).with_context("found", format!("{stand:?}")),
            Self::OtherFence => corrupt(place).with_context("found", "another fence"),
            Self::Damaged(what) => corrupt(place).with_context("found", what),
            Self::Passing(passing) => passing.error(place, doing),
            Self::Sql(error) => sql(place, doing, error),
        };
        error.with_effect(effect)
    }
}

impl Passing {
    fn error(self, place: &str, doing: &str) -> Error {
        let error = match self.why {
            Why::Unreachable => {
                error(code::LEDGER_UNREACHABLE, "the server of the ledger cannot be reached", place)
                    .with_next(NextAction::outside(
                        "check that the server runs and can be reached from here, then try again",
                    ))
            }
            Why::Busy => error(code::LEDGER_BUSY, "the server of the ledger is too busy", place)
                .with_next(NextAction::outside("try again a little later")),
        };
        let error = error.with_context("doing", doing).retry_later();
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

fn sql(place: &str, doing: &str, source: tokio_postgres::Error) -> Error {
    let at_pooler = source.as_db_error().and_then(login_at_pooler);
    let Some(code) = at_pooler.or(source.code().cloned()) else {
        let is_login = ["authentication error", "invalid configuration"]
            .iter()
            .any(|it| is_of_kind(&source, it));
        let error = match is_tls(&source) {
            true => tls(place, &source),
            false if is_login => login(place),
            // An answer of other columns, or of other types, than a ledger's.
            false => corrupt(place),
        };
        return error.with_source(source);
    };
    let error = if code.code() == "GK002" {
        newer(place)
    } else if code.code().starts_with("28") {
        login(place)
    } else if code == SqlState::INSUFFICIENT_PRIVILEGE {
        denied(place, doing)
    } else if code == SqlState::READ_ONLY_SQL_TRANSACTION {
        read_only(place, "the server is a standby, or its database is read-only")
    } else if code == SqlState::INVALID_CATALOG_NAME {
        missing(place)
    } else if code == SqlState::DISK_FULL {
        full(place)
    } else if [SqlState::UNTRANSLATABLE_CHARACTER, SqlState::CHARACTER_NOT_IN_REPERTOIRE]
        .contains(&code)
    {
        unstorable(place)
    } else if ["22", "23", "3F", "42", "P0", "XX"]
        .iter()
        .any(|class| code.code().starts_with(class))
    {
        // Something of it is gone or of another type, or a row holds what no ledger writes.
        corrupt(place)
    } else {
        error(code::LEDGER_IO, &format!("the ledger failed to {doing}"), place)
            .with_next(NextAction::outside("see the cause, and the log of the server"))
    };
    error.with_context("sqlstate", code.code()).with_source(source)
}

fn error(code: Code, message: &str, place: &str) -> Error {
    Error::new(code, message).with_context("ledger", place).with_effect(Effect::None)
}

fn corrupt(place: &str) -> Error {
    error(code::LEDGER_CORRUPT, "the ledger is damaged", place).with_next(
        NextAction::outside(
            "find out who altered the schema `gatekit`, and restore the database from a backup",
        )
        .by("operator"),
    )
}

pub(super) fn foreign(place: &str) -> Error {
    error(code::LEDGER_FOREIGN, "the schema `gatekit` is that of another application", place)
        .with_next(NextAction::outside("name another database for the ledger"))
}

/// It may hold all there is: nobody may be told to begin anew elsewhere.
pub(super) fn nameless(place: &str) -> Error {
    let what = "the schema `gatekit` does not say of which version the ledger is";
    error(code::LEDGER_CORRUPT, what, place).with_next(
        NextAction::outside(
            "restore the comment on the schema, which a backup without comments has lost: \
             `COMMENT ON SCHEMA gatekit IS 'gatekit ledger, version 1'`, or the version that it was",
        )
        .by("operator"),
    )
}

/// What a ledger fails with that is to be made, or brought to the version of this build.
pub(super) fn uncreated(fault: Fault, place: &str) -> Fault {
    match fault {
        Fault::Sql(source) if source.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            let what = "this user may not make the tables of the ledger, or bring them up to date";
            let error = error(code::LEDGER_DENIED, what, place).with_source(source).with_next(
                NextAction::outside(
                    "let a user of the database who may create schemas, or who owns the schema \
                     `gatekit`, open the ledger once with this build, by any verb that writes; then \
                     grant this one the role runner. A `ledger copy` is made by such a user itself",
                )
                .by("operator"),
            );
            Fault::Told(error)
        }
        fault => fault,
    }
}

pub(super) fn unfit(place: &str, why: &str) -> Error {
    error(code::LEDGER_FOREIGN, "the database cannot hold a ledger", place)
        .with_context("why", why)
        .with_next(NextAction::outside("name a database in UTF-8 of PostgreSQL 13 or newer"))
}

pub(super) fn newer(place: &str) -> Error {
    error(
        code::LEDGER_NEWER,
        "the ledger is of another version than this build, which may only read it",
        place,
    )
    .with_context("version of this build", VERSION)
    .with_next(NextAction::outside("use a build that is at least as new as the ledger"))
}

/// A target whose history is on its way here, and has not arrived.
pub(super) fn arriving(target: &TargetName) -> Error {
    Error::new(code::LEDGER_ARRIVING, "the target's history is still on its way to this ledger")
        .with_effect(Effect::None)
        .with_context("target", target)
        .with_next(
            NextAction::outside("make the `ledger copy` that was cut off again, to its end")
                .by("operator"),
        )
}

pub(super) fn read_only(place: &str, why: &str) -> Error {
    error(code::LEDGER_READ_ONLY, "the ledger may not be written", place)
        .with_context("why", why)
        .with_next(NextAction::outside("name the server that may be written in the ledger's URL"))
}

fn full(place: &str) -> Error {
    error(code::LEDGER_FULL, "the disk of the ledger is full", place)
        .with_next(NextAction::outside("free space on the disk of the server, then try again"))
}

pub(super) fn unstorable(place: &str) -> Error {
    error(code::LEDGER_IO, "the ledger was given a text that PostgreSQL cannot hold", place)
        .with_next(NextAction::outside("leave the character U+0000 out of names and comments"))
}

fn missing(place: &str) -> Error {
    error(code::LEDGER_MISSING, "the server has no such database", place)
        .with_next(NextAction::outside("name an existing database in the ledger's URL"))
}

fn login(place: &str) -> Error {
    error(code::LEDGER_LOGIN, "the server of the ledger does not let this user in", place)
        .with_next(NextAction::outside(
            "check user and password: in the URL, in `PGPASSWORD`, or in the file that \
             `?password_file=` names",
        ))
}

fn denied(place: &str, doing: &str) -> Error {
    error(code::LEDGER_DENIED, "this user of the ledger may not do that", place)
        .with_context("doing", doing)
        .with_next(
            NextAction::outside(
                "grant the user the role that it needs: reader, approver or runner; to copy a ledger, \
                 that of the schema's owner",
            )
            .by("operator"),
        )
}

fn tls(place: &str, source: &tokio_postgres::Error) -> Error {
    use rustls::{CertificateError as Certificate, Error as Tls};
    let inner = io_error(source).and_then(io::Error::get_ref);
    let next = match inner.and_then(|inner| inner.downcast_ref::<Tls>()) {
        // It speaks none.
        None => "switch TLS on in the server; where nobody else can listen, say `?sslmode=disable`",
        Some(Tls::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        )) => "name the host in the URL as the server's certificate names it",
        Some(Tls::InvalidCertificate(
            Certificate::Expired | Certificate::ExpiredContext { .. },
        )) => "renew the server's certificate; see that the clock here is right",
        Some(Tls::InvalidCertificate(_)) => {
            "name the authority of the server's certificate by `?sslrootcert=FILE`; where nobody \
             else can listen, say `?sslmode=disable`"
        }
        Some(_) => {
            "see the cause: certificate and key, of the server or by `?sslcert=` and `?sslkey=`"
        }
    };
    error(code::LEDGER_TLS, "no protected connection to the ledger can be made", place)
        .with_next(NextAction::outside(next))
}
