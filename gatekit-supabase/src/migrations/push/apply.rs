//! One file, applied or taken back in one transaction.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use gatekit_core::code::RUN_INTERRUPTED;
use gatekit_core::{ApplyContext, Effect, Error, NextAction, Result, Verb};
use gatekit_postgres::Trouble;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::error::{ErrorPosition, SqlState};

use super::change::PushChange;
use super::look::Last;
use super::pipeline::Pipeline;
use crate::code;
use crate::database::{Database, unquoted};
use crate::migrations::files::file::File;
use crate::migrations::files::mode::Mode;
use crate::migrations::files::place::Place;
use crate::migrations::files::split::Statement;
use crate::migrations::history::progress::{self, Way};
use crate::migrations::history::{self, Turn};
use crate::session::{Said, Session};

/// How long a server is asked what became of a file whose answer was lost.
const SETTLING: Duration = Duration::from_secs(60);

/// How long a commit may take at least.
const COMMIT: Duration = Duration::from_secs(60);

/// How soon a connection is made anew.
pub(in crate::migrations) const AGAIN: Duration = Duration::from_millis(500);

pub(in crate::migrations) const DOING: &str = "apply a migration";

/// How long a rollback may take.
const ROLLBACK: Duration = Duration::from_secs(10);

/// How long a statement may wait, and run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::migrations) struct Limits {
    /// For a lock of the database.
    pub(in crate::migrations) lock: Duration,
    pub(in crate::migrations) statement: Duration,
    /// For the lock on the history.
    pub(in crate::migrations) turn: Duration,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::migrations) enum Became {
    Done,
    /// It was before: by an interrupted call, or by somebody else.
    DoneBefore,
}

/// What is done with a file.
#[derive(Debug, Clone, Copy)]
pub(in crate::migrations) struct Step<'f> {
    /// The file whose row in the history comes or goes.
    pub(in crate::migrations) file: &'f File,
    /// What is run: the file, or the one that takes it back.
    pub(in crate::migrations) run: &'f File,
    pub(in crate::migrations) way: Way,
}

impl Limits {
    /// The statement that sets those of statements, for a `SESSION` or, as `LOCAL`, a transaction.
    pub(in crate::migrations) fn sql(self, scope: &str) -> String {
        let (lock, statement) = (self.lock.as_millis(), self.statement.as_millis());
        format!("SET {scope} lock_timeout = {lock}; SET {scope} statement_timeout = {statement}")
    }

    /// Those for a lock and for a statement.
    pub(in crate::migrations) fn of_statements(self) -> [Duration; 2] {
        [self.lock, self.statement]
    }
}

impl<'f> Step<'f> {
    /// Applies it.
    pub(in crate::migrations) fn up(file: &'f File) -> Self {
        Self { file, run: file, way: Way::Up }
    }

    /// Takes it back; `None` when nothing does.
    pub(in crate::migrations) fn down(file: &'f File) -> Option<Self> {
        Some(Self { file, run: file.down.as_deref()?, way: Way::Down })
    }

    fn is_transaction(self) -> bool {
        self.run.mode().is_ok_and(|it| it == Mode::Transactional)
    }
}

/// Files are applied by it, one after the other.
#[derive(Debug)]
pub(in crate::migrations) struct Applying<'a> {
    pub(in crate::migrations) database: &'a Database,
    pub(in crate::migrations) cx: &'a ApplyContext,
    pub(in crate::migrations) change: &'a PushChange,
    pub(in crate::migrations) limits: Limits,
    pub(in crate::migrations) session: Option<Session>,
    /// The versions whose rows were seen to be those of their files.
    pub(in crate::migrations) known: BTreeSet<&'a str>,
    /// What the history was last, with what was applied since: on the way up.
    pub(in crate::migrations) last: Option<Last>,
}

/// Why a transaction came to nothing.
#[derive(Debug)]
pub(in crate::migrations) enum Fault {
    /// The server refused a statement, or what belongs to none of the file's.
    Statement(Option<usize>, tokio_postgres::Error),
    /// The server refused to commit: a constraint that is checked at the end.
    Commit(tokio_postgres::Error),
    /// The file has ended the transaction by itself; or a statement of it has failed, and the server goes on with the
    /// transaction nevertheless. A part of it may be applied, or all of it.
    Escaped,
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Statement(None, error)
    }
}

impl<'a> Applying<'a> {
    pub(in crate::migrations) fn new(
        database: &'a Database,
        cx: &'a ApplyContext,
        change: &'a PushChange,
        limits: Limits,
    ) -> Self {
        Self { database, cx, change, limits, session: None, known: BTreeSet::new(), last: None }
    }

    /// Takes a step, unless it has been taken. Where the `next` comes after it, its transaction is begun by the
    /// message that commits.
    ///
    /// # Errors
    /// With [`Effect::None`] nothing of it was done; with [`Effect::Unknown`], `migration.cannot_tell` and
    /// `migration.transaction_control`.
    pub(in crate::migrations) async fn take(
        &mut self,
        step: Step<'_>,
        next: Option<Step<'_>>,
    ) -> Result<Became> {
        if step.run.mode()? == Mode::NonTransactional {
            return self.take_alone(step).await;
        }
        let Some((session, turn)) = self.begin(step).await? else {
            return Ok(Became::DoneBefore);
        };
        let process = turn.process;
        let _permit = self.cx.permit(&format!("apply {}", step.run.file_name())).await?;
        let goes_on = self.last.is_some() && next.is_some_and(Step::is_transaction);
        let run = timeout_at(self.cx.deadline(), self.run(&session, turn, step, goes_on));
        let (hash, sent) = match self.cx.cancellation().run_until_cancelled(run).await {
            Some(Ok(Ok(ran))) => ran,
            Some(Ok(Err(fault))) => return self.rolled_back((session, process), step, fault).await,
            Some(Err(_)) => {
                let what = "the file took longer than there was time";
                let error = refused(code::DEADLINE, what, step.run);
                return self.stopped((session, process), step, error).await;
            }
            None => {
                let what = "the run was interrupted while the file was applied";
                let error = refused(RUN_INTERRUPTED, what, step.run);
                return self.stopped((session, process), step, error).await;
            }
        };
        let commit = async {
            match sent {
                Some(mut said) => Ok(said.end().await?.then_some(Some(said))),
                None => session.client.batch_execute("COMMIT").await.map(|()| Some(None)),
            }
        };
        // What it checks at the end may take as long as there is.
        let until = self.cx.deadline().max(Instant::now() + COMMIT);
        let Ok(committed) = timeout_at(until, commit).await else {
            let silent = self.database.silent(DOING);
            return self.stopped((session, process), step, silent).await;
        };
        match committed {
            Ok(Some(asked)) => {
                self.has_applied(step.file, hash, (session, asked));
                Ok(Became::Done)
            }
            Ok(None) => {
                let silent = self.database.silent(DOING);
                self.stopped((session, process), step, silent).await
            }
            Err(error) if is_refusal(&error) => {
                self.rolled_back((session, process), step, Fault::Commit(error)).await
            }
            Err(error) => {
                let error = self.failed(error);
                self.stopped((session, process), step, error).await
            }
        }
    }

    /// All of the transaction but its end. Gives what the row of a file adds to the sum of the history, and the
    /// answer to the commit where it has been sent: it is where it `goes_on`.
    async fn run(
        &self,
        session: &Session,
        turn: Turn,
        step: Step<'_>,
        goes_on: bool,
    ) -> Result<(Option<i64>, Option<Said>), Fault> {
        let (client, shape) = (&session.client, turn.shape);
        if !shape.is_whole() {
            client.batch_execute("SET LOCAL lock_timeout = '4s'").await?;
            history::provision(client, shape).await?;
        }
        let began = match turn.began {
            Some(began) if shape.is_whole() => Some(began),
            _ => transaction(session, &self.limits.sql("LOCAL")).await?,
        };
        let Some(began) = began else { return Err(Fault::Escaped) };
        let mut pipeline = Pipeline::default();
        for (number, statement) in step.run.statements.iter().enumerate() {
            if statement.goes_back() {
                // What failed before it is not to be mended by it.
                pipeline.wait().await?;
            }
            // By the protocol that takes no two at once.
            let call = async { client.execute_typed(&statement.text, &[]).await.map(drop) };
            pipeline.send(Some(number), statement.text.len(), call).await?;
        }
        if step.way == Way::Down {
            pipeline.wait().await?;
            if transaction(session, history::AS_NEW).await?.as_ref() != Some(&began) {
                return Err(Fault::Escaped);
            }
            history::remove(client, &step.file.version).await?;
            progress::forget(client, &step.file.version, &Way::BOTH).await?;
            return Ok((None, None));
        }
        let (end, record) =
            (history::at_the_end(self.limits.lock), history::adding_within(&began, step.file));
        let mut end = format!("{end}; {record}");
        if goes_on {
            let _ = write!(end, "; {}", history::commit_and_begin(self.limits.of_statements()));
        }
        // It may go before the answers: of a transaction that has failed the server refuses all of it, and one that
        // has ended by itself gets no row.
        pipeline.make_room(end.len()).await?;
        let mut said = session.send(&end).await?;
        match (pipeline.wait().await, said.value().await) {
            (Ok(()), Ok(which)) if which.as_ref() == Some(&began) => {}
            (Ok(()), Err(error)) => return Err(error.into()),
            // Nobody has heard yet that the connection is gone, or nobody will.
            (Err(_), Err(error)) if !is_refusal(&error) => return Err(error.into()),
            (Err(fault), Err(error)) if has_failed(&error) => return Err(fault),
            // What has failed, and has not failed, is not what was sent.
            _ => return Err(Fault::Escaped),
        }
        let hash = said.value().await?.and_then(|it| it.parse().ok());
        let Some(hash) = hash else { return Err(Fault::Escaped) };
        Ok((Some(hash), goes_on.then_some(said)))
    }

    /// Ends a transaction that failed.
    pub(in crate::migrations) async fn rolled_back(
        &mut self,
        (session, process): (Session, i32),
        step: Step<'_>,
        fault: Fault,
    ) -> Result<Became> {
        let error = match fault {
            Fault::Statement(number, source) => {
                let is_lost = source.is_closed() || source.as_db_error().is_none();
                let error = match number.and_then(|it| Some((it, step.run.statements.get(it)?))) {
                    Some((number, statement)) if !is_lost => {
                        told(step.run, number, statement, source)
                    }
                    None if history::is_unrecorded(&source) => {
                        let what = "the server does not add the row of the file to the history: see the \
                                    triggers and rules of `supabase_migrations.schema_migrations`";
                        said(refused(code::HISTORY, what, step.run), source)
                    }
                    _ => self.failed(source).with_context("file", step.run.path.display()),
                };
                if is_lost {
                    return self.stopped((session, process), step, error).await;
                }
                error
            }
            Fault::Commit(source) => said(
                refused(code::FAILED, "the server refused to commit the file", step.run),
                source,
            ),
            Fault::Escaped => {
                let what = "the file has ended its transaction by itself, or hidden that it failed: \
                            a part of it may be applied";
                return Err(
                    refused(code::TRANSACTION_CONTROL, what, step.run).with_effect(Effect::Unknown)
                );
            }
        };
        match timeout(ROLLBACK, session.client.batch_execute("ROLLBACK")).await {
            Ok(Ok(())) => {
                self.session = Some(session);
                Err(error)
            }
            _ => self.stopped((session, process), step, error).await,
        }
    }

    /// Ends a transaction that is to be stopped: by another connection, which knows its process. The request
    /// of the protocol does not wait, and there are poolers that lose it, or end themselves by it.
    pub(in crate::migrations) async fn stopped(
        &mut self,
        (session, process): (Session, i32),
        step: Step<'_>,
        error: Error,
    ) -> Result<Became> {
        drop(session);
        self.settle(process, step, error).await
    }

    /// Finds out what became of a file whose transaction nobody has seen the end of. It is ended where
    /// it still works, and the lock is had only when it is over.
    async fn settle(&mut self, process: i32, step: Step<'_>, error: Error) -> Result<Became> {
        (self.session, self.last) = (None, None);
        let until = Instant::now() + SETTLING;
        let read = async {
            loop {
                match self.read_again(process, step, until).await {
                    // A pooler hands out connections that were cut together with the one that was lost.
                    Err(error) if error.is_temporary() && *error.code() != code::LOCKED => {
                        sleep(AGAIN).await;
                    }
                    read => return read,
                }
            }
        };
        match timeout_at(until, read).await {
            Ok(Ok((is_done, session))) => {
                self.session = Some(session);
                if is_done { Ok(Became::Done) } else { Err(error) }
            }
            // Whether it was applied before that, nobody has asked.
            Ok(Err(read)) if *read.code() == code::ELSEWHERE => {
                Err(read.with_effect(Effect::Unknown))
            }
            _ => {
                let what = "it cannot be read whether the file was applied";
                Err(refused(code::CANNOT_TELL, what, step.run)
                    .with_effect(Effect::Unknown)
                    .with_next(NextAction::verb(Verb::Resume, &[]))
                    .with_source(error))
            }
        }
    }

    /// Whether a step has been taken, by a new session that has the lock after the lost one.
    async fn read_again(
        &mut self,
        process: i32,
        step: Step<'_>,
        until: Instant,
    ) -> Result<(bool, Session)> {
        let (session, turn) = history::regain(self.database, process, until).await?;
        let is_done = self.found(&session, turn.shape, step).await?.is_done;
        session.client.batch_execute("ROLLBACK").await.map_err(|error| self.failed(error))?;
        Ok((is_done, session))
    }

    pub(in crate::migrations) fn failed(&self, error: tokio_postgres::Error) -> Error {
        self.database.failed(DOING, error)
    }
}

/// Whether the server itself says no: poolers tell by errors of servers, too, that they have lost one.
pub(in crate::migrations) fn is_refusal(error: &tokio_postgres::Error) -> bool {
    let is_lost = error.is_closed() || Trouble::of(error) == Trouble::Unreachable;
    error.as_db_error().is_some() && !is_lost
}

/// Whether the server refuses to go on with a transaction that has failed before.
fn has_failed(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION)
}

/// Does what is first, and tells in which transaction.
async fn transaction(session: &Session, first: &str) -> history::Answer<Option<String>> {
    let said = session.ask(&format!("{first}; SELECT pg_current_xact_id()")).await?;
    said.last().map_or(Ok(None), |row| Ok(row.try_get(0)?.map(str::to_owned)))
}

pub(in crate::migrations) fn refused(code: gatekit_core::Code, what: &str, file: &File) -> Error {
    Error::new(code, what).with_effect(Effect::None).with_context("file", file.path.display())
}

/// What the server says of a statement, and where that is.
fn told(file: &File, number: usize, statement: &Statement, source: tokio_postgres::Error) -> Error {
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
    said(error, source)
}

/// What the server says, without what may be a secret, or is a row's: its detail, and what it quotes of
/// values. The error itself is not kept, because that has it all.
fn said(error: Error, source: tokio_postgres::Error) -> Error {
    let Some(db) = source.as_db_error() else { return error.with_source(source) };
    let code = db.code().code();
    let error =
        error.with_context("sqlstate", code).with_context("says", unquoted(code, db.message()));
    match db.hint() {
        Some(hint) => error.with_context("hint", unquoted(code, hint)),
        None => error,
    }
}
