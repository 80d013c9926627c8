//! What the database says of a step, under the lock.

use std::collections::BTreeSet;

use gatekit_core::code::RUN_INTERRUPTED;
use gatekit_core::{Error, NextAction, Result, Verb};
use tokio::time::{Instant, sleep, timeout_at};

use super::alone::unfinished;
use super::apply::{AGAIN, Applying, DOING, Step};
use super::fault::refused;
use crate::code;
use crate::migrations::files::file::File;
use crate::migrations::history::progress::{Progress, Way};
use crate::migrations::history::{self, History, Shape, Sum, Texts, Turn};
use crate::session::{Said, Session};

/// What is found.
pub(in crate::migrations) struct Found {
    pub(in crate::migrations) is_done: bool,
    /// How far its file is, up or down.
    pub(in crate::migrations) underway: Vec<Progress>,
}

/// A history of which nothing is half applied, on the way up.
#[derive(Debug)]
pub(in crate::migrations) struct Last {
    versions: BTreeSet<String>,
    sum: Sum,
    shape: Shape,
    watches: bool,
    /// The answer to who has asked for the lock again, on the session of this push.
    asked: Option<Said>,
}

impl Applying<'_> {
    /// Begins the transaction of a step; `None` when the step has been taken. Connects anew where the connection
    /// of the step before is gone.
    pub(in crate::migrations) async fn begin(
        &mut self,
        step: Step<'_>,
    ) -> Result<Option<(Session, Turn)>> {
        let (cx, deadline) = (self.cx, self.cx.deadline());
        loop {
            let (before, last) = (self.session.take(), self.last.take());
            let looked = timeout_at(deadline, Box::pin(self.look(before, last, step)));
            let Some(looked) = cx.cancellation().run_until_cancelled(looked).await else {
                let what = "the run was interrupted before the file was applied";
                return Err(refused(RUN_INTERRUPTED, what, step.run));
            };
            match looked {
                Ok(Ok((session, _, true))) => {
                    self.session = Some(session);
                    return Ok(None);
                }
                Ok(Ok((session, turn, false))) => return Ok(Some((session, turn))),
                Ok(Err(error)) if self.may_pass(&error) => sleep(AGAIN).await,
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(self.database.silent(DOING)),
            }
        }
    }

    /// Takes the lock, and sees whether the step has been taken; where it has, the lock is let go.
    async fn look(
        &mut self,
        before: Option<Session>,
        last: Option<Last>,
        step: Step<'_>,
    ) -> Result<(Session, Turn, bool)> {
        let (session, turn) = match (before, last) {
            (Some(session), Some(last)) => self.turn_after(session, last).await?,
            (Some(session), None) => {
                let turn = history::begin_on(self.database, &session, "", self.turn()).await?;
                (session, turn)
            }
            (None, _) => self.turn_anew().await?,
        };
        let is_done = match &self.last {
            Some(last) => last.versions.contains(&step.file.version),
            None => {
                let found = self.found(&session, &turn, step).await?;
                // The rest of it would need a session, and what is done is not the file's beginning.
                if step.way == Way::Up && !found.underway.is_empty() {
                    return Err(unfinished(step.run));
                }
                found.is_done
            }
        };
        if is_done {
            let ended = session.client.batch_execute("ROLLBACK").await;
            ended.map_err(|error| self.failed(error))?;
        }
        Ok((session, turn, is_done))
    }

    /// Until when the lock is waited for.
    fn turn(&self) -> Instant {
        self.cx.deadline().min(Instant::now() + self.limits.turn)
    }

    async fn turn_anew(&self) -> Result<(Session, Turn)> {
        let turn = (self.cx.deadline(), self.limits.turn);
        history::begin(self.database, "", turn).await
    }

    /// Takes the lock, and sees by the sum whether the history is still the `last` one, which is the last again
    /// then.
    async fn turn_after(&mut self, session: Session, mut last: Last) -> Result<(Session, Turn)> {
        let (limits, until) = (self.limits.sql("LOCAL"), self.turn());
        let Last { sum, shape, watches, .. } = last;
        let (known, asked) = ((&*limits, watches, sum), last.asked.take());
        match history::begin_again(self.database, &session, asked, known, until).await {
            Ok((process, Some(began))) => {
                self.last = Some(last);
                Ok((session, Turn { process, shape, began: Some(began), watches }))
            }
            Ok((process, None)) => {
                let shape = Shape::ask(&session).await;
                let shape = shape.map_err(|error| history::unread(self.database, error))?;
                Ok((session, Turn { process, shape, began: None, watches }))
            }
            Err(error) if error.is_temporary() => Err(error),
            // The table is no more as it was.
            Err(_) => {
                drop(session);
                self.turn_anew().await
            }
        }
    }

    /// Whether nothing was asked for yet that a new connection could not ask for.
    fn may_pass(&self, error: &Error) -> bool {
        let is_late = Instant::now() + AGAIN >= self.cx.deadline();
        error.is_temporary() && *error.code() != code::LOCKED && !is_late
    }

    /// What the database says of it, under the lock.
    pub(in crate::migrations) async fn found(
        &mut self,
        session: &Session,
        &Turn { shape, watches, .. }: &Turn,
        step: Step<'_>,
    ) -> Result<Found> {
        if step.way == Way::Down {
            // What is taken back leaves no trace: all is compared right before it goes.
            self.known.clear();
        }
        let mut texts = self.change.versions();
        texts.retain(|version| !self.known.contains(version));
        let read = history::read(&session.client, shape, Texts::Of(&texts)).await;
        let History { rows, sum, underway } =
            read.map_err(|error| history::unread(self.database, error))?;
        let standing = self.change.standing(&rows, &self.known);
        // What came after it stands on it.
        let after = || standing.beside().filter(|_| step.way == Way::Down);
        if let Some(live) = standing.elsewhere(self.change).or_else(after) {
            return Err(refused(
                code::ELSEWHERE,
                "somebody else has applied migrations since the plan",
                step.run,
            )
            .with_context("newest", live)
            .with_next(NextAction::verb(Verb::Status, &[])));
        }
        let is_applied = standing.applied.contains(&*step.file.version);
        let versions = self.change.versions().into_iter();
        self.known = versions.filter(|version| standing.applied.contains(version)).collect();
        let versions = rows.into_iter().map(|row| row.version).collect();
        let is_way_up = step.way == Way::Up && underway.is_empty();
        self.last = is_way_up.then_some(Last { versions, sum, shape, watches, asked: None });
        let mine = |it: &Progress| it.version == step.file.version;
        let underway: Vec<_> = underway.into_iter().filter(mine).collect();
        let is_done = is_applied == (step.way == Way::Up) && underway.is_empty();
        Ok(Found { is_done, underway })
    }

    /// The history has its row since, which adds this to the sum; and the next may have been asked for, on that
    /// session.
    pub(in crate::migrations) fn has_applied(
        &mut self,
        file: &File,
        hash: Option<i64>,
        (session, asked): (Session, Option<Said>),
    ) {
        self.session = Some(session);
        self.last = self.last.take().zip(hash).map(|(mut last, hash)| {
            last.versions.insert(file.version.clone());
            last.sum.add(hash);
            Last { shape: last.shape.made_whole(), asked, ..last }
        });
    }
}
