//! One file, applied or taken back in one transaction.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use gatekit_core::code::RUN_INTERRUPTED;
use gatekit_core::{ApplyContext, Effect, Error, NextAction, Result, Verb};
use tokio::select;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::change::PushChange;
use super::fault::{Fault, is_refusal, refused};
use super::look::Last;
use super::pipeline::Pipeline;
use crate::code;
use crate::database::Database;
use crate::migrations::files::file::File;
use crate::migrations::files::mode::Mode;
use crate::migrations::history::progress::{self, Way};
use crate::migrations::history::{self, Turn};
use crate::session::{Said, Session};

/// How long a server is asked what became of a file whose answer was lost.
const SETTLING: Duration = Duration::from_secs(60);

/// How long the end of a file may take at least, and at most after an interrupt.
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
    mode: Mode,
}

impl Limits {
    /// The statement that sets those of statements, for a `SESSION` or, as `LOCAL`, a transaction.
    pub(in crate::migrations) fn sql(self, scope: &str) -> String {
        let (lock, statement) = (self.lock.as_millis(), self.statement.as_millis());
        format!("SET {scope} lock_timeout = {lock}; SET {scope} statement_timeout = {statement}")
    }
}

impl<'f> Step<'f> {
    /// Applies it.
    ///
    /// # Errors
    /// Those of a file that cannot be applied.
    pub(in crate::migrations) fn up(file: &'f File) -> Result<Self> {
        Ok(Self { file, run: file, way: Way::Up, mode: file.mode()? })
    }

    /// Takes it back; `None` when nothing does.
    ///
    /// # Errors
    /// Those of a file that cannot be applied.
    pub(in crate::migrations) fn down(file: &'f File) -> Result<Option<Self>> {
        let Some(run) = file.down.as_deref() else { return Ok(None) };
        Ok(Some(Self { file, run, way: Way::Down, mode: run.mode()? }))
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

/// What ends a transaction has been sent.
struct Ending {
    /// Which one it is to end.
    began: String,
    /// What the server says of it.
    said: Said,
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
    /// `.elsewhere`.
    pub(in crate::migrations) async fn take(
        &mut self,
        step: Step<'_>,
        next: Option<Step<'_>>,
    ) -> Result<Became> {
        if step.mode == Mode::NonTransactional {
            return self.take_alone(step).await;
        }
        let Some((session, turn)) = self.begin(step).await? else {
            return Ok(Became::DoneBefore);
        };
        let process = turn.process;
        let _permit = self.cx.permit(&format!("apply {}", step.run.file_name())).await?;
        let is_next = next.is_some_and(|next| next.mode == Mode::Transactional);
        let goes_on = is_next && self.last.is_some();
        // What is awaited is large, and is not to be moved from hand to hand.
        let run = Box::pin(self.run(&session, turn, step, goes_on));
        let run = timeout_at(self.cx.deadline(), run);
        let ending = match self.cx.cancellation().run_until_cancelled(run).await {
            Some(Ok(Ok(ending))) => ending,
            Some(Ok(Err(fault))) => {
                let fault = failed_within(&session, fault).await;
                return self.rolled_back((session, process), step, fault).await;
            }
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
        // What is checked at the end may take as long as there is, also after an interrupt a while.
        let until = self.cx.deadline().max(Instant::now() + COMMIT);
        let given_up = async {
            self.cx.cancellation().cancelled().await;
            sleep(COMMIT).await;
        };
        let committed = select! {
            committed = timeout_at(until, committed(&session, ending, goes_on)) => committed.ok(),
            () = given_up => None,
        };
        match committed {
            Some(Ok(Some((hash, asked)))) => {
                self.has_applied(step.file, hash, (session, asked));
                Ok(Became::Done)
            }
            Some(Err(fault)) => {
                let fault = failed_within(&session, fault).await;
                self.rolled_back((session, process), step, fault).await
            }
            Some(Ok(None)) | None => {
                let silent = self.database.silent(DOING);
                self.stopped((session, process), step, silent).await
            }
        }
    }

    /// All statements of the file. What ends the transaction is sent with them, and what it says is given: nothing on
    /// the way back, where it was awaited.
    async fn run(
        &self,
        session: &Session,
        turn: Turn,
        step: Step<'_>,
        goes_on: bool,
    ) -> Result<Option<Ending>, Fault> {
        let (client, shape) = (&session.client, turn.shape);
        history::provision(client, shape).await?;
        let began = match turn.began {
            Some(began) if shape.is_whole() => Some(began),
            _ => transaction(session, &self.limits.sql("LOCAL")).await?,
        };
        let Some(began) = began else { return Err(Fault::Escaped(None)) };
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
                return Err(Fault::Escaped(None));
            }
            history::remove(client, &step.file.version).await?;
            if history::has(client, &step.file.version).await? {
                return Err(Fault::Unrecorded);
            }
            progress::forget(client, &step.file.version, &Way::BOTH).await?;
            return Ok(None);
        }
        // The server has them while the rest is written.
        yield_now().await;
        let (limit, watches) = (self.limits.lock, turn.watches);
        let mut end = history::at_the_end(limit, watches);
        let _ = write!(end, "; {}", history::recording(&began, step.file));
        if goes_on {
            let then = history::commit_and_begin(&self.limits.sql("LOCAL"), watches);
            let _ = write!(end, "; {then}");
        }
        // It may go before the answers: of a transaction that has failed the server refuses all of it, and one that
        // has ended by itself gets no row.
        pipeline.make_room(end.len()).await?;
        let said = session.send(&end).await?;
        pipeline.wait().await?;
        Ok(Some(Ending { began, said }))
    }

    /// Ends a transaction that failed.
    pub(in crate::migrations) async fn rolled_back(
        &mut self,
        (session, process): (Session, i32),
        step: Step<'_>,
        fault: Fault,
    ) -> Result<Became> {
        let (is_escaped, is_unseen) = (matches!(fault, Fault::Escaped(_)), fault.is_unseen());
        let error = self.told(step, fault);
        if is_escaped {
            return Err(error);
        }
        if is_unseen {
            return self.stopped((session, process), step, error).await;
        }
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
        let is_done = self.found(&session, &turn, step).await?.is_done;
        session.client.batch_execute("ROLLBACK").await.map_err(|error| self.failed(error))?;
        Ok((is_done, session))
    }

    pub(in crate::migrations) fn failed(&self, error: tokio_postgres::Error) -> Error {
        self.database.failed(DOING, error)
    }
}

/// Sees that what the server refused, it refused within the transaction: it takes nothing in it any more but its end.
/// What has failed, and has not failed, is not what was sent.
async fn failed_within(session: &Session, fault: Fault) -> Fault {
    match fault {
        Fault::Statement(_, source) | Fault::Record(source)
            if is_refusal(&source) && takes_statements(session).await =>
        {
            Fault::Escaped(Some(source))
        }
        fault => fault,
    }
}

/// Whether the server takes a statement; not where it is gone.
async fn takes_statements(session: &Session) -> bool {
    matches!(timeout(ROLLBACK, session.client.batch_execute("SELECT 1")).await, Ok(Ok(())))
}

/// Ends the transaction, and waits for what is said of its end; the commit was sent where it `goes_on`. Gives what
/// the row of the file adds to the sum of the history, and what is said of the next; `None` when that is not what was
/// asked for.
async fn committed(
    session: &Session,
    ending: Option<Ending>,
    goes_on: bool,
) -> Result<Option<(Option<i64>, Option<Said>)>, Fault> {
    let mut hash = None;
    if let Some(Ending { began, mut said }) = ending {
        let which = said.value().await.map_err(Fault::Record)?;
        if which.as_ref() != Some(&began) {
            return Err(Fault::Escaped(None));
        }
        hash = said.value().await.map_err(Fault::Record)?.and_then(|it| it.parse().ok());
        match (said.end().await.map_err(Fault::Commit)?, goes_on) {
            (true, true) if hash.is_some() => return Ok(Some((hash, Some(said)))),
            (false, false) if hash.is_some() => {}
            _ => return Ok(None),
        }
    }
    session.client.batch_execute("COMMIT").await.map_err(Fault::Commit)?;
    Ok(Some((hash, None)))
}

/// Does what is first, and tells in which transaction.
async fn transaction(session: &Session, first: &str) -> history::Answer<Option<String>> {
    let said = session.ask(&format!("{first}; SELECT pg_catalog.pg_current_xact_id()")).await?;
    said.last().map_or(Ok(None), |row| Ok(row.try_get(0)?.map(str::to_owned)))
}
