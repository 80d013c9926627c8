//! A connection, and the one that is kept from a call to the next.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow, SimpleQueryStream};

/// How long a server may take to answer a connection.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// How long a connection is kept that nobody uses.
const KEPT: Duration = Duration::from_secs(10);

/// How long after its last answer a connection is taken for alive.
const FRESH: Duration = Duration::from_secs(1);

/// How long a connection that was kept may take for its first answer: nobody may have heard that it is gone.
pub(crate) const FIRST: Duration = Duration::from_secs(3);

/// A connection. Closed when it is dropped.
pub(crate) struct Session {
    pub(crate) client: Client,
    driver: JoinHandle<()>,
}

impl Session {
    pub(crate) fn new((client, driver): (Client, JoinHandle<()>)) -> Self {
        Self { client, driver }
    }

    /// Sends these statements at once, and gives the rows of what they give.
    pub(crate) async fn ask(
        &self,
        sql: &str,
    ) -> Result<Vec<SimpleQueryRow>, tokio_postgres::Error> {
        Ok(rows(self.client.simple_query(sql).await?))
    }

    /// Sends these statements at once, and waits for nothing.
    pub(crate) async fn send(&self, sql: &str) -> Result<Said, tokio_postgres::Error> {
        Ok(Said(Box::pin(self.client.simple_query_raw(sql).await?)))
    }
}

/// What is said of statements that were sent at once.
pub(crate) struct Said(Pin<Box<SimpleQueryStream>>);

impl Said {
    /// Waits for the one row of the next statement that gives any, and for that one's end. Gives its first column.
    pub(crate) async fn value(&mut self) -> Result<Option<String>, tokio_postgres::Error> {
        while let Some(said) = self.0.try_next().await? {
            if let SimpleQueryMessage::Row(row) = said {
                let value = row.try_get(0)?.map(str::to_owned);
                self.end().await?;
                return Ok(value);
            }
        }
        Ok(None)
    }

    /// Waits for the end of the next statement, and tells whether there was one.
    pub(crate) async fn end(&mut self) -> Result<bool, tokio_postgres::Error> {
        while let Some(said) = self.0.try_next().await? {
            if matches!(said, SimpleQueryMessage::CommandComplete(_)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The rows of what they give.
    pub(crate) async fn rows(self) -> Result<Vec<SimpleQueryRow>, tokio_postgres::Error> {
        Ok(rows(self.0.try_collect().await?))
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Said").finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn rows(said: Vec<SimpleQueryMessage>) -> Vec<SimpleQueryRow> {
    let rows = said.into_iter().filter_map(|it| match it {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.collect()
}

/// At most one connection that nobody uses.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Option<Idle>>);

#[derive(Debug)]
struct Idle {
    session: Session,
    since: Instant,
    /// Closes it in the end.
    closing: AbortHandle,
}

impl Spare {
    /// Keeps it for a while, in the place of the one that is there.
    pub(crate) fn put(&self, session: Session) {
        let driver = session.driver.abort_handle();
        let closing = tokio::spawn(async move {
            sleep(KEPT).await;
            driver.abort();
        });
        let idle = Idle { session, since: Instant::now(), closing: closing.abort_handle() };
        drop(self.lock().replace(idle));
    }

    /// The one that is there, unless it is known to be gone.
    pub(crate) async fn take(&self) -> Option<Session> {
        let Idle { session, since, closing } = self.lock().take()?;
        closing.abort();
        // What it is asked for may be done although no answer comes: a lock, for nobody.
        let is_alive =
            since.elapsed() < FRESH || matches!(timeout(FIRST, session.ask("")).await, Ok(Ok(_)));
        is_alive.then_some(session)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
