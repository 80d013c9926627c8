//! A file that allows no transaction: statement by statement, on a session of its own.
//!
//! The lock is that of the session: when its client is gone, the server ends what it does, and the lock with
//! it. How far the file is, is kept beside the history, before and after each statement, so that none is done
//! twice: see `progress`. Of one whose end nobody has seen, the database is asked: see `evidence`.

use std::sync::atomic::{AtomicBool, Ordering};

use gatekit_core::code::RUN_INTERRUPTED;
use gatekit_core::{Effect, Error, NextAction, Permit, Result};
use tokio::time::{Instant, timeout_at};

use super::apply::{Applying, Became, DOING, Step};
use super::evidence::{Evidence, Trace};
use super::fault::{Fault, is_refusal, refused};
use super::pooler;
use crate::code;
use crate::migrations::files::file::File;
use crate::migrations::files::kind::Kind;
use crate::migrations::files::split::Statement;
use crate::migrations::history::progress::{self, Progress, Way};
use crate::migrations::history::{self, Shape};
use crate::session::Session;

/// Refuses a file that cannot be applied so, before anything of it is done.
///
/// # Errors
/// `migration.non_transactional`, with the line.
pub(in crate::migrations) fn check(file: &File) -> Result<()> {
    let lets_go = |it: &&Statement| it.head().to_ascii_lowercase().starts_with("discard all");
    let Some(statement) = file.statements.iter().find(lets_go) else { return Ok(()) };
    let what = "the statement would let the lock on the migrations go";
    Err(refused(code::NON_TRANSACTIONAL, what, file)
        .with_context("line", statement.first_line())
        .with_context("statement", statement.head()))
}

/// Why a file is not done.
enum Stop {
    /// The server refused something, or is gone.
    Fault(Fault),
    Refused(Error),
}

impl From<tokio_postgres::Error> for Stop {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Fault(Fault::from(error))
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Applying<'_> {
    /// Takes a step of a file that allows no transaction, unless it has been taken.
    ///
    /// # Errors
    /// With [`Effect::None`] nothing of it is done; with [`Effect::Done`] a part is, or may be, and the next
    /// try goes on from there; with [`Effect::Unknown`], `migration.cannot_tell`.
    pub(in crate::migrations) async fn take_alone(&mut self, step: Step<'_>) -> Result<Became> {
        // The session of the files before may be nobody's own.
        (self.session, self.last) = (None, None);
        let (cx, deadline) = (self.cx, self.cx.deadline());
        let opened = timeout_at(deadline, self.open(step));
        let opened = match cx.cancellation().run_until_cancelled(opened).await {
            Some(Ok(opened)) => opened?,
            Some(Err(_)) => return Err(self.database.silent(DOING)),
            None => {
                let what = "the run was interrupted before the file was applied";
                return Err(refused(RUN_INTERRUPTED, what, step.run));
            }
        };
        // It is not what it will be after this file.
        self.last = None;
        let Some((session, process, progress)) = opened else { return Ok(Became::DoneBefore) };
        let has_begun = AtomicBool::new(progress.done > 0);
        let mut run = Run {
            applying: self,
            session: &session,
            process,
            step,
            progress,
            has_begun: &has_begun,
        };
        let done = timeout_at(deadline, run.all());
        let done = self.cx.cancellation().run_until_cancelled(done).await;
        let effect = |error: Error| {
            let is_clean = error.effect() == Effect::None;
            let has_begun = has_begun.load(Ordering::Relaxed);
            if is_clean && has_begun { error.with_effect(Effect::Done) } else { error }
        };
        let ended = match done {
            Some(Ok(Ok(()))) => {
                self.session = Some(session);
                return Ok(Became::Done);
            }
            Some(Ok(Err(Stop::Refused(error)))) => Err(error),
            Some(Ok(Err(Stop::Fault(fault)))) => {
                self.rolled_back((session, process), step, fault).await
            }
            Some(Err(_)) => {
                let what = "the file took longer than there was time";
                let error = refused(code::DEADLINE, what, step.run);
                self.stopped((session, process), step, error).await
            }
            None => {
                let what = "the run was interrupted while the file was applied";
                let error = refused(RUN_INTERRUPTED, what, step.run);
                self.stopped((session, process), step, error).await
            }
        };
        // It ends, and so does its lock.
        self.session = None;
        ended.map_err(effect)
    }

    /// A session that has the lock, by which process of the server it works, and how far the file is; `None`
    /// when the step has been taken.
    async fn open(&mut self, step: Step<'_>) -> Result<Option<(Session, i32, Progress)>> {
        let deadline = self.cx.deadline();
        let session = self.database.connect(deadline).await?;
        pooler::refuse(self.database, &session, deadline).await?;
        let turn = deadline.min(Instant::now() + self.limits.turn);
        let turn = history::lock_session(self.database, &session, turn).await?;
        let found = self.found(&session, &turn, step).await?;
        if found.is_done {
            return Ok(None);
        }
        let mine = found.underway.into_iter().find(|it| it.way == step.way);
        let progress = mine.unwrap_or_else(|| Progress::none(&step.file.version, step.way));
        if !progress.is_of(step.run) {
            return Err(unfinished(step.run));
        }
        Ok(Some((session, turn.process, progress)))
    }
}

/// The error of a file that is half applied by another text.
pub(in crate::migrations) fn unfinished(file: &File) -> Error {
    let what = "a part of this migration is applied, and it is not what the file says now";
    refused(code::UNFINISHED, what, file)
}

/// A file that is being applied.
struct Run<'r, 'a> {
    applying: &'r Applying<'a>,
    session: &'r Session,
    process: i32,
    step: Step<'r>,
    progress: Progress,
    /// Whether a statement of it is done, or may be.
    has_begun: &'r AtomicBool,
}

impl Run<'_, '_> {
    async fn all(&mut self) -> Result<(), Stop> {
        let client = &self.session.client;
        client.batch_execute(&self.applying.limits.sql("SESSION")).await?;
        let statements = &self.step.run.statements;
        for (number, statement) in statements.iter().enumerate() {
            let named = |stop| match stop {
                Stop::Fault(Fault::Statement(None, error)) => {
                    Stop::Fault(Fault::Statement(Some(number), error))
                }
                other => other,
            };
            match statement.kind() {
                Kind::Empty => {}
                // Settings are the session's, also those of what was done in an earlier one.
                Kind::Setting => {
                    self.send(statement).await.map_err(Stop::from).map_err(named)?;
                }
                _ if number < self.progress.done => {
                    if statement.prepares_session() {
                        return Err(Stop::Refused(unprepared(self.step.run, number, statement)));
                    }
                }
                Kind::NonTransactional => self.alone(number, statement).await?,
                _ => self.in_transaction(number, statement).await?,
            }
        }
        self.finish().await
    }

    async fn send(&self, statement: &Statement) -> history::Answer<()> {
        self.session.client.execute_typed(&statement.text, &[]).await.map(drop)
    }

    /// A statement that allows no transaction.
    async fn alone(&mut self, number: usize, statement: &Statement) -> Result<(), Stop> {
        let (client, run) = (&self.session.client, self.step.run);
        let trace = Trace::of(statement);
        let was_begun = self.progress.was_begun(run).ok_or_else(|| unfinished(run))?;
        let seen = trace.look(client).await?;
        let _permit = self.permit(&self.doing(number)).await?;
        match (was_begun, &seen) {
            (true, Evidence::Done) => {
                return self.keep(self.progress.with_done(run, number + 1)).await;
            }
            (true, Evidence::CannotTell) => {
                return Err(Stop::Refused(unseen(run, number, statement)));
            }
            // Of ours, that was not finished: nothing can make it whole.
            (true, Evidence::Unfinished(index)) => {
                client.batch_execute(&format!("DROP INDEX CONCURRENTLY {index}")).await?;
            }
            // What is there already is not from this statement, whatever becomes of it.
            (false, Evidence::Done | Evidence::Unfinished(_)) => {}
            (false, _) => self.keep(self.progress.begins(run)).await?,
            (true, Evidence::NotDone | Evidence::HalfGone) => {}
        }
        if let Err(error) = self.send(statement).await {
            // Where the server is gone, or something is left behind, it stays begun.
            let is_left = trace.may_leave_something() && !is_of_the_statement(&error);
            let before = if was_begun { Evidence::NotDone } else { seen };
            if !is_left && trace.look(client).await.is_ok_and(|now| now == before) {
                self.keep(self.progress.without_next()).await?;
            }
            return Err(Stop::Fault(Fault::Statement(Some(number), error)));
        }
        if matches!(trace, Trace::Index { .. }) && trace.look(client).await? != Evidence::Done {
            let what = "an index of that name is there, and is not valid";
            return Err(Stop::Refused(at(
                refused(code::FAILED, what, run),
                run,
                number,
                statement,
            )));
        }
        self.keep(self.progress.with_done(run, number + 1)).await
    }

    /// A statement that could be in a transaction with others, in one of its own.
    async fn in_transaction(&mut self, number: usize, statement: &Statement) -> Result<(), Stop> {
        let client = &self.session.client;
        let next = self.progress.with_done(self.step.run, number + 1);
        let _permit = self.permit(&self.doing(number)).await?;
        client.batch_execute(progress::BEGIN).await?;
        let done = async {
            self.send(statement).await?;
            next.keep_within(client).await
        };
        if let Err(error) = done.await {
            return Err(Stop::Fault(Fault::Statement(Some(number), error)));
        }
        let had_begun = self.has_begun.swap(true, Ordering::Relaxed);
        if let Err(error) = client.batch_execute("COMMIT").await {
            // A constraint that is checked at the end.
            if is_refusal(&error) {
                self.has_begun.store(had_begun, Ordering::Relaxed);
            }
            return Err(Stop::Fault(Fault::Statement(Some(number), error)));
        }
        self.progress = next;
        Ok(())
    }

    /// Asks for leave to write, and sees that the lock is still held.
    async fn permit(&self, what: &str) -> Result<Permit, Stop> {
        let (run, client) = (self.step.run, &self.session.client);
        let permit = self.applying.cx.permit(what).await?;
        let is_ours = pooler::process(client).await? == self.process;
        if is_ours && history::has_lock(client).await? {
            return Ok(permit);
        }
        let what = "the session has lost the lock on the migrations";
        Err(Stop::Refused(refused(code::LOCK_LOST, what, run)))
    }

    fn doing(&self, number: usize) -> String {
        format!("apply statement {} of {}", number + 1, self.step.run.file_name())
    }

    /// Keeps how far it is; nothing where that is nowhere.
    async fn keep(&mut self, progress: Progress) -> Result<(), Stop> {
        let client = &self.session.client;
        if progress.is_none() {
            client.batch_execute(progress::BEGIN).await?;
            client.batch_execute(progress::AS_OURSELVES).await?;
            progress::forget(client, &progress.version, &[progress.way]).await?;
            client.batch_execute("COMMIT").await?;
            self.has_begun.store(false, Ordering::Relaxed);
        } else {
            self.has_begun.store(true, Ordering::Relaxed);
            progress.keep(client).await?;
        }
        self.progress = progress;
        Ok(())
    }

    /// Its row in the history, in the transaction that forgets how far it was.
    async fn finish(&mut self) -> Result<(), Stop> {
        let (client, file) = (&self.session.client, self.step.file);
        let _permit = self.permit(&format!("record {}", self.step.run.file_name())).await?;
        client.batch_execute(progress::BEGIN).await?;
        client.batch_execute(history::AS_NEW).await?;
        client.batch_execute("SET LOCAL lock_timeout = '4s'").await?;
        history::provision(client, Shape::ask(self.session).await?).await?;
        match self.step.way {
            Way::Up => client.batch_execute(&history::adding(file)).await?,
            Way::Down => history::remove(client, &file.version).await?,
        }
        if history::has(client, &file.version).await? != (self.step.way == Way::Up) {
            return Err(Stop::Fault(Fault::Unrecorded));
        }
        progress::forget(client, &file.version, &Way::BOTH).await?;
        self.has_begun.store(true, Ordering::Relaxed);
        // At once: a client that vanishes in between would keep the lock.
        client.batch_execute(&format!("COMMIT; {}", history::unlock_session())).await?;
        Ok(())
    }
}

/// The error of a statement whose end nobody has seen, and which leaves nothing to see.
fn unseen(file: &File, number: usize, statement: &Statement) -> Error {
    let what = "a statement was begun, and whether it is done cannot be seen in the database";
    let next = "see whether it is done; write the rest of the file as a new one where it is, repair the history \
                for this one, and `reconcile`";
    at(refused(code::CANNOT_TELL, what, file), file, number, statement)
        .with_effect(Effect::Unknown)
        .with_next(NextAction::outside(next))
}

/// The error of a statement that is done, and was for a session that is gone.
fn unprepared(file: &File, number: usize, statement: &Statement) -> Error {
    let what =
        "a statement that is done was for its session, which is gone, and what follows may need it";
    at(refused(code::SESSION_GONE, what, file), file, number, statement)
}

/// Whether the server refused a statement for what it says, before it did anything of it.
fn is_of_the_statement(error: &tokio_postgres::Error) -> bool {
    let class = error.code().and_then(|it| it.code().get(..2));
    class.is_some_and(|it| ["0A", "22", "25", "3D", "3F", "42"].contains(&it))
}

fn at(error: Error, file: &File, number: usize, statement: &Statement) -> Error {
    error
        .with_context("statement", format!("{} of {}", number + 1, file.statements.len()))
        .with_context("line", statement.first_line())
        .with_context("begins", statement.head())
}
