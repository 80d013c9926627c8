//! Why a file came to nothing, and what is told of it.

use gatekit_core::{Code, Effect, Error, NextAction, Verb};
use gatekit_postgres::Trouble;
use tokio_postgres::error::ErrorPosition;

use super::apply::{Applying, Step};
use crate::code;
use crate::database::unquoted;
use crate::migrations::files::file::File;
use crate::migrations::files::place::Place;
use crate::migrations::files::split::Statement;
use crate::migrations::history::Unrecorded;

const UNRECORDED: &str = "the server does not make the row of the file in the history what it should be: see what it \
                          says, and the triggers and rules of `supabase_migrations.schema_migrations`";

/// Why a transaction came to nothing.
#[derive(Debug)]
pub(in crate::migrations) enum Fault {
    /// The server refused a statement, or what belongs to none of the file's.
    Statement(Option<usize>, tokio_postgres::Error),
    /// The server refused to record the file, or is gone: the commit may have been sent with that.
    Record(tokio_postgres::Error),
    /// The server refused nothing, and the history is not what it should be.
    Unrecorded,
    /// The server refused to commit, as for a constraint that is checked at the end, or is gone.
    Commit(tokio_postgres::Error),
    /// The file has ended the transaction by itself; or a statement of it has failed, and the server goes on with the
    /// transaction nevertheless. A part of it may be applied, or all of it.
    Escaped(Option<tokio_postgres::Error>),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Statement(None, error)
    }
}

impl Fault {
    /// Whether nobody has seen what became of the transaction.
    pub(in crate::migrations) fn is_unseen(&self) -> bool {
        match self {
            Self::Statement(_, source) | Self::Record(source) | Self::Commit(source) => {
                !is_refusal(source)
            }
            Self::Unrecorded | Self::Escaped(_) => false,
        }
    }
}

impl Applying<'_> {
    /// What is told of it.
    pub(in crate::migrations) fn told(&self, step: Step<'_>, fault: Fault) -> Error {
        let file = step.run;
        match fault {
            Fault::Statement(Some(number), source) if source.as_db_error().is_some() => {
                match file.statements.get(number) {
                    Some(statement) => refusal(file, number, statement, source),
                    None => self.failed_at(file, source),
                }
            }
            Fault::Statement(_, source) => self.failed_at(file, source),
            Fault::Record(source) => self.unrecorded(file, source),
            Fault::Unrecorded => refused(code::HISTORY, UNRECORDED, file),
            Fault::Commit(source) if is_refusal(&source) => {
                let what = "the server refused to commit the file";
                quoting(refused(code::FAILED, what, file), source)
            }
            Fault::Commit(source) => self.failed_at(file, source),
            Fault::Escaped(source) => escaped(file, source),
        }
    }

    /// The error of a file whose row the server does not add.
    fn unrecorded(&self, file: &File, source: tokio_postgres::Error) -> Error {
        match Unrecorded::of(&source) {
            Unrecorded::Kept => quoting(refused(code::HISTORY, UNRECORDED, file), source),
            Unrecorded::Elsewhere => {
                let what = "somebody else has applied the file meanwhile";
                refused(code::ELSEWHERE, what, file).with_next(NextAction::verb(Verb::Status, &[]))
            }
            Unrecorded::ReadOnly => {
                let what = "the transaction of the file may not write: the file has set so, or the database and \
                            the user have it by default";
                quoting(refused(code::DATABASE_READ_ONLY, what, file), source)
            }
            Unrecorded::Other => self.failed_at(file, source),
        }
    }

    fn failed_at(&self, file: &File, source: tokio_postgres::Error) -> Error {
        self.failed(source).with_context("file", file.path.display())
    }
}

/// Whether the server itself says no: poolers tell by errors of servers, too, that they have lost one.
pub(in crate::migrations) fn is_refusal(error: &tokio_postgres::Error) -> bool {
    let is_lost = error.is_closed() || Trouble::of(error) == Trouble::Unreachable;
    error.as_db_error().is_some() && !is_lost
}

/// The error of a file of which nobody can tell what is applied.
fn escaped(file: &File, source: Option<tokio_postgres::Error>) -> Error {
    let what = "the file has ended its transaction by itself, or hidden that it failed: a part of it may be applied";
    let next = "see what of the file is there, and `reconcile`";
    let error = refused(code::CANNOT_TELL, what, file)
        .with_effect(Effect::Unknown)
        .with_next(NextAction::outside(next));
    match source {
        Some(source) => quoting(error, source),
        None => error,
    }
}

pub(in crate::migrations) fn refused(code: Code, what: &str, file: &File) -> Error {
    Error::new(code, what).with_effect(Effect::None).with_context("file", file.path.display())
}

/// What the server says of a statement, and where that is.
fn refusal(
    file: &File,
    number: usize,
    statement: &Statement,
    source: tokio_postgres::Error,
) -> Error {
    let error = refused(code::FAILED, "the server refused a statement", file)
        .with_context("statement", format!("{} of {}", number + 1, file.statements.len()));
    let Some(db) = source.as_db_error() else { return error.with_source(source) };
    let error = match db.position() {
        Some(ErrorPosition::Original(at)) => {
            let at = usize::try_from(*at).unwrap_or(usize::MAX);
            let place = Place::of(file, statement, at);
            error
                .with_context("line", place.line)
                .with_context("column", place.column)
                .with_context("there", format!("\n{place}\n"))
        }
        _ => error
            .with_context("line", statement.first_line())
            .with_context("begins", statement.head()),
    };
    quoting(error, source)
}

/// What the server says, without what may be a secret, or is a row's: its detail, and what it quotes of
/// values. The error itself is not kept, because that has it all.
fn quoting(error: Error, source: tokio_postgres::Error) -> Error {
    let Some(db) = source.as_db_error() else { return error.with_source(source) };
    let code = db.code().code();
    let error =
        error.with_context("sqlstate", code).with_context("says", unquoted(code, db.message()));
    match db.hint() {
        Some(hint) => error.with_context("hint", unquoted(code, hint)),
        None => error,
    }
}
