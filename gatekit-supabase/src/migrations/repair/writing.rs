//! The transaction of a repair, and of what takes it back.

use std::time::Duration;

use gatekit_core::{ApplyContext, Effect, Error, Location, NextAction, PlanContext, Result, Verb};
use tokio::time::{Instant, timeout, timeout_at};

use super::change::{RepairChange, RowChange, Status};
use super::proof::Proof;
use super::rows::{self, PLAIN, Seen};
use crate::code;
use crate::database::Database;
use crate::migrations::files::file::File;
use crate::migrations::history::progress::{self, Way as FileWay};
use crate::migrations::history::{self, AS_NEW, Shape};
use crate::session::Session;

const DOING: &str = "repair the history of the migrations";

/// How long the rows may take. The server gives a statement up before.
const WRITING: Duration = Duration::from_secs(90);

/// How long a rollback may take.
const ROLLBACK: Duration = Duration::from_secs(10);

/// How long a server is asked what became of a repair whose answer was lost.
const SETTLING: Duration = Duration::from_secs(60);

/// Which way it goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'a> {
    /// To the wish. The files are those that are said to be applied, with what proves it.
    There(&'a [File], &'a Proof),
    /// Back to the rows before.
    Back,
}

/// Why a transaction came to nothing.
#[derive(Debug)]
enum Fault {
    Server(tokio_postgres::Error),
    /// It is refused by what was found in it.
    Refused(Error),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

/// One repair, to be written.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub(super) database: &'a Database,
    pub(super) cx: &'a ApplyContext,
    pub(super) change: &'a RepairChange,
    /// How long another writer of the history is waited for.
    pub(super) turn: Duration,
}

/// What there is of these versions, read without the lock.
pub(super) async fn look(
    database: &Database,
    versions: &[String],
    deadline: Instant,
) -> Result<Seen> {
    let begin = format!("BEGIN READ ONLY; {AS_NEW}; {PLAIN}");
    let (session, _) = database.session(&begin, DOING, deadline).await?;
    see(database, session, versions).await
}

/// The same under the lock: whatever was under way is over.
pub(super) async fn look_locked(
    database: &Database,
    versions: &[String],
    turn: (Instant, Duration),
) -> Result<Seen> {
    let (session, _) = history::begin(database, "READ ONLY", turn).await?;
    let plain = session.client.batch_execute(PLAIN).await;
    plain.map_err(|error| database.failed(DOING, error))?;
    see(database, session, versions).await
}

/// What there is of these versions, seen in the transaction that the session is in; it ends with that.
async fn see(database: &Database, session: Session, versions: &[String]) -> Result<Seen> {
    let seen = rows::see(&session.client, database, versions).await;
    // A pooler closes the connection to the server of a client that leaves in a transaction.
    let ended = session.client.batch_execute("ROLLBACK").await;
    ended.map_err(|error| database.failed(DOING, error))?;
    let seen = seen?;
    database.keep(session);
    Ok(seen)
}

/// Where the history stands; unknown while somebody else has the lock.
pub(super) async fn locate(
    database: &Database,
    cx: &PlanContext,
    change: &RepairChange,
    (is_own, turn): (bool, Duration),
) -> Result<Location> {
    match look_locked(database, &change.versions(), (cx.deadline(), turn)).await {
        Ok(seen) => Ok(change.locate(&seen, is_own)),
        Err(error) if *error.code() == code::LOCKED => Ok(Location::Unknown(error.to_string())),
        Err(error) => Err(error),
    }
}

impl Writing<'_> {
    /// Writes the repair, or takes it back, unless that is done. Gives what was seen as proof.
    ///
    /// # Errors
    /// With [`Effect::None`] nothing was written; with [`Effect::Unknown`], `migration.cannot_tell`.
    pub(super) async fn write(&self, way: Way<'_>) -> Result<Vec<String>> {
        let mut proof = Vec::new();
        if self.change.rows.is_empty() {
            return Ok(proof);
        }
        let deadline = self.cx.deadline();
        let turn = (deadline, self.turn);
        let (session, turn) = history::begin(self.database, "", turn).await?;
        let found = async {
            session.client.batch_execute(PLAIN).await.map_err(|error| self.failed(error))?;
            let seen = rows::see(&session.client, self.database, &self.change.versions()).await?;
            let is_kept = rows::is_kept(&session.client, &self.change.repair).await;
            let is_kept = is_kept.map_err(|error| self.failed(error))?;
            if self.is_done(way, &seen, is_kept)? {
                return Ok(None);
            }
            if let Way::There(files, by) = way {
                for file in files {
                    // By another connection: it only reads, and ends nobody's transaction.
                    proof.extend(by.of(self.database, file, deadline).await?);
                }
            }
            let permit = self.cx.permit(&self.call(way)).await?;
            Ok::<_, Error>(Some((seen, permit)))
        };
        let (seen, _permit) = match found.await {
            Ok(Some(found)) => found,
            Ok(None) => {
                let ended = session.client.batch_execute("ROLLBACK").await;
                return ended.map(|()| proof).map_err(|error| self.failed(error));
            }
            Err(error) => {
                // What fails here, ends with the connection.
                drop(timeout(ROLLBACK, session.client.batch_execute("ROLLBACK")).await);
                return Err(error);
            }
        };
        let until = Instant::now() + WRITING;
        let error = match timeout_at(until, self.run((&session, turn.shape), way, &seen)).await {
            Ok(Ok(())) => {
                let error = match timeout(WRITING, session.client.batch_execute("COMMIT")).await {
                    Ok(Ok(())) => return Ok(proof),
                    Ok(Err(error)) => self.failed(error),
                    Err(_) => self.database.silent(DOING),
                };
                return self.settle(turn.process, way, error).await.map(|()| proof);
            }
            Ok(Err(Fault::Refused(error))) => error,
            Ok(Err(Fault::Server(error))) => self.failed(error),
            Err(_) => self.database.silent(DOING),
        };
        match timeout(ROLLBACK, session.client.batch_execute("ROLLBACK")).await {
            Ok(Ok(())) => Err(error),
            _ => self.settle(turn.process, way, error).await.map(|()| proof),
        }
    }

    fn call(&self, way: Way<'_>) -> String {
        let versions = self.change.versions().join(" ");
        match way {
            Way::There(..) => format!("repair {}: {versions}", self.change.status.as_str()),
            Way::Back => format!("restore the rows before: {versions}"),
        }
    }

    /// Whether it is done, by what is there under the lock. Refuses what is somebody else's.
    fn is_done(&self, way: Way<'_>, seen: &Seen, is_kept: bool) -> Result<bool> {
        let (change, is_back) = (self.change, matches!(way, Way::Back));
        // Rows that somebody else has made so are not of this repair.
        let is_ours = is_kept && change.is_ours(seen);
        match change.locate(seen, false) {
            _ if is_ours && change.is_wished(seen) => return Ok(!is_back),
            _ if change.is_before(seen) && is_back => return Ok(true),
            _ if change.is_before(seen) && !is_kept => return Ok(false),
            Location::Between(_) if is_back && is_ours => return Ok(false),
            _ => {}
        }
        let what = "somebody else has changed rows of the history since the repair was planned";
        Err(Error::new(code::ELSEWHERE, what)
            .with_effect(Effect::None)
            .with_context("versions", change.versions().join(", "))
            .with_context("newest", seen.live())
            .with_next(NextAction::verb(Verb::Status, &[])))
    }

    /// All of the transaction but its end.
    async fn run(
        &self,
        (session, shape): (&Session, Shape),
        way: Way<'_>,
        seen: &Seen,
    ) -> Result<(), Fault> {
        let client = &session.client;
        let versions = self.change.versions();
        match way {
            Way::There(files, _) => {
                if self.change.status == Status::Applied {
                    history::provision(client, shape).await?;
                }
                let by = (&*self.change.repair, self.change.status.as_str());
                for version in &versions {
                    rows::keep(client, by, version, seen.rows.get(version)).await?;
                }
                match self.change.status {
                    Status::Reverted => {
                        for version in &versions {
                            history::remove(client, version).await?;
                            // How far a file was that allows no transaction. Beside a row that counts for
                            // nothing: what is repaired to be applied has it again when that is undone.
                            progress::forget(client, version, &FileWay::BOTH).await?;
                        }
                    }
                    Status::Applied => {
                        for file in files {
                            rows::set(client, file).await?;
                        }
                    }
                }
            }
            Way::Back => {
                for item in self.change.landed(seen) {
                    self.restore(session, item).await?;
                }
                rows::forget(client, &self.change.repair).await?;
            }
        }
        let now = rows::see(client, self.database, &versions).await.map_err(Fault::Refused)?;
        let is_good = match way {
            Way::There(..) => self.change.is_wished(&now),
            Way::Back => self.change.is_before(&now),
        };
        if is_good {
            return Ok(());
        }
        let what = "the rows are not what was written: something in the database changes them";
        Err(Fault::Refused(Error::new(code::HISTORY, what).with_effect(Effect::None)))
    }

    /// Makes one row what it was.
    async fn restore(&self, session: &Session, item: &RowChange) -> Result<(), Fault> {
        let client = &session.client;
        let kept = rows::kept(client, &self.change.repair, &item.version).await?;
        let digest = item.before.as_ref().map(|it| &it.digest);
        let is_it = kept
            .as_ref()
            .is_some_and(|kept| kept.as_ref().map(gatekit_core::Digest::of).as_ref() == digest);
        let (Some(kept), true) = (kept, is_it) else {
            let what = "what the row was is not kept any more";
            return Err(Fault::Refused(
                Error::new(code::NOT_KEPT, what)
                    .with_effect(Effect::None)
                    .with_context("version", &item.version),
            ));
        };
        history::remove(client, &item.version).await?;
        if let Some(kept) = kept {
            rows::restore(client, &kept).await?;
        }
        Ok(())
    }

    /// Finds out what became of a transaction whose end nobody has seen.
    async fn settle(&self, process: i32, way: Way<'_>, error: Error) -> Result<()> {
        let until = Instant::now() + SETTLING;
        let read = async {
            let (session, _) = history::regain(self.database, process, until).await?;
            let kept = rows::is_kept(&session.client, &self.change.repair).await;
            let kept = kept.map_err(|error| self.failed(error))?;
            session.client.batch_execute("ROLLBACK").await.map_err(|error| self.failed(error))?;
            Ok::<_, Error>(kept)
        };
        let is_back = matches!(way, Way::Back);
        match timeout_at(until, read).await {
            // In one transaction with the rows.
            Ok(Ok(is_kept)) if is_kept != is_back => Ok(()),
            Ok(Ok(_)) => Err(error),
            _ => {
                let what = "it cannot be read whether the history was repaired";
                Err(Error::new(code::CANNOT_TELL, what)
                    .with_effect(Effect::Unknown)
                    .with_next(NextAction::verb(Verb::Resume, &[]))
                    .with_source(error))
            }
        }
    }

    fn failed(&self, error: tokio_postgres::Error) -> Error {
        self.database.failed(DOING, error)
    }
}
