//! What went wrong below, told in the words of the ledger.

use std::error::Error as StdError;

use gatekit_core::{Code, Effect, Error, NextAction, TargetName};
use gatekit_postgres::Trouble;
use tokio_postgres::error::SqlState;

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
        }
        let why = match Trouble::of(&error) {
            Trouble::Unreachable => Why::Unreachable,
            Trouble::Busy => Why::Busy,
            _ => return Self::Sql(error),
        };
        Self::Passing(Passing { why, source: Some(error.into()) })
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
    let code = source.code().cloned();
    let is_of = |class: &str| code.as_ref().is_some_and(|code| code.code().starts_with(class));
    let error = match Trouble::of(&source) {
        Trouble::Tls { next, or_plaintext } => tls(place, next, or_plaintext),
        Trouble::Login => login(place),
        Trouble::Denied => denied(place, doing),
        Trouble::ReadOnly => {
            read_only(place, "the server is a standby, or its database is read-only")
        }
        Trouble::NoDatabase => missing(place),
        Trouble::DiskFull => full(place),
        Trouble::Unstorable => unstorable(place),
        _ if is_of("GK002") => newer(place),
        // Something of it is gone or of another type, or a row holds what no ledger writes; or an answer
        // has other columns, or of other types, than a ledger's.
        _ if code.is_none() || ["22", "23", "3F", "42", "P0", "XX"].into_iter().any(is_of) => {
            corrupt(place)
        }
        _ => error(code::LEDGER_IO, &format!("the ledger failed to {doing}"), place)
            .with_next(NextAction::outside("see the cause, and the log of the server")),
    };
    let error = match &code {
        Some(code) => error.with_context("sqlstate", code.code()),
        None => error,
    };
    error.with_source(source)
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

fn tls(place: &str, next: &str, or_plaintext: bool) -> Error {
    let otherwise = "; where nobody else can listen, say `?sslmode=disable`";
    let next = format!("{next}{}", if or_plaintext { otherwise } else { "" });
    error(code::LEDGER_TLS, "no protected connection to the ledger can be made", place)
        .with_next(NextAction::outside(next))
}
